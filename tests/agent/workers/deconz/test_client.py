"""The follower against a gateway that behaves like a real one, on real sockets, with a clock that jumps."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from harness.deconz_gateway import KEY, DeconzGateway, event
from harness.deconz_home import Home
from trio.testing import MockClock

from agent.model.events import (
    ButtonPressed,
    ButtonReleased,
    ContactChanged,
    DeviceChanged,
    HardwareFailed,
    HardwareRecovered,
    LightChanged,
    LockChanged,
    WorkerChanged,
    WorkerFailed,
)
from agent.workers.deconz import client_view


async def test_config_then_websocket_then_everything_then_events(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway(apart=True).running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        assert gateway.requests == [
            ("GET", "/api/config"),
            ("GET", "/api/KEY/config"),
            ("GET", "/api/KEY"),
            ("GET", "/api/KEY"),
        ]
        assert gateway.clients[0].path == "/"
        assert home.page["gateway.home.ws_port"] == gateway.ws_port != gateway.port
        assert (home.page["gateway.home.lights"], home.page["gateway.home.sensors"]) == (3, 7)
        assert home.page["gateway.home.version"] == "2.33.2"
        assert [home.problem(name) for name in home.remotes] == [""] * 6
        await gateway.press(1002)
        await gateway.change("sensors", "2", open=True)
        await gateway.change("sensors", "4", fire=True)
        await home.until(lambda: len(home.events()) == 4)
        nursery.cancel_scope.cancel()
    assert home.events() == [
        ButtonPressed(endpoint="bell"),
        ButtonReleased(endpoint="bell", held_ms=0),
        ContactChanged(endpoint="door", role="generic", active=True),
        DeviceChanged(
            source="home",
            device="Smoke",
            unique_id="00:15:8d:00:02:00:00:14-01-0500",
            fact="smoke",
            value=True,
        ),
    ]
    assert home.page["gateway.home.events"] == 3
    assert home.shown("state") == ["connecting", "following", "stopped"]


async def test_one_port_for_rest_and_websocket(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    for reported in (None, 0, "", None):
        async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
            gateway.reported_port = reported
            gateway.missing_port = reported == ""
            nursery.start_soon((await home.follower(gateway)).run)
            await home.state("following")
            assert home.page["gateway.home.ws_port"] == gateway.port
            nursery.cancel_scope.cancel()


async def test_a_port_that_is_mapped_elsewhere_can_be_configured(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway(apart=True).running() as gateway, trio.open_nursery() as nursery:
        gateway.reported_port = 1
        nursery.start_soon((await home.follower(gateway, ws_port=gateway.ws_port)).run)
        await home.state("following")
        nursery.cancel_scope.cancel()


async def test_a_restart_moves_the_port_and_hides_nothing(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway(apart=True).running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        before = gateway.ws_port
        await gateway.press(1002)
        await home.until(lambda: len(home.events(ButtonPressed)) == 1)
        await gateway.stop()
        # While nobody listens: somebody rings, a door is opened, and it begins to burn.
        gateway.sensors["1"]["state"].update(buttonevent=1002, lastupdated="2026-01-01T12:30:00.000")
        gateway.sensors["2"]["state"]["open"] = True
        gateway.sensors["4"]["state"].update(fire=True, tampered=False)
        await gateway.start()
        await home.until(lambda: home.shown("state").count("following") == 2)
        assert gateway.ws_port != before
        assert home.page["gateway.home.ws_port"] == gateway.ws_port
        # And now the old press is told again, as gateways do.
        await gateway.push(event("sensors", "1", state=gateway.sensors["1"]["state"]))
        await gateway.push(event("sensors", "1", state={"buttonevent": 1002, "lastupdated": "none"}))
        await gateway.change("sensors", "6", presence=True)
        await home.until(lambda: home.page["gateway.home.events"] == 4)
        nursery.cancel_scope.cancel()
    assert len(home.events(ButtonPressed)) == 1
    assert len(home.events(ContactChanged)) == 1
    assert [(told.fact, told.value) for told in home.events(DeviceChanged)] == [("smoke", True)]
    assert home.events(HardwareFailed) == []


@pytest.mark.parametrize("notify_all", [True, False])
async def test_a_press_rings_once_whatever_notify_all_sends_along(
    notify_all: bool, tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        gateway.notify_all = notify_all
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        await gateway.press(1002)
        await gateway.change("sensors", "1", stamp=False, tampered=False)
        await gateway.change("sensors", "1", lowbattery=True)
        await gateway.change("sensors", "1", lowbattery=False)
        await gateway.press(1002)
        await home.until(lambda: home.page["gateway.home.events"] == 5)
        nursery.cancel_scope.cancel()
    assert len(home.events(ButtonPressed)) == 2


async def test_a_button_event_in_a_read_never_rings(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        gateway.sensors["1"]["state"].update(buttonevent=1002, lastupdated="2026-01-01T11:00:00.000")
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        gateway.sensors["1"]["state"].update(buttonevent=1002, lastupdated="2026-01-01T11:30:00.000")
        await trio.sleep(2000)
        assert gateway.requests.count(("GET", "/api/KEY")) == 4
        nursery.cancel_scope.cancel()
    assert home.events() == []


async def test_what_comes_while_everything_is_read_is_heard_at_once(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway)).run)
        await gateway.until(lambda: gateway.websockets == 1)
        gateway.slow_s = 5.0
        await gateway.until(lambda: len(gateway.requests) == 4)
        # The answer to the read shows how it was before, whenever it comes.
        frozen = gateway.sensors["2"]["state"] | {"open": False}
        await gateway.press(1002)
        await gateway.push(event("sensors", "2", state={"open": True}))
        await home.until(lambda: len(home.events()) == 3)
        assert home.page["gateway.home.state"] == "connecting"
        gateway.sensors["2"]["state"] = frozen
        await home.state("following")
        assert home.remotes["door"].state() == "active"
        nursery.cancel_scope.cancel()
    assert [type(told) for told in home.events()] == [ButtonPressed, ButtonReleased, ContactChanged]


async def test_no_key_parks_until_there_is_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        follower = await home.follower(gateway, key="")
        nursery.start_soon(follower.run)
        await home.state("parked")
        assert "portero deconz pair home" in str(home.page["gateway.home.problem"])
        assert "portero deconz pair home" in home.problem("lock")
        assert gateway.requests == []
        gateway.linked = True
        at = trio.current_time()
        assert await follower.pair(60) == {
            "gateway": "home", "bridgeid": "00212EFFFF012345", "name": "Phoscon-GW"
        }  # fmt: skip
        await home.state("following")
        assert trio.current_time() - at < 5
        assert home.problem("lock") == ""
        nursery.cancel_scope.cancel()
    states = [told.state for told in home.log.events(WorkerChanged) if isinstance(told, WorkerChanged)]
    assert states == ["running", "parked", "running"]


async def test_a_refused_key_parks_and_says_so(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        gateway.keys.clear()
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("parked")
        # With a wrong key the configuration is no error, only short.
        assert gateway.requests[1:] == [("GET", "/api/KEY/config"), ("GET", "/api/KEY")]
        problem = str(home.page["gateway.home.problem"])
        assert "does not know our key: run `portero deconz pair home`" in problem
        assert KEY not in "".join(map(str, home.log.events())) + problem
        asked = len(gateway.requests)
        await trio.sleep(3000)
        assert len(gateway.requests) == asked
        gateway.keys.add(KEY)
        await home.state("following")
        assert trio.current_time() < 3700
        nursery.cancel_scope.cancel()


async def test_a_key_that_is_revoked_while_in_use(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        gateway.keys.clear()
        at = trio.current_time()
        await home.state("parked")
        assert trio.current_time() - at < 1000
        nursery.cancel_scope.cancel()


async def test_another_gateway_is_not_followed_and_not_given_the_key(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway, bridge_id="00212effff999999")).run)
        await home.state("retrying")
        await trio.sleep(100)
        assert set(gateway.requests) == {("GET", "/api/config")}
        assert "is gateway 00212EFFFF012345, not 00212EFFFF999999" in home.problem("bell")
        nursery.cancel_scope.cancel()


async def test_a_gateway_that_falls_silent_without_closing(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        # A quiet household is no reason to leave, as long as the pings are answered.
        await trio.sleep(300)
        assert gateway.websockets == 1
        assert gateway.clients[0].pings >= 300 / 20
        gateway.clients[0].deaf = True
        gateway.sensors["2"]["state"]["open"] = True
        at = trio.current_time()
        await home.until(lambda: home.remotes["door"].state() == "active")
        assert trio.current_time() - at < 61
        nursery.cancel_scope.cancel()
    assert "retrying" in home.shown("state")
    assert home.events(HardwareFailed) == []


async def test_a_gateway_that_is_away_is_asked_at_least_every_fifteen_seconds(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        await gateway.stop()
        await home.until(lambda: len(home.events(HardwareFailed)) == 6)
        assert "refused" in home.problem("lock")
        await trio.sleep(600)
        tries = home.shown("state").count("connecting")
        assert 600 / 15 <= tries <= 600 / 15 + 8
        await gateway.start()
        at = trio.current_time()
        await home.until(lambda: len(home.events(HardwareRecovered)) == 6)
        assert trio.current_time() - at <= 16
        nursery.cancel_scope.cancel()
    assert len(home.events(HardwareFailed)) == 6


async def test_a_short_absence_is_not_told_a_longer_one_is(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        await gateway.restart()
        await home.until(lambda: home.shown("state").count("following") == 2)
        await trio.sleep(20)
        assert home.events(HardwareFailed) == []
        gateway.mute = True  # up, and answers nothing
        for client in list(gateway.clients):
            await client.drop()
        at = trio.current_time()
        await home.until(lambda: len(home.events(HardwareFailed)) == 6)
        assert trio.current_time() - at == pytest.approx(5, abs=0.5)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("part", ["/config", "/KEY/config", "/KEY"])
@pytest.mark.parametrize(
    "answer",
    [(200, "<html>please wait</html>"), (200, ""), (200, "null"), (200, "[]"), (503, ""), (404, "x")],
)
async def test_a_gateway_that_starts_answers_nonsense_first(
    part: str, answer: tuple[int, str], tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        gateway.answer = lambda method, path, body: answer if path == part else None
        nursery.start_soon((await home.follower(gateway)).run)
        await home.until(lambda: home.shown("state").count("retrying") == 3)
        assert KEY not in str(home.pages)
        gateway.answer = lambda method, path, body: None
        await home.state("following")
        nursery.cancel_scope.cancel()


async def test_everything_is_read_again_when_something_does_not_fit(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        # The gateway gave its ids anew: 1 is the door now, and 2 the bell.
        gateway.sensors["1"], gateway.sensors["2"] = gateway.sensors["2"], gateway.sensors["1"]
        reads = gateway.requests.count(("GET", "/api/KEY"))
        for _ in range(100):
            await gateway.change("sensors", "1", open=True)
        await home.until(lambda: home.remotes["door"].state() == "active")
        await trio.sleep(30)
        assert gateway.requests.count(("GET", "/api/KEY")) <= reads + 3
        await gateway.press(1002, "2")
        await home.until(lambda: len(home.events(ButtonPressed)) == 1)
        nursery.cancel_scope.cancel()
    assert len(home.events(ContactChanged)) == 1


async def test_a_gateway_that_never_fits_is_not_read_all_the_time(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        reads = gateway.requests.count(("GET", "/api/KEY"))
        for _ in range(60):
            await gateway.push(event("sensors", "99", state={"open": True}))
            await trio.sleep(0.5)
        assert 5 <= gateway.requests.count(("GET", "/api/KEY")) - reads <= 7
        nursery.cancel_scope.cancel()


async def test_a_missing_device_is_looked_for_every_minute_others_every_quarter_hour(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        lamp = gateway.lights.pop("2")
        nursery.start_soon((await home.follower(gateway)).run)
        await home.until(lambda: home.problem("stairs") != "")
        assert "no device 'Staircase'" in home.problem("stairs")
        await home.state("following")
        gateway.lights["2"] = lamp
        await home.until(lambda: home.problem("stairs") == "")
        assert trio.current_time() < 70
        reads = gateway.requests.count(("GET", "/api/KEY"))
        await trio.sleep(3600)
        assert gateway.requests.count(("GET", "/api/KEY")) - reads == 3
        nursery.cancel_scope.cancel()


async def test_a_gateway_that_shows_nothing_for_a_while_after_its_start(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        gateway.sensors["4"]["state"]["fire"] = True
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        sensors, gateway.sensors = gateway.sensors, {}
        await gateway.restart()
        await home.until(lambda: home.problem("bell") != "")
        sensors["4"]["state"]["fire"] = False
        gateway.sensors = sensors
        await home.until(lambda: home.problem("bell") == "")
        nursery.cancel_scope.cancel()
    assert [(told.fact, told.value) for told in home.events(DeviceChanged)] == [
        ("smoke", True), ("smoke", False)
    ]  # fmt: skip


async def test_what_is_on_at_the_first_read_is_told(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        gateway.sensors["2"]["state"]["open"] = True
        gateway.sensors["3"]["state"]["lockstate"] = "unlocked"
        gateway.lights["2"]["state"]["on"] = True
        gateway.sensors["6"]["state"]["presence"] = True
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        nursery.cancel_scope.cancel()
    assert home.events() == [
        ContactChanged(endpoint="door", role="generic", active=True),
        LockChanged(endpoint="lock", state="unlocked"),
        LightChanged(endpoint="stairs", on=True),
    ]


async def test_a_bug_of_ours_is_told_and_the_devices_are_refused_meanwhile(
    tmp_path: Path, patient_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path, strict=False)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon((await home.follower(gateway)).run)
        await home.state("following")
        with monkeypatch.context() as broken:
            broken.setattr(client_view, "stamp_ms", lambda value: 1 / 0)
            await home.until(lambda: "has failed" in home.problem("lock"))
        await home.until(lambda: home.problem("lock") == "")
        nursery.cancel_scope.cancel()
    assert [told.worker for told in home.log.events(WorkerFailed) if isinstance(told, WorkerFailed)] == [
        "gateway.home"
    ]
