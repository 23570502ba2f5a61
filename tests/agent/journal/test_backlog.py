"""The backlog is bounded, in order, and accounts for every number."""

from __future__ import annotations

from harness.journals import entries, pressed
from hypothesis import given
from hypothesis import strategies as st

from agent.journal.backlog import Backlog, first_seq, last_seq
from agent.model.records import Entry, Gap


def test_the_oldest_become_one_gap() -> None:
    backlog = Backlog(4)
    for entry in entries(pressed(10)):
        backlog.append(entry)
    items = backlog.take(99)
    assert items[0] == Gap(first=1, last=7)
    assert [first_seq(item) for item in items[1:]] == [8, 9, 10]


def test_a_batch_put_back_comes_first_again() -> None:
    backlog = Backlog(10)
    for entry in entries(pressed(5)):
        backlog.append(entry)
    batch = backlog.take(3)
    backlog.put_back(batch)
    assert [first_seq(item) for item in backlog.take(9)] == [1, 2, 3, 4, 5]


@given(st.integers(2, 8), st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=30))
def test_no_number_is_ever_unaccounted_for(bound: int, steps: list[tuple[int, bool]]) -> None:
    """Appending, taking and putting back in any order keeps the bound, and the numbers without holes."""
    backlog = Backlog(bound)
    seq = 0
    settled = 0
    for count, append in steps:
        if append:
            for entry in entries(pressed(count), first=seq + 1):
                backlog.append(entry)
            seq += count
        else:
            batch = backlog.take(count)
            if count % 2:
                backlog.put_back(batch)
            elif batch:
                assert first_seq(batch[0]) == settled + 1
                settled = last_seq(batch[-1])
        assert len(backlog) <= bound
    rest = backlog.take(bound)
    for item in rest:
        assert first_seq(item) == settled + 1
        settled = last_seq(item)
    assert settled == seq
    assert all(isinstance(item, Entry) for item in rest[1:])
