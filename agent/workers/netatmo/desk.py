"""What a person asks the server with `portero netatmo`."""

from __future__ import annotations

import time

import trio

from agent.model.errors import AgentError, CommandError
from agent.runtime import Context, Question
from agent.workers.netatmo.access import READS, WRITES, Grant, Grants, scopes_of
from agent.workers.netatmo.home import Home, Json, words
from agent.workers.netatmo.oauth_server import OAuthServer
from agent.workers.netatmo.subscriber import Subscriber
from agent.workers.netatmo.subscribers import Subscribers

DEFAULT_NAME = "made by hand"
MAX_NAME_CHARS = 48


class Desk:
    """Answers `token`, `authorize` and `server_status`."""

    def __init__(
        self,
        context: Context,
        home: Home,
        grants: Grants,
        oauth: OAuthServer,
        subscribers: Subscribers,
        url: str,
    ) -> None:
        self._context = context
        self._home = home
        self._grants = grants
        self._oauth = oauth
        self._subscribers = subscribers
        self._url = url
        context.answer("token", self._token)
        context.answer("authorize", self._authorise)
        context.answer("server_status", self._status)

    async def _token(self, question: Question) -> object:
        """A token that lasts. client: whose secret signs its webhooks, if it is to be a client's.

        Raises: CommandError.
        """
        scopes = scopes_of(question.get("scope", str))
        if scopes is None or not set(scopes) & (READS | WRITES):
            known = " ".join(sorted(READS | WRITES))
            raise CommandError(f"expected scopes, separated by spaces; of use here are: {known}")
        client = question.get("client", str | None, None) or ""
        if client and not self._oauth.knows(client):
            raise CommandError(f"no client {client!r}: add [[workers.netatmo.server.clients]]")
        name = (question.get("name", str | None, None) or DEFAULT_NAME).strip()[:MAX_NAME_CHARS]
        if not name.isprintable():
            raise CommandError("expected a name without control characters")
        try:
            _, tokens = await self._grants.issue(name=name, scopes=scopes, by=question.account, client=client)
        except AgentError as error:
            raise CommandError(str(error)) from error
        return {"token": tokens.access}

    async def _authorise(self, question: Question) -> object:
        """A code for a client's log-in. Raises: CommandError."""
        await trio.lowlevel.checkpoint()
        code = self._oauth.authorise(
            client=question.get("client_id", str),
            scope=question.get("scope", str),
            redirect_uri=question.get("redirect_uri", str | None, None) or "",
        )
        return {"code": code}

    async def _status(self, question: Question) -> object:
        await trio.lowlevel.checkpoint()
        return {
            "url": self._url,
            "home_id": self._home.identity.home_id,
            "modules": [self._module(module_id) for module_id in self._home.modules],
            "webhooks": [_webhook(subscriber) for subscriber in self._subscribers.all.values()],
            "tokens": [_grant(grant) for grant in self._grants.listed()],
        }

    def _module(self, module_id: str) -> Json:
        module = self._home.modules[module_id]
        state = ""
        if not module.is_gateway:
            state = words(self._home.row(module, self._context.state_of(module.endpoint)))
        return {
            "id": module.id,
            "type": module.type,
            "name": module.name,
            "endpoint": module.endpoint,
            "state": state,
        }


def _webhook(subscriber: Subscriber) -> Json:
    """Without path and query: many a webhook's address is its secret."""
    banned_s = subscriber.banned_s
    return {
        "to": subscriber.destination.where,
        "for": subscriber.subscription.key,
        "state": "banned" if banned_s else "failing" if subscriber.failures else "ok",
        "failures": subscriber.failures,
        "banned_until_ns": time.time_ns() + int(banned_s * 1e9) if banned_s else None,
        "sent": subscriber.sent,
        "failed": subscriber.failed,
        "dropped": subscriber.dropped,
    }


def _grant(grant: Grant) -> Json:
    return {
        "id": grant.key_id,
        "name": grant.name,
        "client": grant.client,
        "scopes": list(grant.scopes),
        "created_ns": grant.created_s * 1_000_000_000,
        "lasting": grant.expires_s is None,
    }
