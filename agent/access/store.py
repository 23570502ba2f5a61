"""The users of this door: all in memory, every change on the disk before it counts."""

from __future__ import annotations

import hmac
import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import trio
from msgspec import Struct
from msgspec.structs import replace

from agent.access import file
from agent.access.passwords import (
    MIN_LETTERS,
    check_password,
    generate_password,
    hash_password,
    verify_password,
)
from agent.access.pins import check_pin, is_pin
from agent.access.users import AccessError, Account, ApiKey, StoredKey, User, Users
from agent.model.principals import Role

FIRST_ADMIN = "admin"
KEY_PREFIX = "pk_"
DAY_NS = 86_400_000_000_000
_NO_DIGEST = bytes(32)
_ID_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"

_log = logging.getLogger(__name__)


class AccessStore:
    """Users and API keys; made by `AccessStore.open`.

    Log-ins are answered from memory and go on when the disk dies; a change that cannot be written is not
    made. Changes are made one at a time.

    unread: there may be users on the disk that could not be read yet.
    """

    def __init__(self, path: Path, found: file.Found, clock_ns: Callable[[], int]) -> None:
        self._path = path
        self._users = found.users
        self.unread = found.unread
        self._clock_ns = clock_ns
        self._changing = trio.Lock()
        self._thread = trio.CapacityLimiter(1)
        self._touched: dict[str, int] = {}

    @classmethod
    def open(cls, path: Path, *, clock_ns: Callable[[], int] = time.time_ns) -> OpenedAccess:
        """Read the users. Blocks for disk; never raises for what a file or disk does: `problem` tells."""
        found = file.find(path)
        return OpenedAccess(store=cls(path, found, clock_ns), problem=found.problem)

    async def ensure_first_admin(self) -> str | None:
        """Where there are no users at all, make `admin`; the password, to be shown this once.

        None also when the disk cannot keep an admin, or there may be users that could not be read.
        """
        await self.read_again()
        if self._users.accounts:
            return None
        try:
            return await self.add_user(FIRST_ADMIN, role="admin")
        except AccessError as error:
            _log.critical("no first admin reason=%s", error)
            return None

    async def add_user(
        self,
        name: str,
        *,
        role: Role,
        password: str | None = None,
        valid_from_ns: int | None = None,
        valid_until_ns: int | None = None,
        endpoints: tuple[str, ...] | list[str] | None = None,
    ) -> str | None:
        """Add a user; the password made for it when none is given.

        endpoints: the only ones that the user may act on; None means all.
        Raises: AccessError.
        """
        account = Account(
            name=name,
            role=role,
            password_hash="",
            created_ns=self._clock_ns(),
            valid_from_ns=valid_from_ns,
            valid_until_ns=valid_until_ns,
            endpoints=None if endpoints is None else tuple(endpoints),
        )
        self._users.with_account(account)  # refuses before the work of hashing
        generated, password_hash = await self._new_password(password)
        account = replace(account, password_hash=password_hash)
        await self._change(lambda users: users.with_account(account))
        return generated

    async def remove_user(self, name: str) -> None:
        """Remove a user and all keys of it. Raises: AccessError, also for the last admin."""
        await self._change(lambda users: users.without_account(name))

    async def set_password(self, name: str, password: str | None = None) -> str | None:
        """Give a user a new password; the one made when none is given.

        Raises: AccessError, also for the user's PIN: neither of them may be good for the other.
        """
        account = self._users.account(name)
        generated, password_hash = await self._new_password(password)
        if password is not None and is_pin(password) and await self._is_secret(account.pin_hash, password):
            raise AccessError("the password cannot be the PIN")
        await self._change(
            lambda users: users.changed(replace(users.account(name), password_hash=password_hash))
        )
        return generated

    async def set_pin(self, name: str, pin: str | None) -> None:
        """Give a user a new PIN, which is not locked; None takes it away. Raises: AccessError."""
        account = self._users.account(name)
        pin_hash = None
        if pin is not None:
            check_pin(pin)
            if len(pin) >= MIN_LETTERS and await self._is_secret(account.password_hash, pin):
                raise AccessError("the PIN cannot be the password")
            pin_hash = await trio.to_thread.run_sync(hash_password, pin, limiter=self._thread)
        await self._change(
            lambda users: users.changed(replace(users.account(name), pin_hash=pin_hash, pin_locked=False))
        )

    async def lock_pin(self, name: str, pin_hash: str) -> None:
        """Make the PIN of that hash, if it is still the user's, worthless. Raises: AccessError."""

        def lock(users: Users) -> Users:
            account = users.accounts.get(name)
            if account is None or account.pin_hash != pin_hash:
                return users
            return users.changed(replace(account, pin_locked=True))

        await self._change(lock)

    async def set_enabled(self, name: str, enabled: bool) -> None:
        """Let a user in again, or keep it out. Raises: AccessError, also for the last admin."""
        await self._change(lambda users: users.changed(replace(users.account(name), enabled=enabled)))

    def list_users(self) -> list[User]:
        """All users by name."""
        return self._users.listed()

    async def add_api_key(self, user: str, name: str) -> str:
        """A new key for a user, to be shown this once: `pk_<id>_<secret>`. Raises: AccessError."""
        key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(8))
        secret = secrets.token_urlsafe(32)
        key = StoredKey(id=key_id, user=user, name=name, digest=_digest(secret), created_ns=self._clock_ns())
        await self._change(lambda users: users.with_key(key))
        return f"{KEY_PREFIX}{key_id}_{secret}"

    async def revoke_api_key(self, key_id: str) -> str:
        """Make a key worthless; whose it was. Raises: AccessError."""
        users = await self._change(lambda users: users.revoked(key_id))
        return users.keys[key_id].user

    def list_api_keys(self, user: str | None = None) -> list[ApiKey]:
        """The keys of a user, or of all. Raises: AccessError for an unknown user."""
        return self._users.used(self._touched).listed_keys(user)

    def find(self, name: str) -> Account | None:
        """The account of that exact name."""
        return self._users.accounts.get(name)

    def find_by_key(self, secret: str) -> Account | None:
        """The account of an API key that is good."""
        key_id, _, rest = secret.removeprefix(KEY_PREFIX).partition("_")
        key = self._users.keys.get(key_id)
        same = hmac.compare_digest(_digest(rest), _NO_DIGEST if key is None else key.digest)
        if key is None or not same or key.revoked:
            return None
        self._touched[key_id] = self._clock_ns() // DAY_NS * DAY_NS
        return self.find(key.user)

    async def replace_hash(self, name: str, old: str, new: str) -> None:
        """Exchange the hash of an unchanged password or PIN. Raises: AccessError."""

        def exchange(users: Users) -> Users:
            account = users.account(name)
            if account.password_hash == old:
                return users.changed(replace(account, password_hash=new))
            if account.pin_hash == old:
                return users.changed(replace(account, pin_hash=new))
            return users

        await self._change(exchange)

    async def read_again(self) -> None:
        """Try once more to read users that could not be read at the start."""
        async with self._changing:
            if self.unread:
                found = await trio.to_thread.run_sync(file.find, self._path, limiter=self._thread)
                self._users, self.unread = found.users, found.unread
                if not self.unread:
                    _log.warning("users read again count=%d", len(found.users.accounts))

    async def save_last_used(self) -> None:
        """Store when keys were used, where the day has changed; a failure is no reason to do anything."""
        await trio.lowlevel.checkpoint()
        keys = self._users.keys
        touched = {key_id: day for key_id, day in self._touched.items() if key_id in keys}
        self._touched = dict(touched)
        if all(keys[key_id].last_used_ns == day for key_id, day in touched.items()):
            return
        try:
            await self._change(lambda users: users.used(touched))
        except AccessError as error:
            _log.warning("last use of keys not stored reason=%s", error)

    async def close(self) -> None:
        """Store what is still to be stored; call under a shield with a deadline."""
        await self.save_last_used()

    async def _new_password(self, password: str | None) -> tuple[str | None, str]:
        """The password when one had to be made, and its hash."""
        generated = generate_password() if password is None else None
        secret = generated if password is None else password
        assert secret is not None
        check_password(secret)
        hashed = await trio.to_thread.run_sync(hash_password, secret, limiter=self._thread)
        return generated, hashed

    async def _is_secret(self, secret_hash: str | None, secret: str) -> bool:
        if secret_hash is None:
            return False
        return await trio.to_thread.run_sync(verify_password, secret_hash, secret, limiter=self._thread)

    async def _change(self, change: Callable[[Users], Users]) -> Users:
        """Write the changed users, then make them count; the users as they are now.

        Raises: AccessError, with nothing changed.
        Cancellation: a write that has begun is finished and counts.
        """
        await self.read_again()
        async with self._changing:
            if self.unread:
                raise AccessError("the users cannot be read now")
            users = change(self._users)
            try:
                problem = await trio.to_thread.run_sync(
                    partial(file.write, self._path, users), limiter=self._thread
                )
            except file.FILE_ERRORS as error:
                _log.error("users not written reason=%r", str(error)[:200])
                raise AccessError("the change could not be written to the disk") from error
            self._users = users
            if problem is not None:
                _log.error("last good copy of the users not written reason=%r", problem)
            return users


class OpenedAccess(Struct, frozen=True, kw_only=True):
    """The store, and what must be told loudly: users that were recovered, or could not be read."""

    store: AccessStore
    problem: str | None = None


def _digest(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
