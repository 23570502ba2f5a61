"""An authenticator on a real store, asked as workers ask it; it keeps what was reported."""

from __future__ import annotations

from agent.access.authenticate import Access
from agent.access.config import AccessConfig
from agent.access.store import AccessStore
from agent.model.events import AccessDenied
from agent.model.principals import Principal

NOW = 1_800_000_000_000_000_000
PASSWORD = "correct horse"
PIN = "739152"


class FrontDesk:
    """now_ns: what its clock says."""

    def __init__(self, store: AccessStore) -> None:
        self.store = store
        self.denied: list[AccessDenied] = []
        self.now_ns = NOW
        self.access = Access(
            store,
            report=self.denied.append,
            config=AccessConfig(free_attempts=3),
            clock_ns=lambda: self.now_ns,
        )

    async def ask(
        self, account: str = "anna", secret: str = PASSWORD, peer: str = "192.0.2.1:5"
    ) -> Principal | None:
        return await self.access.authenticate(account=account, secret=secret, via="web", peer=peer)

    async def dial(self, pin: str = PIN, account: str = "anna", peer: str = "zello:anna") -> Principal | None:
        return await self.access.authenticate_pin(account=account, pin=pin, via="zello", peer=peer)
