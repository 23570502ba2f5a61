"""Keys are made of what people ask for, and keep nothing of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.entrance.key import Digester, Key, KeyRefusal, Wanted, is_code, key_of

DIGESTER = Digester(bytes(range(32)))


def made(**wanted: Any) -> Key:
    return key_of(Wanted(**wanted), DIGESTER, source="local", created_ns=7)


def test_nothing_of_number_and_code_is_kept() -> None:
    key = made(holder="Ana", tag="62E3086CED", code="4711", duress="4712")
    stored = msgspec.msgpack.encode(key)
    for plain in (b"62E3", b"4711", b"4712", bytes.fromhex("62E3086CED")):
        assert plain not in stored
    assert (key.method, key.source, key.created_ns) == ("tag+code", "local", 7)
    assert "4711" not in repr(Wanted(tag="62E3086CED", code="4711"))
    assert "secret" not in repr(DIGESTER)


def test_another_door_has_other_hashes() -> None:
    other = Digester(bytes(32))
    assert other.tag("62E3086CED") != DIGESTER.tag("62E3086CED")
    assert DIGESTER.tag("4711") != DIGESTER.code("4711")


def test_the_same_key_has_the_same_id_for_ever() -> None:
    assert made(tag="62E3086CED").id == made(tag="62:E3:08:6C:ED", holder="Ana", code="4711").id
    assert made(code="4711").id != made(code="4712").id
    assert len(made(code="4711").id) == 8


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({}, "a tag's number or a code"),
        ({"code": "123"}, "4 to 8 digits"),
        ({"code": "123456789"}, "4 to 8 digits"),
        ({"code": "12a4"}, "4 to 8 digits"),
        ({"code": "١٢٣٤"}, "4 to 8 digits"),
        ({"tag": "xyz"}, "expected a tag's number"),
        ({"tag": "62E3086CED", "duress": "4711"}, "beside a code"),
        ({"code": "4711", "duress": "4711"}, "cannot be the code"),
        ({"code": "4711", "schedule": "sometimes"}, "expected"),
        ({"code": "4711", "valid_from_ns": 5, "valid_until_ns": 5}, "ends before"),
        ({"code": "4711", "holder": "a\nb"}, "holder"),
        ({"code": "4711", "flat": "x" * 65}, "flat"),
        ({"code": "4711", "uses": 0}, "uses"),
    ],
)
def test_what_is_refused(wanted: dict[str, Any], reason: str) -> None:
    with pytest.raises(KeyRefusal, match=reason) as caught:
        made(**wanted)
    assert "4711" not in str(caught.value)


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20), st.text(max_size=70))
def test_any_text(tag: str, code: str, schedule: str, holder: str) -> None:
    try:
        key = made(tag=tag, code=code, schedule=schedule, holder=holder)
    except KeyRefusal:
        return
    assert key.tag or key.code
    assert not code or is_code(code)
