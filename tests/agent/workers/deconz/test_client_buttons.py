"""Codes of one button as a bell hears them: each press once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workers.deconz.client_buttons import Button

# row: (ring_on, [(seconds, action)], what is told). P pressed, H held, R released.
ROWS: dict[str, tuple[Any, list[tuple[float, int]], str]] = {
    "release: the click": ("release", [(0, 2)], "PR"),
    "release: pressed, then let go": ("release", [(0, 0), (0.2, 2)], "PR"),
    "release: the press alone does not ring": ("release", [(0, 0)], ""),
    "release: two clicks": ("release", [(0, 2), (0.5, 2)], "PRPR"),
    "release: a long press rings at the hold": ("release", [(0, 1)], "PH"),
    "release: and once": ("release", [(0, 1), (0.8, 1), (1.6, 1), (2, 3)], "PHR"),
    "release: with its press": ("release", [(0, 0), (0.8, 1), (2, 3)], "PHR"),
    "release: the hold was lost": ("release", [(0, 0), (3, 3)], "PR"),
    "release: a hold of half a minute": ("release", [(0, 1), (30, 3)], "PHR"),
    "release: the end of a hold was lost": ("release", [(0, 1), (60, 2)], "PHPR"),
    "release: two holds": ("release", [(0, 1), (30, 1)], "PHPH"),
    "release: double click": ("release", [(0, 4)], "PR"),
    "release: treble click after its first": ("release", [(0, 2), (0.4, 5)], "PR"),
    "release: a double click later": ("release", [(0, 2), (5, 4)], "PRPR"),
    "press: the press": ("press", [(0, 0)], "P"),
    "press: pressed and let go": ("press", [(0, 0), (0.2, 2)], "PR"),
    "press: the release alone does not ring": ("press", [(0, 2)], ""),
    "press: the long release alone neither": ("press", [(0, 3)], ""),
    "press: long": ("press", [(0, 0), (0.8, 1), (1.6, 1), (2, 3)], "PHR"),
    "press: the press was lost, the hold rings": ("press", [(0, 1), (1, 3)], "PHR"),
    "press: the release was lost": ("press", [(0, 0), (20, 0)], "PP"),
    "press: the release was lost, then another hold": ("press", [(0, 0), (20, 1)], "PPH"),
    "press: pressed twice": ("press", [(0, 0), (0.3, 0)], "PP"),
    "press: a double click behind its press": ("press", [(0, 0), (0.3, 4)], "PR"),
    "press: a double click behind its first click": ("press", [(0, 0), (0.1, 2), (0.4, 4)], "PR"),
    "press: a quadruple click alone": ("press", [(0, 6)], "PR"),
    "shaken, turned and what nobody knows": ("release", [(0, 7), (0, 8), (0, 30), (0, 31), (0, 99)], ""),
}


@pytest.mark.parametrize(("ring_on", "codes", "told"), ROWS.values(), ids=list(ROWS))
def test_each_row(ring_on: Any, codes: list[tuple[float, int]], told: str) -> None:
    button = Button(ring_on)
    heard = [told for at, action in codes for told in button.take(action, 100 + at)]
    assert "".join({"pressed": "P", "held": "H", "released": "R"}[one.what] for one in heard) == told


def test_how_long_it_was_held() -> None:
    button = Button("release")
    button.take(0, 10.0)
    assert [told.held_ms for told in button.take(1, 10.9)] == [0, 900]
    assert [told.held_ms for told in button.take(3, 12.5)] == [2500]
    assert [told.held_ms for told in button.take(3, 50.0, 31)] == [0, 3100]
    assert [told.held_ms for told in button.take(1, 70.0)] == [0, 800]
    assert [told.held_ms for told in Button("release").take(2, 1.0)] == [0, 0]


@pytest.mark.parametrize("duration", [None, True, -3, 0, "8", 1.5, []])
def test_a_duration_that_is_none(duration: object) -> None:
    assert [told.held_ms for told in Button("release").take(1, 1.0, duration)] == [0, 800]


def test_an_absurd_duration_is_bounded() -> None:
    assert Button("release").take(3, 1.0, 10**30)[-1].held_ms == 3_600_000


@given(
    st.sampled_from(["press", "release"]),
    st.lists(st.tuples(st.floats(0, 30), st.integers(-1, 40)), max_size=30),
)
def test_nothing_is_released_or_held_that_was_not_pressed(
    ring_on: Any, steps: list[tuple[float, int]]
) -> None:
    button, now, down = Button(ring_on), 0.0, False
    for pause, action in steps:
        now += pause
        told = button.take(action, now)
        assert len(told) <= 2
        for one in told:
            assert 0 <= one.held_ms <= 3_600_000
            if one.what == "pressed":
                down = True
            else:
                assert down
            if one.what == "released":
                down = False
