from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.workers.zmes.wire import (
    MAX_MESSAGE_BYTES,
    MAX_MONITORS,
    TRANSITIONS,
    Auth,
    ControlOther,
    EsControl,
    Filter,
    Message,
    PushBadge,
    PushOther,
    PushToken,
    State,
    Step,
    Unknown,
    Version,
    decode,
    encode_request,
)

BOTH_WAYS: list[tuple[str, Message]] = [
    (
        '{"event":"auth","category":"normal","data":{"user":"u","password":"p","appversion":"1.8"}}',
        Auth(user="u", password="p", appversion="1.8"),
    ),
    (
        '{"event":"auth","category":"normal","data":{"user":"u","password":"p","appversion":"1.8",'
        '"monlist":"1,2","intlist":"0,60"}}',
        Auth(user="u", password="p", appversion="1.8", monlist="1,2", intlist="0,60"),
    ),
    (
        '{"event":"auth","category":"escontrol","data":{"password":"p"}}',
        Auth(password="p", category="escontrol"),
    ),
    ('{"event":"control","data":{"type":"version"}}', Version()),
    ('{"event":"control","data":{"type":"filter"}}', Filter()),
    (
        '{"event":"control","data":{"type":"filter","monlist":"1","intlist":"60"}}',
        Filter(monlist="1", intlist="60"),
    ),
    (
        '{"event":"control","data":{"type":"filter","monlist":"","intlist":""}}',
        Filter(monlist="", intlist=""),
    ),
    ('{"event":"control"}', ControlOther()),
    (
        '{"event":"push","data":{"type":"token","platform":"ios","token":"t:1","state":"enabled"}}',
        PushToken(platform="ios", token="t:1"),
    ),
    (
        '{"event":"push","data":{"type":"token","platform":"android","token":"t","state":"disabled",'
        '"monlist":"1","intlist":"0","profile":"Home","appversion":"1.8"}}',
        PushToken(
            platform="android", token="t", enabled=False, monlist="1", intlist="0", profile="Home",
            appversion="1.8",
        ),
    ),
    ('{"event":"push","data":{"type":"badge","badge":3},"token":"t"}', PushBadge(badge=3, token="t")),
    ('{"event":"push"}', PushOther()),
    (
        '{"event":"escontrol","data":{"command":"get"}}',
        EsControl(request={"event": "escontrol", "data": {"command": "get"}}, command="get"),
    ),
    (
        '{"event":"escontrol","data":{"command":"mute","monitors":[2,"4"]}}',
        EsControl(
            request={"event": "escontrol", "data": {"command": "mute", "monitors": [2, "4"]}},
            command="mute",
            monitors=("2", "4"),
        ),
    ),
    (
        '{"event":"escontrol","data":{"command":"edit","key":"k","val":"no"}}',
        EsControl(
            request={"event": "escontrol", "data": {"command": "edit", "key": "k", "val": "no"}},
            command="edit",
            key="k",
            val="no",
        ),
    ),
    ('{"event":"dance"}', Unknown("dance")),
]  # fmt: skip

