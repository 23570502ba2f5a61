"""Changes of users follow the rules."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from agent.access.users import MAX_KEYS_PER_USER, MAX_USERS, AccessError, Account, StoredKey, Users


def account(name: str, **changes: Any) -> Account:
    return Account(**{"name": name, "role": "resident", "password_hash": "h", "created_ns": 1, **changes})


def key(key_id: str, user: str = "anna", **changes: Any) -> StoredKey:
    return StoredKey(
        **{"id": key_id, "user": user, "name": "n", "digest": b"d" * 32, "created_ns": 1, **changes}
    )


def house(*accounts: Account) -> Users:
    users = Users()
    for one in accounts:
        users = users.with_account(one)
    return users


@pytest.mark.parametrize("name", ["a", "Anna", "anna.b-c_9", "x" * 64])
def test_good_names(name: str) -> None:
    assert list(house(account(name)).accounts) == [name]


@pytest.mark.parametrize("name", ["", " ", "an na", "anna\n", "ännä", "x" * 65, "a/b", "a:b", "\u0661"])
def test_bad_names(name: str) -> None:
    with pytest.raises(AccessError, match="letters"):
        house(account(name))


def test_names_differ_by_more_than_case() -> None:
    with pytest.raises(AccessError, match="already"):
        house(account("anna"), account("ANNA"))


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "guest"},
        {"role": "guest", "valid_from_ns": 5},
        {"role": "system"},
        {"role": "king"},
        {"valid_from_ns": 5, "valid_until_ns": 5},
        {"valid_until_ns": -1},
        {"valid_until_ns": 1 << 63},
        {"endpoints": ("",)},
        {"endpoints": ("x" * 65,)},
    ],
)
def test_accounts_that_make_no_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(AccessError):
        house(account("anna", **changes))


def test_the_last_admin_stays() -> None:
    admin = account("boss", role="admin")
    users = house(admin, account("anna"), account("temp", role="admin", valid_until_ns=99))
    with pytest.raises(AccessError, match="last admin"):
        users.without_account("boss")
    with pytest.raises(AccessError, match="last admin"):
        users.changed(replace(admin, enabled=False))
    users.without_account("temp")
    users.changed(replace(admin, password_hash="other"))
    two = users.with_account(account("deputy", role="admin"))
    assert "boss" not in two.without_account("boss").accounts
    off = two.changed(replace(two.account("deputy"), enabled=False))
    with pytest.raises(AccessError, match="last admin"):
        off.without_account("boss")
    off.without_account("deputy")


def test_keys_go_with_their_user() -> None:
    users = house(account("anna"), account("bert")).with_key(key("k1")).with_key(key("k2", "bert"))
    assert list(users.without_account("anna").keys) == ["k2"]


def test_users_that_do_not_exist() -> None:
    users = house(account("anna"))
    for change in (
        lambda: users.without_account("Anna"),
        lambda: users.changed(account("bert")),
        lambda: users.with_key(key("k", "bert")),
        lambda: users.revoked("k"),
        lambda: users.listed_keys("bert"),
    ):
        with pytest.raises(AccessError, match="there is no"):
            change()


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb"])
def test_bad_names_of_keys(name: str) -> None:
    with pytest.raises(AccessError):
        house(account("anna")).with_key(key("k", name=name))


def test_users_and_keys_are_bounded_and_revoked_keys_make_place() -> None:
    users = house(*(account(f"u{number}") for number in range(MAX_USERS)))
    with pytest.raises(AccessError, match="already"):
        users.with_account(account("more"))
    users = house(account("anna"))
    for number in range(MAX_KEYS_PER_USER):
        users = users.with_key(key(f"k{number}", created_ns=number))
    with pytest.raises(AccessError, match="already"):
        users.with_key(key("more"))
    users = users.revoked("k7").with_key(key("more", created_ns=99))
    assert "k7" not in users.keys
    assert len(users.keys) == MAX_KEYS_PER_USER


def test_lists_show_no_secrets() -> None:
    users = house(account("zoe"), account("Anna", endpoints=("door",))).with_key(key("k1", "zoe"))
    users = users.with_key(key("k2", "zoe", created_ns=0)).revoked("k2").used({"k1": 7, "gone": 8})
    assert [(user.name, user.keys, user.endpoints) for user in users.listed()] == [
        ("Anna", 0, ("door",)),
        ("zoe", 1, None),
    ]
    assert [(one.id, one.revoked, one.last_used_ns) for one in users.listed_keys(None)] == [
        ("k2", True, None),
        ("k1", False, 7),
    ]
    assert users.listed_keys("Anna") == []


def test_reprs_tell_no_secrets() -> None:
    users = house(account("anna", password_hash="$argon2id$SECRET")).with_key(key("k1", digest=b"SECRET"))
    assert "SECRET" not in repr(users)
    assert "SECRET" not in repr(users.listed()) + repr(users.listed_keys(None))
