"""The journal's open file: every call blocks, and only one thread at a time may be in it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agent.journal.failures import BrokenFile
from agent.journal.retention import too_old_up_to
from agent.journal.rows import Row

PRUNE_ROWS = 500
VACUUM_PAGES = 128
FREE_PAGES_KEPT = 256
FREE_PAGES_AMPLE = 16
RESERVE_BYTES = 1 << 20

INSERT = (
    "INSERT INTO entries (boot, seq, gap_last, at_ns, type, endpoint, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (seq, boot) DO NOTHING"
)
LAST_SEQ = (
    "SELECT max(coalesce((SELECT max(seq) FROM entries), 0),"
    " coalesce((SELECT max(gap_last) FROM entries WHERE gap_last IS NOT NULL), 0))"
)
# The same from the table itself, as far as the newest rows tell: an index that knows less is damaged.
NEWEST_SEQ = (
    "SELECT coalesce(max(max(seq, coalesce(gap_last, 0))), 0)"
    " FROM (SELECT seq, gap_last FROM entries ORDER BY id DESC LIMIT 64)"
)
ROW_COUNT = "SELECT coalesce((SELECT max(id) FROM entries) - (SELECT min(id) FROM entries) + 1, 0)"
NEWEST_AT = "SELECT at_ns FROM entries ORDER BY id DESC LIMIT 1"
MAX_SEQ = 1 << 53


class Database:
    """An open journal file in WAL mode with full sync; made by `open_database`.

    As it was when it was opened:
    last_seq: the highest number stored, gaps included; 0 for an empty journal.
    row_count: how many rows there are, without counting them: only a prefix is ever deleted.
    newest_at_ns: the time of the row stored last.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection
        self._reserve = path.with_name(f"{path.name}-reserve")
        self._boots: dict[str, int] = {}
        status = os.stat(path)
        self._identity = (status.st_dev, status.st_ino)
        self.last_seq = self._integer(LAST_SEQ)
        if self.last_seq >= MAX_SEQ:
            raise BrokenFile("an impossible number")
        if self.last_seq < self._integer(NEWEST_SEQ):
            raise BrokenFile("an index does not know the newest entries")
        self.row_count = self._integer(ROW_COUNT)
        self.newest_at_ns = self._integer(NEWEST_AT) if self.row_count else None

    def commit(self, rows: Sequence[Row]) -> None:
        """Store rows in one durable transaction; those already there stay as they are.

        Raises: FILE_ERRORS; then none of the rows is known to be stored.
        """
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            raise FileNotFoundError("the journal was removed or replaced under us")
        boots = dict(self._boots)
        with self._transaction() as connection:
            for boot_id in {row.boot_id for row in rows} - boots.keys():
                connection.execute("INSERT OR IGNORE INTO boots (boot_id) VALUES (?)", (boot_id,))
                found = connection.execute("SELECT id FROM boots WHERE boot_id = ?", (boot_id,))
                row = found.fetchone()
                if row is None:
                    raise BrokenFile("a row is not where it was put")
                boots[boot_id] = row[0]
            connection.executemany(INSERT, [(boots[row.boot_id], *row[1:]) for row in rows])
        self._boots = boots

    def prune(self, *, keep_newest: int, max_bytes: int, cutoff_ns: int | None, now_ns: int) -> int:
        """Delete a few of the oldest rows when the file is too big, or those before `cutoff_ns`.

        Returns how many went: 0 when there is nothing to do, else at most PRUNE_ROWS. Not synced: the next
        commit syncs it along, and a prune that a power cut undoes is done again.
        """
        connection = self._connection
        oldest, newest = connection.execute(
            "SELECT (SELECT min(id) FROM entries), (SELECT max(id) FROM entries)"
        ).fetchone()
        spare = 0 if oldest is None else newest - oldest + 1 - keep_newest
        free_pages = self._pragma("freelist_count")
        used = (self._pragma("page_count") - free_pages) * self._pragma("page_size")
        last: int | None = None
        if spare > 0 and (used > max_bytes or cutoff_ns is not None):
            limit = min(spare, PRUNE_ROWS)
            rows = connection.execute(
                "SELECT id, CAST(at_ns AS INTEGER) FROM entries ORDER BY id LIMIT ?", (limit,)
            ).fetchall()
            if used > max_bytes:
                last = rows[-1][0]
            elif cutoff_ns is not None:
                last = too_old_up_to(rows, cutoff_ns=cutoff_ns, now_ns=now_ns)
        connection.execute("PRAGMA synchronous = NORMAL")
        try:
            deleted = 0
            if last is not None:
                with self._transaction():
                    deleted = connection.execute("DELETE FROM entries WHERE id <= ?", (last,)).rowcount
            if free_pages > FREE_PAGES_KEPT:
                # Gives back a page per step; only a script is stepped to its end.
                connection.executescript(f"PRAGMA incremental_vacuum({VACUUM_PAGES})")
        finally:
            connection.execute("PRAGMA synchronous = FULL")
        return deleted

    def make_room(self, *, keep_newest: int, insist: bool) -> int:
        """Give up some of the oldest rows on a full disk; returns how many.

        insist: delete although the file has free pages. Even a deletion needs space, in the write-ahead
        log and for what the log still owes the file: that is what the reserve is for.
        Raises: sqlite3.Error when there is no room even so.
        """
        self._reserve.unlink(missing_ok=True)
        self.checkpoint()
        deleted = 0
        if insist or self._pragma("freelist_count") < FREE_PAGES_AMPLE:
            deleted = self.prune(keep_newest=keep_newest, max_bytes=0, cutoff_ns=None, now_ns=0)
            self.checkpoint()
        self.keep_reserve()
        return deleted

    def keep_reserve(self) -> None:
        """Set space aside for `make_room`, if there is any."""
        if self._reserve.exists():
            return
        try:
            with self._reserve.open("xb") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
        except OSError:
            self._reserve.unlink(missing_ok=True)

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file, as far as readers let it."""
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        """Close the file; an orderly close leaves no write-ahead log behind."""
        self._connection.close()

    def _pragma(self, name: str) -> int:
        return self._integer(f"PRAGMA {name}")

    def _integer(self, statement: str) -> int:
        """The one number that a statement gives; a damaged file may give something else."""
        row = self._connection.execute(statement).fetchone()
        if row is None or not isinstance(row[0], int):
            raise BrokenFile("expected a number")
        return row[0]

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection)


class _Transaction:
    """A write transaction: commits at a normal end, rolls back at any other."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("BEGIN IMMEDIATE")
        return self._connection

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            # A failed COMMIT leaves the transaction open; some errors have already rolled it back.
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
