"""The keys on the disk: one SQLite file, each change one durable transaction. Blocks; runs in a thread."""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec import Struct

from agent.entrance.key import Key, KeyRefusal
from agent.statefile import read_file, replace_file, set_aside

BUSY_TIMEOUT_S = 2.0
SECRET_BYTES = 32
KEPT_VERSIONS = 20  # of each source; the keys themselves of the last two
FILE_ERRORS = (sqlite3.Error, OSError)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
  source TEXT NOT NULL, id TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS versions (
  number INTEGER PRIMARY KEY AUTOINCREMENT, source TEXT NOT NULL, at_ns INTEGER NOT NULL, file TEXT NOT NULL,
  by TEXT NOT NULL, added INTEGER NOT NULL, changed INTEGER NOT NULL, removed INTEGER NOT NULL, before BLOB
);
PRAGMA user_version = 1;
"""

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Key).decode
_decode_all = msgspec.msgpack.Decoder(list[Key]).decode


class Version(Struct, frozen=True, kw_only=True):
    """One change of a source's keys. can_return: the keys before it are kept."""

    number: int
    source: str
    at_ns: int
    file: str = ""
    by: str = ""
    added: int = 0
    changed: int = 0
    removed: int = 0
    can_return: bool = False


class Change(Struct, frozen=True, kw_only=True):
    """What becomes of the keys of one source."""

    source: str
    put: tuple[Key, ...] = ()
    drop: tuple[str, ...] = ()
    added: int = 0
    changed: int = 0
    removed: int = 0


def read_secret(folder: Path) -> bytes:
    """The secret of this door's hashes, made at the first time.

    Raises: OSError; KeyRefusal for a broken one.
    """
    path = folder / "keys.secret"
    data = read_file(path, SECRET_BYTES)
    if data is None:
        data = secrets.token_bytes(SECRET_BYTES)
        replace_file(path, data)
    if len(data) != SECRET_BYTES:
        raise KeyRefusal(f"{path} is damaged: without it no tag or code can be told from another")
    return data


def load(path: Path) -> tuple[list[Key], str]:
    """All keys, and what is wrong with the file (empty: nothing). Raises: FILE_ERRORS.

    A file that makes no sense is set aside, and the copy of its last good state takes its place.
    """
    try:
        return _read(path), ""
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
            raise
        reason = f"keys could not be read: {error}"
    set_aside(path, reason)
    for suffix in ("-journal", "-wal"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    good = path.with_name(path.name + ".good")
    data = read_file(good, 1 << 28)
    if data is not None:
        replace_file(path, data)
        try:
            return _read(path), f"{reason}; the last good copy is used"
        except sqlite3.DatabaseError as error:
            set_aside(path, str(error))
    return [], f"{reason}; there is no good copy: no tag or code opens this door"


def write(path: Path, change: Change, before: Sequence[Key], *, at_ns: int, file: str, by: str) -> None:
    """Carry out a change in one durable transaction. before: the source's keys until now.

    Raises: FILE_ERRORS.
    """
    with closing(_connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "DELETE FROM keys WHERE source = ? AND id = ?",
            [(change.source, key_id) for key_id in change.drop],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO keys (source, id, key) VALUES (?, ?, ?)",
            [(change.source, key.id, _encode(key)) for key in change.put],
        )
        connection.execute(
            "INSERT INTO versions (source, at_ns, file, by, added, changed, removed, before)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                change.source, at_ns, file, by, change.added, change.changed, change.removed,
                _encode(list(before)),
            ),
        )  # fmt: skip
        connection.execute(
            "UPDATE versions SET before = NULL WHERE source = ? AND before IS NOT NULL AND number NOT IN"
            " (SELECT number FROM versions WHERE source = ? ORDER BY number DESC LIMIT 2)",
            (change.source, change.source),
        )
        connection.execute(
            "DELETE FROM versions WHERE source = ? AND number NOT IN"
            " (SELECT number FROM versions WHERE source = ? ORDER BY number DESC LIMIT ?)",
            (change.source, change.source, KEPT_VERSIONS),
        )
        connection.execute("COMMIT")
    _keep_good(path)


def use(path: Path, key: Key) -> None:
    """Store how often a key may still be used, and nothing else. Raises: FILE_ERRORS."""
    with closing(_connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "UPDATE keys SET key = ? WHERE source = ? AND id = ?", (_encode(key), key.source, key.id)
        )
        connection.execute("COMMIT")


def versions(path: Path) -> list[Version]:
    """The changes that are remembered, the newest first. Raises: FILE_ERRORS."""
    with closing(_connect(path)) as connection:
        rows = connection.execute(
            "SELECT number, source, at_ns, file, by, added, changed, removed, before IS NOT NULL"
            " FROM versions ORDER BY number DESC"
        ).fetchall()
    names = Version.__struct_fields__
    return [Version(**dict(zip(names, (*row[:-1], bool(row[-1])), strict=True))) for row in rows]


def before(path: Path, number: int) -> list[Key] | None:
    """The keys of its source before a version; None when they are not kept. Raises: FILE_ERRORS."""
    with closing(_connect(path)) as connection:
        row = connection.execute("SELECT before FROM versions WHERE number = ?", (number,)).fetchone()
    if row is None or row[0] is None:
        return None
    try:
        return _decode_all(row[0])
    except msgspec.MsgspecError:
        return None


def _read(path: Path) -> list[Key]:
    with closing(_connect(path)) as connection:
        rows: Iterable[tuple[str, bytes]] = connection.execute("SELECT id, key FROM keys")
        found = []
        for key_id, data in rows:
            try:
                found.append(_decode(data))
            except (msgspec.MsgspecError, TypeError):
                _log.error("a key makes no sense and is left out id=%r", key_id)
        return found


def _connect(path: Path) -> sqlite3.Connection:
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _keep_good(path: Path) -> None:
    """A copy of a state that is whole; a change that is stored does not fail because of it."""
    try:
        data = read_file(path, 1 << 28)
        if data is not None:
            replace_file(path.with_name(path.name + ".good"), data)
    except OSError as error:
        _log.error("no good copy of the keys error=%s", error)