ONLY_IN: list[tuple[str, str, Message]] = [
    ("extra keys", '{"event":"control","token":"","x":1,"data":{"type":"version","y":[]}}', Version()),
    ("raw utf-8", '{"event":"auth","data":{"user":"jürgen","password":"пароль"}}',
     Auth(user="jürgen", password="пароль")),
    ("escapes", '{"event":"auth","data":{"user":"j\\u00fcrgen","password":"\\ud83d\\ude00"}}',
     Auth(user="jürgen", password="😀")),
    ("last duplicate wins", '{"event":"auth","event":"control","data":{"type":"version"}}', Version()),
    ("numbers as text", '{"event":"auth","data":{"user":7,"password":1.5}}', Auth(user="7", password="1.5")),
    ("whole float", '{"event":"auth","data":{"user":7.0,"password":"p"}}', Auth(user="7", password="p")),
    ("bools as text", '{"event":"auth","data":{"user":true,"password":false}}', Auth(user="1", password="")),
    ("user is a list", '{"event":"auth","data":{"user":["u"],"password":"p"}}', Auth(password="p")),
    ("no data", '{"event":"auth"}', Auth()),
    ("data null", '{"event":"auth","data":null}', Auth()),
    ("data false", '{"event":"auth","data":false}', Auth()),
    ("category null", '{"event":"auth","category":null,"data":{}}', Auth()),
    ("category other", '{"event":"auth","category":"ESCONTROL","data":{}}', Auth()),
    ("category inside data", '{"event":"auth","data":{"category":"escontrol"}}', Auth()),
    ("lists as lists", '{"event":"auth","data":{"monlist":[1,"2"],"intlist":[0,60.5]}}',
     Auth(monlist="1,2", intlist="0,60.5")),
    ("list as number", '{"event":"auth","data":{"monlist":5}}', Auth(monlist="5")),
    ("list as object", '{"event":"auth","data":{"monlist":{"a":1}}}', Auth()),
    ("filter null", '{"event":"control","data":{"type":"filter","monlist":null,"intlist":null}}',
     Filter(monlist="", intlist="")),
    ("control type unknown", '{"event":"control","data":{"type":"dance"}}', ControlOther()),
    ("control type a list", '{"event":"control","data":{"type":[]}}', ControlOther()),
    ("token without anything", '{"event":"push","data":{"type":"token"}}', PushToken()),
    ("state empty", '{"event":"push","data":{"type":"token","token":"t","state":""}}', PushToken(token="t")),
    ("state odd", '{"event":"push","data":{"type":"token","token":"t","state":"off"}}', PushToken(token="t")),
    ("lists never set", '{"event":"push","data":{"type":"token","token":"t","monlist":"-1","intlist":""}}',
     PushToken(token="t")),
    ("badge text", '{"event":"push","data":{"type":"badge","badge":"0"}}', PushBadge(badge=0)),
    ("badge negative", '{"event":"push","data":{"type":"badge","badge":-4}}', PushBadge(badge=0)),
    ("badge huge", '{"event":"push","data":{"type":"badge","badge":1e17}}', PushBadge(badge=1_000_000)),
    ("badge no number", '{"event":"push","data":{"type":"badge","badge":"x"}}', PushOther()),
    ("badge infinite", '{"event":"push","data":{"type":"badge","badge":"inf"}}', PushOther()),
    ("push type unknown", '{"event":"push","data":{"type":"dance"}}', PushOther()),
    ("escontrol without data", '{"event":"escontrol"}',
     EsControl(request={"event": "escontrol"}, has_data=False)),
    ("escontrol data false", '{"event":"escontrol","data":false}',
     EsControl(request={"event": "escontrol", "data": False}, has_data=False)),
    ("command a number", '{"event":"escontrol","data":{"command":5}}',
     EsControl(request={"event": "escontrol", "data": {"command": 5}})),
    ("event missing", "{}", Unknown(None)),
    ("event a list", '{"event":["auth"]}', Unknown(["auth"])),
]  # fmt: skip

MONITORS: list[tuple[str, tuple[str, ...] | None]] = [
    ("null", None),
    ("0", None),
    ('""', None),
    ("false", None),
    ("[]", ()),
    ('[1,"1",1.0]', ("1", "1", "1")),
    ('["front door",-3,1.5,null]', ("front door", "-3", "1.5", "")),
]

GARBAGE: list[tuple[str, str | bytes]] = [
    ("empty", ""),
    ("not json", "hello"),
    ("truncated", '{"event":"auth"'),
    ("trailing garbage", '{"event":"control"} x'),
    ("byte order mark", "\ufeff{}"),
    ("array", "[]"),
    ("string", '"auth"'),
    ("number", "5"),
    ("true", "true"),
    ("null", "null"),
    ("invalid utf-8", b'{"event":"\xff"}'),
    ("lone surrogate", '{"event":"\ud800"}'),
    ("lone surrogate escaped", '{"event":"\\ud800"}'),
    ("data a string", '{"event":"auth","data":"u"}'),
    ("data an empty string", '{"event":"control","data":""}'),
    ("data a number", '{"event":"escontrol","data":5}'),
    ("data zero", '{"event":"escontrol","data":0}'),
    ("data an array", '{"event":"push","data":[]}'),
    ("data true", '{"event":"auth","data":true}'),
    ("monitors a string", '{"event":"escontrol","data":{"command":"mute","monitors":"1"}}'),
    ("monitors a number", '{"event":"escontrol","data":{"command":"mute","monitors":1}}'),
    ("monitors true", '{"event":"escontrol","data":{"command":"unmute","monitors":true}}'),
    ("monitors an object", '{"event":"escontrol","data":{"command":"mute","monitors":{"1":1}}}'),
    ("monitors nested", '{"event":"escontrol","data":{"command":"mute","monitors":[[1]]}}'),
    ("monitors many", json.dumps(
        {"event": "escontrol", "data": {"command": "mute", "monitors": list(range(MAX_MONITORS + 1))}}
    )),
    ("monitor id long", json.dumps(
        {"event": "escontrol", "data": {"command": "mute", "monitors": ["x" * 129]}}
    )),
    ("deep", '{"event":' + "[" * 20 + "]" * 20 + "}"),
    ("too long", '{"event":"' + "x" * MAX_MESSAGE_BYTES + '"}'),
    ("user too long", json.dumps({"event": "auth", "data": {"user": "x" * 257}})),
    ("password too long", json.dumps({"event": "auth", "data": {"password": "x" * 1025}})),
    ("token too long", json.dumps({"event": "push", "data": {"type": "token", "token": "x" * 1025}})),
    ("list too long", json.dumps({"event": "auth", "data": {"monlist": "1," * 2049}})),
    ("number too long", '{"event":"auth","data":{"user":' + "9" * 5000 + "}}"),
    ("number out of range", '{"event":1e999}'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BOTH_WAYS, ids=[text[:60] for text, _ in BOTH_WAYS])
def test_every_message_both_ways(text: str, message: Message) -> None:
    assert decode(text) == message
    assert decode(text.encode()) == message
    assert json.loads(encode_request(message)) == json.loads(text)


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in ONLY_IN], ids=[row[0] for row in ONLY_IN])
def test_what_is_tolerated(text: str, message: Message) -> None:
    assert decode(text) == message


