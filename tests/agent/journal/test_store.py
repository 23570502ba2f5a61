"""The running journal: batches, the barrier, every way a disk fails, and being killed."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from harness.journals import EVENTS, Running, pressed, reopened, running
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from agent.bus import EventLog
from agent.journal import backlog, opening, query, store
from agent.journal.config import JournalConfig
from agent.journal.database import Database
from agent.journal.rows import Row
from agent.journal.store import Journal
from agent.model.errors import JournalError
from agent.model.events import ButtonPressed, JournalFailed, JournalRecovered
from agent.model.records import Gap

DEADLINE_S = 10.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries and a busy file cost milliseconds."""
    monkeypatch.setattr(store, "FIRST_RETRY_S", 0.02)
    monkeypatch.setattr(store, "LAST_RETRY_S", 0.05)
    monkeypatch.setattr(opening, "BUSY_TIMEOUT_S", 0.01)


async def flushed(run: Running, seq: int | None = None) -> None:
    """The barrier, with a deadline that only a broken test meets."""
    with trio.fail_after(DEADLINE_S):
        await run.journal.flushed(run.log.last_seq if seq is None else seq)


async def eventually(condition: Callable[[], bool]) -> None:
    with trio.fail_after(DEADLINE_S):
        while not condition():
            await trio.sleep(0.005)


def failures(run: Running) -> list[JournalFailed]:
    return [event for event in run.reported if isinstance(event, JournalFailed)]


def recoveries(run: Running) -> list[JournalRecovered]:
    return [event for event in run.reported if isinstance(event, JournalRecovered)]


def seqs(path: Path) -> list[int]:
    return [entry.seq for entry in query.tail(path, 10_000).entries]


def connection(run: Running) -> sqlite3.Connection:
    database = run.journal._database
    assert database is not None
    return database._connection


async def test_it_stores_and_resumes(path: Path) -> None:
    async with running(path, boot_id="first") as run:
        for event in EVENTS:
            run.log.publish(event)
        await flushed(run)
        assert tuple(entry.event for entry in query.tail(path, 99).entries) == EVENTS
        assert not run.reported
    async with running(path, boot_id="second") as run:
        assert run.opened.last_seq == len(EVENTS)
        assert run.opened.problem is None
        assert run.opened.moved_to is None
        run.log.publish(EVENTS[0])
        await flushed(run)
    newest = query.newest(path)
    assert newest is not None
    assert (newest.boot_id, newest.seq) == ("second", len(EVENTS) + 1)


async def test_what_was_published_before_it_ran_is_stored(path: Path) -> None:
    async with running(path, before=pressed(5)) as run:
        await flushed(run, 5)
        assert seqs(path) == [1, 2, 3, 4, 5]


async def test_the_barrier_waits_for_what_is_not_published_yet(path: Path) -> None:
    async with running(path) as run, trio.open_nursery() as nursery:
        run.log.publish(EVENTS[0])
        await flushed(run)
        with trio.move_on_after(0.05) as scope:
            await run.journal.flushed(2)
        assert scope.cancelled_caught
        nursery.start_soon(flushed, run, 2)
        await wait_all_tasks_blocked()
        run.log.publish(EVENTS[1])


