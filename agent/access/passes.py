"""Throw-away credentials that may listen and do nothing else, for `portero listen` on the door itself."""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict

import trio

from agent.model.principals import Grant, Principal
from agent.runtime import Authenticator

LIFETIME_S = 3600.0
MOST = 32
PREFIX = "listen-"


class Passes:
    """An authenticator that knows its own short-lived passes and asks the store for everybody else.

    At most 32 passes, the oldest is dropped; they live in memory only.
    """

    def __init__(self, store: Authenticator) -> None:
        self._store = store
        self._passes: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def issue(self) -> tuple[str, str]:
        """A new (account, secret), good for an hour."""
        account = PREFIX + secrets.token_hex(4)
        secret = secrets.token_urlsafe(24)
        self._passes[account] = (secret, time.monotonic() + LIFETIME_S)
        while len(self._passes) > MOST:
            self._passes.popitem(last=False)
        return account, secret

    async def authenticate(self, *, account: str, secret: str, via: str, peer: str) -> Principal | None:
        """See runtime.Authenticator."""
        await trio.lowlevel.checkpoint()
        known = self._passes.get(account)
        if known is not None and time.monotonic() < known[1]:
            if hmac.compare_digest(known[0].encode(), secret.encode("utf-8", "surrogatepass")):
                return Principal(
                    name=account,
                    role="guest",
                    via=via,
                    peer=peer,
                    proven_locally=True,
                    grant=Grant(endpoints=()),
                )
            return None
        return await self._store.authenticate(account=account, secret=secret, via=via, peer=peer)

    def admits(self, account: str) -> bool:
        """See runtime.Authenticator."""
        known = self._passes.get(account)
        if known is not None and time.monotonic() < known[1]:
            return True
        return self._store.admits(account)
