"""Pusher frames of three servers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.workers.vms.pusher import ANSWER_S, PING_S, Pusher, ending, path_of
from agent.workers.vms.signals import Noted, Opened, Pushed, Rejected, Signal, Subscribed

HELLO = (
    '{"event":"pusher:connection_established","data":"{\\"socket_id\\":\\"1.2\\",\\"activity_timeout\\":30}"}'
)


def opened() -> Pusher:
    pusher = Pusher(0)
    assert pusher.receive(HELLO, 0) == [Opened("1.2")]
    return pusher


def told(event: str, **frame: Any) -> list[Signal]:
    return opened().receive(json.dumps({"event": event} | frame), 1)


def test_where_it_connects() -> None:
    assert (
        path_of("/ws", "a key/1") == "/ws/app/a%20key%2F1?protocol=7&client=portero&version=0.1.0&flash=false"
    )
    assert path_of("", "k").startswith("/app/k?")


def test_data_as_text_or_as_an_object() -> None:
    for data in ('{"a":1}', {"a": 1}):
        assert told("App\\Events\\UserPush", channel="private-user.7", data=data) == [
            Pushed("private-user.7", "App\\Events\\UserPush", {"a": 1})
        ]
    assert told("x", channel="c", data="no JSON") == [Pushed("c", "x", "no JSON")]
    assert Pusher(0).receive(HELLO.replace('"{', "{").replace('}"}', "}}").replace("\\", ""), 0) == [
        Opened("1.2")
    ]


def test_subscriptions() -> None:
    assert told("pusher_internal:subscription_succeeded", channel="c") == [Subscribed("c")]
    assert told("pusher_internal:subscription_succeeded", channel="c", data="{}") == [Subscribed("c")]
    error = {"type": "AuthError", "error": "no", "status": 401}
    assert told("pusher:subscription_error", channel="c", data=error) == [Rejected("c", 401)]
    reverb = told("pusher:error", data='{"code":4009,"message":"unauthorized"}')
    assert Rejected("", 403) in reverb


def test_an_error_that_is_not_followed_by_a_close_is_information() -> None:
    assert told("pusher:error", data={"code": 4200, "message": "?"}) == [Noted("error 4200: ?")]
    assert told("pusher:error", data={"code": 4301, "message": "slow down"}) == [
        Noted("error 4301: slow down")
    ]


def test_an_error_before_the_greeting_is_the_end() -> None:
    pusher = Pusher(0)
    with pytest.raises(MalformedMessage, match="4001"):
        pusher.receive('{"event":"pusher:error","data":{"code":4001,"message":"no app"}}', 0)
    assert pusher.last_error == 4001


def test_what_concerns_nobody() -> None:
    for event in ("pusher_internal:member_added", "client-typing", "pusher:cache_miss"):
        assert told(event, channel="c", data={}) == []
    assert told("App\\Events\\X", data={}) == []


def test_what_goes_out() -> None:
    pusher = opened()
    pusher.subscribe("private-user.7", "key:sig")
    pusher.subscribe("public", "")
    pusher.unsubscribe("public")
    assert [json.loads(text) for text in pusher.send] == [
        {"event": "pusher:subscribe", "data": {"channel": "private-user.7", "auth": "key:sig"}},
        {"event": "pusher:subscribe", "data": {"channel": "public"}},
        {"event": "pusher:unsubscribe", "data": {"channel": "public"}},
    ]


def test_pings_of_both_sides() -> None:
    pusher = opened()
    pusher.receive('{"event":"pusher:ping"}', 5)
    assert json.loads(pusher.send.pop())["event"] == "pusher:pong"
    assert pusher.due_at() == 5 + PING_S
    assert pusher.tick(5 + PING_S - 1)
    assert pusher.send == []
    assert pusher.tick(5 + PING_S)
    assert json.loads(pusher.send.pop()) == {"event": "pusher:ping", "data": {}}
    assert pusher.tick(5 + PING_S + ANSWER_S - 1)
    assert not pusher.tick(5 + PING_S + ANSWER_S)
    pusher.receive('{"event":"pusher:pong"}', 6 + PING_S)
    assert pusher.tick(6 + 2 * PING_S - 1)


def test_a_server_that_is_more_impatient() -> None:
    pusher = Pusher(0)
    pusher.receive(HELLO.replace("30}", "12}"), 0)
    assert pusher.due_at() == 12


@pytest.mark.parametrize(
    ("code", "error", "status", "after", "refused"),
    [
        (4001, None, None, "slowly", True), (4009, None, None, "slowly", True),
        (1000, 4001, None, "slowly", True), (4100, None, None, "soon", False),
        (4200, 4200, None, "at_once", False), (4201, None, None, "at_once", False),
        (1006, None, None, "soon", False), (None, None, None, "soon", False),
        (None, None, 404, "slowly", True), (None, None, 502, "soon", False),
        (4302, None, None, "soon", False),
    ],
)  # fmt: skip
def test_what_an_end_means(
    code: int | None, error: int | None, status: int | None, after: str, refused: bool
) -> None:
    found = ending(code, error, status)
    assert (found.after, found.refused) == (after, refused)


def test_a_server_that_wants_tls() -> None:
    assert ending(4000, None, None).tls


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"event":1}', "x", '{"event":"pusher:connection_established"}',
             '{"event":"pusher:connection_established","data":{"socket_id":5}}', "[" * 5000],
)  # fmt: skip
def test_what_is_no_frame(text: str) -> None:
    with pytest.raises(MalformedMessage):
        Pusher(0).receive(text, 0)


@given(
    st.text(max_size=200) | st.binary(max_size=99).map(lambda data: data.decode("utf-8", "surrogateescape"))
)
def test_any_text(text: str) -> None:
    try:
        opened().receive(text, 1)
    except MalformedMessage:
        pass


@given(st.text(max_size=30), st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers())))
def test_any_event_and_data(event: str, data: Any) -> None:
    for pusher in (Pusher(0), opened()):
        try:
            pusher.receive(json.dumps({"event": event, "channel": "c", "data": data}), 1)
            pusher.receive(json.dumps({"event": "pusher:error", "data": data}), 1)
        except MalformedMessage:
            pass
