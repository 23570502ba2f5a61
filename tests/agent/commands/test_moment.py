from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands.moment import parse_moment

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 1_000_000_000


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place, and a day on which its clocks change: midnight is 13 hours before noon UTC."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000_000  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("45s", NOW_NS - 45_000_000_000),
        ("10m", NOW_NS - 600_000_000_000),
        ("10 min", NOW_NS - 600_000_000_000),
        ("2h", NOW_NS - 7_200_000_000_000),
        ("3d", NOW_NS - 259_200_000_000_000),
        ("1w", NOW_NS - 604_800_000_000_000),
        ("today", at(2026, 3, 28, 23)),
        ("yesterday", at(2026, 3, 27, 23)),
        ("00:30", at(2026, 3, 28, 23, 30)),
        ("13:30", at(2026, 3, 29, 11, 30)),
        ("2026-11-23", at(2026, 11, 22, 23)),
        ("2026-11-23T14:30", at(2026, 11, 23, 13, 30)),
        ("2026-11-23 14:30:05", at(2026, 11, 23, 13, 30, 5)),
        ("2026-11-23T14:30Z", at(2026, 11, 23, 14, 30)),
    ],
)
def test_table(text: str, ns: int) -> None:
    assert parse_moment(text, NOW_NS) == ns


def test_span_ahead() -> None:
    assert parse_moment("2d", NOW_NS, future=True) == NOW_NS + 172_800_000_000_000


@pytest.mark.parametrize("text", ["", "soon", "10", "25:00", "12:60", "-3h", "2026-13-01", "3 years"])
def test_nonsense(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the text is for nobody
        parse_moment(text, NOW_NS)


@given(st.text(max_size=30))
def test_any_text_gives_a_moment_or_a_known_error(text: str) -> None:
    try:
        assert isinstance(parse_moment(text, NOW_NS), int)
    except (ValueError, OverflowError, OSError):
        pass
