"""The users of a door and their API keys, as values; every change gives a new value. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, get_args

from msgspec import Meta, Struct
from msgspec.structs import replace

from agent.model.errors import AgentError
from agent.model.principals import Role

ROLES: tuple[Role, ...] = tuple(role for role in get_args(Role) if role != "system")
MAX_USERS = 256
MAX_KEYS_PER_USER = 32
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class AccessError(AgentError):
    """A change of users or keys that cannot be made; the text says why."""


class User(Struct, frozen=True, kw_only=True):
    """A user, as may be shown; `keys` counts those that are not revoked. Times in UTC nanoseconds.

    pin: there is one. pin_locked: too many wrong ones came in, it is good for nothing until it is set anew.
    """

    name: str
    role: Role
    enabled: bool
    created_ns: int
    valid_from_ns: int | None
    valid_until_ns: int | None
    endpoints: tuple[str, ...] | None
    keys: int
    pin: bool = False
    pin_locked: bool = False


class ApiKey(Struct, frozen=True, kw_only=True):
    """An API key, as may be shown; `last_used_ns` is exact to a day."""

    id: str
    user: str
    name: str
    created_ns: int
    last_used_ns: int | None
    revoked: bool


class Account(Struct, frozen=True, kw_only=True):
    """A user with the hashes of password and PIN; endpoints: None means all. Its repr tells no hash."""

    name: str
    role: Role
    password_hash: str
    created_ns: int
    valid_from_ns: int | None = None
    valid_until_ns: int | None = None
    endpoints: tuple[str, ...] | None = None
    enabled: bool = True
    pin_hash: str | None = None
    pin_locked: bool = False

    def __repr__(self) -> str:
        return f"Account(name={self.name!r}, role={self.role!r}, enabled={self.enabled})"


class StoredKey(Struct, frozen=True, kw_only=True):
    """An API key with the SHA-256 of its secret. Its repr tells no digest."""

    id: str
    user: str
    name: str
    digest: Annotated[bytes, Meta(min_length=32, max_length=32)]
    created_ns: int
    last_used_ns: int | None = None
    revoked: bool = False

    def __repr__(self) -> str:
        return f"StoredKey(id={self.id!r}, user={self.user!r}, revoked={self.revoked})"


class Users(Struct, frozen=True, kw_only=True):
    """All accounts by name and all keys by id."""

    accounts: dict[str, Account] = {}
    keys: dict[str, StoredKey] = {}

    def account(self, name: str) -> Account:
        """Raises: AccessError for a name that nobody has."""
        try:
            return self.accounts[name]
        except KeyError:
            raise AccessError(f"there is no user {name[:64]!r}") from None

    def with_account(self, account: Account) -> Users:
        """One more account. Raises: AccessError for a name that is taken or impossible, or a full house."""
        if _NAME.fullmatch(account.name) is None:
            raise AccessError("a user's name has 1 to 64 of the letters A-Z a-z 0-9 . _ -")
        if account.name.casefold() in (name.casefold() for name in self.accounts):
            raise AccessError(f"there is a user {account.name!r} already, perhaps in other letters")
        if len(self.accounts) >= MAX_USERS:
            raise AccessError(f"there are {MAX_USERS} users already")
        check_account(account)
        return replace(self, accounts={**self.accounts, account.name: account})

    def changed(self, account: Account) -> Users:
        """The account of that name in a new state. Raises: AccessError."""
        old = self.account(account.name)
        if old.enabled and not account.enabled:
            self._keep_an_admin(account.name)
        return replace(self, accounts={**self.accounts, account.name: account})

    def without_account(self, name: str) -> Users:
        """One account and its keys less. Raises: AccessError."""
        self.account(name)
        self._keep_an_admin(name)
        return Users(
            accounts={other: account for other, account in self.accounts.items() if other != name},
            keys={key_id: key for key_id, key in self.keys.items() if key.user != name},
        )

    def with_key(self, key: StoredKey) -> Users:
        """One more key; the oldest revoked ones make place. Raises: AccessError."""
        self.account(key.user)
        if not 1 <= len(key.name) <= 64 or not key.name.isprintable():
            raise AccessError("a key's name has 1 to 64 printable letters")
        own = sorted(self._keys_of(key.user), key=lambda other: (not other.revoked, other.created_ns))
        dropped = own[: max(0, len(own) - MAX_KEYS_PER_USER + 1)]
        if not all(other.revoked for other in dropped):
            raise AccessError(f"{key.user} has {MAX_KEYS_PER_USER} keys already")
        gone = {other.id for other in dropped}
        kept = {key_id: other for key_id, other in self.keys.items() if key_id not in gone}
        return replace(self, keys={**kept, key.id: key})

    def revoked(self, key_id: str) -> Users:
        """A key that is no longer good. Raises: AccessError for an id that no key has."""
        key = self.keys.get(key_id)
        if key is None:
            raise AccessError(f"there is no key {key_id[:64]!r}")
        return replace(self, keys={**self.keys, key_id: replace(key, revoked=True)})

    def used(self, last_used_ns: dict[str, int]) -> Users:
        """Keys with new times of use; unknown ids are passed over."""
        touched = {
            key_id: replace(self.keys[key_id], last_used_ns=at_ns)
            for key_id, at_ns in last_used_ns.items()
            if key_id in self.keys
        }
        return replace(self, keys={**self.keys, **touched})

    def listed(self) -> list[User]:
        """All users by name."""
        return [
            User(
                name=account.name,
                role=account.role,
                enabled=account.enabled,
                created_ns=account.created_ns,
                valid_from_ns=account.valid_from_ns,
                valid_until_ns=account.valid_until_ns,
                endpoints=account.endpoints,
                keys=sum(not key.revoked for key in self._keys_of(account.name)),
                pin=account.pin_hash is not None,
                pin_locked=account.pin_locked,
            )
            for account in sorted(self.accounts.values(), key=lambda account: account.name.casefold())
        ]

    def listed_keys(self, user: str | None) -> list[ApiKey]:
        """The keys of one user or of all, the oldest first. Raises: AccessError."""
        keys = self.keys.values() if user is None else self._keys_of(self.account(user).name)
        return [
            ApiKey(
                id=key.id,
                user=key.user,
                name=key.name,
                created_ns=key.created_ns,
                last_used_ns=key.last_used_ns,
                revoked=key.revoked,
            )
            for key in sorted(keys, key=lambda key: (key.created_ns, key.id))
        ]

    def _keys_of(self, user: str) -> Iterable[StoredKey]:
        return [key for key in self.keys.values() if key.user == user]

    def _keep_an_admin(self, name: str) -> None:
        """Raises: AccessError when nobody but `name` is an admin for good."""
        lasting = {
            account.name
            for account in self.accounts.values()
            if account.role == "admin" and account.enabled and account.valid_until_ns is None
        }
        if lasting == {name}:
            raise AccessError(f"{name} is the last admin")


def check_account(account: Account) -> None:
    """Raises: AccessError for an account that makes no sense."""
    if account.role not in ROLES:
        raise AccessError(f"a user's role is one of {', '.join(ROLES)}")
    if account.role == "guest" and account.valid_until_ns is None:
        raise AccessError("a guest needs an end of validity")
    begin, end = account.valid_from_ns, account.valid_until_ns
    if begin is not None and end is not None and begin >= end:
        raise AccessError("the validity ends before it begins")
    for time_ns in (begin, end):
        if time_ns is not None and not 0 <= time_ns < 1 << 63:
            raise AccessError("the validity is out of range")
    for endpoint in account.endpoints or ():
        if not 1 <= len(endpoint) <= 64:
            raise AccessError("an endpoint's name has 1 to 64 letters")