async def test_what_waits_is_stored_in_batches(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []
    commit = Database.commit

    def counted(database: Database, rows: list[Row]) -> None:
        batches.append(len(rows))
        commit(database, rows)

    monkeypatch.setattr(Database, "commit", counted)
    async with running(path) as run:
        for event in pressed(900):
            run.log.publish(event)
        await flushed(run)
        assert len(batches) < 10
        assert max(batches) <= store.BATCH_ROWS
        assert sum(batches) == 900
        assert run.journal.status().rows == 900


async def test_closing_stores_what_nobody_had_read(path: Path) -> None:
    opened = Journal.open(path, JournalConfig())
    log = EventLog(boot_id="b")
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await opened.journal.run(log, after=0, report=log.publish)

        nursery.start_soon(run)
        await wait_all_tasks_blocked()
        for event in pressed(300):
            log.publish(event)
        nursery.cancel_scope.cancel()
    log.publish(EVENTS[-1])
    await opened.journal.close()
    assert seqs(path) == list(range(1, 302))
    await opened.journal.flushed(301)
    with pytest.raises(JournalError):
        await opened.journal.flushed(302)


@pytest.mark.parametrize("after_s", [0.0, 0.0005, 0.001, 0.002, 0.004])
async def test_a_cancelled_run_loses_nothing_and_stores_nothing_twice(path: Path, after_s: float) -> None:
    async with running(path) as run:
        for event in pressed(700):
            run.log.publish(event)
        await trio.sleep(after_s)
    assert seqs(path) == list(range(1, 701))


async def test_a_lapped_journal_stores_the_gap(path: Path) -> None:
    async with running(path, size=4, before=pressed(10)) as run:
        await flushed(run, 10)
        for lost in (1, 6):
            with pytest.raises(JournalError, match="lost"):
                await run.journal.flushed(lost)
        await flushed(run, 7)
        await eventually(lambda: bool(run.reported))
        assert run.reported == [JournalRecovered(lost_first=1, lost_last=6)]
        await flushed(run, 11)
    assert query.tail(path, 99).entries[0].event == Gap(first=1, last=6)
    assert reopened(path).last_seq == 11


async def test_numbers_resume_after_a_gap_at_the_end(path: Path) -> None:
    async with running(path, size=1, before=pressed(1)) as run:
        await flushed(run)
    database = opening.open_database(path)
    database._connection.execute("UPDATE entries SET gap_last = 40, type = 'gap', body = NULL")
    database.close()
    async with running(path) as run:
        assert run.opened.last_seq == 40


async def test_an_event_that_cannot_be_stored_is_a_gap_of_one(path: Path) -> None:
    bad = ButtonPressed(endpoint=cast(Any, object()))
    async with running(path) as run:
        for event in (EVENTS[0], bad, EVENTS[1]):
            run.log.publish(event)
        await flushed(run, 3)
        with pytest.raises(JournalError):
            await run.journal.flushed(2)
        await eventually(lambda: run.reported == [JournalRecovered(lost_first=2, lost_last=2)])
    assert [entry.event for entry in query.tail(path, 99).entries][:3] == [
        EVENTS[0],
        Gap(first=2, last=2),
        EVENTS[1],
    ]


async def test_status(path: Path) -> None:
    async with running(path) as run:
        for event in pressed(3):
            run.log.publish(event)
        await flushed(run)
        status = run.journal.status()
        assert (status.ok, status.problem, status.pending) == (True, None, 0)
        assert (status.last_committed, status.rows, run.journal.reached) == (3, 3, 3)
        assert status.size_bytes > 4096


# A disk that fails.


async def outage(run: Running) -> None:
    """Publish into a disk that fails: told once, refused at once."""
    run.log.publish(EVENTS[0])
    with trio.fail_after(DEADLINE_S), pytest.raises(JournalError):
        await run.journal.flushed(run.log.last_seq)
    await eventually(lambda: len(failures(run)) == 1)
    started = trio.current_time()
    with pytest.raises(JournalError):
        await run.journal.flushed(run.log.last_seq)
    assert trio.current_time() - started < 0.1
    for event in pressed(5):
        run.log.publish(event)
    await trio.sleep(0.15)
    assert len(run.reported) == 1
    assert not run.journal.status().ok


@pytest.mark.usefixtures("impatient")
async def test_a_file_held_by_another_process(path: Path) -> None:
    async with running(path) as run:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await outage(run)
        other.close()
        await flushed_again(run)
        assert recoveries(run) == [JournalRecovered()]
        await flushed(run)
        assert seqs(path) == list(range(1, run.log.last_seq + 1))


async def flushed_again(run: Running) -> None:
    await eventually(lambda: run.journal.status().ok)
    await flushed(run)


@pytest.mark.usefixtures("impatient")
async def test_a_full_disk_with_nothing_to_give(path: Path) -> None:
    async with running(path) as run:
        for event in pressed(50):
            run.log.publish(event)
        await flushed(run)
        pages = connection(run).execute("PRAGMA page_count").fetchone()[0]
        connection(run).execute(f"PRAGMA max_page_count = {pages}")
        big = "x" * 3000
        for _ in range(10):
            run.log.publish(ButtonPressed(endpoint=big))
        await eventually(lambda: bool(run.reported))
        await outage(run)
        assert "SQLITE_FULL" in failures(run)[0].reason
        connection(run).execute("PRAGMA max_page_count = 100000")
        await flushed_again(run)
        assert recoveries(run) == [JournalRecovered()]
        assert seqs(path) == list(range(1, run.log.last_seq + 1))


@pytest.mark.usefixtures("impatient")
async def test_a_full_disk_makes_room_from_its_oldest_entries(path: Path) -> None:
    async with running(path, JournalConfig(keep_newest=500)) as run:
        for event in pressed(900):
            run.log.publish(event)
        await flushed(run)
        pages = connection(run).execute("PRAGMA page_count").fetchone()[0]
        connection(run).execute(f"PRAGMA max_page_count = {pages}")
        for _ in range(30):
            for event in pressed(100):
                run.log.publish(event)
            await flushed(run)
        assert not run.reported
        stored = seqs(path)
        assert stored == list(range(stored[0], 3901))
        assert 500 <= len(stored) < 2000
        assert run.journal.status().rows == len(stored)


@pytest.mark.usefixtures("impatient")
async def test_a_long_outage_loses_the_oldest_and_says_which(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog.Backlog.__init__, "__defaults__", (10,))
    async with running(path) as run:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await outage(run)
        for event in pressed(40):
            run.log.publish(event)
            await trio.lowlevel.checkpoint()
        await eventually(lambda: run.journal.reached == run.log.last_seq)
        last = run.log.last_seq
        other.close()
        await flushed_again(run)
        [lost] = recoveries(run)
        # A batch that was being tried when it happened is not lost.
        assert lost.lost_first in range(1, 11)
        assert lost.lost_last == last - 9
        with pytest.raises(JournalError, match="lost"):
            await run.journal.flushed(lost.lost_last)
        await flushed(run, lost.lost_last + 1)
        gap = Gap(first=lost.lost_first, last=lost.lost_last)
        assert [entry.event for entry in query.tail(path, 99, types=["gap"]).entries] == [gap]
        kept = [*range(1, gap.first + 1), *range(gap.last + 1, last + 2)]
        assert seqs(path) == kept


@pytest.mark.usefixtures("impatient")
async def test_a_file_that_is_taken_away(path: Path) -> None:
    async with running(path) as run:
        run.log.publish(EVENTS[0])
        await flushed(run)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink()
        run.log.publish(EVENTS[1])
        await eventually(lambda: len(run.reported) == 2)
        await flushed(run)
        assert len(failures(run)) == len(recoveries(run)) == 1
        assert seqs(path) == [2, 3, 4]


@pytest.mark.usefixtures("impatient")
async def test_damage_while_running_moves_the_file_aside(path: Path) -> None:
    async with running(path) as run:
        for event in pressed(300):
            run.log.publish(event)
        await flushed(run)
        connection(run).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(os.urandom(size - 4096))
        connection(run).execute("PRAGMA shrink_memory")
        run.log.publish(EVENTS[0])
        await eventually(lambda: len(run.reported) == 2)
        await flushed(run)
        moved = Path(failures(run)[0].moved_to)
        assert moved.stat().st_size == size
        assert recoveries(run) == [JournalRecovered()]
        assert seqs(path) == [301, 302, 303]
    assert reopened(path).last_seq == 303


@pytest.mark.usefixtures("impatient")
async def test_a_disk_that_does_not_answer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "DISK_STALL_S", 0.05)
    commit = Database.commit
    hangs = [0.4]

    def slow(database: Database, rows: list[Row]) -> None:
        time.sleep(hangs.pop() if hangs else 0)
        commit(database, rows)

    monkeypatch.setattr(Database, "commit", slow)
    async with running(path) as run:
        started = trio.current_time()
        run.log.publish(EVENTS[0])
        with pytest.raises(JournalError, match="not answered"):
            await run.journal.flushed(1)
        await eventually(lambda: len(failures(run)) == 1)
        assert trio.current_time() - started < 0.3
        await flushed_again(run)
        assert seqs(path) == [1, 2, 3]
        assert run.reported == [failures(run)[0], JournalRecovered()]


