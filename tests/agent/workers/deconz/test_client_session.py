"""One connection, and all that a gateway may do to it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.deconz_gateway import DeconzGateway, event, sensor
from harness.deconz_home import Home
from trio.testing import MockClock

from agent.model.actions import SoundSiren
from agent.model.events import ButtonPressed, ContactChanged, DeviceChanged
from agent.workers.deconz.wire import MAX_EVENT_BYTES

GOOD = event("sensors", "2", state={"open": True})


async def followed(home: Home, gateway: DeconzGateway, nursery: trio.Nursery) -> None:
    nursery.start_soon((await home.follower(gateway)).run)
    await home.state("following")


def connections(home: Home) -> int:
    return home.shown("state").count("following")


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x7e\x01",  # in the length of a frame
        b"\x81\x20{" + b'"e":"cha',  # in its text
        b"\x01\x03{{{",  # between fragments
        b"\xff\xff\xff\xff",  # no frame at all
        b"\x88\x02\x03\xe9",  # a CLOSE
    ],
)
async def test_a_connection_that_ends_in_the_middle_of_a_message(
    data: bytes, tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        await followed(home, gateway, nursery)
        client = gateway.clients[0]
        await client.raw(data)
        await client.drop()
        await home.until(lambda: connections(home) == 2)
        await gateway.change("sensors", "2", open=True)
        await home.until(lambda: home.remotes["door"].state() == "active")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{", "<html>", '{"e":"changed","r":"lights"}',
        '{"e":"changed","r":"lights","id":[]}',
        json.dumps(GOOD | {"state": "open"}), json.dumps({"e": "changed", "x": "y" * (MAX_EVENT_BYTES + 10)}),
    ],
)  # fmt: skip
async def test_a_message_that_makes_no_sense_is_counted_and_left(
    text: str, tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        await followed(home, gateway, nursery)
        for _ in range(19):
            await gateway.push(text)
        await gateway.push(GOOD)
        await home.until(lambda: home.remotes["door"].state() == "active")
        assert home.page["gateway.home.malformed"] == 19
        assert connections(home) == 1
        for _ in range(20):
            await gateway.push(text)
        await home.until(lambda: connections(home) == 2)
        assert "20 unreadable messages in a row" in str(home.shown("problem"))
        nursery.cancel_scope.cancel()


async def test_binary_messages_are_no_events(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        await followed(home, gateway, nursery)
        data = json.dumps(GOOD).encode()
        await gateway.clients[0].raw(bytes([0x82, len(data)]) + data)
        await home.until(lambda: home.page.get("gateway.home.malformed") == 1)
        nursery.cancel_scope.cancel()
    assert home.events() == []


@pytest.mark.parametrize(
    "strange",
    [
        {"t": "hello"},
        {"t": "event", "e": "scene-called", "r": "scenes", "gid": "1", "scid": "2"},
        {"t": "event", "e": "added", "r": "groups", "id": "4"},
        {"t": "event", "e": "changed", "r": "alarmsystems", "id": "1", "state": {"armstate": "in_alarm"}},
        {"t": "event", "e": "changed", "r": "groups", "id": "65520", "state": {"all_on": True}},
        {"t": "event", "e": "changed", "r": "devices", "id": "1"},
        event("sensors", "2", attr={"lastseen": "2026-01-01T00:00Z"}),
        event("sensors", "2", capabilities={"x": 1}),
        event("sensors", "2", config={"battery": None, "on": None, "reachable": None}),
        event("sensors", "2", state={"open": None, "tampered": None, "lastupdated": None}),
        event("lights", "1", state={"alert": None, "reachable": None}),
        event("lights", "2", state={"on": None}),
        event("sensors", "1", state={"buttonevent": None, "lastupdated": "2026-01-01T12:40:00.000"}),
        event("sensors", "3", state={"lockstate": None}),
        event("sensors", "3", state={"lockstate": "undefined"}),
        event("sensors", "5", state={"action": None, "panel": None}),
    ],
)
async def test_what_means_nothing_to_a_door(
    strange: dict[str, Any], tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        await followed(home, gateway, nursery)
        await gateway.push(strange)
        await home.until(lambda: home.page.get("gateway.home.events") == 1)
        await trio.sleep(1)
        assert connections(home) == 1
        nursery.cancel_scope.cancel()
    assert home.events() == []
    assert home.page.get("gateway.home.malformed", 0) == 0


async def test_a_frame_that_is_far_too_long_ends_the_connection(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        await followed(home, gateway, nursery)
        await gateway.push('{"x":"' + "y" * 300_000 + '"}')
        await home.until(lambda: connections(home) == 2)
        nursery.cancel_scope.cancel()


async def test_a_household_of_a_thousand_devices(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        for number in range(100, 3100):
            gateway.sensors[str(number)] = sensor(
                "ZHAPresence", f"s{number}", f"x{number}", {"presence": None}
            )
        assert 1_000_000 < len(json.dumps(gateway.sensors)) < 1_500_000
        await followed(home, gateway, nursery)
        await gateway.press(1002)
        await home.until(lambda: len(home.events(ButtonPressed)) == 1)
        assert home.page["gateway.home.sensors"] == 2000 - 3
        nursery.cancel_scope.cancel()


async def test_a_state_that_is_too_large_is_not_taken(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        gateway.sensors["99"] = {"x": "y" * 2_200_000}
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("retrying")
        assert "more than" in home.problem("bell")
        del gateway.sensors["99"]
        await home.state("following")
        nursery.cancel_scope.cancel()


async def test_null_and_wrong_types_everywhere(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        gateway.more_config = {"websocketnotifyall": None, "UTC": None, "name": None, "swversion": 5}
        for found in (*gateway.sensors.values(), *gateway.lights.values()):
            found["state"] = dict.fromkeys(found["state"])
            found["config"] = None
        gateway.sensors |= {"20": None, "21": [], "x/y": {}, "22": {"state": [], "name": {}, "uniqueid": 7}}  # type: ignore[dict-item]
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        assert home.events() == []
        assert home.problem("bell") == ""
        await gateway.change("sensors", "2", open=True)
        await home.until(lambda: len(home.events(ContactChanged)) == 1)
        nursery.cancel_scope.cancel()


async def test_a_gateway_that_answers_nothing_is_given_up(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        gateway.mute = True
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("retrying")
        assert "no answer to GET within 10 s" in home.problem("bell")
        gateway.mute = False
        gateway.slow_s = 9.0  # slow is not dead
        await home.state("following")
        nursery.cancel_scope.cancel()


async def test_a_websocket_that_cannot_be_reached(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        gateway.reported_port = 9  # nobody is there
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("retrying")
        assert "port 9: connection refused" in home.problem("bell")
        gateway.reported_port = None
        await home.state("following")
        nursery.cancel_scope.cancel()


async def test_a_flood_laps_neither_the_log_nor_the_bell(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        for number in range(100, 300):
            gateway.sensors[str(number)] = sensor(
                "ZHAPresence", f"s{number}", f"x{number}", {"presence": False}
            )
        await followed(home, gateway, nursery)
        begun = trio.current_time()
        for turn in (True, False, True):
            for number in range(100, 300):
                await gateway.push(event("sensors", str(number), state={"presence": turn}))
        for number in range(50):
            await gateway.push(event("sensors", "2", state={"open": number % 2 == 0}))
        await gateway.press(1002)
        await home.until(lambda: len(home.events(ButtonPressed)) == 1)
        assert trio.current_time() - begun < 1
        assert len(home.events(DeviceChanged)) <= 60 + 20
        assert len(home.events(ContactChanged)) <= 20 + 5
        await trio.sleep(60)
        # In the end everything is as the gateway told it last.
        last = {told.device: told.value for told in home.events(DeviceChanged)}
        assert last == {f"s{number}": True for number in range(100, 300)}
        assert home.remotes["door"].state() == "calm"
        nursery.cancel_scope.cancel()


async def test_a_flood_of_presses_is_dropped_and_counted(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        await followed(home, gateway, nursery)
        for _ in range(300):
            await gateway.press(1002)
        await home.until(lambda: home.page["gateway.home.events"] == 300)
        assert 10 <= len(home.events(ButtonPressed)) <= 15
        assert int(home.page["gateway.home.dropped"]) >= 500
        nursery.cancel_scope.cancel()


async def test_events_are_taken_at_a_pace(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        await followed(home, gateway, nursery)
        begun = trio.current_time()
        async with trio.open_nursery() as pushing:
            for _ in range(1200):
                pushing.start_soon(gateway.push, event("lights", "2", state={"bri": 7}))
        await home.until(lambda: home.page["gateway.home.events"] == 1200)
        assert trio.current_time() - begun >= 200 / 200 - 0.1
        assert connections(home) == 1
        nursery.cancel_scope.cancel()


async def test_new_names_without_end_are_taken_slower(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        await followed(home, gateway, nursery)
        begun = trio.current_time()
        async with trio.open_nursery() as pushing:
            for number in range(120):
                pushing.start_soon(gateway.push, event("lights", "2", name=f"Lamp {number}"))
        await home.until(lambda: home.page["gateway.home.events"] == 120)
        assert trio.current_time() - begun >= 200 / 200 - 0.1
        nursery.cancel_scope.cancel()


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope before the n-th step of any task below `root`."""

    def __init__(self, scope: trio.CancelScope, root: trio.lowlevel.Task, steps: float = math.inf) -> None:
        self._scope = scope
        self._root = root
        self._left = steps
        self.struck = False

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        if self.struck or not self._is_below(task):
            return
        if self._left <= 0:
            self.struck = True
            self._scope.cancel()
        self._left -= 1

    def _is_below(self, task: trio.lowlevel.Task) -> bool:
        found: trio.lowlevel.Task | None = task
        while found is not None and found is not self._root:
            found = found.parent_nursery.parent_task if found.parent_nursery is not None else None
        return found is not None


