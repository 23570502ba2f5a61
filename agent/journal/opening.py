"""Opening the journal's file, finding that it is broken, and putting a broken one aside. Blocks."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from pathlib import Path

from agent.journal.database import INSERT, LAST_SEQ, MAX_SEQ, NEWEST_SEQ, Database
from agent.journal.failures import FILE_ERRORS, BrokenFile

BUSY_TIMEOUT_S = 0.5
WAL_KEPT_BYTES = 1 << 20
CHECK_MAX_BYTES = 8 << 20
MAX_SET_ASIDE = 3
_COMPANIONS = ("", "-wal", "-shm")


def open_database(path: Path) -> Database:
    """Open or make the journal at `path`, bring its schema up to date and see that it can be written.

    The newest rows are read and one is written and taken back. After an unclean stop a file of at most
    CHECK_MAX_BYTES is also checked as a whole. The check reads everything and cannot be interrupted (50 MB
    take 0.7 s on a fast disk, several on a card), and a big journal must not keep the door from starting:
    damage in its old part is dealt with when it is met.

    Raises: FILE_ERRORS (`is_broken` tells whether the file is to blame).
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    fresh = path.stat().st_size == 0
    unclean = _size(Path(f"{path}-wal")) > 0
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")  # one bad letter is no damage
    try:
        if fresh:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise sqlite3.OperationalError(f"write-ahead log refused, journal mode is {mode}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
        _migrate(connection)
        _probe(connection)
        if unclean and path.stat().st_size <= CHECK_MAX_BYTES:
            _quick_check(connection)
        return Database(path, connection)
    except BaseException as error:
        connection.close()
        if _is_readonly(error) and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
            raise BrokenFile("marks itself as read-only") from error
        raise


def salvage_last_seq(path: Path) -> int:
    """The highest number that a broken or unwritable journal still tells, else 0."""
    for options in ("mode=ro", "mode=ro&immutable=1"):
        try:
            uri = f"{path.absolute().as_uri()}?{options}"
            with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
                found = [connection.execute(query).fetchone()[0] for query in (LAST_SEQ, NEWEST_SEQ)]
        except FILE_ERRORS:
            continue
        return max((seq for seq in found if isinstance(seq, int) and 0 <= seq < MAX_SEQ), default=0)
    return 0


def set_aside(path: Path) -> Path:
    """Rename a broken journal and its companions; returns the new name.

    At most MAX_SET_ASIDE are kept: a dying card must not fill itself with evidence.
    Raises: OSError.
    """
    name = f"{path.name}.bad-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    target = path.with_name(name)
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{name}-{number}")
    # The file goes last: should power fail in between, it is found broken again, without a stale log.
    for suffix in reversed(_COMPANIONS):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{target}{suffix}")
    kept = [
        found
        for found in path.parent.glob(f"{path.name}.bad-*")
        if found != target and not found.name.endswith(_COMPANIONS[1:])
    ]
    for old in sorted(kept, reverse=True)[MAX_SET_ASIDE - 1 :]:
        for suffix in _COMPANIONS:
            Path(f"{old}{suffix}").unlink(missing_ok=True)
    return target


def _migrate(connection: sqlite3.Connection) -> None:
    """Run the schema files above `user_version`, each in one transaction."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    folder = resources.files("agent.journal").joinpath("schema")
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    for file in files:
        number = int(file.name.partition("_")[0])
        if number > version:
            script = file.read_text(encoding="utf-8")
            connection.executescript(f"BEGIN IMMEDIATE;{script}\n;PRAGMA user_version = {number};COMMIT;")


def _probe(connection: sqlite3.Connection) -> None:
    """Read the newest rows, and write one that is never committed: both touch where the next rows go."""
    connection.execute("SELECT * FROM entries ORDER BY id DESC LIMIT 64").fetchall()
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute("INSERT OR IGNORE INTO boots (boot_id) VALUES ('')")
        connection.execute(INSERT, (0, -1, None, time.time_ns(), "probe", "probe", b""))
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _quick_check(connection: sqlite3.Connection) -> None:
    """Raises: BrokenFile."""
    found = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found is None or found[0] != "ok":
        raise BrokenFile("quick_check: " + (str(found[0])[:80] if found else "no answer"))


def _is_readonly(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
