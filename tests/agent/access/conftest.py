"""What the tests of log-ins share: three users, and a count of the work that is done for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.frontdesk import NOW, PASSWORD, FrontDesk

from agent.access import passwords
from agent.access.store import AccessStore


@pytest.fixture
async def house(tmp_path: Path) -> FrontDesk:
    store = AccessStore.open(tmp_path / "access.db").store
    await store.add_user("boss", role="admin", password=PASSWORD)
    await store.add_user("anna", role="resident", password=PASSWORD)
    await store.add_user(
        "guest",
        role="guest",
        password=PASSWORD,
        valid_from_ns=NOW,
        valid_until_ns=NOW + 10,
        endpoints=("door",),
    )
    return FrontDesk(store)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Every hash that is compared, None for the dummy."""
    compared: list[str | None] = []
    verify = passwords.verify_password

    def counted(password_hash: str | None, secret: str) -> bool:
        compared.append(password_hash)
        return verify(password_hash, secret)

    monkeypatch.setattr(passwords, "verify_password", counted)
    return compared
