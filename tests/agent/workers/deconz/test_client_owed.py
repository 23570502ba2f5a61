"""What the door owes: what it made sound, opened or lit is ended, whatever happens in between."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import trio
from harness.deconz_gateway import DeconzGateway, error
from harness.deconz_home import Home, followed
from trio.testing import MockClock

from agent.model.actions import SoundSiren, StopSiren, SwitchLight, Unlock
from agent.model.events import LightChanged, SirenChanged

BUSY = (200, [error(951, "/", "Internal error, 951")])


def sound(duration_s: float) -> SoundSiren:
    return SoundSiren(endpoint="siren", duration_s=duration_s)


def unlock(hold_s: float) -> Unlock:
    return Unlock(endpoint="lock", hold_s=hold_s)


def light(duration_s: float) -> SwitchLight:
    return SwitchLight(endpoint="stairs", on=True, duration_s=duration_s)


async def test_a_stop_is_repeated_until_the_gateway_takes_it_on(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do("siren", sound(10)) is None
        it.gateway.results = [(200, [error(202, "/", "unreachable")]), BUSY, (200, "<html>")]
        await it.put(5)
        gaps = [round(b - a) for a, b in pairwise(it.gateway.put_times[1:])]
        assert gaps == [5, 5, 5]
        assert await it.told(SirenChanged, 2)
        await trio.sleep(100)
        assert len(it.puts) == 5


async def test_a_stop_is_owed_over_a_reconnection(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do("siren", sound(30)) is None
        assert await it.home.do("lock", unlock(10)) is None
        assert await it.home.do("stairs", light(20)) is None
        await it.told(LightChanged, 1)
        await it.gateway.stop()
        await trio.sleep(300)
        assert len(it.puts) == 3
        await it.gateway.start()
        await it.put(6)
        assert trio.current_time() < 340
        assert sorted(path for path, _ in it.puts[3:]) == [
            "lights/1/state",
            "lights/2/state",
            "sensors/3/config",
        ]
        await it.home.until(lambda: it.home.remotes["lock"].state() == "locked")


async def test_a_stop_is_owed_over_a_new_pairing(tmp_path: Path, patient_clock: MockClock) -> None:
    home = Home(tmp_path)
    async with DeconzGateway().running() as gateway, trio.open_nursery() as nursery:
        follower = await home.follower(gateway)
        nursery.start_soon(follower.run)
        await home.state("following")
        assert await home.do("siren", sound(60)) is None
        gateway.keys.clear()
        await home.do("stairs", light(60))
        await home.state("parked")
        assert gateway.puts == [("lights/1/state", {"alert": "lselect", "ontime": 60})]
        gateway.linked = True
        await follower.pair(10)
        await gateway.until(lambda: len(gateway.puts) == 2)
        assert gateway.puts[1] == ("lights/1/state", {"alert": "none"})
        nursery.cancel_scope.cancel()


async def test_a_stop_that_a_person_asked_for_goes_on(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do("siren", sound(180)) is None
        it.gateway.results = [(200, [error(202, "/", "unreachable")])]
        assert await it.home.do("siren", StopSiren(endpoint="siren")) is not None
        await it.put(3)
        assert trio.current_time() < 10
        assert (await it.told(SirenChanged, 2))[1].on is False


async def test_on_the_way_out_everything_is_ended(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do("siren", sound(60)) is None
        assert await it.home.do("lock", unlock(30)) is None
        assert await it.home.do("stairs", light(60)) is None
        begun = trio.current_time()
        it.scope.cancel()
        await it.ended.wait()
        assert trio.current_time() - begun < 2.1
        ends = dict(it.puts[3:])
        assert ends == {
            "lights/1/state": {"alert": "none"},
            "sensors/3/config": {"lock": True},
            "lights/2/state": {"on": False},
        }


async def test_the_way_out_takes_two_seconds_at_most(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do("siren", sound(60)) is None
        it.gateway.mute = True
        begun = trio.current_time()
        it.scope.cancel()
        await it.ended.wait()
        assert 1.9 < trio.current_time() - begun < 2.2


async def test_nobody_is_left_waiting_on_the_way_out(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        it.gateway.slow_s = 1.0
        commands = [it.home.begin("lock", unlock(30)), it.home.begin("lock", unlock(30))]
        await it.put(0)
        await it.gateway.until(lambda: ("PUT", "/api/KEY/sensors/3/config") in it.gateway.requests)
        it.scope.cancel()
        reasons = [await command.failure() for command in commands]
        assert all("has been stopped" in str(reason) for reason in reasons)
        await it.ended.wait()
        # The unlocking was on its way: it is locked.
        assert it.puts[-1][1] == {"lock": True}
