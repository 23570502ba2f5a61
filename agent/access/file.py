"""The users' file: read whole, written whole in one transaction, with a last good copy beside it. Blocks.

The schema only ever grows, by tables and by columns with a default, so that an older agent goes on with a
newer file: it leaves alone what it does not know. Version 2 added the PINs.

A lost user store locks a family out, so a broken file is never just put aside: the last good copy takes
its place, and only when that is broken as well does the door begin without users.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from agent.access.users import Account, StoredKey, Users
from agent.model.errors import MalformedMessage

BUSY_TIMEOUT_S = 2.0
SCHEMA_VERSION = 2
FILE_ERRORS = (sqlite3.Error, OSError, UnicodeDecodeError, MalformedMessage)
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR})

_SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    name TEXT PRIMARY KEY COLLATE NOCASE,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    created_ns INTEGER NOT NULL,
    valid_from_ns INTEGER,
    valid_until_ns INTEGER,
    endpoints TEXT,
    enabled INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS api_keys (
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    created_ns INTEGER NOT NULL,
    last_used_ns INTEGER,
    revoked INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS pins (
    user TEXT PRIMARY KEY COLLATE NOCASE,
    user_created_ns INTEGER NOT NULL,
    pin_hash TEXT NOT NULL,
    locked INTEGER NOT NULL
);
"""
_USERS = (
    "SELECT name, role, password_hash, created_ns, valid_from_ns, valid_until_ns, endpoints, enabled"
    " FROM users"
)
# Bound to one account by the time it was made: a version 1 agent leaves the PINs of users whom it removes.
_PINS = "SELECT user, user_created_ns, pin_hash, locked FROM pins"
# What a PIN adds to an account, by name and time of creation.
_Pins = dict[tuple[str, int], dict[str, object]]
_KEYS = "SELECT id, user, name, digest, created_ns, last_used_ns, revoked FROM api_keys"


class Found(Struct, frozen=True, kw_only=True):
    """The users, and what the operator must be told about how they were found.

    unread: there is a file that could not be read now, and must not be overwritten.
    """

    users: Users
    problem: str | None = None
    unread: bool = False


def good_path(path: Path) -> Path:
    """Where the last good copy is."""
    return path.with_name(f"{path.name}.good")


def find(path: Path) -> Found:
    """The users of this door, from the file or, failing that, from its last good copy. Never raises.

    What was saved takes the place of a broken file, which is kept as `.bad`.
    """
    good = good_path(path)
    if not path.exists() and not good.exists():
        return Found(users=Users())
    try:
        return Found(users=read(path))
    except FILE_ERRORS as error:
        problem = f"{path.name}: {_describe(error)}"
        broken = not path.exists() or _is_broken(path, error)
    try:
        users = read(good)
    except FILE_ERRORS as error:
        problem += f"; {good.name}: {_describe(error)}"
        return _without_copy(path, problem, broken)
    problem += f"; using the last good copy, {len(users.accounts)} users"
    if broken:
        try:
            _replace(path, users)
        except FILE_ERRORS as error:
            problem += f", which could not be put back: {_describe(error)}"
    return Found(users=users, problem=problem)


def read(path: Path) -> Users:
    """Everything in a file. Raises: FILE_ERRORS; MalformedMessage for rows that make no sense."""
    with closing(_connect(path)) as connection:
        check = connection.execute("PRAGMA quick_check(1)").fetchone()
        if check is None or check[0] != "ok":
            raise MalformedMessage("file", "damaged")
        accounts, lost = _accounts(connection, _pins(connection))
        if lost:
            raise MalformedMessage("users", f"{lost} of them cannot be understood")
        return _by_name(accounts, _keys(connection))


def write(path: Path, users: Users) -> str | None:
    """Make `users` the content of the file, then of the last good copy.

    Returns why the copy could not be made, if so; the file itself is written then.
    Raises: FILE_ERRORS, with the file unchanged.
    """
    try:
        _fill(path, users)
    except FILE_ERRORS as error:
        if not _is_broken(path, error):
            raise
        _replace(path, users)
    try:
        _copy(path, good_path(path))
    except FILE_ERRORS as error:
        return _describe(error)
    return None


def _without_copy(path: Path, problem: str, broken: bool) -> Found:
    """What can still be understood of a file without a good copy."""
    users, unread = Users(), path.exists() and not broken
    with suppress(*FILE_ERRORS), closing(_connect(path)) as connection:
        pins: _Pins = {}
        with suppress(*FILE_ERRORS):
            pins = _pins(connection)
        users = _by_name(_accounts(connection, pins)[0], [])
        unread = False
        users = _by_name(users.accounts.values(), _keys(connection))
    if broken:
        with suppress(*FILE_ERRORS):
            _replace(path, users)
    return Found(users=users, problem=f"{problem}; {len(users.accounts)} users are left", unread=unread)