@pytest.mark.usefixtures("impatient")
async def test_a_disk_that_comes_and_goes_is_asked_less_and_less(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Database.commit
    good = [False]

    def flaky(database: Database, rows: list[Row]) -> None:
        good[0] = not good[0]
        if good[0]:
            raise OSError("bad contact")
        commit(database, rows)

    monkeypatch.setattr(Database, "commit", flaky)
    monkeypatch.setattr(store, "LAST_RETRY_S", 10.0)
    async with running(path) as run:
        run.log.publish(EVENTS[0])
        await trio.sleep(0.5)
        assert 2 <= len(failures(run)) < 7


# Opening.


@pytest.mark.usefixtures("impatient")
async def test_a_broken_file_gives_way_and_its_last_number_is_remembered(path: Path) -> None:
    async with running(path) as run:
        for event in pressed(400):
            run.log.publish(event)
        await flushed(run)
    other = sqlite3.connect(path)
    other.execute("DROP TABLE boots")
    other.close()
    data = path.read_bytes()
    async with running(path) as run:
        assert run.opened.problem is not None
        assert run.opened.moved_to is not None
        assert run.opened.moved_to.read_bytes() == data
        assert run.opened.last_seq == 400
        run.log.publish(EVENTS[0])
        await flushed(run)
        assert not run.reported
        assert run.journal.status().ok


@pytest.mark.usefixtures("impatient")
async def test_no_journal_at_all_is_no_reason_not_to_start(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    path = tmp_path / "state" / "journal.db"
    async with running(path) as run:
        assert run.opened.problem
        assert run.opened.last_seq == 0
        assert not run.journal.status().ok
        run.log.publish(EVENTS[0])
        with pytest.raises(JournalError):
            await run.journal.flushed(1)
        (tmp_path / "state").unlink()
        await flushed_again(run)
        assert run.reported == [JournalRecovered()]
        assert seqs(path) == [1, 2]


@settings(
    max_examples=40,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    place=st.floats(0, 1),
    junk=st.binary(min_size=1, max_size=400),
    cut=st.booleans(),
    unclean=st.booleans(),
)
@example(place=0.979337396266633, junk=b"x", cut=True, unclean=False)  # within the identity index
@pytest.mark.usefixtures("impatient")
def test_any_damage_is_survived(
    tmp_path_factory: pytest.TempPathFactory,
    sound: Path,
    place: float,
    junk: bytes,
    cut: bool,
    unclean: bool,
) -> None:
    """Whatever is in the file, the journal opens, stores, and can be opened and read again."""
    path = tmp_path_factory.mktemp("damage") / "journal.db"
    whole = sound.read_bytes()
    at = int(place * (len(whole) - 1))
    path.write_bytes(whole[:at] if cut else whole[:at] + junk + whole[at + len(junk) :])
    if unclean:
        Path(f"{path}-wal").write_bytes(junk)

    async def live() -> None:
        async with running(path) as run:
            for event in EVENTS[:3]:
                run.log.publish(event)
            with trio.fail_after(DEADLINE_S):
                while True:
                    try:
                        await run.journal.flushed(run.opened.last_seq + 3)
                        break
                    except JournalError:
                        await trio.sleep(0.01)
            run.log.publish(EVENTS[3])

    trio.run(live)
    again = reopened(path)
    if again.problem is None:  # else the damage was in an old part, and is met now
        assert again.last_seq >= 4
        try:
            newest = query.tail(path, 50).entries
        except JournalError:
            return  # damage in a part that nobody has touched since: reading says so, writing went on
        assert EVENTS[3] in [entry.event for entry in newest]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole journal of 400 entries."""
    path = tmp_path_factory.mktemp("sound") / "journal.db"

    async def write() -> None:
        async with running(path) as run:
            for event in (EVENTS * 20)[:400]:
                run.log.publish(event)
            await flushed(run)

    trio.run(write)
    return path


# Being killed.

WRITER = """
import sys, trio
from pathlib import Path
from agent.bus import EventLog
from agent.journal.config import JournalConfig
from agent.journal.store import Journal
from agent.model.events import ButtonPressed

async def main():
    opened = Journal.open(Path(sys.argv[1]), JournalConfig(keep_newest=100))
    log = EventLog(boot_id=sys.argv[2], next_seq=opened.last_seq + 1)
    print("open", opened.last_seq, opened.problem, flush=True)
    async with trio.open_nursery() as nursery:
        async def run():
            await opened.journal.run(log, after=opened.last_seq, report=log.publish)
        async def press():
            while True:
                entry = log.publish(ButtonPressed(endpoint="bell"))
                await opened.journal.flushed(entry.seq)
                print(entry.seq, flush=True)
        nursery.start_soon(run)
        for _ in range(3):
            nursery.start_soon(press)

trio.run(main)
"""


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_what_was_promised_survives_being_killed(path: Path, kills: int) -> None:
    dice = random.Random(kills)
    promised: set[tuple[str, int]] = set()
    last = 0
    for kill in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), f"boot{kill}"], stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            _, resumed, problem = process.stdout.readline().split()
            assert problem == "None"
            assert int(resumed) == last
            time.sleep(dice.uniform(0, 0.12))
            process.send_signal(signal.SIGKILL)
            lines = process.stdout.read().split("\n")
        promised |= {(f"boot{kill}", int(line)) for line in lines[:-1]}
        opened = reopened(path)
        assert opened.problem is None
        last = opened.last_seq
    entries = query.since(path, limit=10_000).entries
    stored = {(entry.boot_id, entry.seq) for entry in entries}
    assert promised <= stored
    assert len(promised) > 10 * kills
    assert [entry.seq for entry in entries] == list(range(1, last + 1))
