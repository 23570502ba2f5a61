"""Who asks: the token of a request, how often it may be used, and for what."""

from __future__ import annotations

import logging

import trio
from msgspec import Struct
from starlette.requests import Request

from agent.model.errors import TryLater
from agent.model.principals import Principal
from agent.runtime import Context
from agent.workers.netatmo.access import READS, WRITES, Expired, Grant, Grants
from agent.workers.netatmo.intake import peer_of, token_of
from agent.workers.netatmo.limits import Guesses, Usage
from agent.workers.netatmo.reply import (
    FORBIDDEN,
    TOKEN_EXPIRED,
    TOKEN_INVALID,
    TOKEN_MISSING,
    USAGE,
    Refusal,
)

DEACTIVATED = 5
KEY_PREFIX = "pk_"

logger = logging.getLogger(__name__)


class Asker(Struct, frozen=True, kw_only=True):
    """Somebody with a good token."""

    grant: Grant
    principal: Principal

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the token is for."""
        return self.grant.scopes


class Doorman:
    """Looks at the token of each request. bad_tokens: how many were wrong since the start."""

    def __init__(self, context: Context, grants: Grants, usage: Usage, guesses: Guesses) -> None:
        self._context = context
        self._grants = grants
        self._usage = usage
        self._guesses = guesses
        self.bad_tokens = 0

    async def reader(self, request: Request) -> Asker:
        """Who may read something. Raises: Refusal."""
        return _with_one_of(await self._admit(request), READS)

    async def writer(self, request: Request, *scopes: str) -> Asker:
        """Who may move something, with one of these scopes. Raises: Refusal."""
        return _with_one_of(await self._admit(request), frozenset(scopes) or WRITES)

    async def _admit(self, request: Request) -> Asker:
        await trio.lowlevel.checkpoint()
        peer = peer_of(request)
        token = await token_of(request)
        if not token:
            raise Refusal(TOKEN_MISSING)
        try:
            grant = self._grants.find(token)
        except Expired as error:
            raise Refusal(TOKEN_EXPIRED) from error
        if grant is None:
            raise await self._wrong(peer)
        principal = self._grants.principal(peer)
        if principal is None:
            raise Refusal(DEACTIVATED, "Application deactivated", status=403)
        if not self._usage.take(grant.id, trio.current_time()):
            raise Refusal(USAGE)
        return Asker(grant=grant, principal=principal)

    async def _wrong(self, peer: str) -> Refusal:
        """Count a wrong token, and have it written down while there are not too many of them.

        128 bits of chance are not guessed, and a program with an old token shall not keep those beside it
        out: a right token is good at any time, and wrong ones hear that they are too many.
        """
        self.bad_tokens += 1
        if not self._guesses.wrong(peer, trio.current_time()):
            return Refusal(USAGE, "Maximum api usage reached", status=429)
        logger.debug("refused peer=%s", peer)
        try:
            # It is compared with nothing, only written down where all refusals are.
            await self._context.authenticator.authenticate(
                account="", secret=KEY_PREFIX, via=self._context.name, peer=peer
            )
        except TryLater:
            return Refusal(USAGE, "Maximum api usage reached", status=429)
        return Refusal(TOKEN_INVALID)


def _with_one_of(asker: Asker, scopes: frozenset[str]) -> Asker:
    if not scopes & frozenset(asker.scopes):
        raise Refusal(FORBIDDEN)
    return asker