async def test_can_be_cancelled_at_every_await(tmp_path: Path, patient_clock: MockClock) -> None:
    step, most = 0, 0
    while True:
        home = Home(tmp_path)
        async with DeconzGateway().running() as gateway:
            follower = await home.follower(gateway)
            asked: list[str | None] = []

            async def use(
                home: Home = home, gateway: DeconzGateway = gateway, asked: list[Any] = asked
            ) -> None:
                await home.state("following")
                asked.append(await home.do("siren", SoundSiren(endpoint="siren", duration_s=60)))
                await gateway.press(1002)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(use)
                with trio.CancelScope() as scope:
                    striking = CancelAtStep(scope, trio.lowlevel.current_task(), step)
                    trio.lowlevel.add_instrument(striking)
                    try:
                        with trio.move_on_after(5):
                            await follower.run()
                    finally:
                        trio.lowlevel.remove_instrument(striking)
                nursery.cancel_scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert not gateway.clients
            # What was made to sound is silent, whenever it ended.
            alerts = [body["alert"] for _, body in gateway.puts]
            assert alerts in ([], ["lselect", "none"], ["lselect", "none", "none"], ["none"])
        assert home.page.get("gateway.home.state", "stopped") == "stopped"
        if not striking.struck:
            break
        most = step
        step += 1 if step < 40 else 7
    assert most > 100
