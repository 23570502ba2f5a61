"""socket.io of two generations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.workers.vms.engineio import EngineIo, ending, path_of
from agent.workers.vms.signals import Noted, Opened, Pushed, Rejected

OLD = '0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'
NEW = '0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'


def joined(hello: str = OLD) -> EngineIo:
    line = EngineIo(0)
    assert line.receive(hello, 0) == []
    assert line.receive("40" if hello == OLD else '40{"sid":"b"}', 0) == [Opened()]
    line.send.clear()
    return line


def test_where_it_connects() -> None:
    assert path_of("/socket.io") == "/socket.io/?EIO=4&transport=websocket"
    assert path_of("/ws/") == "/ws/?EIO=4&transport=websocket"


def test_an_older_server_shows_itself() -> None:
    line = EngineIo(0)
    line.receive(OLD, 0)
    assert line.send == []
    line.receive("40", 0)
    assert line.version == 3
    assert line.receive("40", 1) == [], "once is enough"


def test_a_newer_one_is_joined() -> None:
    line = EngineIo(0)
    line.receive(NEW, 0)
    assert (line.version, line.send) == (4, ["40"])


def test_who_pings() -> None:
    line = joined(OLD)
    assert line.due_at() == 25
    assert line.tick(25)
    assert line.send == ["2"]
    line.receive("3", 26)
    assert line.due_at() == 50
    assert not line.tick(26 + 45)
    newer = joined(NEW)
    newer.receive("2", 10)
    assert newer.send == ["3"]
    assert newer.due_at() == 10 + 45
    assert newer.tick(54)
    assert not newer.tick(55)


def test_pushes() -> None:
    line = joined()
    assert line.receive('42["App\\\\Events\\\\UserPush","private-user.7",{"a":1}]', 1) == [
        Pushed("private-user.7", "App\\Events\\UserPush", {"a": 1})
    ]
    assert line.receive('427["x","c",{}]', 1) == [Pushed("c", "x", {})]
    assert line.send == ["437[]"]
    assert line.receive('42/nsp,["x","c",{}]', 1) == [Pushed("c", "x", {})]
    assert line.receive('42["x","c"]', 1) == []


def test_refusals() -> None:
    line = joined()
    assert line.receive('42["subscription_error","private-user.7",401]', 1) == [
        Rejected("private-user.7", 401)
    ]
    assert line.receive('42["subscription_error","private-user.7",0]', 1) == [Rejected("private-user.7", 0)]
    assert line.receive('42["presence:subscribed","c",[]]', 1) == [Noted("presence:subscribed")]


def test_what_concerns_nobody() -> None:
    line = joined()
    for text in ("3", "5", "6", "430[]", '451-["x",{"_placeholder":true,"num":0}]', "4"):
        assert line.receive(text, 1) == []


@pytest.mark.parametrize(
    "text", ["1", "41", '44{"message":"no"}', "7", "", "x", "42{}", "42[]", "42[1]", "0[]", "0x"]
)
def test_the_end_and_nonsense(text: str) -> None:
    with pytest.raises(MalformedMessage):
        joined().receive(text, 1)


def test_what_goes_out() -> None:
    line = joined()
    line.subscribe("private-user.7", {"Authorization": "Bearer x"})
    line.unsubscribe("c")
    assert line.send == [
        '42["subscribe",{"channel":"private-user.7","auth":{"headers":{"Authorization":"Bearer x"}}}]',
        '42["unsubscribe",{"channel":"c","auth":{"headers":{}}}]',
    ]


def test_absurd_intervals_have_bounds() -> None:
    line = EngineIo(0)
    line.receive('0{"pingInterval":1,"pingTimeout":1e99}', 0)
    assert 1 < line.due_at() <= 121 + 1


@pytest.mark.parametrize(("status", "refused"), [(400, True), (404, True), (502, False), (None, False)])
def test_what_an_end_means(status: int | None, refused: bool) -> None:
    assert ending(None, status).refused is refused


@given(st.text(max_size=100), st.sampled_from(["", "0", "40", "42", "42[", '42["x","c",', "3", "2"]))
def test_any_text(text: str, head: str) -> None:
    for line in (EngineIo(0), joined(OLD), joined(NEW)):
        try:
            line.receive(head + text, 1)
        except MalformedMessage:
            pass
        assert line.due_at() > 0
