"""Who may come in: accounts of the door, what we gave them to come again, and tokens of apps that we know."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from agent.model.principals import Principal, in_force
from agent.runtime import Context
from agent.workers.zello.commands import Logon
from agent.workers.zello.config import ServerConfig

if TYPE_CHECKING:
    from agent.workers.zello.tokens import RefreshTokens, TokenKeys


class Admission(Struct, frozen=True, kw_only=True):
    """Somebody who came in. principal: None for somebody without an account, who may only listen."""

    principal: Principal | None

    @property
    def account(self) -> str:
        """Empty without an account."""
        return "" if self.principal is None else self.principal.name


class Gate:
    """Decides a logon. A token proves an app, not a person: with a password it is not even looked at."""

    def __init__(
        self,
        config: ServerConfig,
        context: Context,
        keys: TokenKeys,
        refresh: RefreshTokens,
        clock_s: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._context = context
        self._keys = keys
        self._refresh = refresh
        self._clock_s = clock_s

    def forget(self, account: str) -> None:
        """What we gave this account to come again is no good any more."""
        self._refresh.forget(account)

    async def admit(self, logon: Logon, peer: str) -> Admission | None:
        """None when these credentials are no good. Raises: TryLater when nobody looked at them."""
        if logon.username and logon.password:
            principal = await self._context.authenticator.authenticate(
                account=logon.username, secret=logon.password, via=self._context.name, peer=peer
            )
            return self._known(principal)
        if logon.refresh_token:
            account = self._refresh.redeem(logon.refresh_token, self._clock_s())
            if account is None or logon.username not in ("", account):
                return None
            if account:
                return self._known(
                    self._context.authenticator.principal(account, via=self._context.name, peer=peer)
                )
            return Admission(principal=None)
        if logon.username or not logon.auth_token:
            return None
        issuer = self._keys.verify(
            logon.auth_token, now_s=self._clock_s(), grace_s=self._config.token_grace_s
        )
        return None if issuer is None else Admission(principal=None)

    def renew(self, admission: Admission) -> str:
        """What the client may come again with."""
        return self._refresh.issue(admission.account, self._clock_s())

    def _known(self, principal: Principal | None) -> Admission | None:
        # Nobody may pass for the door itself.
        if principal is None or principal.name == self._config.door_user:
            return None
        # Changed while its password was being checked.
        if not self._context.authenticator.admits(principal.name):
            return None
        return Admission(principal=principal) if in_force(principal, int(self._clock_s() * 1e9)) else None
