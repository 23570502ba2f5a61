"""Age is believed only from a plausible clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.journal.retention import DAY_NS, age_cutoff_ns, too_old_up_to

NOW = 20_000 * DAY_NS
Y2038 = (1 << 31) * 1_000_000_000


@pytest.mark.parametrize(
    ("now_ns", "believed"),
    [
        (NOW, True),
        (NOW - DAY_NS, True),
        (NOW - DAY_NS - 1, False),
        (NOW + 59 * DAY_NS, True),
        (NOW + 60 * DAY_NS, False),
        (0, False),
        (Y2038 + 40 * 365 * DAY_NS, False),
    ],
)
def test_the_clock_must_agree_with_what_was_stored(now_ns: int, believed: bool) -> None:
    cutoff = age_cutoff_ns(now_ns=now_ns, expected_ns=NOW, max_age_days=365)
    assert cutoff == (now_ns - 365 * DAY_NS if believed else None)


def test_an_empty_journal_knows_no_age() -> None:
    assert age_cutoff_ns(now_ns=NOW, expected_ns=None, max_age_days=1) is None


@pytest.mark.parametrize(
    ("days", "last"),
    [
        ([], None),
        ([100], None),
        ([-10], 0),
        ([-30, -20, -9, -8], 1),
        ([-30, -5, -20], 0),  # a young row keeps all behind it
        ([-30, 900, -20, -5], 2),  # a row from the future goes with an old one after it
        ([900, 900], None),
        ([900, -5], None),
        ([-30, 900, -5], 0),
    ],
)
def test_only_a_prefix_of_old_rows_goes(days: list[int], last: int | None) -> None:
    rows = [(index, NOW + day * DAY_NS) for index, day in enumerate(days)]
    assert too_old_up_to(rows, cutoff_ns=NOW - 9 * DAY_NS - 1, now_ns=NOW) == last


@given(st.lists(st.integers(-400, 400), max_size=20), st.integers(1, 365))
def test_a_young_row_is_never_deleted(days: list[int], max_age_days: int) -> None:
    rows = [(index, NOW + day * DAY_NS) for index, day in enumerate(days)]
    last = too_old_up_to(rows, cutoff_ns=NOW - max_age_days * DAY_NS, now_ns=NOW)
    gone = days[: last + 1] if last is not None else []
    assert not any(-max_age_days < day <= 1 for day in gone)
