from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.access.pins import (
    MAX_WRONG,
    WRONG_WITHIN_S,
    WrongPins,
    check_pin,
    generate_pin,
    is_pin,
)
from agent.access.users import MAX_USERS, AccessError


@pytest.mark.parametrize("pin", ["7391", "739152", "0917", "1243", "112358132134", "000001"])
def test_good_pins(pin: str) -> None:
    check_pin(pin)


@pytest.mark.parametrize(
    "pin", ["", "739", "7391528460517", "73 91", "7391\n", "-739", "٧٣٩١", "７３９１", "seven", "\ud800739"]
)
def test_what_is_no_pin(pin: str) -> None:
    assert not is_pin(pin)
    with pytest.raises(AccessError, match="4 to 12 digits"):
        check_pin(pin)


@pytest.mark.parametrize(
    "pin",
    [
        "0000",
        "1234",
        "4321",
        "123456",
        "987654",
        "7890",
        "0987",
        "2468",
        "1357",
        "0369",
        "1212",
        "123123",
        "123412341234",
        "2580",
        "112233",
        "5555555",
    ],
)
def test_what_anybody_would_try(pin: str) -> None:
    with pytest.raises(AccessError, match="anybody tries") as refused:
        check_pin(pin)
    assert is_pin(pin)
    assert pin not in str(refused.value) or pin in ("1234", "1212")


def test_made_pins_are_good_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [generate_pin() for _ in range(50)]
    for pin in made:
        check_pin(pin)
        assert len(pin) == 6
    assert len(set(made)) > 45
    numbers = iter([0, 123456, 917])
    monkeypatch.setattr("secrets.randbelow", lambda below: next(numbers))
    assert generate_pin() == "000917"


@settings(max_examples=200)
@given(st.text(max_size=14) | st.text("0123456789", max_size=14))
def test_any_text_is_a_pin_or_refused(text: str) -> None:
    try:
        check_pin(text)
    except AccessError:
        return
    assert 4 <= len(text) <= 12
    assert set(text) <= set("0123456789")


def test_ten_within_a_day_lock() -> None:
    wrong = WrongPins()
    for number in range(MAX_WRONG - 1):
        assert not wrong.failed("anna", "h", number * 60)
    assert not wrong.locked("anna", "h")
    assert wrong.failed("anna", "h", 1000)
    assert wrong.locked("anna", "h")
    assert not wrong.failed("anna", "h", 1001), "it is locked once"
    assert wrong.locked("anna", "h")
    assert not wrong.locked("anna", "another")
    assert not wrong.locked("bert", "h")


def test_those_of_yesterday_do_not_count() -> None:
    wrong = WrongPins()
    for number in range(MAX_WRONG - 1):
        wrong.failed("anna", "h", float(number))
    assert not wrong.failed("anna", "h", WRONG_WITHIN_S + 0.5)  # the first one is over
    assert wrong.failed("anna", "h", WRONG_WITHIN_S + 0.6)


def test_a_lock_does_not_end_by_itself() -> None:
    wrong = WrongPins()
    for _ in range(MAX_WRONG):
        wrong.failed("anna", "h", 0.0)
    assert not wrong.failed("anna", "h", 30 * WRONG_WITHIN_S)
    assert wrong.locked("anna", "h")


def test_a_new_pin_begins_anew() -> None:
    wrong = WrongPins()
    for _ in range(MAX_WRONG - 1):
        wrong.failed("anna", "h", 0.0)
    assert not wrong.failed("anna", "other", 0.0)
    assert not wrong.locked("anna", "other")


def test_what_is_remembered_is_bounded() -> None:
    wrong = WrongPins()
    for number in range(3 * MAX_USERS):
        wrong.failed(f"user{number}", "h", 0.0)
    assert len(wrong._wrong) == MAX_USERS
