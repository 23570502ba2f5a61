from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.entrance.numbers import canonical, forms


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("62E3086CED", "62E3086CED"), ("62:e3:08:6c:ed", "62E3086CED"), (" 62-E3-08-6C-ED ", "62E3086CED"),
        ("0012345678", "00BC614E"), ("12345678", "00BC614E"), ("4294967295", "FFFFFFFF"),
        ("123,45678", "7BB26E"), ("123/45678", "7BB26E"), ("300,1", "12C0001"), ("7BB26E", "7BB26E"),
        ("9876543210", "9876543210"),
    ],
)  # fmt: skip
def test_what_people_type(typed: str, number: str) -> None:
    assert canonical(typed) == number


@pytest.mark.parametrize("typed", ["", "12", "xyz", "1,2,3", "99999,99999", "1" * 65, "62E3086CEG", "٣,٤"])
def test_what_is_none(typed: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        canonical(typed)


def test_a_tag_that_was_typed_from_its_back_is_found() -> None:
    read = "62" + canonical("0012345678")
    assert canonical("0012345678") in forms(read)
    assert forms("7BB26E") == ("7BB26E",)


@given(st.text(max_size=80))
def test_any_text(text: str) -> None:
    try:
        number = canonical(text)
    except ValueError:
        return
    assert set(number) <= set("0123456789ABCDEF")
    assert 6 <= len(number) <= 16
