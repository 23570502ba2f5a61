"""What no transcript shows: load, slowness, cancellation, and what is told to the operator."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import trio
import trio.testing
from harness.context import House
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from agent.bus import EventLog
from agent.model.errors import PeerError
from agent.model.events import ButtonPressed, LightChanged, SirenChanged
from agent.model.principals import Grant
from agent.runtime import EndpointInfo
from agent.workers.zmes import WORKER, session
from agent.workers.zmes.config import ZmesConfig
from agent.workers.zmes.wire import encode_alarm

BELL = EndpointInfo(name="bell", label="Front door", kind="button")
SIREN = EndpointInfo(name="siren", label="Siren", kind="siren")
S = 1_000_000_000
AUTH = '{"event":"auth","data":{"user":"admin","password":"secret"}}'
BAD = '{"event":"auth","data":{"user":"admin","password":"wrong"}}'
VERSION = '{"event":"control","data":{"type":"version"}}'


class Site:
    """A running server and the clients of one test."""

    def __init__(self, house: House, nursery: trio.Nursery, stop: Callable[[], None]) -> None:
        self.house = house
        self.stop = stop
        self._nursery = nursery
        self.streams: list[trio.abc.Stream] = []

    async def client(self, login: bool = True) -> WebSocketConnection:
        url = urlsplit(self.house.ready["zmes"])
        assert url.hostname is not None
        assert url.port is not None
        stream: Any = await trio.open_tcp_stream(url.hostname, url.port)
        self.streams.append(stream)
        if url.scheme == "wss":
            tls = trio.SSLStream(
                stream,
                self.house.tls.client_context(),
                server_hostname=url.hostname,
                https_compatible=True,
            )
            # trio-websocket does not notice when this fails.
            await tls.do_handshake()
            stream = tls
        socket = await wrap_client_stream(self._nursery, stream, url.netloc, "/")
        if login:
            await socket.send_message(AUTH)
            assert (await answer(socket))["status"] == "Success"
        return socket


async def answer(socket: WebSocketConnection) -> dict[str, Any]:
    with trio.fail_after(5):
        found: dict[str, Any] = json.loads(await socket.get_message())
        return found


async def closing(socket: WebSocketConnection) -> int:
    with trio.fail_after(5), pytest.raises(ConnectionClosed) as caught:
        await socket.get_message()
    assert caught.value.reason is not None
    code: int = caught.value.reason.code
    return code


@asynccontextmanager
async def site(tmp_path: Path, log: EventLog | None = None, **server: Any) -> AsyncIterator[Site]:
    house = House(tmp_path, endpoints=(BELL, SIREN), accounts={"admin": ("secret", "resident")}, log=log)
    config = msgspec.convert({"server": server}, ZmesConfig)
    scope = trio.CancelScope()

    async def run(*, task_status: trio.TaskStatus[None]) -> None:
        with scope:
            await WORKER.run(config, house.context("zmes"), task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        place = Site(house, nursery, scope.cancel)
        try:
            yield place
        finally:
            for stream in place.streams:
                await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


async def test_a_password_check_holds_up_nobody_else(tmp_path: Path) -> None:
    async with site(tmp_path) as place:
        happy = await place.client()
        place.house.authenticator.delay_s = 0.5
        waiting = await place.client(login=False)
        # The impatient peer asks three times; its checks are done one after the other.
        for _ in range(3):
            await waiting.send_message(AUTH)
        await trio.sleep(0.05)
        await happy.send_message(VERSION)
        assert (await answer(happy))["type"] == "version"
        place.house.log.publish(ButtonPressed(endpoint="bell"))
        assert (await answer(happy))["event"] == "alarm"
        assert place.house.authenticator.busy == 1
        for _ in range(3):
            assert (await answer(waiting))["status"] == "Success"
        assert place.house.authenticator.busiest == 1


async def test_a_check_under_way_is_not_cut_off_by_the_time_limit(tmp_path: Path) -> None:
    async with site(tmp_path, auth_timeout_s=0.2) as place:
        place.house.authenticator.delay_s = 0.4
        socket = await place.client(login=False)
        await socket.send_message(AUTH)
        assert (await answer(socket))["status"] == "Success"


async def test_a_check_that_takes_for_ever_is_no_bad_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "AUTH_WORK_S", 0.1)
    async with site(tmp_path) as place:
        place.house.authenticator.delay_s = 60
        socket = await place.client(login=False)
        await socket.send_message(AUTH)
        assert await closing(socket) == 1013
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert place.house.authenticator.busy == 0


async def test_a_guest_is_told_for_its_time_and_leaves_no_phone(tmp_path: Path) -> None:
    now_ns = 1_000_000_000_000_000_000
    log = EventLog(boot_id="b", clock_ns=lambda: now_ns)
    (tmp_path / "key").write_text("k")
    push = {"url": "http://127.0.0.1:1/", "key_file": str(tmp_path / "key")}
    async with site(tmp_path, log=log, push=push, max_age_s=3600) as place:
        place.house.authenticator.accounts["guest"] = ("secret", "guest")
        socket = await place.client(login=False)
        for not_before_s, not_after_s, reason in (
            (60, None, "BADAUTH"),
            (None, -60, "BADAUTH"),
            (-60, 60, ""),
        ):
            place.house.authenticator.grants["guest"] = Grant(
                not_before_ns=None if not_before_s is None else time.time_ns() + not_before_s * S,
                not_after_ns=None if not_after_s is None else time.time_ns() + not_after_s * S,
            )
            await socket.send_message(AUTH.replace("admin", "guest"))
            assert (await answer(socket))["reason"] == reason
        await socket.send_message('{"event":"push","data":{"type":"token","token":"t","platform":"ios"}}')
        assert (await answer(socket))["reason"] == "NOAUTH"
        for age_s, told in ((0, True), (-90, False), (0, True)):
            now_ns = time.time_ns() - age_s * S
            event_id = log.publish(ButtonPressed(endpoint="bell")).seq
            if told:
                assert (await answer(socket))["events"][0]["EventId"] == f"70000000{event_id}"


async def test_accounts_are_checked_with_the_peers_address(tmp_path: Path) -> None:
    async with site(tmp_path) as place:
        await place.client()
        assert place.house.authenticator.calls == [("admin", "127.0.0.1")]


async def test_a_client_that_does_not_read_delays_nobody_and_is_dropped(tmp_path: Path) -> None:
    async with site(tmp_path, monitors={"bell": 1}) as place:
        # It sends versions without reading the answers, until the server's buffers for it are full.
        stream = await trio.open_tcp_stream("127.0.0.1", urlsplit(place.house.ready["zmes"]).port or 0)
        tls = trio.SSLStream(
            stream, place.house.tls.client_context(), server_hostname="127.0.0.1", https_compatible=True
        )
        place.streams.append(tls)
        deaf = await wrap_client_stream(place._nursery, tls, "x", "/", receive_buffer_size=1024)
        await deaf.send_message(AUTH)
        await answer(deaf)
        happy = await place.client()
        with trio.fail_after(20):
            while place.house.pages["clients"] == 2:
                for _ in range(200):
                    place.house.log.publish(ButtonPressed(endpoint="bell"))
                    assert (await answer(happy))["event"] == "alarm"
        assert place.house.pages["clients"] == 1


async def test_stopping_says_1001_to_everybody(tmp_path: Path) -> None:
    async with site(tmp_path) as place:
        sockets = [await place.client(), await place.client(login=False)]
        begun = trio.current_time()
        place.stop()
        assert [await closing(socket) for socket in sockets] == [1001, 1001]
        assert trio.current_time() - begun < 2


async def test_the_last_registration_is_on_disk_after_a_stop(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    push = {"url": "http://127.0.0.1:1/", "key_file": str(tmp_path / "key")}
    async with site(tmp_path, push=push) as place:
        socket = await place.client()
        await socket.send_message('{"event":"push","data":{"type":"token","token":"t","platform":"ios"}}')
        await socket.send_message(VERSION)
        await answer(socket)
        place.stop()
    assert list(json.loads((tmp_path / "zmes" / "tokens.json").read_text())["tokens"]) == ["t"]


async def test_old_events_are_not_told(tmp_path: Path) -> None:
    age_s = 0.0
    log = EventLog(boot_id="b", clock_ns=lambda: time.time_ns() - int(age_s * 1e9))
    async with site(tmp_path, log=log, max_age_s=30) as place:
        socket = await place.client()
        age_s = 31
        log.publish(ButtonPressed(endpoint="bell"))
        age_s = 29
        log.publish(ButtonPressed(endpoint="bell"))
        assert (await answer(socket))["events"][0]["EventId"] == "700000002"
        assert place.house.pages["alarms_stale"] == 1


async def test_a_gap_is_survived_and_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog(boot_id="b", size=4)
    async with site(tmp_path, log=log) as place:
        socket = await place.client()
        for _ in range(10):
            log.publish(ButtonPressed(endpoint="bell"))
        assert [(await answer(socket))["events"][0]["EventId"] for _ in range(4)] == [
            "700000007",
            "700000008",
            "700000009",
            "700000010",
        ]
        assert place.house.pages["events_missed"] == 6
    assert "missed entries first=1 last=6" in caplog.text


async def test_an_end_that_was_missed_does_not_silence_the_next_start(tmp_path: Path) -> None:
    log = EventLog(boot_id="b", size=4)
    async with site(tmp_path, log=log) as place:
        socket = await place.client()
        log.publish(SirenChanged(endpoint="siren", on=True))
        assert (await answer(socket))["events"][0]["EventId"] == "700000001"
        log.publish(SirenChanged(endpoint="siren", on=False))
        for _ in range(4):
            log.publish(LightChanged(endpoint="lamp", on=True))
        await trio.testing.wait_all_tasks_blocked()
        log.publish(SirenChanged(endpoint="siren", on=True))
        assert (await answer(socket))["events"][0]["EventId"] == "700000007"


async def test_one_encoding_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def counting(*args: Any, **kwargs: Any) -> str:
        nonlocal calls
        calls += 1
        return encode_alarm(*args, **kwargs)

    monkeypatch.setattr("agent.workers.zmes.delivery.encode_alarm", counting)
    async with site(tmp_path) as place:
        sockets = [await place.client() for _ in range(10)]
        place.house.log.publish(ButtonPressed(endpoint="bell"))
        found = [await answer(socket) for socket in sockets]
        assert all(one == found[0] for one in found)
        assert calls == 1
        assert place.house.pages["alarms_sent"] == 10
        assert place.house.pages["clients"] == 10


async def test_the_status_page(tmp_path: Path) -> None:
    async with site(tmp_path) as place:
        socket = await place.client()
        await socket.send_message("x")
        await answer(socket)
        await socket.send_message(BAD)
        await answer(socket)
        await place.client()
        pages = place.house.pages
        assert (pages["clients"], pages["bad_auth"], pages["malformed"]) == (2, 1, 1)
        assert "push_sent" not in pages


async def test_too_many_connections_of_one_address(tmp_path: Path) -> None:
    async with site(tmp_path, max_per_peer=2) as place:
        await place.client()
        await place.client()
        with pytest.raises((trio.BrokenResourceError, ssl.SSLError, OSError)):
            await place.client()


async def test_a_peer_that_never_logs_in_may_come_back(tmp_path: Path) -> None:
    async with site(tmp_path, auth_timeout_s=0.05) as place:
        for _ in range(5):
            socket = await place.client(login=False)
            assert (await answer(socket))["reason"] == "NOAUTH"
            assert await closing(socket) == 1005
        await place.client()


async def test_plain_websockets_on_loopback(tmp_path: Path) -> None:
    async with site(tmp_path, tls=False, host="127.0.0.1") as place:
        assert place.house.ready["zmes"].startswith("ws://127.0.0.1:")
        await place.client()


async def test_a_taken_port_says_so(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=(BELL,))
    with trio.socket.socket() as taken:
        await taken.bind(("127.0.0.1", 0))
        taken.listen()
        context = msgspec.structs.replace(house.context("zmes"), any_port=False)
        config = msgspec.convert(
            {"server": {"host": "127.0.0.1", "port": taken.getsockname()[1]}}, ZmesConfig
        )
        with pytest.RaisesGroup(
            pytest.RaisesExc(PeerError, match="in use by another"), flatten_subgroups=True
        ):
            with trio.fail_after(5):
                await WORKER.run(config, context)


@pytest.mark.parametrize("frame", ["x", "[]", AUTH, VERSION, BAD])
async def test_a_client_that_vanishes_after_a_message_leaves_nothing(tmp_path: Path, frame: str) -> None:
    async with site(tmp_path) as place:
        socket = await place.client(login=False)
        place.house.authenticator.delay_s = 0.05
        await socket.send_message(frame)
        await trio.aclose_forcefully(place.streams[-1])
        with trio.fail_after(5):
            while place.house.pages["clients"]:
                await trio.sleep(0.005)
        await place.client()


@pytest.mark.parametrize("frames", [[], [AUTH], [BAD], [AUTH, VERSION], ["x"]])
@pytest.mark.parametrize("delay_s", [0.0, 30.0])
async def test_stopping_at_any_moment(tmp_path: Path, frames: list[str], delay_s: float) -> None:
    with trio.fail_after(5):
        async with site(tmp_path) as place:
            place.house.authenticator.delay_s = delay_s
            socket = await place.client(login=False)
            for frame in frames:
                await socket.send_message(frame)
            await trio.testing.wait_all_tasks_blocked(0.01)
            place.stop()
