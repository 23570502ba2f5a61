from __future__ import annotations

from typing import Any

import pytest

from agent.workers.zello.fields import MAX_ID, clean, id_of, number_of, size_of, text_of


@pytest.mark.parametrize(
    ("value", "expected"),
    [("ab", "ab"), ("abc", ""), (5, ""), (None, ""), (False, ""), ("\ud800a", "?a"), (["a"], "")],
)
def test_texts(value: Any, expected: str) -> None:
    assert text_of({"k": value}, "k", 2) == expected


def test_clean_text_can_be_sent() -> None:
    assert clean("a\udfffb").encode() == b"a?b"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (MAX_ID, MAX_ID),
        (MAX_ID + 1, None),
        (-1, None),
        (True, None),
        (1.0, None),
        ("1", None),
        (None, None),
    ],
)
def test_ids(value: Any, expected: int | None) -> None:
    assert id_of({"k": value}, "k") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (60, 60),
        (60.0, 60),
        (60.5, 0),
        (101, 0),
        (-1, 0),
        ("60", 0),
        (True, 0),
        (10**400, 0),
        (None, 0),
    ],
)
def test_sizes(value: Any, expected: int) -> None:
    assert size_of({"k": value}, "k", 100) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1.0),
        (-2.5, -2.5),
        (10**400, None),
        (float("inf"), None),
        (float("nan"), None),
        (False, None),
        ("1", None),
    ],
)
def test_numbers(value: Any, expected: float | None) -> None:
    assert number_of({"k": value}, "k") == expected
    assert number_of({}, "k") is None
