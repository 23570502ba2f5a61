"""The open file: idempotent commits, small prunes, room on a full disk."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.journals import entries, pressed

from agent.journal import query
from agent.journal.database import PRUNE_ROWS, RESERVE_BYTES, Database
from agent.journal.failures import is_full
from agent.journal.opening import open_database
from agent.journal.retention import DAY_NS
from agent.journal.rows import entry_row, gap_row
from agent.model.records import Gap

NOW = 20_000 * DAY_NS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = open_database(path)
    yield database
    database.close()


def fill(database: Database, count: int, *, first: int = 1, at_ns: int = NOW) -> None:
    rows = [entry_row(entry) for entry in entries(pressed(count), first=first, at_ns=at_ns)]
    for start in range(0, count, 256):
        database.commit(rows[start : start + 256])


def seqs(path: Path) -> list[int]:
    return [entry.seq for entry in query.tail(path, 10_000).entries]


def test_storing_again_changes_nothing(database: Database, path: Path) -> None:
    fill(database, 3)
    fill(database, 5)
    assert seqs(path) == [1, 2, 3, 4, 5]


def test_the_same_number_of_another_boot_is_another_entry(database: Database, path: Path) -> None:
    for boot in ("one", "two"):
        database.commit([entry_row(entry) for entry in entries(pressed(2), boot_id=boot)])
    assert [(e.boot_id, e.seq) for e in query.tail(path, 9).entries] == [
        ("one", 1),
        ("one", 2),
        ("two", 1),
        ("two", 2),
    ]


def test_a_failed_commit_leaves_nothing_and_the_next_one_works(database: Database, path: Path) -> None:
    rows = [entry_row(entry) for entry in entries(pressed(2), boot_id="new")]
    with pytest.raises(sqlite3.Error):
        database.commit([rows[0], rows[1]._replace(at_ns=None)])  # type: ignore[arg-type]
    assert seqs(path) == []
    database.commit(rows)
    assert seqs(path) == [1, 2]


def test_it_knows_its_extent_when_opened(path: Path) -> None:
    first = open_database(path)
    assert (first.last_seq, first.row_count, first.newest_at_ns) == (0, 0, None)
    fill(first, 5)
    first.commit([gap_row(Gap(first=6, last=9), boot_id="boot", at_ns=NOW + 1)])
    first.close()
    again = open_database(path)
    assert (again.last_seq, again.row_count, again.newest_at_ns) == (9, 6, NOW + 1)
    again.close()


def test_a_file_taken_away_is_noticed(database: Database, path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError):
        fill(database, 1)
    path.touch()
    with pytest.raises(FileNotFoundError):
        fill(database, 1)


def prune(database: Database, **options: int | None) -> int:
    wanted: dict[str, int | None] = {
        "keep_newest": 100,
        "max_bytes": 1 << 40,
        "cutoff_ns": None,
        "now_ns": NOW,
        **options,
    }
    return database.prune(**wanted)  # type: ignore[arg-type]


def test_size_takes_the_oldest_in_small_steps(database: Database, path: Path) -> None:
    fill(database, 1300)
    assert prune(database) == 0
    assert [prune(database, max_bytes=0) for _ in range(4)] == [PRUNE_ROWS, PRUNE_ROWS, 200, 0]
    assert seqs(path) == list(range(1201, 1301))


def test_age_takes_what_is_old(database: Database, path: Path) -> None:
    fill(database, 200, at_ns=NOW - 10 * DAY_NS)
    fill(database, 200, first=201, at_ns=NOW)
    assert prune(database, cutoff_ns=NOW - 20 * DAY_NS) == 0
    assert prune(database, cutoff_ns=NOW - DAY_NS) == 200
    assert seqs(path) == list(range(201, 401))


def test_the_newest_stay_however_old_or_big(database: Database, path: Path) -> None:
    fill(database, 150, at_ns=0)
    assert prune(database, cutoff_ns=NOW, keep_newest=100) == 50
    assert prune(database, cutoff_ns=NOW, keep_newest=100, max_bytes=0) == 0
    assert len(seqs(path)) == 100


def test_numbers_go_on_after_everything_else_was_pruned(database: Database, path: Path) -> None:
    fill(database, 600)
    prune(database, max_bytes=0, keep_newest=1)
    fill(database, 1, first=601)
    newest = query.newest(path)
    assert newest is not None
    assert (newest.id, newest.seq) == (601, 601)


def test_a_pruned_file_shrinks(database: Database, path: Path) -> None:
    fill(database, 20_000)
    database.checkpoint()
    before = path.stat().st_size
    for _ in range(60):
        prune(database, max_bytes=0)
    database.checkpoint()
    assert path.stat().st_size < before / 2


def test_pruning_leaves_commits_fully_synced(database: Database) -> None:
    fill(database, 600)
    prune(database, max_bytes=0)
    assert database._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_room_on_a_file_that_may_not_grow(database: Database, path: Path) -> None:
    fill(database, 3000)
    pages = database._connection.execute("PRAGMA page_count").fetchone()[0]
    database._connection.execute(f"PRAGMA max_page_count = {pages}")
    stored = 3000
    for _ in range(50):
        try:
            fill(database, 100, first=stored + 1)
            stored += 100
        except sqlite3.OperationalError as error:
            if not is_full(error):
                raise
            database.make_room(keep_newest=1000, insist=False)
    assert stored > 6000
    assert seqs(path)[-1] == stored
    assert len(seqs(path)) > 1000


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB; only root can make one."""
    mount = tmp_path / "disk"
    mount.mkdir()
    made = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", mount], capture_output=True
        ).returncode
    )
    if not made:
        pytest.skip("mounting a file system needs root")
    yield mount
    subprocess.run(["umount", mount], check=True)


def test_a_disk_that_is_full_to_the_last_byte(tiny_disk: Path) -> None:
    path = tiny_disk / "journal.db"
    database = open_database(path)
    database.keep_reserve()
    (tiny_disk / "hog").write_bytes(bytes(1 << 20))
    stored = 0

    def fill_up() -> None:
        nonlocal stored
        while True:
            fill(database, 50, first=stored + 1)
            stored += 50
            if stored % 1600 == 0:
                database.checkpoint()

    with pytest.raises(sqlite3.OperationalError) as caught:
        fill_up()
    assert is_full(caught.value)
    assert os.statvfs(tiny_disk).f_bavail * 4096 < 512 << 10
    for _ in range(100):
        try:
            fill(database, 50, first=stored + 1)
            stored += 50
            database.checkpoint()
        except sqlite3.OperationalError:
            database.make_room(keep_newest=500, insist=False)
    assert seqs(path)[-1] == stored
    database.close()


def test_the_reserve_gives_way(database: Database, path: Path) -> None:
    reserve = path.with_name("journal.db-reserve")
    database.keep_reserve()
    database.keep_reserve()
    assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES
    reserve.unlink()
    database.make_room(keep_newest=100, insist=True)
    assert reserve.exists()
