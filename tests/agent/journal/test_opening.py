"""Opening finds what is broken, and a broken file gives way without a trace lost."""

from __future__ import annotations

import os
import random
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.journals import EVENTS, entries, pressed

from agent.journal import opening, query
from agent.journal.failures import is_broken, is_busy
from agent.journal.opening import MAX_SET_ASIDE, open_database, salvage_last_seq, set_aside
from agent.journal.rows import entry_row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def write(path: Path, count: int) -> None:
    database = open_database(path)
    database.commit([entry_row(entry) for entry in entries(pressed(count))])
    database.close()


def test_a_new_file_is_private_and_durable(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.db"
    previous = os.umask(0)
    try:
        database = open_database(path)
    finally:
        os.umask(previous)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(f"{path}-wal").stat().st_mode) == 0o600
    pragmas = {name: database._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in PRAGMAS}
    database.close()
    assert pragmas == PRAGMAS


PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,
    "auto_vacuum": 2,
    "user_version": 1,
    "journal_size_limit": 1 << 20,
}


def test_an_orderly_close_leaves_one_file(path: Path) -> None:
    write(path, 3)
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_the_probe_leaves_nothing(path: Path) -> None:
    write(path, 1)
    write(path, 1)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM entries").fetchone() == (1,)
    assert connection.execute("SELECT count(*) FROM boots").fetchone() == (1,)
    connection.close()


def test_migrations_run_once_and_in_order(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, 2)
    package = tmp_path / "package"
    (package / "schema").mkdir(parents=True)
    first = Path(opening.__file__).parent / "schema" / "0001_entries.sql"
    (package / "schema" / first.name).write_text(first.read_text())
    (package / "schema" / "0002_notes.sql").write_text("ALTER TABLE entries ADD COLUMN note TEXT;")
    (package / "schema" / "0003_more.sql").write_text("UPDATE entries SET note = 'x'; -- no end of line")
    monkeypatch.setattr("importlib.resources.files", lambda _name: package)
    for _ in range(2):
        open_database(path).close()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT note FROM entries").fetchall() == [("x",), ("x",)]
    assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    connection.close()
    monkeypatch.undo()
    write(path, 3)  # an older agent goes on with a newer file
    assert [entry.seq for entry in query.tail(path, 9).entries] == [1, 2, 3]


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(20_000))


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 - 100)


def beheaded(path: Path) -> None:
    path.write_bytes(b"SQLite format 4\0" + path.read_bytes()[16:])


def stub(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0")


def foreign(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE entries (something TEXT)")
    connection.execute("PRAGMA user_version = 1")
    connection.close()


def future(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[18] = 77  # a write format that SQLite does not know makes it read-only
    path.write_bytes(data)


def half_made(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 0")
    connection.close()


BREAKERS = [garbage, truncated, beheaded, stub, foreign, future, half_made]


@pytest.mark.parametrize("breaker", BREAKERS, ids=lambda breaker: breaker.__name__)
def test_a_broken_file_is_told_from_a_bad_day(path: Path, breaker: Callable[[Path], None]) -> None:
    write(path, 200)
    breaker(path)
    with pytest.raises(sqlite3.Error) as caught:
        open_database(path)
    assert is_broken(caught.value)


def test_a_damaged_page_is_found_after_an_unclean_stop(path: Path) -> None:
    write(path, 2000)
    data = bytearray(path.read_bytes())
    middle = len(data) // 4096 // 2 * 4096
    data[middle : middle + 4096] = bytes([0xA5]) * 4096
    path.write_bytes(data)
    open_database(path).close()  # a clean stop: not looked for
    Path(f"{path}-wal").write_bytes(b"torn")
    with pytest.raises(sqlite3.Error) as caught:
        open_database(path)
    assert is_broken(caught.value)


def test_a_torn_write_ahead_log_is_no_damage(path: Path) -> None:
    database = open_database(path)
    database.commit([entry_row(entry) for entry in entries(pressed(3))])
    wal = Path(f"{path}-wal").read_bytes()
    database.commit([entry_row(entry) for entry in entries(pressed(3), first=4)])
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    Path(f"{copy}-wal").write_bytes(wal + os.urandom(3000))
    database.close()
    again = open_database(copy)
    assert again.last_seq == 3
    again.close()


def test_a_held_file_is_busy_and_not_broken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "BUSY_TIMEOUT_S", 0.01)
    write(path, 1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.Error) as caught:
        open_database(path)
    other.close()
    assert is_busy(caught.value)
    assert not is_broken(caught.value)


def test_a_read_only_folder_is_not_broken(locked_folder: Path) -> None:
    path = locked_folder / "journal.db"
    with pytest.raises((sqlite3.Error, OSError)) as caught:
        open_database(path)
    assert not is_broken(caught.value)
    assert salvage_last_seq(path) == 7
    assert [found.name for found in locked_folder.iterdir()] == [path.name]


@pytest.fixture
def locked_folder() -> Iterator[Path]:
    """A folder with a journal of 7 entries that we may read and not write, root or not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "state"
        write(folder / "journal.db", 7)
        Path(name).chmod(0o755)
        folder.chmod(0o555)
        (folder / "journal.db").chmod(0o444)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


def test_salvage_reads_what_it_can(path: Path) -> None:
    write(path, 300)
    assert salvage_last_seq(path) == 300
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4096)
    assert 0 <= salvage_last_seq(path) <= 300
    for breaker in BREAKERS[:-2]:
        breaker(path)
        assert salvage_last_seq(path) in range(301)
    assert salvage_last_seq(path.with_name("nowhere")) == 0


def test_setting_aside_takes_the_companions_along(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").write_text(suffix)
    moved = set_aside(path)
    assert moved.name.startswith("journal.db.bad-")
    assert [Path(f"{moved}{suffix}").read_text() for suffix in ("", "-wal", "-shm")] == ["", "-wal", "-shm"]
    assert not list(path.parent.glob("journal.db"))


def test_few_broken_files_are_kept(path: Path) -> None:
    for number in range(MAX_SET_ASIDE + 3):
        for suffix in ("", "-wal"):
            Path(f"{path}{suffix}").write_text(str(number))
        newest = set_aside(path)
        assert newest.read_text() == str(number)
    kept = sorted(path.parent.iterdir())
    assert len(kept) == 2 * MAX_SET_ASIDE
    assert newest in kept


def test_every_event_can_be_stored(path: Path) -> None:
    database = open_database(path)
    database.commit([entry_row(entry) for entry in entries(EVENTS)])
    database.close()
    assert tuple(entry.event for entry in query.tail(path, 99).entries) == EVENTS
