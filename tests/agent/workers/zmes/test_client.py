"""The client against servers that behave like the real ones, in memory, with a clock that jumps."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from harness.event_server import EventServer, MemoryPeer
from harness.observer import Observer
from harness.upstream import PASSWORD, alarm_frame, configured, drain, upstream, welcome

from agent.model.errors import AuthenticationError, ConfigError, PeerError
from agent.model.events import CameraAlarm
from agent.workers.zmes import client
from agent.workers.zmes.client_intake import Intake
from agent.workers.zmes.config import UpstreamConfig


@pytest.fixture
def observer(tmp_path: Path) -> Observer:
    return Observer(tmp_path)


@pytest.fixture
def config(tmp_path: Path) -> UpstreamConfig:
    return configured(tmp_path)


@pytest.mark.parametrize("brand", ["6.1.29", "7.0.24"])
async def test_logs_in_filters_and_reports(
    brand: Any, observer: Observer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    modern = brand != "6.1.29"
    server = EventServer(brand, password=PASSWORD, numeric_ids=modern, picture=modern)
    config = configured(tmp_path, monitors=["1", "4"])
    async with upstream(monkeypatch, server.serve) as network, trio.open_nursery() as nursery:
        nursery.start_soon(client.follow, config, observer.context)
        await observer.until(lambda: observer.page.get("upstream.zm.state") == "following")
        await server.until(lambda: server.filters == [("1,4", "0,0")])
        await server.alarm(1, 5060, "Hof ü", "Motion: Tür")
        await server.alarm(2, 5061, "Elsewhere", "Motion")
        await server.alarm(1, 5060, "Hof ü", "Motion: Tür", ended=True)
        await observer.until(lambda: len(observer.alarms) == 2)
        nursery.cancel_scope.cancel()
    begun = CameraAlarm(source="zm", monitor_id="1", monitor="Hof ü", cause="Motion: Tür", event_id="5060")
    assert observer.alarms == [begun, msgspec.structs.replace(begun, ended=True)]
    assert server.received[0] == {
        "event": "auth",
        "category": "normal",
        "data": {"user": "admin", "password": PASSWORD, "appversion": "portero"},
    }
    assert observer.page["upstream.zm.version"] == brand
    assert observer.page["upstream.zm.alarms"] == 2
    assert str(observer.page["upstream.zm.last_alarm"]).endswith("+00:00 end Hof ü: Motion: Tür")
    assert observer.shown("upstream.zm.state") == ["connecting", "authenticating", "following", "offline"]
    assert network.asked[0]["url"] == "ws://127.0.0.1:9000/"
    assert network.asked[0]["ssl_context"] is None


async def test_without_monitors_there_is_no_filter(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    server = EventServer(password=PASSWORD)
    async with upstream(monkeypatch, server.serve), trio.open_nursery() as nursery:
        nursery.start_soon(client.follow, config, observer.context)
        await server.until(lambda: server.listeners == 1)
        await trio.sleep(30)
        nursery.cancel_scope.cancel()
    assert [message["event"] for message in server.received] == ["auth"]


async def test_end_prefixes_pile_up_over_listeners_and_come_off(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    server = EventServer(password=PASSWORD)
    async with upstream(monkeypatch, server.serve), trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(client.follow, config, observer.context)
        await server.until(lambda: server.listeners == 3)
        await server.alarm(1, 7, "Yard", "Motion", ended=True)
        await observer.until(lambda: len(observer.alarms) == 3)
        nursery.cancel_scope.cancel()
    assert {(alarm.cause, alarm.ended) for alarm in observer.alarms} == {("Motion", True)}


async def test_refused_credentials_park(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    server = EventServer(password="another")
    async with upstream(monkeypatch, server.serve) as network:
        with pytest.raises(AuthenticationError, match="BADAUTH") as caught:
            await client.follow(config, observer.context)
        assert network.peers[0].left
    assert PASSWORD not in str(caught.value)
    assert observer.page["upstream.zm.state"] == "refused"
    assert trio.current_time() < 1e9


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ({"event": "auth", "status": "Fail", "reason": "NOAUTH"}, PeerError),
        ({"event": "auth", "status": "Fail", "reason": "ESCONTROLDISABLED"}, AuthenticationError),
        ({"event": "auth", "status": "Fail"}, AuthenticationError),
        ({"event": "auth"}, AuthenticationError),
    ],
)
async def test_each_refusal_has_its_consequence(
    reply: dict[str, str],
    kind: type[Exception],
    observer: Observer,
    config: UpstreamConfig,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: object,
) -> None:
    async def refuse(peer: MemoryPeer) -> None:
        await peer.receive()
        await peer.send(json.dumps(reply))
        await drain(peer)

    async with upstream(monkeypatch, refuse):
        with pytest.raises(kind):
            await client.follow(config, observer.context)


async def test_a_refusal_in_mid_session_counts_too(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    async def revoke(peer: MemoryPeer) -> None:
        await welcome(peer)
        await peer.send('{"event":"auth","type":"","status":"Fail","reason":"BADAUTH"}')
        await drain(peer)

    async with upstream(monkeypatch, revoke):
        with pytest.raises(AuthenticationError):
            await client.follow(config, observer.context)


async def test_no_answer_to_auth_is_waited_for_twenty_seconds(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    async def chatter(peer: MemoryPeer) -> None:
        # Other talk is no answer, and does not make the client wait longer.
        while True:
            await trio.sleep(3)
            await peer.send('{"event":"news"}')
            await peer.send(alarm_frame(1))

    async with upstream(monkeypatch, chatter):
        begun = trio.current_time()
        with pytest.raises(PeerError, match="no answer to auth within 20 s"):
            await client.follow(config, observer.context)
    assert trio.current_time() - begun == pytest.approx(20)
    assert observer.alarms == []
    assert observer.page["upstream.zm.ignored"] == 12


async def test_a_server_that_never_pongs_is_kept_for_hours(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    server = EventServer(password=PASSWORD)
    async with upstream(monkeypatch, server.serve) as network, trio.open_nursery() as nursery:
        nursery.start_soon(client.follow, config, observer.context)
        await server.until(lambda: server.listeners == 1)
        await trio.sleep(3 * 3600 + 1)
        asked = [message for message in server.received if message["event"] == "control"]
        assert len(network.peers) == 1
        assert len(asked) == 180
        nursery.cancel_scope.cancel()


async def test_silence_ends_it_within_seventy_seconds(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    server = EventServer(password=PASSWORD)
    async with upstream(monkeypatch, server.serve), trio.open_nursery() as nursery:

        async def hush() -> None:
            await server.until(lambda: server.listeners == 1)
            server.silent = True

        nursery.start_soon(hush)
        begun = trio.current_time()
        with pytest.raises(PeerError, match="no answer to control version within 10 s"):
            await client.follow(config, observer.context)
    assert trio.current_time() - begun == pytest.approx(70)


async def test_a_server_that_forgot_us_is_left_although_it_can_still_complain(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    async def deaf(peer: MemoryPeer) -> None:
        await welcome(peer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain, peer)
            while True:
                await trio.sleep(7)
                await peer.ping()
                await peer.send('{"event":"malformed","type":"","status":"Fail","reason":"BADJSON"}')

    async with upstream(monkeypatch, deaf):
        begun = trio.current_time()
        with pytest.raises(PeerError, match="no answer to control version"):
            await client.follow(config, observer.context)
    assert trio.current_time() - begun == pytest.approx(70)


async def test_alarms_prove_life_and_save_the_question(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    server = EventServer(password=PASSWORD)
    async with upstream(monkeypatch, server.serve), trio.open_nursery() as nursery:
        nursery.start_soon(client.follow, config, observer.context)
        await server.until(lambda: server.listeners == 1)
        for number in range(10):
            await trio.sleep(59)
            await server.alarm(1, number, "Yard", "Motion")
        assert [message["event"] for message in server.received] == ["auth"]
        nursery.cancel_scope.cancel()
    assert len(observer.alarms) == 10


async def test_a_slow_answer_is_an_answer_and_sets_the_version(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    async def slow(peer: MemoryPeer) -> None:
        await trio.sleep(19)
        await welcome(peer)
        while True:
            assert "version" in await peer.receive()
            await trio.sleep(9.9)
            await peer.send('{"event":"control","type:":"version","status":"Success","version":"7.1.0"}')

    async with upstream(monkeypatch, slow), trio.open_nursery() as nursery:
        nursery.start_soon(client.follow, config, observer.context)
        await trio.sleep(1000)
        assert observer.page["upstream.zm.state"] == "following"
        assert observer.page["upstream.zm.version"] == "7.1.0"
        nursery.cancel_scope.cancel()


async def test_a_server_that_does_not_read_is_given_up(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    async def stall(peer: MemoryPeer) -> None:
        await welcome(peer)
        peer.stalled = True
        await trio.sleep_forever()

    async with upstream(monkeypatch, stall):
        with pytest.raises(PeerError, match="did not take"):
            await client.follow(config, observer.context)


@pytest.mark.parametrize("end", ["restart", "die"])
async def test_reconnects_and_tells_nothing_twice(
    end: str,
    observer: Observer,
    config: UpstreamConfig,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: object,
) -> None:
    server = EventServer(password=PASSWORD)
    intake = Intake()
    async with upstream(monkeypatch, server.serve) as network, trio.open_nursery() as nursery:
        nursery.start_soon(
            observer.context.supervise,
            "upstream.zm",
            lambda: client.follow(config, observer.context, intake=intake),
        )
        await server.until(lambda: server.listeners == 1)
        await server.alarm(1, 1, "Yard", "Motion", times=3)
        await observer.until(lambda: len(observer.alarms) == 1)
        network.unreachable = True
        await (server.restart() if end == "restart" else server.die())
        await observer.until(lambda: observer.page["upstream.zm.state"] == "offline")
        await trio.sleep(100)
        network.unreachable = False
        await server.until(lambda: server.listeners == 1)
        await server.alarm(1, 1, "Yard", "Motion")
        await server.alarm(1, 2, "Yard", "Motion")
        await observer.until(lambda: len(observer.alarms) == 2)
        nursery.cancel_scope.cancel()
    assert [alarm.event_id for alarm in observer.alarms] == ["1", "2"]
    assert intake.counts.duplicates == 3
    assert len(network.peers) == 2
    assert 5 < len(network.asked) < 20


async def test_a_missing_secret_is_the_operators_mistake(
    observer: Observer, config: UpstreamConfig, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    Path(config.password_file).unlink()
    async with upstream(monkeypatch, drain) as network:
        with pytest.raises(ConfigError, match=r"workers\.zmes\.upstream\.zm\.password_file"):
            await client.follow(config, observer.context)
        assert network.asked == []


async def test_an_address_that_cannot_be_is_the_operators_mistake(observer: Observer, tmp_path: Path) -> None:
    config = configured(tmp_path, url="ws://türe.example:9000/")
    with pytest.raises(ConfigError, match=r"workers\.zmes\.upstream\.zm\.url"):
        await client.follow(config, observer.context)


async def test_can_be_cancelled_at_every_await(
    observer: Observer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: object
) -> None:
    config = configured(tmp_path, monitors=["1"])

    async def talk(peer: MemoryPeer) -> None:
        await welcome(peer)
        await peer.receive()
        for number in range(3):
            await peer.send(alarm_frame(number))
        assert "version" in await peer.receive()
        await peer.send('{"event":"control","type":"version","status":"Success","version":"1"}')
        await drain(peer)

    steps = 0
    while True:
        async with upstream(monkeypatch, talk) as network:
            with trio.CancelScope() as scope:
                abort = _CancelAtStep(scope, steps)
                trio.lowlevel.add_instrument(abort)
                try:
                    with trio.move_on_after(100):
                        await client.follow(config, observer.context)
                finally:
                    trio.lowlevel.remove_instrument(abort)
            assert all(peer.left for peer in network.peers)
        assert observer.page["upstream.zm.state"] == "offline"
        if not abort.struck:
            break
        steps += 1
    assert steps > 8


class _CancelAtStep(trio.abc.Instrument):
    """Cancels a scope before the n-th step of the task that made this."""

    def __init__(self, scope: trio.CancelScope, steps: float = math.inf) -> None:
        self._task = trio.lowlevel.current_task()
        self._scope = scope
        self._left = steps
        self.struck = False

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        if task is not self._task or self.struck:
            return
        if self._left <= 0:
            self.struck = True
            self._scope.cancel()
        self._left -= 1
