"""Throw-away credentials with next to no rights, for `portero listen` and `talk` on the door itself."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections import OrderedDict
from typing import NamedTuple

import trio

from agent.model.actions import CALL_TARGET, TALK_TARGET
from agent.model.principals import Grant, Principal, Role
from agent.runtime import Authenticator

LIFETIME_S = 3600.0
MOST = 32
PREFIX = "listen-"
MAX_WHO_CHARS = 32


class _Pass(NamedTuple):
    secret: str
    until: float
    role: Role
    grant: Grant

    def __repr__(self) -> str:
        return f"_Pass(role={self.role!r})"


class Passes:
    """An authenticator that knows its own short-lived passes and asks the store for everybody else.

    At most 32 passes, the oldest is dropped; they live in memory only.
    """

    def __init__(self, store: Authenticator) -> None:
        self._store = store
        self._passes: OrderedDict[str, _Pass] = OrderedDict()

    def issue(self) -> tuple[str, str]:
        """A new (account, secret), good for an hour, of somebody who may be told of events and do nothing."""
        return self._issue("guest", ())

    def issue_voice(self, *, talk: bool, who: str = "") -> tuple[str, str]:
        """A new (account, secret), good for an hour, of somebody who may hear the visitor.

        talk: and may answer, speak and hang up; nothing else in any case. who: asked for it; is part of the
        account, so that the list of calls tells who answered.
        """
        return self._issue("resident", (TALK_TARGET, CALL_TARGET) if talk else (), who)

    def _issue(self, role: Role, endpoints: tuple[str, ...], who: str = "") -> tuple[str, str]:
        plain = re.sub(r"[^A-Za-z0-9_.]", "", who)[:MAX_WHO_CHARS]
        account = PREFIX + (f"{plain}-" if plain else "") + secrets.token_hex(4)
        secret = secrets.token_urlsafe(24)
        self._passes[account] = _Pass(secret, time.monotonic() + LIFETIME_S, role, Grant(endpoints=endpoints))
        while len(self._passes) > MOST:
            self._passes.popitem(last=False)
        return account, secret

    async def authenticate(self, *, account: str, secret: str, via: str, peer: str) -> Principal | None:
        """See runtime.Authenticator."""
        await trio.lowlevel.checkpoint()
        known = self._passes.get(account)
        if known is not None and time.monotonic() < known.until:
            if hmac.compare_digest(known.secret.encode(), secret.encode("utf-8", "surrogatepass")):
                return Principal(
                    name=account,
                    role=known.role,
                    via=via,
                    peer=peer,
                    proven_locally=True,
                    grant=known.grant,
                )
            return None
        return await self._store.authenticate(account=account, secret=secret, via=via, peer=peer)

    async def authenticate_pin(self, *, account: str, pin: str, via: str, peer: str) -> Principal | None:
        """See runtime.Authenticator; a pass has no PIN."""
        return await self._store.authenticate_pin(account=account, pin=pin, via=via, peer=peer)

    def admits(self, account: str) -> bool:
        """See runtime.Authenticator."""
        known = self._passes.get(account)
        if known is not None and time.monotonic() < known.until:
            return True
        return self._store.admits(account)

    def principal(self, account: str, *, via: str, peer: str) -> Principal | None:
        """See runtime.Authenticator; nobody vouches for a pass."""
        return self._store.principal(account, via=via, peer=peer)
