from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.wire.json import MAX_DEPTH, check_limits, decode_any, decode_as

MOST = 4096


class Thing(msgspec.Struct):
    name: str
    number: int = 0
    more: list[Any] = []


THING = msgspec.json.Decoder(Thing)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max([depth_of(inner) for inner in value.values()], default=0)
    if isinstance(value, list):
        return 1 + max([depth_of(inner) for inner in value], default=0)
    return 0


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=30,
)


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_malformed(data: bytes) -> None:
    for decode in (
        lambda: decode_any(data, "t", max_bytes=MOST),
        lambda: decode_as(THING, data, "t", max_bytes=MOST),
    ):
        try:
            decode()
        except MalformedMessage as error:
            assert len(error.reason) <= 201  # noqa: PT017


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='{}[]",:\\ntrue1e9.-u d8', max_size=60))
def test_anything_like_json_is_a_value_or_malformed(text: str) -> None:
    data = text.encode()
    try:
        value = decode_any(data, "t", max_bytes=MOST)
    except MalformedMessage:
        return
    assert value == json.loads(data) or "e" in text


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_what_json_says_is_what_it_means(value: Any) -> None:
    data = json.dumps(value).encode()
    if depth_of(value) > MAX_DEPTH:
        with pytest.raises(MalformedMessage):
            decode_any(data, "t", max_bytes=10**6)
    else:
        assert decode_any(data, "t", max_bytes=10**6) == value


@settings(max_examples=200, deadline=None)
@given(JSON, st.integers(1, 6))
def test_depth_is_counted_exactly(value: Any, limit: int) -> None:
    data = json.dumps(value).encode()
    if depth_of(value) > limit:
        with pytest.raises(MalformedMessage, match=f"nested deeper than {limit}"):
            check_limits(data, "t", 10**6, limit)
    else:
        check_limits(data, "t", 10**6, limit)


def test_brackets_in_a_string_are_text() -> None:
    text = '[{"\\' * 50
    assert decode_any(json.dumps([text]).encode(), "t", max_bytes=MOST) == [text]


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_depth_has_an_end(opening: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    for depth in (MAX_DEPTH, MAX_DEPTH + 1, 2000):
        data = opening * depth + b"1" + closing * depth
        if depth <= MAX_DEPTH:
            decode_any(data, "t", max_bytes=10**6)
        else:
            with pytest.raises(MalformedMessage, match="deeper"):
                decode_any(data, "t", max_bytes=10**6)
    with pytest.raises(MalformedMessage):
        decode_any(opening * 100_000, "t", max_bytes=10**6)
    with pytest.raises(MalformedMessage):
        decode_any(b"]" * 1000 + b"[" * 1010, "t", max_bytes=10**6)


def test_size_has_an_end() -> None:
    assert decode_any(b'"' + b"x" * (MOST - 2) + b'"', "t", max_bytes=MOST)
    with pytest.raises(MalformedMessage, match=f"expected at most {MOST} bytes, got {MOST + 1}"):
        decode_any(b'"' + b"x" * (MOST - 1) + b'"', "t", max_bytes=MOST)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b'{"a":1}{"a":1}',
        b"NaN",
        b"Infinity",
        b"-",
        b"01",
        b"1" * 5000,
        b"1e400",
        b"-1e999999999",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b'{"\xff":1}',
        b'"\\ud800"',
        b'"\\ud800 and more text"',
        b'"\\udc00\\ud800"',
        b'"\\u12"',
        b'"\x00"',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
    ],
)
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode_any(data, "frame", max_bytes=2 * MOST)
    assert str(caught.value).startswith("frame: ")


def test_big_numbers_stay_numbers() -> None:
    assert (
        decode_any(b"123456789012345678901234567890", "t", max_bytes=MOST) == 123456789012345678901234567890
    )
    assert decode_any(b"1e308", "t", max_bytes=MOST) == 1e308
    assert decode_any(b"1e-400", "t", max_bytes=MOST) == 0


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `name`"),
        (b'{"name": 5}', "`$.name`"),
        (b'{"name": "\xff"}', "utf-8"),
        (b'{"name": "a", "number": 1e400}', "range"),
    ],
)
def test_a_typed_value_says_what_was_wrong(data: bytes, text: str) -> None:
    with pytest.raises(MalformedMessage, match=text.replace("$", r"\$")):
        decode_as(THING, data, "frame", max_bytes=MOST)


def test_the_last_of_two_keys_wins() -> None:
    assert decode_any(b'{"a": 1, "a": 2}', "t", max_bytes=MOST) == {"a": 2}


def test_the_exact_scan_is_fast_enough_for_the_largest_message() -> None:
    data = json.dumps([[1]] * 100_000).encode()
    begun = time.perf_counter()
    check_limits(data, "t", 10**6)
    assert time.perf_counter() - begun < 2
