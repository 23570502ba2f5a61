"""API keys that a protocol hands out to programs: keys like all others, in the same store."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.access.store import AccessStore
from agent.access.users import AccessError, ApiKey
from agent.model.events import AccountChanged
from agent.model.principals import Role


class KeyRing:
    """What a worker may do with keys (`runtime.Keys`)."""

    def __init__(self, store: AccessStore, *, report: Callable[[AccountChanged], object]) -> None:
        self._store = store
        self._report = report

    async def issue(self, *, user: str, role: Role, name: str, by: str) -> str:
        """See runtime.Keys. Raises: AccessError."""
        if self._store.find(user) is None:
            await self._add(user, role, by)
        key = await self._store.add_api_key(user, name)
        self._report(AccountChanged(account=user, change="key_added", by=by))
        return key

    async def _add(self, user: str, role: Role, by: str) -> None:
        try:
            await self._store.add_user(user, role=role)
        except AccessError:
            if self._store.find(user) is None:
                raise
            return  # made at the same time, for another program
        self._report(AccountChanged(account=user, change="added", by=by))

    def listed(self, user: str) -> Sequence[ApiKey]:
        """See runtime.Keys."""
        if self._store.find(user) is None:
            return ()
        return [key for key in self._store.list_api_keys(user) if not key.revoked]

    async def revoke(self, key_id: str, *, user: str, by: str) -> bool:
        """See runtime.Keys. Raises: AccessError."""
        if not any(key.id == key_id for key in self.listed(user)):
            return False
        await self._store.revoke_api_key(key_id)
        self._report(AccountChanged(account=user, change="key_revoked", by=by))
        return True
