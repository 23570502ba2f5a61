from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.workers.zmes.tokens import MAX_TOKENS, Registration, TokenStore, decode_tokens, encode_tokens

FULL = Registration(
    platform="ios", enabled=False, monlist="1,2", intlist="0,60", appversion="1.7.008", profile="Home",
    count=3, at=10, account="ana",
)  # fmt: skip
FULL_PLAIN: dict[str, Any] = {
    "monlist": "1,2", "intlist": "0,60", "platform": "ios", "pushstate": "disabled", "appversion": "1.7.008",
    "invocations": {"count": 3, "at": 10}, "profile": "Home", "account": "ana",
}  # fmt: skip


def store_of(**registrations: Registration) -> tuple[TokenStore, list[str]]:
    changes: list[str] = []
    return TokenStore(registrations, lambda: changes.append("changed")), changes


def test_the_file_has_the_servers_shape() -> None:
    assert json.loads(encode_tokens({"a:b": FULL})) == {"tokens": {"a:b": FULL_PLAIN}}
    assert decode_tokens(encode_tokens({"a:b": FULL})) == {"a:b": FULL}
    assert decode_tokens(b'{"tokens":{}}') == {}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, Registration(platform="")),
        ({"monlist": "-1", "intlist": "-1"}, Registration(platform="")),
        ({"pushstate": "odd", "platform": 5}, Registration(platform="5")),
        ({"invocations": {"count": "12", "at": "3"}}, Registration(platform="", count=12, at=3)),
        ({"invocations": {"count": -4, "at": 99}}, Registration(platform="", count=0, at=11)),
        ({"invocations": 5, "extra": [1]}, Registration(platform="")),
        ({"invocations": {"count": "x"}}, Registration(platform="")),
    ],
)
def test_entries_of_other_servers(entry: dict[str, Any], expected: Registration) -> None:
    assert decode_tokens(json.dumps({"tokens": {"t": entry}}).encode()) == {"t": expected}


@pytest.mark.parametrize("token", ["", "x" * 1025, "a\nb"])
def test_impossible_tokens_are_left_out(token: str) -> None:
    data = json.dumps({"tokens": {token: {}, "good": {}, "odd": 5}}).encode()
    assert list(decode_tokens(data)) == ["good"]


def test_the_format_before_json() -> None:
    data = b"""
APA91:x-Y:1,2:0,60:android:enabled

second::::
third:-1:-1:ios:disabled
third:3:5:ios:strange
no line at all
"""
    assert decode_tokens(data) == {
        "APA91:x-Y": Registration(platform="android", monlist="1,2", intlist="0,60"),
        "second": Registration(platform=""),
        "third": Registration(platform="ios", monlist="3", intlist="5"),
    }


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b'{"tokens":{"a', b"[]", b'{"tokens":[]}', b"{}", b"garbage", b"\xff\xfe:::::"]
)
def test_files_that_make_no_sense(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_tokens(data)


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f'{{"tokens":{{{text}}}}}'.encode()))
def test_any_file(data: bytes) -> None:
    try:
        decode_tokens(data)
    except MalformedMessage:
        pass


def test_registering_again_keeps_what_was_not_said() -> None:
    tokens, changes = store_of(t=FULL)
    tokens.register("t", platform="android", enabled=True, monlist="", intlist="")
    assert tokens.get("t") == Registration(
        platform="android", appversion="1.7.008", profile="Home", count=3, at=10
    )
    tokens.register(
        "t", platform="android", enabled=True, monlist="4", intlist="5", appversion="2", profile="P"
    )
    registration = tokens.get("t")
    assert registration is not None
    assert (registration.appversion, registration.profile, registration.monlist) == ("2", "P", "4")
    assert len(changes) == 2


def test_the_oldest_registration_gives_way() -> None:
    tokens, _ = store_of()
    for number in range(MAX_TOKENS):
        tokens.register(f"t{number}", platform="ios", enabled=True, monlist="", intlist="")
    tokens.register("t0", platform="ios", enabled=True, monlist="", intlist="")
    tokens.register("new", platform="ios", enabled=True, monlist="", intlist="")
    assert len(tokens) == MAX_TOKENS
    assert "t1" not in tokens
    assert "t0" in tokens
    assert "new" in tokens


def test_a_file_with_too_many_phones_is_cut() -> None:
    tokens = TokenStore({f"t{n}": Registration(platform="") for n in range(MAX_TOKENS + 5)}, lambda: None)
    assert len(tokens) == MAX_TOKENS
    assert "t4" not in tokens


def test_pushes_are_counted_per_month() -> None:
    tokens, changes = store_of(t=Registration(platform="ios", count=8, at=4))
    assert tokens.count_push("t", month=4, limit=10)
    assert tokens.count_push("t", month=4, limit=10)
    assert not tokens.count_push("t", month=4, limit=10)
    assert tokens.count_push("t", month=5, limit=10)
    assert not tokens.count_push("unknown", month=5, limit=10)
    registration = tokens.get("t")
    assert registration is not None
    assert (registration.count, registration.at) == (1, 5)
    assert len(changes) == 3


def test_badges_count_up_from_what_the_phone_said() -> None:
    tokens, changes = store_of(t=FULL)
    assert [tokens.next_badge("t"), tokens.next_badge("t")] == [1, 2]
    tokens.set_badge("t", 0)
    assert tokens.next_badge("t") == 1
    tokens.set_badge("unknown", 5)
    assert tokens.next_badge("unknown") == 1
    assert changes == []


def test_filters_and_disabling() -> None:
    tokens, changes = store_of(t=FULL)
    tokens.set_filter("t", "9", "8")
    tokens.disable("t")
    tokens.disable("unknown")
    registration = tokens.get("t")
    assert registration is not None
    assert (registration.monlist, registration.intlist, registration.enabled) == ("9", "8", False)
    assert len(changes) == 2
    assert json.loads(tokens.to_bytes())["tokens"]["t"]["monlist"] == "9"


def test_an_account_and_its_phones() -> None:
    tokens, changes = store_of(brought=Registration(platform="ios"))
    for token, account in (("a", "ana"), ("b", "ben"), ("c", "ana")):
        tokens.register(token, platform="ios", enabled=True, monlist="", intlist="", account=account)
    tokens.register("c", platform="ios", enabled=True, monlist="", intlist="", account="ben")
    changes.clear()
    tokens.forget_account("ana")
    assert (list(tokens), changes) == (["brought", "b", "c"], ["changed"])
    tokens.forget_account("nobody")
    assert changes == ["changed"]