def _accounts(connection: sqlite3.Connection, pins: _Pins) -> tuple[list[Account], int]:
    """The accounts that can be understood, and how many cannot."""
    accounts, lost = [], 0
    for name, role, password_hash, created, begin, end, endpoints, enabled in connection.execute(_USERS):
        try:
            plain = {
                "name": name,
                "role": role,
                "password_hash": password_hash,
                "created_ns": created,
                "valid_from_ns": begin,
                "valid_until_ns": end,
                "endpoints": None if endpoints is None else msgspec.json.decode(endpoints),
                "enabled": bool(enabled),
                **pins.get((name, created), {}),
            }
            accounts.append(msgspec.convert(plain, Account))
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
            lost += 1
    return accounts, lost


def _pins(connection: sqlite3.Connection) -> _Pins:
    """The PINs; one that makes no sense is none. A file of version 1 has no place for them."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (
        version < SCHEMA_VERSION
        and not connection.execute(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'pins'"
        ).fetchall()
    ):
        return {}
    return {
        (user, created): {"pin_hash": pin_hash, "pin_locked": bool(locked)}
        for user, created, pin_hash, locked in connection.execute(_PINS)
        if isinstance(pin_hash, str)
    }


def _keys(connection: sqlite3.Connection) -> list[StoredKey]:
    """The keys that can be understood; for the others a program can be given a new one."""
    keys, names = [], StoredKey.__struct_fields__
    for row in connection.execute(_KEYS):
        plain = dict(zip(names, row, strict=True))
        plain["revoked"] = bool(plain["revoked"])
        with suppress(msgspec.ValidationError):
            keys.append(msgspec.convert(plain, StoredKey, builtin_types=(bytes,)))
    return keys


def _by_name(accounts: Iterable[Account], keys: Iterable[StoredKey]) -> Users:
    return Users(accounts={account.name: account for account in accounts}, keys={key.id: key for key in keys})


def _fill(path: Path, users: Users) -> None:
    """Write a whole file, new or old, in one durable transaction. Raises: FILE_ERRORS."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(_connect(path, "rw")) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {max(version, SCHEMA_VERSION)}")
        connection.execute("DELETE FROM users")
        connection.execute("DELETE FROM api_keys")
        connection.execute("DELETE FROM pins")
        connection.executemany(
            "INSERT INTO users (name, role, password_hash, created_ns, valid_from_ns, valid_until_ns,"
            " endpoints, enabled) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    account.name,
                    account.role,
                    account.password_hash,
                    account.created_ns,
                    account.valid_from_ns,
                    account.valid_until_ns,
                    None if account.endpoints is None else msgspec.json.encode(account.endpoints).decode(),
                    account.enabled,
                )
                for account in users.accounts.values()
            ],
        )
        connection.executemany(
            "INSERT INTO api_keys (id, user, name, digest, created_ns, last_used_ns, revoked)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                tuple(getattr(key, name) for name in StoredKey.__struct_fields__)
                for key in users.keys.values()
            ],
        )
        connection.executemany(
            "INSERT INTO pins (user, user_created_ns, pin_hash, locked) VALUES (?, ?, ?, ?)",
            [
                (account.name, account.created_ns, account.pin_hash, account.pin_locked)
                for account in users.accounts.values()
                if account.pin_hash is not None
            ],
        )
        connection.execute("COMMIT")


def _replace(path: Path, users: Users) -> None:
    """Put a new file in the place of a broken one, which is kept as `.bad`. Raises: FILE_ERRORS."""
    new = path.with_name(f"{path.name}.new")
    _remove(new)
    _fill(new, users)
    bad = path.with_name(f"{path.name}.bad")
    with suppress(FileNotFoundError):
        path.replace(bad)
    # A rollback journal of the broken file must not be played back into the new one.
    with suppress(FileNotFoundError):
        Path(f"{path}-journal").replace(f"{bad}-journal")
    new.replace(path)
    _sync_folder(path.parent)


def _copy(path: Path, good: Path) -> None:
    """Make `good` a copy of `path`, never half of one. Raises: FILE_ERRORS."""
    new = good.with_name(f"{good.name}.new")
    _remove(new)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(_connect(path)) as source, closing(_connect(new, "rw")) as target:
        target.execute("PRAGMA synchronous = EXTRA")
        source.backup(target)
    new.replace(good)
    _sync_folder(good.parent)


def _connect(path: Path, mode: str = "ro") -> sqlite3.Connection:
    if mode == "ro" and Path(f"{path}-journal").exists():
        mode = "rw"  # a write that was cut short has to be taken back first
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)


def _remove(path: Path) -> None:
    for suffix in ("", "-journal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_broken(path: Path, error: Exception) -> bool:
    """True when the file itself is to blame, so that another one is the remedy."""
    if isinstance(error, MalformedMessage):
        return error.where == "file"
    if isinstance(error, UnicodeDecodeError):
        return True
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code == sqlite3.SQLITE_READONLY:  # a file that says so of itself, although we may write it
        return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    return code in _BROKEN


def _describe(error: Exception) -> str:
    if isinstance(error, MalformedMessage):
        return error.reason
    name = getattr(error, "sqlite_errorname", None)
    return f"{name or type(error).__name__}: {error}"[:160]
