"""The read side finds, filters and survives."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import cbor2
import pytest
from harness.journals import EVENTS as SAMPLE
from harness.journals import entries, pressed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.journal import query
from agent.journal.opening import open_database
from agent.journal.query import StoredEntry
from agent.journal.rows import entry_row, gap_row, type_of
from agent.model.errors import JournalError
from agent.model.events import DoorChanged, LockChanged
from agent.model.records import Gap, Unknown

EVENTS = SAMPLE[:25]
AT = 1_767_225_600_000_000_000  # 2026-01-01
SECOND = 1_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.db"
    database = open_database(path)
    database.commit([entry_row(entry) for entry in entries(EVENTS, at_ns=AT)])
    database.close()
    return path


def change(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_tail_gives_the_newest_from_old_to_new(path: Path) -> None:
    page = query.tail(path, 3)
    assert [entry.event for entry in page.entries] == list(EVENTS[-3:])
    assert [entry.seq for entry in page.entries] == [23, 24, 25]
    assert page.entries[0].boot_id == "boot"
    assert page.entries[0].at_ns == AT + 22 * SECOND


def test_the_ends(path: Path, tmp_path: Path) -> None:
    first, last = query.oldest(path), query.newest(path)
    assert first is not None
    assert last is not None
    assert (first.seq, last.seq) == (1, 25)
    empty = tmp_path / "empty.db"
    open_database(empty).close()
    assert query.oldest(empty) is query.newest(empty) is None
    assert query.tail(empty, 5).entries == ()


@pytest.mark.parametrize("name", ["lock_changed", "lock_changed/1", "lock_changed/2"])
def test_a_type_is_wanted_in_any_version(path: Path, name: str) -> None:
    assert [type(entry.event) for entry in query.tail(path, 99, types=[name]).entries] == [LockChanged]


def test_filters_add_up(path: Path) -> None:
    page = query.tail(path, 99, types=["lock_changed", "door_changed"], endpoint="door")
    assert [type(entry.event) for entry in page.entries] == [LockChanged, DoorChanged]
    assert query.tail(path, 99, types=["lock_changed"], endpoint="bell").entries == ()
    access = query.tail(path, 99, access_only=True)
    stored = {type_of(str(type(event).__struct_config__.tag)) for event in EVENTS}
    assert {entry.type for entry in access.entries} == query.ACCESS_TYPES & stored
    assert [e.type for e in query.tail(path, 9, access_only=True, types=["door_changed"]).entries] == [
        "door_changed"
    ]
    assert query.tail(path, 9, access_only=True, types=["button_pressed"]).entries == ()


def test_access_types_exist() -> None:
    assert {type_of(str(type(event).__struct_config__.tag)) for event in SAMPLE} > query.ACCESS_TYPES


def test_since_goes_by_number_or_time(path: Path) -> None:
    assert [e.seq for e in query.since(path, after_seq=21).entries] == [22, 23, 24, 25]
    assert [e.seq for e in query.since(path, after_seq=21, limit=2).entries] == [22, 23]
    assert [e.seq for e in query.since(path, after_ns=AT + 22 * SECOND).entries] == [24, 25]
    assert [e.seq for e in query.since(path, after_seq=23, after_ns=AT + 23 * SECOND).entries] == [25]
    assert query.since(path, after_seq=25).entries == ()


@pytest.mark.parametrize("count", [0, -5])
def test_absurd_counts_give_nothing(path: Path, count: int) -> None:
    assert query.tail(path, count).entries == ()
    assert query.since(path, limit=count).entries == ()


def test_order_is_the_order_of_storing_whatever_the_clock_says(path: Path) -> None:
    change(path, "UPDATE entries SET at_ns = -at_ns WHERE seq % 2")
    assert [entry.seq for entry in query.tail(path, 99).entries] == list(range(1, 26))


def test_a_gap_is_shown_in_its_place(path: Path) -> None:
    database = open_database(path)
    database.commit([gap_row(Gap(first=26, last=30), boot_id="boot", at_ns=AT)])
    database.commit([entry_row(entry) for entry in entries(pressed(1), first=31)])
    database.close()
    assert query.tail(path, 2).entries[0].event == Gap(first=26, last=30)
    line = json.loads(list(query.export(path))[-2])
    assert line["gap"] == {"first": 26, "last": 30}


def test_a_newer_event_is_shown_raw(path: Path) -> None:
    raw = {"type": "lock_changed/7", "mood": "calm"}
    change(path, "UPDATE entries SET body = ? WHERE seq = 5", cbor2.dumps(raw))
    assert query.since(path, after_seq=4, limit=1).entries[0].event == Unknown(raw=raw)
    assert json.loads(list(query.export(path))[4])["event"] == raw


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body", b"\xff\xff"),
        ("body", None),
        ("body", "text"),
        ("body", cbor2.dumps({"type": "lock_changed/1"})),
        ("at_ns", "yesterday"),
        ("seq", "x"),
        ("type", 7.5),
        ("type", "gap"),
        ("endpoint", b"\x00"),
        ("boot", 99),
    ],
)
def test_a_malformed_row_is_skipped_and_counted(path: Path, column: str, value: object) -> None:
    change(path, f"UPDATE entries SET {column} = ? WHERE id = 5", value)
    page = query.tail(path, 99)
    if column == "type" and value == 7.5:
        assert len(page.entries) + page.malformed == 25
        return
    assert (len(page.entries), page.malformed, page.damaged) == (24, 1, False)
    assert len(list(query.export(path))) == 24


def test_text_that_is_no_unicode_does_not_stop_a_reader(path: Path) -> None:
    change(path, "UPDATE entries SET endpoint = CAST(x'FFFE' AS TEXT) WHERE id = 5")
    assert len(query.tail(path, 99).entries) == 25


def test_reading_leaves_no_files_behind(path: Path) -> None:
    query.tail(path, 5)
    list(query.export(path))
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_reading_while_the_agent_writes(path: Path) -> None:
    database = open_database(path)
    lines: Iterator[bytes] = query.export(path)
    next(lines)
    database.commit([entry_row(entry) for entry in entries(pressed(1000), first=26)])
    assert query.newest(path).seq == 1025  # type: ignore[union-attr]
    assert sum(1 for _ in lines) == 1024
    database.close()
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_reading_after_a_crash(path: Path, tmp_path: Path) -> None:
    database = open_database(path)
    database.commit([entry_row(entry) for entry in entries(pressed(1), first=26)])
    copy = tmp_path / "crashed" / "journal.db"
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        Path(f"{copy}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    database.close()
    assert query.newest(copy).seq == 26  # type: ignore[union-attr]


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 1000])
def test_no_journal_is_an_error_of_ours(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "none.db"
    if content is not None:
        path.write_bytes(content)
    for read in (lambda: query.tail(path, 1), lambda: query.since(path), lambda: list(query.export(path))):
        with pytest.raises(JournalError):
            read()
    assert path.exists() == (content is not None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    offset=st.integers(0, 20_000),
    junk=st.binary(min_size=1, max_size=300),
)
def test_any_damage_gives_entries_or_journal_error(path: Path, offset: int, junk: bytes) -> None:
    data = bytearray(path.read_bytes())
    at = offset % len(data)
    data[at : at + len(junk)] = junk
    copy = path.with_name("copy.db")
    copy.write_bytes(data)
    reads: tuple[Callable[[], query.Page], ...] = (
        lambda: query.tail(copy, 99),
        lambda: query.since(copy, after_seq=3),
    )
    for read in reads:
        try:
            assert all(isinstance(entry, StoredEntry) for entry in read().entries)
        except JournalError:
            pass
    try:
        for line in query.export(copy):
            json.loads(line)
    except JournalError:
        pass


def test_the_time_is_told_for_people(path: Path) -> None:
    line = json.loads(next(query.export(path)))
    assert line["at"] == "2026-01-01T00:00:00.000Z"
    assert list(line) == ["id", "boot_id", "seq", "at", "at_ns", "event"]
    change(path, "UPDATE entries SET at_ns = ?", (1 << 63) - 1)
    assert json.loads(next(query.export(path)))["at"].startswith("2262-")
