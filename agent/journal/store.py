"""The single writer of the journal: one more reader of the event log, and the durability barrier.

Whatever happens to the disk stays in here: the door goes on, is told once per outage (`JournalFailed`)
and once when it is over (`JournalRecovered`), and everybody who waits for durability is told at once.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import trio
from msgspec import Struct

from agent.journal.backlog import Backlog, last_seq
from agent.journal.barrier import Barrier
from agent.journal.config import JournalConfig
from agent.journal.database import Database
from agent.journal.failures import FILE_ERRORS, describe, is_broken, is_busy, is_full
from agent.journal.opening import open_database, salvage_last_seq, set_aside
from agent.journal.rows import Row, entry_row, gap_row
from agent.journal.upkeep import Upkeep
from agent.model.errors import MalformedMessage
from agent.model.events import AnyEvent, JournalFailed, JournalRecovered
from agent.model.records import Entry, Gap

BATCH_ROWS = 256
LINGER_S = 0.005
DISK_STALL_S = 5.0
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0
HEALTHY_AFTER_S = 60.0

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Log(Protocol):
    """What the journal needs of the event log."""

    boot_id: str

    @property
    def last_seq(self) -> int:
        """The number of the newest entry."""

    def follow(self, after: int | None = None) -> AsyncIterator[Entry | Gap]:
        """Every entry after `after`, for ever."""


class JournalStatus(Struct, frozen=True, kw_only=True):
    """How the journal is.

    last_committed: everything up to this number is stored or known to be lost.
    pending: entries read but not stored yet, bounded by the backlog.
    problem: why nothing can be stored now; None when `ok`.
    """

    ok: bool
    last_committed: int
    pending: int
    rows: int
    size_bytes: int
    problem: str | None


class Journal:
    """Stores what the event log says; made by `Journal.open`, alive while `run` runs.

    Entries wait in a bounded backlog while a commit runs or the disk fails; what that loses is stored as a
    `Gap`.
    """

    def __init__(
        self,
        path: Path,
        config: JournalConfig,
        database: Database | None,
        clock_ns: Callable[[], int],
        problem: str | None,
    ) -> None:
        self._path = path
        self._config = config
        self._database = database
        self._clock_ns = clock_ns
        self._thread = trio.CapacityLimiter(1)
        self._log: Log | None = None
        self._report: Callable[[AnyEvent], object] = _unheard
        self._read_seq = 0
        self._pending = Backlog()
        self._arrival = trio.Event()
        self._barrier = Barrier(problem)
        self._upkeep = Upkeep(config, clock_ns, database.newest_at_ns if database is not None else None)
        self._rows = database.row_count if database is not None else 0
        self._untold: list[Gap] = []
        self._full = False
        self._room_made_at_seq: int | None = None
        self._failures = 0
        self._healthy_since = 0.0

    @classmethod
    def open(
        cls, path: Path, config: JournalConfig, *, clock_ns: Callable[[], int] = time.time_ns
    ) -> OpenedJournal:
        """Open the journal, or start a new one beside a broken one, or start without one.

        Blocks for disk. Never raises for what a file or disk does: `problem` tells, and `run` goes on
        trying. The caller publishes `JournalFailed` for a `problem`; the journal itself could not yet.
        """
        problem: str | None = None
        moved_to = database = None
        stored_seq = 0
        try:
            try:
                database = open_database(path)
            except (sqlite3.Error, UnicodeDecodeError) as error:
                problem = describe(error)
                stored_seq = salvage_last_seq(path)
                if not is_broken(error):
                    raise
                moved_to = set_aside(path)
                database = open_database(path)
            stored_seq = max(stored_seq, database.last_seq)
        except FILE_ERRORS as error:
            problem = problem or describe(error)
        journal = cls(path, config, database, clock_ns, problem if database is None else None)
        return OpenedJournal(journal=journal, last_seq=stored_seq, problem=problem, moved_to=moved_to)

    async def run(self, log: Log, *, after: int, report: Callable[[AnyEvent], object]) -> None:
        """Store every entry after `after`, for ever; the disk's failures never come out of here.

        report: publishes an event; it comes back through `log` and is stored like any other.
        Cancellation: entries not stored yet stay pending for `close`.
        """
        self._log = log
        self._report = report
        self._read_seq = after
        self._barrier.advance(after, [])
        self._healthy_since = trio.current_time()
        self._upkeep.begin(trio.current_time())
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read)
                await self._write()
        finally:
            self._barrier.end()

    async def flushed(self, seq: int) -> None:
        """Return when the entry `seq` of this run is on the disk; the caller sets the deadline.

        Raises: JournalError at once when the journal is known to be broken, or the entry was lost.
        """
        await self._barrier.wait(seq)

    @property
    def reached(self) -> int:
        """The number of the newest entry read from the log, stored or not."""
        return self._read_seq

    def status(self) -> JournalStatus:
        """A snapshot; asks the file system for the size only."""
        size = 0
        for suffix in ("", "-wal"):
            with suppress(OSError):
                size += Path(f"{self._path}{suffix}").stat().st_size
        return JournalStatus(
            ok=self._barrier.problem is None,
            last_committed=self._barrier.committed_seq,
            pending=len(self._pending),
            rows=self._rows,
            size_bytes=size,
            problem=self._barrier.problem,
        )

    async def close(self) -> None:
        """Store what is pending and what the log has beyond it, and close the file.

        Call after `run` has ended, under a shield with a deadline.
        Cancellation: the thread is left behind; what it had not committed is lost.
        """
        if self._log is not None and self._read_seq < self._log.last_seq:
            async for item in self._log.follow(after=self._read_seq):
                self._take(item)
                if self._read_seq >= self._log.last_seq:
                    break
        try:
            if self._database is None and self._pending:
                self._database = await self._in_thread(partial(open_database, self._path))
            while self._pending and self._database is not None:
                await self._store_batch()
        except FILE_ERRORS as error:
            _log.error("journal unflushed entries=%d reason=%r", len(self._pending), describe(error))
        await self._close_database()
        self._barrier.end()

    async def _read(self) -> None:
        assert self._log is not None
        async for item in self._log.follow(after=self._read_seq):
            self._take(item)

    def _take(self, item: Entry | Gap) -> None:
        self._read_seq = last_seq(item)
        self._pending.append(item)
        self._arrival.set()

    async def _write(self) -> None:
        while True:
            if self._barrier.problem is not None:
                await self._mend()
            elif self._upkeep.due(trio.current_time(), idle=not self._pending):
                await self._keep_house()
            elif self._pending:
                # First tell, then write: the thread would take the interpreter from those who are just
                # sending the same event to a hundred clients. Whoever waits for the disk is not kept.
                with trio.move_on_after(LINGER_S):
                    await self._barrier.asked()
                await self._commit()
            else:
                self._arrival = trio.Event()
                with trio.move_on_at(self._upkeep.next_at):
                    await self._arrival.wait()

    async def _commit(self) -> None:
        try:
            await self._store_batch()
        except FILE_ERRORS as error:
            await self._fail(error)
            return
        self._tell_lost()
        if trio.current_time() - self._healthy_since > HEALTHY_AFTER_S:
            self._failures = 0

    async def _store_batch(self) -> None:
        """Store the oldest pending items in one transaction; the gaps among them are to be told.

        Raises: FILE_ERRORS; the items are pending again.
        """
        assert self._database is not None
        batch = self._pending.take(BATCH_ROWS)
        stored = False
        try:
            boot_id = self._log.boot_id if self._log is not None else ""
            gaps = await self._in_thread(
                partial(_commit_items, self._database, batch, boot_id, self._clock_ns)
            )
            stored = True
        finally:
            if not stored:
                self._pending.put_back(batch)
        if batch:
            head = batch[0]
            self._rows += len(batch)
            self._upkeep.committed(
                len(batch), head.at_ns if isinstance(head, Entry) else None, trio.current_time()
            )
            self._barrier.advance(last_seq(batch[-1]), gaps)
            self._untold += gaps

    def _tell_lost(self) -> None:
        gaps, self._untold = self._untold, []
        for gap in gaps:
            _log.error("journal lost first=%d last=%d", gap.first, gap.last)
            self._report(JournalRecovered(lost_first=gap.first, lost_last=gap.last))

    async def _fail(self, error: Exception) -> None:
        """Begin an outage: tell everybody who waits, and the door once.

        A full disk is none while the journal can live on the space of its own oldest entries.
        """
        if is_full(error) and await self._make_room():
            return
        problem = describe(error)
        self._barrier.fail(problem)
        moved_to = await self._after_failure(error)
        _log.error("journal failed reason=%r moved_to=%s", problem, moved_to or "-")
        self._report(JournalFailed(reason=problem, moved_to=str(moved_to or "")))

    async def _make_room(self) -> bool:
        """Exchange old entries for space; False when there is nothing to give or it did not help."""
        assert self._database is not None
        insist = self._room_made_at_seq == self._barrier.committed_seq
        self._room_made_at_seq = self._barrier.committed_seq
        room = partial(self._database.make_room, keep_newest=self._config.keep_newest, insist=insist)
        try:
            deleted = await self._in_thread(room)
        except FILE_ERRORS:
            return False
        self._rows -= deleted
        if deleted:
            _log.warning("journal disk full deleted_oldest=%d rows=%d", deleted, self._rows)
        return deleted > 0 or not insist

    async def _after_failure(self, error: Exception) -> Path | None:
        """Get ready for the next try; returns where a broken file went."""
        self._full = is_full(error)
        if self._full or is_busy(error) or isinstance(error, TimeoutError):
            # Stays open. On a full disk closing would give up the write-ahead log, whose space may be all
            # that is left; a thread that hangs in the file would make closing hang as well.
            return None
        await self._close_database()
        if not is_broken(error):
            return None
        try:
            moved_to = await self._in_thread(partial(set_aside, self._path))
        except OSError as failure:
            _log.error("journal not moved aside reason=%r", describe(failure))
            return None
        self._rows = 0
        return moved_to

    async def _mend(self) -> None:
        """Wait and try again; the outage ends when a batch could be stored."""
        await trio.sleep(min(LAST_RETRY_S, FIRST_RETRY_S * 2**self._failures))
        self._failures = min(self._failures + 1, 10)
        try:
            if self._database is None:
                self._database = await self._in_thread(partial(open_database, self._path))
                self._rows = self._database.row_count
            if self._full:
                await self._make_room()
            await self._store_batch()
            # What overflowed while that was tried belongs to this outage as well.
            while self._pending.overflowed:
                await self._store_batch()
        except FILE_ERRORS as error:
            problem = describe(error)
            self._barrier.fail(problem)
            moved_to = await self._after_failure(error)
            if moved_to is not None:
                _log.error("journal failed reason=%r moved_to=%s", problem, moved_to)
                self._report(JournalFailed(reason=problem, moved_to=str(moved_to)))
            return
        self._barrier.heal()
        self._full = False
        self._healthy_since = trio.current_time()
        _log.warning("journal recovered")
        if self._untold:
            self._tell_lost()
        else:
            self._report(JournalRecovered())

    async def _keep_house(self) -> None:
        assert self._database is not None
        step = partial(self._upkeep.step, self._database, trio.current_time())
        try:
            self._rows -= await self._in_thread(step)
        except FILE_ERRORS as error:
            await self._fail(error)

    async def _close_database(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            with suppress(*FILE_ERRORS):
                await self._in_thread(database.close)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        """Run `work` in the one thread that may touch the file.

        Cancellation: the thread is left to itself and still holds the limiter, so whatever comes next
        waits for it; storing the same rows again does no harm.
        Raises: TimeoutError after DISK_STALL_S, leaving the thread likewise; else what `work` raises.
        """
        with trio.move_on_after(DISK_STALL_S):
            return await trio.to_thread.run_sync(work, limiter=self._thread, abandon_on_cancel=True)
        raise TimeoutError(f"the disk has not answered for {DISK_STALL_S:.0f} s")


class OpenedJournal(Struct, frozen=True, kw_only=True):
    """What opening gave: the number to resume after, and what the door must be told.

    problem: None, or why the journal is new or not there yet; then `journal.status().ok` tells which.
    """

    journal: Journal
    last_seq: int
    problem: str | None = None
    moved_to: Path | None = None


def _commit_items(
    database: Database, items: list[Entry | Gap], boot_id: str, clock_ns: Callable[[], int]
) -> list[Gap]:
    """Store `items`; returns the gaps among them, an entry that cannot be stored being one."""
    rows: list[Row] = []
    gaps: list[Gap] = []
    for item in items:
        if isinstance(item, Entry):
            try:
                rows.append(entry_row(item))
                continue
            except MalformedMessage as error:
                _log.error("journal entry unstorable seq=%d reason=%r", item.seq, str(error))
                item = Gap(first=item.seq, last=item.seq)
        gaps.append(item)
        rows.append(gap_row(item, boot_id=boot_id, at_ns=clock_ns()))
    database.commit(rows)
    return gaps


def _unheard(_event: AnyEvent) -> None:
    """Where reports go before `run`."""