@pytest.mark.parametrize(("monitors", "expected"), MONITORS)
def test_monitors_of_a_mute(monitors: str, expected: tuple[str, ...] | None) -> None:
    message = decode(f'{{"event":"escontrol","data":{{"command":"mute","monitors":{monitors}}}}}')
    assert isinstance(message, EsControl)
    assert message.monitors == expected


def test_only_mutes_look_at_monitors() -> None:
    message = decode('{"event":"escontrol","data":{"command":"get","monitors":"x"}}')
    assert isinstance(message, EsControl)
    assert message.monitors is None


@pytest.mark.parametrize("text", [row[1] for row in GARBAGE], ids=[row[0] for row in GARBAGE])
def test_garbage_is_malformed(text: str | bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode(text)


@pytest.mark.parametrize(
    "message",
    [Auth(user="u", password="hunter2"), PushToken(token="hunter2"), PushBadge(badge=1, token="hunter2")],
)
def test_secrets_are_not_in_reprs(message: Message) -> None:
    assert "hunter2" not in repr(message)


def _json(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=6,
    )


VALUES = _json(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20))
FIELDS = (
    "user", "password", "monlist", "intlist", "token", "platform", "state", "badge", "monitors", "key", "val",
    "profile", "appversion",
)  # fmt: skip
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from(["auth", "control", "push", "escontrol", "x"]) | VALUES,
        "category": st.just("escontrol") | VALUES,
        "token": VALUES,
        "data": VALUES
        | st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(["version", "filter", "token", "badge"]) | VALUES,
                "command": st.sampled_from(["get", "mute", "unmute", "edit"]) | VALUES,
                **dict.fromkeys(FIELDS, VALUES),
            },
        ),
    },
)  # fmt: skip


@given(st.binary(max_size=200) | st.text(max_size=200))
@settings(max_examples=300)
def test_any_bytes_or_text(data: bytes | str) -> None:
    try:
        decode(data)
    except MalformedMessage:
        pass


@given(NEARLY)
@settings(max_examples=300)
def test_any_nearly_right_message(value: dict[str, Any]) -> None:
    try:
        message = decode(json.dumps(value))
    except MalformedMessage:
        return
    again = json.loads(encode_request(message))
    if isinstance(message, EsControl | Unknown):
        assert decode(json.dumps(again)) == message


def test_every_open_state_can_time_out_or_end() -> None:
    for state in State:
        assert TRANSITIONS[state, Step.ENDED] is State.CLOSED
    for state in (State.PENDING_AUTH, State.GRACE):
        assert TRANSITIONS[state, Step.TIMED_OUT] is State.CLOSED
    for state in (State.PENDING_AUTH, State.GRACE, State.VALID):
        assert TRANSITIONS[state, Step.AUTHENTICATED] is State.VALID
        assert TRANSITIONS[state, Step.REFUSED] is State.GRACE
    assert (State.VALID, Step.TIMED_OUT) not in TRANSITIONS
    assert [step for state, step in TRANSITIONS if state is State.CLOSED] == [Step.ENDED]
