"""`/webhooks/v1`, `/api/addwebhook` and `/api/dropwebhook`: who wants to be told."""

from __future__ import annotations

import trio
from starlette.requests import Request
from starlette.responses import Response

from agent.model.errors import AgentError, PeerError
from agent.workers.netatmo.access import Grant
from agent.workers.netatmo.doorman import Doorman
from agent.workers.netatmo.intake import json_of, parameters_of
from agent.workers.netatmo.push_body import Bodies
from agent.workers.netatmo.reply import (
    ARGUMENT_MISSING,
    INVALID,
    NOTHING,
    UNABLE,
    WEBHOOK_LIMIT,
    Refusal,
    ok,
)
from agent.workers.netatmo.subscribers import Subscribers

BAD_URL = "Invalid url parameter"


class Webhooks:
    """The requests about webhooks; a token or client has one at a time."""

    def __init__(self, doorman: Doorman, subscribers: Subscribers, bodies: Bodies) -> None:
        self._doorman = doorman
        self._subscribers = subscribers
        self._bodies = bodies

    async def listed(self, request: Request) -> Response:
        """GET /webhooks/v1."""
        asker = await self._doorman.reader(request)
        found = self._subscribers.all.get(asker.grant.subscriber)
        return ok([] if found is None else [{"url": found.subscription.url}])

    async def create(self, request: Request) -> Response:
        """POST /webhooks/v1: refused while there is one."""
        asker = await self._doorman.reader(request)
        url = (await json_of(request)).get("url")
        if url is None:
            raise Refusal(ARGUMENT_MISSING, "Missing url")
        await self._add(asker.grant, url, replace=False)
        return ok()

    async def delete(self, request: Request) -> Response:
        """DELETE /webhooks/v1: fine as well when there is none."""
        asker = await self._doorman.reader(request)
        await self._drop(asker.grant)
        return ok()

    async def add(self, request: Request) -> Response:
        """GET or POST /api/addwebhook: in place of the one there was."""
        asker = await self._doorman.reader(request)
        await self._add(asker.grant, (await parameters_of(request)).required("url"), replace=True)
        return ok()

    async def drop(self, request: Request) -> Response:
        """GET or POST /api/dropwebhook."""
        asker = await self._doorman.reader(request)
        if not await self._drop(asker.grant):
            raise Refusal(NOTHING, "Nothing to drop")
        return ok()

    async def _add(self, grant: Grant, url: object, *, replace: bool) -> None:
        if not isinstance(url, str):
            raise Refusal(INVALID, BAD_URL)
        self._check_room(grant, replace=replace)
        try:
            await self._subscribers.check(url)
        except (ValueError, PeerError) as error:
            raise Refusal(INVALID, BAD_URL) from error
        self._check_room(grant, replace=replace)
        hello = self._bodies.webhook("webhook_activation", trio.current_time())
        try:
            await self._subscribers.add(grant, url, hello)
        except AgentError as error:
            raise Refusal(UNABLE, status=503) from error

    def _check_room(self, grant: Grant, *, replace: bool) -> None:
        """Raises: Refusal."""
        there_is_one = grant.subscriber in self._subscribers.all
        if (there_is_one and not replace) or self._subscribers.is_full(grant.subscriber):
            raise Refusal(WEBHOOK_LIMIT)

    async def _drop(self, grant: Grant) -> bool:
        goodbye = self._bodies.webhook("webhook_deactivation", trio.current_time())
        try:
            return await self._subscribers.drop(grant.subscriber, goodbye)
        except AgentError as error:
            raise Refusal(UNABLE, status=503) from error
