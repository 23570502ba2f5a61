"""The two listeners as a whole: start and end, order, load, and what an operator sees."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import trio
import trio.testing
from harness.context import House
from harness.deconz_door import ARMED, BELL, EVERYTHING, SIREN, STRIKE, WINDOW, Door, deconz_door

from agent.model.actions import Action
from agent.model.errors import PeerError
from agent.model.events import ButtonPressed, ButtonReleased, LockChanged, SirenChanged
from agent.model.outcomes import Outcome
from agent.model.principals import Principal
from agent.net.listeners import open_listeners
from agent.statefile import StateFile
from agent.workers.deconz import WORKER, server
from agent.workers.deconz.about import Identity
from agent.workers.deconz.bridge import Bridge
from agent.workers.deconz.config import DeconzConfig, ServerConfig
from agent.workers.deconz.directory import FILE
from agent.workers.deconz.server import serve
from agent.workers.deconz.ssdp import lan_addresses


async def test_a_client_such_as_home_assistant_from_the_first_request_to_the_first_ring(
    tmp_path: Path,
) -> None:
    async with deconz_door(tmp_path, alarm=ARMED) as door:
        # It asks for a key, hears that the button is not pressed, and asks again.
        request = {"devicetype": "pydeconz"}
        assert (await door.http.post("/api", json=request)).json()[0]["error"]["type"] == 101
        await door.house.answers["link"](Asks())
        key = (await door.http.post("/api", json=request)).json()[0]["success"]["username"]
        # The bridge id, then everything at once, then the websocket of the port that this named.
        config = await door.get("/config", key=key)
        full = await door.get(key=key)
        assert full["config"]["bridgeid"] == config["bridgeid"]
        assert urlsplit(door.ws_url).port == full["config"]["websocketport"]
        for group in full["groups"].values():
            assert {"scenes", "action", "state"} <= set(group)
        for light in full["lights"].values():
            assert "reachable" in light["state"]
        for sensor in full["sensors"].values():
            assert {"config", "state"} <= set(sensor)
        listener = await door.listen()
        # Then nothing but PUTs, and what the websocket tells.
        bell = next(n for n, sensor in full["sensors"].items() if sensor["type"] == "ZHASwitch")
        door.house.log.publish(ButtonPressed(endpoint="bell"))
        ring = await listener.next()
        assert (ring["r"], ring["id"], ring["state"]["buttonevent"]) == ("sensors", bell, 1000)
        lock = next(n for n, sensor in full["sensors"].items() if sensor["type"] == "ZHADoorLock")
        assert (await door.put(f"/sensors/{lock}/config", {"lock": False}, key=key))[0] == 200
        door.house.log.publish(LockChanged(endpoint="strike", state="unlocked"))
        config_first, then_state = await listener.take(2)
        assert config_first["config"]["lock"] is False
        assert then_state["state"]["lockstate"] == "unlocked"


async def test_ready_tells_where_both_are(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        rest, events = urlsplit(door.url), urlsplit(door.ws_url)
        assert (rest.scheme, events.scheme) == ("http", "ws")
        assert rest.hostname == events.hostname == "127.0.0.1"
        assert rest.port != events.port


async def test_ids_and_addresses_survive_a_restart(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        before = await door.get()
        await door.put("/lights/1", {"name": "Horn"})
    async with deconz_door(tmp_path, endpoints=(SIREN, WINDOW, BELL)) as door:
        after = await door.get()
    assert after["config"]["bridgeid"] == before["config"]["bridgeid"]
    assert after["config"]["uuid"] == before["config"]["uuid"]
    assert after["lights"]["1"]["name"] == "Horn"
    for number, sensor in after["sensors"].items():
        assert sensor["uniqueid"] == before["sensors"][number]["uniqueid"]
    assert set(after["sensors"]) == {"1", "9"}
    async with deconz_door(tmp_path) as door:
        again = await door.get()
    found = {number: sensor["uniqueid"] for number, sensor in again["sensors"].items()}
    assert found == {number: sensor["uniqueid"] for number, sensor in before["sensors"].items()}


async def test_ids_are_on_the_disk_before_anybody_is_told_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(file: StateFile) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(StateFile, "run", never)
    async with deconz_door(tmp_path):
        stored = json.loads((tmp_path / "deconz" / FILE).read_bytes())
        assert stored["sensors"]["bell"] == 1


async def test_a_broken_file_of_ids_does_not_keep_the_door_from_serving(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        before = (await door.get("/config"))["bridgeid"]
    (tmp_path / "deconz" / FILE).write_bytes(b"\x00" * 64)
    async with deconz_door(tmp_path) as door:
        assert (await door.get("/config"))["bridgeid"] != before
        assert (await door.get("/lights"))["1"]["type"] == "Warning device"
    assert (tmp_path / "deconz" / (FILE + ".corrupt")).read_bytes() == b"\x00" * 64


async def test_stopping_closes_everything(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        listener = await door.listen()
        await door.get("/lights")
        door.stop()
        assert await listener.closed() == 1001
        for url in (door.url, door.ws_url):
            parts = urlsplit(url)
            assert parts.hostname is not None
            with pytest.raises(OSError, match=r"all attempts to connect|refused"):
                await trio.open_tcp_stream(parts.hostname, parts.port or 0)


async def test_a_name_that_was_just_given_is_stored_on_the_way_out(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        await door.put("/lights/1", {"name": "Horn"})
        door.stop()
        await trio.testing.wait_all_tasks_blocked()
    stored = json.loads((tmp_path / "deconz" / FILE).read_bytes())
    assert stored["names"] == {"lights/siren": "Horn"}


async def test_a_port_that_is_taken_is_told_and_nothing_left_open(tmp_path: Path) -> None:
    free, busy = open_listeners("127.0.0.1", 0), open_listeners("127.0.0.1", 0)
    free_port, busy_port = free[0].getsockname()[1], busy[0].getsockname()[1]
    free[0].close()
    context = msgspec.structs.replace(House(tmp_path, endpoints=EVERYTHING).context("deconz"), any_port=False)
    try:
        for config in (
            ServerConfig(port=busy_port, ws_port=free_port),
            ServerConfig(port=free_port, ws_port=busy_port),
        ):
            with pytest.raises(PeerError, match="in use"):
                await serve(config, context)
            open_listeners("127.0.0.1", free_port)[0].close()
    finally:
        busy[0].close()


async def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    config = msgspec.convert({"server": {"host": "203.0.113.1"}}, DeconzConfig)
    with trio.fail_after(5):
        with pytest.raises(ExceptionGroup) as caught:
            await WORKER.run(config, House(tmp_path).context("deconz"))
        assert caught.group_contains(PeerError, match="no interface")


async def test_a_client_that_does_not_read_is_dropped_alone(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        quick = await door.listen()
        await dead_websocket(door)
        rings = 0
        with trio.fail_after(30):
            while door.house.pages["clients"] == 2:
                for _ in range(10):
                    door.house.log.publish(ButtonPressed(endpoint="bell"))
                    door.house.log.publish(ButtonReleased(endpoint="bell", held_ms=9))
                told = await quick.take(20)
                assert [message["state"]["buttonevent"] for message in told] == [1000, 1002] * 10
                rings += 10
        assert rings > 10
        assert await quick.rest() == []


async def test_there_is_room_for_so_many_and_no_more(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, max_connections=8, max_per_peer=2) as door:
        first, second = await door.listen(), await door.listen()
        parts = urlsplit(door.ws_url)
        assert parts.hostname is not None
        third = await trio.open_tcp_stream(parts.hostname, parts.port or 0)
        with trio.fail_after(5):
            assert await third.receive_some() == b""
        await third.aclose()
        door.house.log.publish(SirenChanged(endpoint="siren", on=True))
        for listener in (first, second):
            assert (await listener.next())["state"]["alert"] == "lselect"


async def test_rest_goes_on_while_a_lock_is_slow(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=EVERYTHING)
    submit, going = house._submit, trio.Event()

    async def slow(action: Action, principal: Principal) -> Outcome:
        await going.wait()
        return await submit(action, principal)

    house._submit = slow  # type: ignore[method-assign]
    async with deconz_door(tmp_path, house=house) as door:
        answers: list[int] = []

        async def unlock() -> None:
            answers.append((await door.put("/sensors/2/config", {"lock": False}))[0])

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(unlock)
            for _ in range(10):
                assert await door.get("/lights")
            assert answers == []
            going.set()
        assert answers == [200] * 5


async def test_the_status_page(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        assert door.house.pages == {
            "clients": 0,
            "link": "closed",
            "strangers": 0,
            "bad_keys": 0,
            "texts": 0,
            "events_missed": 0,
        }
        listener = await door.listen()
        assert door.house.pages["clients"] == 1
        await listener.socket.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert door.house.pages["clients"] == 0


async def test_a_bug_in_one_request_is_told_to_its_client_as_500_and_to_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, endpoints=EVERYTHING)
    caught: list[Exception] = []

    @asynccontextmanager
    async def guard(connection: str) -> AsyncIterator[None]:
        try:
            yield
        except Exception as error:
            caught.append(error)

    def broken(bridge: Bridge, r: str) -> None:
        raise ZeroDivisionError(r)

    house._guard = guard  # type: ignore[method-assign]
    async with deconz_door(tmp_path, house=house) as door:
        listener = await door.listen()
        with monkeypatch.context() as patch:
            patch.setattr(Bridge, "map_of", broken)
            answer = await door.http.get(f"/api/{door.key}/lights")
        assert answer.status_code == 500
        assert "Zero" not in answer.text
        await trio.testing.wait_all_tasks_blocked()  # Starlette answers before it raises
        assert [type(error) for error in caught] == [ZeroDivisionError]
        assert await door.get("/lights")
        door.house.log.publish(ButtonPressed(endpoint="bell"))
        assert (await listener.next())["state"]["buttonevent"] == 1000


async def test_the_window_closes_by_itself(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    house = House(tmp_path, endpoints=(BELL, STRIKE))
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, ServerConfig(link_s=60), house.context("deconz"))
        await house.answers["link"](Asks())
        await trio.sleep(59)
        assert house.pages["link"] == "open"
        await trio.sleep(2)
        assert house.pages["link"] == "closed"
        nursery.cancel_scope.cancel()


async def test_where_the_sun_is(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, endpoints=(BELL,), latitude=38.72, longitude=-9.14) as door:
        sensors = await door.get("/sensors")
        (sun,) = [sensor for sensor in sensors.values() if sensor["type"] == "Daylight"]
        assert set(sun["state"]) == {"dark", "daylight", "status", "sunrise", "sunset", "lastupdated"}
        assert sun["modelid"] == "PHDL00"
        assert "reachable" not in sun["config"]
        assert sun["uniqueid"].count(":") == 7
        listener = await door.listen()
        assert any("daylight" in message.get("state", {}) for message in listener.snapshot)


@pytest.mark.parametrize(
    ("host", "ssdp", "announced"),
    [("0.0.0.0", True, True), ("0.0.0.0", False, False), ("127.0.0.1", True, False)],
)
async def test_a_door_is_announced_where_others_can_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, ssdp: bool, announced: bool
) -> None:
    made: list[tuple[str, int]] = []

    class Announces:
        def __init__(self, identity: Identity, host: str, port: int, **more: Any) -> None:
            made.append((host, port))

        async def run(self) -> None:
            await trio.sleep_forever()

    monkeypatch.setattr(server, "Announcer", Announces)
    async with deconz_door(tmp_path, host=host, ssdp=ssdp) as door:
        port = urlsplit(door.url).port
        assert made == ([(host, port)] if announced else [])
        status: Any = await door.house.answers["server_status"](Asks())
        # For people an address that they can type elsewhere, if this machine has one.
        assert urlsplit(status["url"]).hostname in {*lan_addresses(), "127.0.0.1"}


async def dead_websocket(door: Door) -> None:
    """A websocket whose client never reads, with small buffers."""
    parts = urlsplit(door.ws_url)
    sock = trio.socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stream = trio.SocketStream(sock)
    door.streams.append(stream)
    await sock.connect((parts.hostname, parts.port))
    await stream.send_all(
        b"GET / HTTP/1.1\r\nHost: door\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with trio.fail_after(5):
        while door.house.pages["clients"] != 2:
            await trio.sleep(0.01)


class Asks:
    account = "local:test"

    def get(self, name: str, kind: Any, default: Any = None) -> Any:
        return default
