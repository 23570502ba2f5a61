"""Keys that a protocol hands out are keys like all others: stored, told, listed and ended alike."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from harness.frontdesk import PASSWORD, FrontDesk

from agent.access.keyring import KeyRing
from agent.access.store import AccessStore
from agent.access.users import MAX_KEYS_PER_USER, AccessError
from agent.model.errors import AgentError
from agent.model.events import AccountChanged
from agent.runtime import Keys


class Ring:
    """The keys of a door with a user `anna`, and what the door was told."""

    def __init__(self, house: FrontDesk) -> None:
        self.house = house
        self.told: list[tuple[str, str, str]] = []
        self.ring = KeyRing(house.store, report=self._tell)

    def _tell(self, event: AccountChanged) -> None:
        self.told.append((event.account, event.change, event.by))

    async def issue(self, user: str = "smart-home", name: str = "panel") -> str:
        return await self.ring.issue(user=user, role="resident", name=name, by="deconz")


@pytest.fixture
async def ring(house: FrontDesk) -> Ring:
    return Ring(house)


async def test_a_key_of_somebody_new(ring: Ring) -> None:
    keys: Keys = ring.ring
    key = await keys.issue(user="smart-home", role="installer", name="panel", by="deconz")
    assert ring.told == [("smart-home", "added", "deconz"), ("smart-home", "key_added", "deconz")]
    principal = await ring.house.ask("", key)
    assert principal is not None
    assert (principal.name, principal.role, principal.proven_locally) == ("smart-home", "installer", True)
    account = ring.house.store.find("smart-home")
    assert account is not None
    assert account.pin_hash is None
    assert await ring.house.ask("smart-home", "") is None, "nobody knows its password"
    (info,) = keys.listed("smart-home")
    assert info.name == "panel"
    assert key.startswith(f"pk_{info.id}_")


async def test_somebody_who_exists_stays_as_they_are(ring: Ring) -> None:
    key = await ring.ring.issue(user="boss", role="resident", name="panel", by="deconz")
    assert ring.told == [("boss", "key_added", "deconz")]
    principal = await ring.house.ask("", key)
    assert principal is not None
    assert principal.role == "admin"
    assert await ring.house.ask("boss", PASSWORD) is not None


async def test_a_key_survives_a_restart(ring: Ring, tmp_path: Path) -> None:
    key = await ring.issue()
    again = AccessStore.open(tmp_path / "access.db").store
    found = again.find_by_key(key)
    assert found is not None
    assert found.name == "smart-home"


async def test_two_programs_at_once(ring: Ring) -> None:
    """The first two that come while there is no such user yet."""
    keys: list[str] = []

    async def ask(name: str) -> None:
        keys.append(await ring.issue(name=name))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "panel")
        nursery.start_soon(ask, "tablet")
    assert {info.name for info in ring.ring.listed("smart-home")} == {"panel", "tablet"}
    assert [change for _, change, _ in ring.told].count("added") == 1
    for key in keys:
        assert await ring.house.ask("", key) is not None


async def test_good_keys_are_listed_and_no_others(ring: Ring) -> None:
    assert list(ring.ring.listed("smart-home")) == []
    await ring.issue(name="panel")
    await ring.issue(name="tablet")
    await ring.issue(user="anna", name="phone")
    panel, tablet = sorted(ring.ring.listed("smart-home"), key=lambda info: info.name)
    assert (panel.name, tablet.name) == ("panel", "tablet")
    await ring.house.store.revoke_api_key(panel.id)
    assert [info.name for info in ring.ring.listed("smart-home")] == ["tablet"]
    await ring.house.store.remove_user("smart-home")
    assert list(ring.ring.listed("smart-home")) == []


async def test_an_end_of_a_key(ring: Ring) -> None:
    key = await ring.issue()
    (info,) = ring.ring.listed("smart-home")
    ring.told.clear()
    assert await ring.ring.revoke(info.id, user="smart-home", by="deconz")
    assert ring.told == [("smart-home", "key_revoked", "deconz")]
    assert await ring.house.ask("", key) is None
    assert not await ring.ring.revoke(info.id, user="smart-home", by="deconz"), "it is over already"
    assert len(ring.told) == 1


async def test_nobody_ends_the_keys_of_others(ring: Ring) -> None:
    key = await ring.issue(user="anna")
    await ring.issue(user="smart-home")
    (info,) = ring.ring.listed("anna")
    ring.told.clear()
    for key_id, user in ((info.id, "smart-home"), (info.id, "nobody"), ("", "anna"), ("x", "anna")):
        assert not await ring.ring.revoke(key_id, user=user, by="deconz")
    assert ring.told == []
    assert await ring.house.ask("", key) is not None


@pytest.mark.parametrize(
    ("user", "name", "reason"),
    [
        ("smart home", "panel", "a user's name has 1 to 64"),
        ("", "panel", "a user's name has 1 to 64"),
        ("Anna", "panel", "perhaps in other letters"),
        ("anna", "", "a key's name has 1 to 64"),
        ("anna", "pan\nel", "a key's name has 1 to 64"),
        ("anna", "x" * 65, "a key's name has 1 to 64"),
    ],
)
async def test_what_cannot_be_is_an_error_that_is_not_told(
    ring: Ring, user: str, name: str, reason: str
) -> None:
    with pytest.raises(AgentError, match=reason):
        await ring.issue(user, name)
    assert ring.told == []


async def test_a_guest_without_an_end_is_refused(ring: Ring) -> None:
    with pytest.raises(AccessError, match="a guest needs an end of validity"):
        await ring.ring.issue(user="smart-home", role="guest", name="panel", by="deconz")
    assert ring.told == []


async def test_a_disk_that_is_full(ring: Ring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = await ring.issue()
    (info,) = ring.ring.listed("smart-home")
    ring.told.clear()

    def full(path: Path, users: object) -> str | None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agent.access.file.write", full)
    with pytest.raises(AgentError, match="could not be written"):
        await ring.issue(name="tablet")
    with pytest.raises(AgentError, match="could not be written"):
        await ring.issue(user="somebody", name="tablet")
    with pytest.raises(AgentError, match="could not be written"):
        await ring.ring.revoke(info.id, user="smart-home", by="deconz")
    assert ring.told == []
    assert await ring.house.ask("", key) is not None


async def test_there_is_a_limit(ring: Ring) -> None:
    for number in range(MAX_KEYS_PER_USER):
        await ring.issue(name=f"panel {number}")
    with pytest.raises(AgentError, match="keys already"):
        await ring.issue()
    info = ring.ring.listed("smart-home")[0]
    assert await ring.ring.revoke(info.id, user="smart-home", by="deconz")
    await ring.issue()
