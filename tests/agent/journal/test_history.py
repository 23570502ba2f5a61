"""Pages backwards, without holding anybody up."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.journals import EVENTS, entries
from msgspec.structs import replace

from agent.journal.history import JournalHistory
from agent.journal.opening import open_database
from agent.journal.rows import entry_row, gap_row
from agent.model.errors import JournalError
from agent.model.records import Gap, to_plain

AT = 1_767_225_600_000_000_000
TYPES = tuple({to_plain(event)["type"].partition("/")[0] for event in EVENTS})


@pytest.fixture
def history(tmp_path: Path) -> JournalHistory:
    path = tmp_path / "journal.db"
    database = open_database(path)
    database.commit([entry_row(entry) for entry in entries(EVENTS, at_ns=AT)])
    database.close()
    return JournalHistory(path)


async def test_pages_backwards_give_everything_once(history: JournalHistory) -> None:
    seen: list[int] = []
    before: int | None = None
    while page := await history.page(before_seq=before, types=TYPES, limit=7):
        seen += [entry.seq for entry in page]
        before = page[-1].seq
    assert seen == list(range(len(EVENTS), 0, -1))


async def test_only_the_types_that_were_asked_for(history: JournalHistory) -> None:
    page = await history.page(before_seq=None, types=("lock_changed",), limit=50)
    assert page
    assert {type(entry.event).__name__ for entry in page} == {"LockChanged"}


async def test_a_number_given_twice_is_told_of_the_later_boot_first(tmp_path: Path) -> None:
    """A power cut took the tail, and its numbers were given again."""
    path = tmp_path / "journal.db"
    database = open_database(path)
    (entry,) = entries(EVENTS[:1], at_ns=AT)
    database.commit([entry_row(entry)])
    database.commit([entry_row(replace(entry, boot_id="later"))])
    database.commit([gap_row(Gap(first=2, last=3), boot_id="later", at_ns=AT)])
    database.close()
    page = await JournalHistory(path).page(before_seq=None, types=TYPES, limit=5)
    assert [entry.boot_id for entry in page] == ["later", "boot"]


async def test_no_journal_says_so(tmp_path: Path) -> None:
    with pytest.raises(JournalError):
        await JournalHistory(tmp_path / "none.db").page(before_seq=None, types=TYPES, limit=5)
