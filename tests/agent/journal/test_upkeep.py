"""Upkeep is due at the right time and believes no absurd clock."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from harness.journals import entries, pressed

from agent.journal import query
from agent.journal.config import JournalConfig
from agent.journal.database import PRUNE_ROWS, Database
from agent.journal.opening import open_database
from agent.journal.retention import DAY_NS
from agent.journal.rows import entry_row
from agent.journal.upkeep import (
    CHECKPOINT_COMMITS,
    FIRST_PRUNE_S,
    PRUNE_BY_AGE_EVERY_S,
    PRUNE_EVERY_S,
    PRUNE_PAUSE_S,
    Upkeep,
)

NOW = 20_000 * DAY_NS
CONFIG = JournalConfig(max_age_days=30, keep_newest=100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """1200 entries of 40 days ago, and 100 of now."""
    database = open_database(path)
    rows = [entry_row(entry) for entry in entries(pressed(1200), at_ns=NOW - 40 * DAY_NS)]
    rows += [entry_row(entry) for entry in entries(pressed(100), first=1201, at_ns=NOW)]
    database.commit(rows)
    yield database
    database.close()


class Clock:
    """A wall clock that says what it is told."""

    def __init__(self) -> None:
        self.now_ns = NOW

    def __call__(self) -> int:
        return self.now_ns


def test_it_empties_the_log_only_when_idle() -> None:
    upkeep = Upkeep(CONFIG, Clock(), NOW)
    upkeep.begin(0.0)
    for _ in range(CHECKPOINT_COMMITS):
        assert not upkeep.due(1.0, idle=True)
        upkeep.committed(1, NOW, 1.0)
    assert upkeep.due(1.0, idle=True)
    assert not upkeep.due(1.0, idle=False)


def test_a_flood_is_pruned_although_never_idle(database: Database) -> None:
    upkeep = Upkeep(JournalConfig(max_mb=8, keep_newest=100), Clock(), NOW)
    upkeep.begin(0.0)
    upkeep.committed(PRUNE_ROWS, NOW, 1.0)
    assert upkeep.due(1.0, idle=False)
    assert upkeep.step(database, 1.0) == 0
    assert not upkeep.due(1.0, idle=False)


def test_old_entries_go_one_small_step_an_hour(database: Database, path: Path) -> None:
    clock = Clock()
    upkeep = Upkeep(CONFIG, clock, NOW)
    upkeep.begin(0.0)
    now, deleted = 0.0, []
    for _ in range(30):
        now = upkeep.next_at
        clock.now_ns = NOW + int(now * 1e9)
        deleted.append((round(now), upkeep.step(database, now)))
    steps = [(at, count) for at, count in deleted if count]
    assert [count for _, count in steps] == [500, 500, 200]
    assert steps[0][0] == FIRST_PRUNE_S
    assert all(later - before >= PRUNE_BY_AGE_EVERY_S for (before, _), (later, _) in pairwise(steps))
    assert query.oldest(path).seq == 1201  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "now_ns", [0, 10 * 365 * DAY_NS, (1 << 31) * 10**9, NOW + 61 * DAY_NS, NOW - 2 * DAY_NS]
)
@pytest.mark.parametrize("known_ns", [NOW, None])
def test_an_absurd_clock_deletes_nothing(database: Database, now_ns: int, known_ns: int | None) -> None:
    clock = Clock()
    clock.now_ns = now_ns
    upkeep = Upkeep(CONFIG, clock, known_ns)
    upkeep.begin(0.0)
    assert upkeep.step(database, FIRST_PRUNE_S) == 0


def test_the_clock_may_advance_with_the_time_that_passes(database: Database) -> None:
    clock = Clock()
    upkeep = Upkeep(CONFIG, clock, NOW)
    upkeep.begin(0.0)
    year_s = 365 * 86_400.0
    clock.now_ns = NOW + 365 * DAY_NS
    assert upkeep.step(database, year_s) == 500


def test_a_clock_that_jumps_while_running_deletes_nothing(database: Database) -> None:
    clock = Clock()
    upkeep = Upkeep(CONFIG, clock, None)
    upkeep.begin(0.0)
    upkeep.committed(1, 5 * DAY_NS, 1.0)  # woke up in 1970
    clock.now_ns = NOW  # and was told the truth later: cannot be told from a lie
    assert upkeep.step(database, FIRST_PRUNE_S) == 0


def test_size_goes_on_quickly(database: Database) -> None:
    config = JournalConfig(max_mb=8, keep_newest=100)
    big = [entry_row(entry) for entry in entries(pressed(2000, "x" * 3000), first=5000, at_ns=NOW)]
    database.commit(big)
    upkeep = Upkeep(config, Clock(), NOW)
    upkeep.begin(0.0)
    assert upkeep.step(database, 60.0) == PRUNE_ROWS
    assert upkeep.next_at == pytest.approx(60.0 + PRUNE_PAUSE_S)
    now, total = upkeep.next_at, 0
    while upkeep.next_at - now < 1:
        now = upkeep.next_at
        total += upkeep.step(database, now)
    assert upkeep.next_at == pytest.approx(now + PRUNE_EVERY_S)
    assert 500 < total < 3200


def test_a_held_file_is_left_for_later(database: Database, path: Path) -> None:
    database._connection.execute("PRAGMA busy_timeout = 10")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    upkeep = Upkeep(CONFIG, Clock(), NOW)
    upkeep.begin(0.0)
    assert upkeep.step(database, 60.0) == 0
    assert not upkeep.due(61.0, idle=True)
    other.close()
