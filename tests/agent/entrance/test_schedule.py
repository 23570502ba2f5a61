"""Hours of the week."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.entrance.schedule import MAX_CHARS, parse

ROME = ZoneInfo("Europe/Rome")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ROME).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("schedule", "moment", "inside"),
    [
        ("mon-fri 08:00-18:00", "2026-11-27T08:00", True),  # a Friday
        ("mon-fri 08:00-18:00", "2026-11-27T18:00", False),
        ("mon-fri 08:00-18:00", "2026-11-28T12:00", False),
        ("sat,sun 09:00-12:00", "2026-11-29T09:30", True),
        ("mon-fri 08:00-18:00; sat 09:00-12:00", "2026-11-28T11:59", True),
        ("fri 22:00-06:00", "2026-11-28T05:59", True),
        ("fri 22:00-06:00", "2026-11-27T05:59", False),
        ("sat-mon 00:00-24:00", "2026-11-30T23:59", True),
        ("sat-mon", "2026-12-01T00:00", False),
        ("08:00-09:00", "2026-11-25T08:30", True),
        ("daily 08:00-08:00", "2026-11-25T03:00", True),
        ("TUE 08:00-12:00", "2026-11-24T08:00", True),
        ("fri 01:00-04:00", "2026-03-29T02:30", False),
        ("sun 02:00-03:00", "2026-10-25T02:30", True),  # the hour that comes twice
    ],
)
def test_what_is_inside(schedule: str, moment: str, inside: bool) -> None:
    parsed = parse(schedule)
    assert parsed is not None
    assert parsed.contains(at(moment), ROME) is inside


def test_none_is_always() -> None:
    assert parse("") is None
    assert parse(" ; ") is None


@pytest.mark.parametrize(
    "text", ["monday", "mon 8:00-9:00", "mon 08:00", "mon-x 08:00-09:00", "08:00-25:00", "x", "mon,, tue",
             "mon 08:00-09:00 x", "٠8:00-09:00", "a" * (MAX_CHARS + 1)],
)  # fmt: skip
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|at most"):
        parse(text)


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    try:
        parsed = parse(text)
    except ValueError:
        return
    assert parsed is None or parsed.contains(0) in (True, False)
