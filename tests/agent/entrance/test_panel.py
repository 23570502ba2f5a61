"""Readings become something to decide on."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.entrance.panel import CODE_S, DIGIT_S, MAX_DIGITS, Accepts, Panel, Presented

TAG = "0062E3086C"


def typed(panel: Panel, keys: str, at: float = 0.0) -> list[Presented]:
    return [told for key in keys if (told := panel.key(key, at)) is not None]


def test_a_tag_is_complete_at_once() -> None:
    assert Panel("either").tag(TAG, 0) == Presented(method="tag", tag=TAG)
    assert Panel("tag").tag(TAG, 0) == Presented(method="tag", tag=TAG)
    assert Panel("code").tag(TAG, 0) is None


def test_a_code_ends_with_its_key_or_its_length() -> None:
    assert typed(Panel("either"), "4711#") == [Presented(method="code", code="4711")]
    assert typed(Panel("code", code_digits=4), "4711") == [Presented(method="code", code="4711")]
    assert typed(Panel("code", code_digits=6), "4711#") == [Presented(method="code", code="4711")]
    assert typed(Panel("tag"), "4711#") == []
    assert typed(Panel("either"), "#") == [], "nothing was typed"


def test_clearing_and_meaningless_keys() -> None:
    assert typed(Panel("code"), "99*4711#") == [Presented(method="code", code="4711")]
    assert typed(Panel("code"), "4A7B1\u0661\u00b21#") == [Presented(method="code", code="4711")]


def test_a_tag_waits_for_its_code() -> None:
    panel = Panel("both")
    assert panel.tag(TAG, 0) is None
    assert typed(panel, "4711#", 3) == [Presented(method="tag+code", tag=TAG, code="4711")]
    assert typed(panel, "4711#", 4) == [Presented(method="tag+code", code="4711")], "a code alone is refused"


def test_a_second_tag_takes_the_place_of_the_first() -> None:
    panel = Panel("both")
    panel.tag(TAG, 0)
    typed(panel, "47", 1)
    panel.tag("01", 2)
    assert typed(panel, "1234#", 3) == [Presented(method="tag+code", tag="01", code="1234")]


def test_digits_that_take_too_long_are_forgotten() -> None:
    panel = Panel("code")
    typed(panel, "47", 0)
    assert panel.deadline == DIGIT_S
    assert panel.expire(DIGIT_S - 0.1) is None
    assert panel.expire(DIGIT_S) is None
    assert panel.deadline == math.inf
    assert typed(panel, "11#", DIGIT_S) == [Presented(method="code", code="11")]


def test_a_tag_without_its_code_is_told() -> None:
    panel = Panel("both")
    panel.tag(TAG, 0)
    assert panel.deadline == CODE_S
    assert panel.expire(CODE_S) == Presented(method="tag+code", tag=TAG, given_up=True)
    assert panel.expire(CODE_S + 1) is None


def test_a_code_that_is_too_long_never_becomes_one_that_is_not() -> None:
    told = typed(Panel("code"), "1" * 40 + "#")
    assert [len(presented.code) for presented in told] == [MAX_DIGITS + 1]


def test_nothing_of_it_is_in_a_log_line() -> None:
    assert "4711" not in repr(Presented(method="tag+code", tag=TAG, code="4711"))
    assert TAG not in repr(Presented(method="tag+code", tag=TAG, code="4711"))


@pytest.mark.parametrize("accepts", ["tag", "code", "either", "both"])
@given(st.lists(st.tuples(st.sampled_from(["tag", "key"]), st.text(max_size=2), st.floats(0, 30))))
def test_any_order_of_readings(accepts: Accepts, readings: list[tuple[str, str, float]]) -> None:
    panel, now = Panel(accepts), 0.0
    for what, text, later in readings:
        now += later
        told = panel.tag(text, now) if what == "tag" else panel.key(text, now)
        if told is not None:
            assert set(told.code) <= set("0123456789")
            assert len(told.code) <= MAX_DIGITS + 1
            assert accepts != "both" or told.method == "tag+code"
    panel.expire(math.inf)
    assert panel.deadline == math.inf
