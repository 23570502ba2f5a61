"""Changes are on the disk before they count, and log-ins need no disk."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
import trio

from agent.access import file
from agent.access.passwords import verify_password
from agent.access.store import DAY_NS, AccessStore
from agent.access.users import AccessError

NOW = 20_000 * DAY_NS + 5
PASSWORD = "correct horse"
PIN = "739152"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.db"


def opened(path: Path) -> AccessStore:
    found = AccessStore.open(path, clock_ns=lambda: NOW)
    assert found.problem is None
    return found.store


def right(store: AccessStore, name: str, password: str) -> bool:
    account = store.find(name)
    return account is not None and verify_password(account.password_hash, password)


async def test_the_first_admin_is_made_once(path: Path) -> None:
    store = opened(path)
    password = await store.ensure_first_admin()
    assert password is not None
    assert right(store, "admin", password)
    assert await store.ensure_first_admin() is None
    again = opened(path)
    assert await again.ensure_first_admin() is None
    assert right(again, "admin", password)


async def test_a_user_lives(path: Path) -> None:
    store = opened(path)
    await store.ensure_first_admin()
    assert await store.add_user("anna", role="resident", password=PASSWORD) is None
    assert right(opened(path), "anna", PASSWORD)
    made = await store.set_password("anna")
    assert made is not None
    assert right(opened(path), "anna", made)
    assert not right(opened(path), "anna", PASSWORD)
    assert await store.set_password("anna", "another one") is None
    assert right(opened(path), "anna", "another one")
    await store.set_enabled("anna", False)
    assert [(user.name, user.enabled) for user in opened(path).list_users()] == [
        ("admin", True),
        ("anna", False),
    ]
    await store.set_enabled("anna", True)
    await store.remove_user("anna")
    assert [user.name for user in opened(path).list_users()] == ["admin"]


async def test_a_pin_lives(path: Path) -> None:
    store = opened(path)
    await store.add_user("anna", role="admin", password="48151623")
    assert [(user.pin, user.pin_locked) for user in store.list_users()] == [(False, False)]
    await store.set_pin("anna", PIN)
    account = opened(path).find("anna")
    assert account is not None
    assert account.pin_hash is not None
    assert account.pin_hash.startswith("$argon2id$")
    assert verify_password(account.pin_hash, PIN)
    assert verify_password(account.password_hash, "48151623")
    assert PIN.encode() not in path.read_bytes()
    assert account.pin_hash not in repr(account)
    await store.lock_pin("anna", "a hash that it had before")
    assert [(user.pin, user.pin_locked) for user in store.list_users()] == [(True, False)]
    await store.lock_pin("anna", account.pin_hash)
    assert [(user.pin, user.pin_locked) for user in opened(path).list_users()] == [(True, True)]
    await store.set_password("anna", PASSWORD)
    assert [(user.pin, user.pin_locked) for user in opened(path).list_users()] == [(True, True)]
    await store.set_pin("anna", PIN)
    assert [(user.pin, user.pin_locked) for user in opened(path).list_users()] == [(True, False)]
    await store.set_pin("anna", None)
    assert [(user.pin, user.pin_locked) for user in opened(path).list_users()] == [(False, False)]
    await store.lock_pin("nobody", account.pin_hash)


async def test_bad_pins_change_nothing(path: Path) -> None:
    store = opened(path)
    await store.add_user("anna", role="admin", password="48151623")
    before = path.read_bytes()
    for name, pin, text in (
        ("anna", "739", "4 to 12 digits"),
        ("anna", "1234", "anybody tries"),
        ("anna", "48151623", "cannot be the password"),
        ("nobody", PIN, "no user 'nobody'"),
        ("nobody", None, "no user 'nobody'"),
    ):
        with pytest.raises(AccessError, match=text):
            await store.set_pin(name, pin)
    assert path.read_bytes() == before
    await store.set_pin("anna", "9021734655")
    with pytest.raises(AccessError, match="cannot be the PIN"):
        await store.set_password("anna", "9021734655")
    assert right(store, "anna", "48151623")
    await store.set_password("anna", "9021734656")


async def test_a_guest_has_limits(path: Path) -> None:
    store = opened(path)
    with pytest.raises(AccessError, match="end of validity"):
        await store.add_user("guest", role="guest")
    await store.add_user("guest", role="guest", valid_until_ns=NOW + 1, endpoints=["door"])
    [guest] = opened(path).list_users()
    assert (guest.role, guest.valid_until_ns, guest.endpoints, guest.created_ns) == (
        "guest",
        NOW + 1,
        ("door",),
        NOW,
    )


async def test_refusals_change_nothing(path: Path) -> None:
    store = opened(path)
    await store.ensure_first_admin()
    before = path.read_bytes()
    with pytest.raises(AccessError):
        await store.add_user("short", role="resident", password="1234567")
    with pytest.raises(AccessError):
        await store.add_user("ADMIN", role="resident")
    with pytest.raises(AccessError):
        await store.remove_user("admin")
    with pytest.raises(AccessError):
        await store.set_enabled("admin", False)
    with pytest.raises(AccessError):
        await store.set_password("nobody")
    with pytest.raises(AccessError):
        await store.revoke_api_key("nokey")
    assert path.read_bytes() == before
    assert [user.name for user in store.list_users()] == ["admin"]


async def test_an_api_key_lives(path: Path) -> None:
    store = opened(path)
    await store.ensure_first_admin()
    key = await store.add_api_key("admin", "bridge")
    assert re.fullmatch(r"pk_[a-z2-9]{8}_[A-Za-z0-9_-]{43}", key)
    again = opened(path)
    found = again.find_by_key(key)
    assert found is not None
    assert found.name == "admin"
    [listed] = again.list_api_keys("admin")
    assert listed.last_used_ns == NOW // DAY_NS * DAY_NS
    assert key.split("_", 2)[2].encode() not in path.read_bytes()
    for wrong in (
        key[:-1],
        key + "x",
        key.upper(),
        "pk_",
        "pk__",
        "pk_x",
        "",
        key.replace("pk_", "pk"),
        "pk_\ud800",
    ):
        assert again.find_by_key(wrong) is None
    assert await again.revoke_api_key(listed.id) == "admin"
    assert again.find_by_key(key) is None
    assert opened(path).find_by_key(key) is None
    with pytest.raises(AccessError):
        again.list_api_keys("nobody")


async def test_the_last_use_of_a_key_is_stored_once_a_day(path: Path) -> None:
    store = opened(path)
    await store.ensure_first_admin()
    key = await store.add_api_key("admin", "bridge")
    assert store.find_by_key(key)
    await store.close()
    stored = path.stat().st_mtime_ns
    assert opened(path).list_api_keys()[0].last_used_ns == NOW // DAY_NS * DAY_NS
    assert store.find_by_key(key)
    await store.save_last_used()
    assert path.stat().st_mtime_ns == stored


async def test_a_removed_user_takes_its_keys_along(path: Path) -> None:
    store = opened(path)
    await store.ensure_first_admin()
    await store.add_user("anna", role="resident", password=PASSWORD)
    key = await store.add_api_key("anna", "bridge")
    assert store.find_by_key(key)
    await store.remove_user("anna")
    assert store.find_by_key(key) is None
    await store.close()
    assert opened(path).list_api_keys() == []


async def test_a_dead_disk_refuses_changes_and_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    path = folder / "access.db"
    store = opened(path)
    await store.ensure_first_admin()
    await store.add_user("anna", role="resident", password=PASSWORD)
    key = await store.add_api_key("anna", "bridge")
    folder.rename(tmp_path / "gone")
    folder.write_text("not a folder any more")
    with pytest.raises(AccessError, match="could not be written"):
        await store.set_password("anna", "another one")
    with pytest.raises(AccessError):
        await store.remove_user("anna")
    assert right(store, "anna", PASSWORD)
    assert store.find_by_key(key)
    await store.close()


async def test_no_disk_at_the_first_start_is_no_admin(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder")
    store = opened(tmp_path / "state" / "access.db")
    assert await store.ensure_first_admin() is None
    assert store.list_users() == []


async def test_users_that_could_not_be_read_are_not_replaced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "BUSY_TIMEOUT_S", 0.01)
    await opened(path).add_user("anna", role="admin", password=PASSWORD)
    file.good_path(path).unlink()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    found = AccessStore.open(path)
    assert found.problem
    store = found.store
    assert store.unread
    assert await store.ensure_first_admin() is None
    with pytest.raises(AccessError, match="cannot be read"):
        await store.add_user("bert", role="resident", password=PASSWORD)
    other.close()
    await store.read_again()
    assert right(store, "anna", PASSWORD)
    await store.add_user("bert", role="resident", password=PASSWORD)
    assert {user.name for user in opened(path).list_users()} == {"anna", "bert"}


async def test_lost_users_come_back_loudly(path: Path) -> None:
    await opened(path).add_user("anna", role="admin", password=PASSWORD)
    path.write_bytes(b"garbage" * 1000)
    found = AccessStore.open(path)
    assert found.problem is not None
    assert right(found.store, "anna", PASSWORD)
    assert await found.store.ensure_first_admin() is None


async def test_changes_at_the_same_time_are_all_made(path: Path) -> None:
    store = opened(path)
    async with trio.open_nursery() as nursery:
        for number in range(6):

            async def add(name: str) -> None:
                await store.add_user(name, role="resident", password=PASSWORD)

            nursery.start_soon(add, f"user{number}")
    assert len(opened(path).list_users()) == len(store.list_users()) == 6


async def test_a_cancelled_change_is_whole_or_not_at_all(path: Path) -> None:
    store = opened(path)
    await store.ensure_first_admin()
    for number in range(12):
        with trio.move_on_after(number * 0.001):
            await store.set_enabled("admin", True)
            await store.add_api_key("admin", f"key{number}")
        assert len(store.list_api_keys()) == len(opened(path).list_api_keys())


async def test_a_renewed_hash_gives_way_to_a_new_password(path: Path) -> None:
    store = opened(path)
    await store.add_user("anna", role="resident", password=PASSWORD)
    old = store.find("anna")
    assert old is not None
    await store.set_password("anna", "another one")
    await store.replace_hash("anna", old.password_hash, "stale")
    assert right(store, "anna", "another one")
