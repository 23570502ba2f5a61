"""Locks, sirens and lights at a gateway: what is sent, what is told, and that it is stopped again."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.deconz_gateway import error, event
from harness.deconz_home import followed
from trio.testing import MockClock

from agent.model.actions import Action, Lock, SoundSiren, StopSiren, SwitchLight, Unlock
from agent.model.events import LightChanged, LockChanged, SirenChanged

BUSY = (200, [error(951, "/", "Internal error, 951")])
QUEUE_FULL = (503, [error(951, "/", "Internal error, 951")])
OFF = SwitchLight(endpoint="stairs", on=False)


def sound(duration_s: float | None = 60.0) -> SoundSiren:
    return SoundSiren(endpoint="siren", duration_s=duration_s)


def unlock(hold_s: float | None = None, name: str = "lock") -> Unlock:
    return Unlock(endpoint=name, hold_s=hold_s)


def light(duration_s: float | None = None) -> SwitchLight:
    return SwitchLight(endpoint="stairs", on=True, duration_s=duration_s)


async def test_a_siren_sounds_for_seconds_and_is_stopped_by_us(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do("siren", sound(30)) is None
        assert it.puts == [("lights/1/state", {"alert": "lselect", "ontime": 30})]
        # A gateway goes on saying "none", whatever it does.
        await it.gateway.change("lights", "1", alert="none", reachable=True)
        begun = trio.current_time()
        assert await it.told(SirenChanged, 2) == [
            SirenChanged(endpoint="siren", on=True, by="ana", action_id="a1", duration_s=30),
            SirenChanged(endpoint="siren", on=False, reason="time over"),
        ]
        assert trio.current_time() - begun == pytest.approx(30, abs=1)
        assert it.puts[1:] == [("lights/1/state", {"alert": "none"})]
        await trio.sleep(300)
        assert len(it.puts) == 2


async def test_a_siren_is_silenced(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do("siren", sound()) is None
        assert await it.home.do("siren", StopSiren(endpoint="siren")) is None
        await trio.sleep(120)
        assert [body for _, body in it.puts] == [{"alert": "lselect", "ontime": 60}, {"alert": "none"}]
        assert [(told.on, told.by) for told in it.home.events(SirenChanged)] == [
            (True, "ana"),
            (False, "ana"),
        ]


async def test_a_new_command_replaces_the_timer(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do("siren", sound(20)) is None
        await trio.sleep(15)
        assert await it.home.do("siren", sound(60)) is None
        await trio.sleep(58)
        assert len(it.puts) == 2
        await it.put(3)
        await trio.sleep(60)
        assert len(it.puts) == 3


async def test_a_gateway_that_tells_its_siren_tells_nothing_twice(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path) as it:
        it.gateway.slow_s = 0.5
        command = it.home.begin("siren", sound(20))
        await it.put(1)
        await it.gateway.change("lights", "1", alert="lselect")
        assert await command.failure() is None
        await it.put(2)
        await it.gateway.change("lights", "1", alert="none")
        await trio.sleep(5)
        assert [(told.on, told.by) for told in it.home.events(SirenChanged)] == [(True, "ana"), (False, "")]
        # Somebody else lets it sound, and it ends.
        await it.gateway.change("lights", "1", alert="lselect")
        await it.gateway.change("lights", "1", reachable=True)
        await it.gateway.change("lights", "1", alert="none")
        await trio.sleep(5)
        assert [told.on for told in it.home.events(SirenChanged)[2:]] == [True, False]
        assert len(it.puts) == 2


async def test_a_siren_that_ends_by_itself_early(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do("siren", sound(60)) is None
        await it.gateway.change("lights", "1", alert="lselect")
        await it.gateway.change("lights", "1", alert="none")
        await it.told(SirenChanged, 2)
        await it.put(2)  # we stop it all the same
        assert len(it.home.events(SirenChanged)) == 2


@pytest.mark.parametrize(
    ("name", "path", "body", "back"),
    [
        ("lock", "sensors/3/config", {"lock": False}, {"lock": True}),
        ("gate", "lights/3/state", {"on": False}, {"on": True}),
    ],
)
async def test_a_lock_is_unlocked_and_locked_again(
    name: str, path: str, body: Any, back: Any, tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do(name, unlock(8, name)) is None
        # The gateway has only queued it: the lock tells.
        assert it.home.events(LockChanged) == []
        assert await it.told(LockChanged, 2) == [
            LockChanged(endpoint=name, state="unlocked", by="ana", action_id="a1", hold_s=8),
            LockChanged(endpoint=name, state="locked", reason="time over"),
        ]
        assert it.puts == [(path, body), (path, back)]
        assert trio.current_time() < 15
        await trio.sleep(100)
        assert len(it.puts) == 2


async def test_a_lock_is_locked_by_hand_and_by_command(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        await it.gateway.change("sensors", "3", lockstate="unlocked")
        await it.told(LockChanged, 1)
        assert await it.home.do("lock", Lock(endpoint="lock")) is None
        assert it.puts == [("sensors/3/config", {"lock": True})]
        await it.told(LockChanged, 2)
        await it.gateway.change("sensors", "3", lockstate="not fully locked")
        await it.told(LockChanged, 3)
        for word in ("undefined", None, "not fully locked"):
            await it.gateway.change("sensors", "3", lockstate=word)
        await it.gateway.change("sensors", "3", lockstate="locked")
        assert await it.told(LockChanged, 4) == [
            LockChanged(endpoint="lock", state="unlocked"),
            LockChanged(endpoint="lock", state="locked", by="ana", action_id="a1"),
            LockChanged(endpoint="lock", state="unlocked", reason="not fully locked"),
            LockChanged(endpoint="lock", state="locked"),
        ]


async def test_an_unlocked_lock_is_unlocked_for_longer(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do("lock", unlock(10)) is None
        await it.told(LockChanged, 1)
        await trio.sleep(7)
        it.gateway.acts = False
        assert await it.home.do("lock", unlock(10)) is None
        assert it.home.events(LockChanged)[1].hold_s == 10
        await trio.sleep(9)
        assert len(it.puts) == 2
        await it.put(3)


async def test_a_command_is_not_the_cause_of_what_happens_much_later(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path) as it:
        it.gateway.acts = False
        assert await it.home.do("stairs", light(60)) is None
        await trio.sleep(11)
        await it.gateway.change("lights", "2", on=True)
        assert await it.told(LightChanged, 1) == [LightChanged(endpoint="stairs", on=True)]


async def test_a_light_for_a_while_and_for_good(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do("stairs", light(20)) is None
        assert await it.told(LightChanged, 2) == [
            LightChanged(endpoint="stairs", on=True, by="ana", action_id="a1", duration_s=20),
            LightChanged(endpoint="stairs", on=False, reason="time over"),
        ]
        assert await it.home.do("stairs", light(20)) is None
        assert await it.home.do("stairs", OFF) is None
        await trio.sleep(100)
        assert [body["on"] for _, body in it.puts] == [True, False, True, False]


async def test_a_light_without_an_end(tmp_path: Path, patient_clock: MockClock) -> None:
    endpoints = {"stairs": {"device": "Staircase", "acts_as": "light", "default_s": 0}}
    async with followed(tmp_path, endpoints=endpoints) as it:
        assert await it.home.do("stairs", light()) is None
        await trio.sleep(600)
        it.scope.cancel()
        await it.ended.wait()
        assert it.puts == [("lights/2/state", {"on": True})]


# ----- answers -----


async def test_http_200_does_not_decide(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        for action, name in ((sound(), "siren"), (light(), "stairs"), (unlock(), "gate")):
            it.gateway.results = [(200, [error(202, "/lights/1/state", "not modifiable")])]
            assert await it.home.do(name, action) == "the gateway cannot reach the device (type 202)"
        await trio.sleep(200)
        assert len(it.puts) == 3  # nothing began, so nothing has to end
        assert it.home.events() == []


async def test_the_whole_array_is_read(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        ok = {"success": {"/lights/1/state/alert": "lselect"}}
        it.gateway.results = [(200, [ok, error(7, "/lights/1/state/ontime", "invalid value")])]
        reason = await it.home.do("siren", sound(30))
        assert reason == "taken on in part only: invalid value (type 7)"
        await it.put(2)  # it may be sounding
        assert it.puts[1][1] == {"alert": "none"}
        assert trio.current_time() == pytest.approx(30, abs=2)


@pytest.mark.parametrize("answer", [BUSY, QUEUE_FULL, (503, "<html>")])
async def test_a_busy_gateway_is_asked_three_times(
    answer: Any, tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path) as it:
        it.gateway.results = [answer, answer]
        begun = trio.current_time()
        assert await it.home.do("siren", sound()) is None
        assert [round(at - begun, 1) for at in it.gateway.put_times] == [0.0, 2.0, 6.0]
        it.gateway.results = [answer] * 9
        begun = trio.current_time()
        assert "busy" in str(await it.home.do("stairs", light())) or answer[1] != "<html>"
        assert trio.current_time() - begun < 8  # whoever asked is still there
        assert len(it.puts) == 6


async def test_an_unlocking_is_repeated_once_when_it_was_not_queued(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path) as it:
        it.gateway.results = [BUSY]
        begun = trio.current_time()
        assert await it.home.do("lock", unlock(5)) is None
        assert it.gateway.put_times[1] - begun < 2
        await it.put(3)
        it.gateway.results = [BUSY] * 5
        assert "951" in str(await it.home.do("lock", unlock(5)))
        await trio.sleep(60)
        assert len(it.puts) == 5


@pytest.mark.parametrize("answer", [(503, "<html>"), (200, "<html>"), (200, []), (500, "")])
async def test_an_unlocking_is_never_repeated_when_nobody_knows(
    answer: Any, tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path) as it:
        it.gateway.results = [answer]
        assert await it.home.do("lock", unlock(5)) is not None
        await trio.sleep(60)
        # But it is locked again, in case that it was unlocked.
        assert [body["lock"] for _, body in it.puts] == [False, True]


@pytest.mark.parametrize("name", ["lock", "siren", "stairs"])
async def test_an_answer_that_does_not_come(name: str, tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        it.gateway.mute = True
        begun = trio.current_time()
        actions: dict[str, Action] = {"lock": unlock(20), "siren": sound(20), "stairs": light(20)}
        assert "may have acted" in str(await it.home.do(name, actions[name]))
        assert trio.current_time() - begun < 8
        it.gateway.mute = False
        await it.gateway.until(lambda: len(it.gateway.puts) == 1)
        ends = {"lock": {"lock": True}, "siren": {"alert": "none"}, "stairs": {"on": False}}
        assert it.puts[0][1] == ends[name]
        assert trio.current_time() - begun == pytest.approx(25, abs=3)


async def test_a_reason_never_holds_the_key(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        it.gateway.keys.clear()
        it.gateway.keys.add("another")
        reason = await it.home.do("stairs", light())
        assert reason == "the gateway does not know our key any more (type 1)"
        # And the connection looks at once what that is about.
        await it.home.state("parked")
        assert trio.current_time() < 10


# ----- when -----


async def test_commands_go_out_at_a_low_rate(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        commands = [it.home.begin(name, action) for name, action in (
            ("siren", sound()), ("stairs", light()), ("lock", unlock()), ("gate", unlock(name="gate")),
        )]  # fmt: skip
        assert [await command.failure() for command in commands] == [None] * 4
        times = it.gateway.put_times
        assert all(after - before >= 0.09 for before, after in pairwise(times))


async def test_what_waited_too_long_is_not_begun(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        it.gateway.slow_s = 4.0
        first, second = it.home.begin("lock", unlock(60)), it.home.begin("lock", unlock(60))
        assert await first.failure() is None
        assert "not begun within" in str(await second.failure())
        assert len(it.puts) == 1


async def test_what_the_gateway_cannot_reach_is_refused_at_once(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path) as it:
        await it.gateway.change("lights", "2", reachable=False)
        await it.gateway.push(event("sensors", "3", config={"reachable": False}))
        await it.home.until(lambda: it.home.problem("lock") != "")
        assert await it.home.do("stairs", light()) == "the gateway cannot reach the device"
        assert await it.home.do("lock", unlock()) == "the gateway cannot reach the device"
        assert it.puts == []
        await it.gateway.change("lights", "2", reachable=True)
        await it.gateway.push(event("sensors", "3", config={"reachable": True}))
        await it.home.until(lambda: it.home.problem("lock") == "")
        assert await it.home.do("stairs", light()) is None
        assert await it.home.do("lock", unlock()) is None


async def test_a_device_that_went_while_it_is_on(tmp_path: Path, patient_clock: MockClock) -> None:
    async with followed(tmp_path) as it:
        assert await it.home.do("siren", sound(10)) is None
        siren = it.gateway.lights.pop("1")
        await it.gateway.push({"e": "deleted", "id": "1", "r": "lights", "t": "event"})
        await it.home.until(lambda: "no device 'Siren'" in it.home.problem("siren"))
        await trio.sleep(60)
        assert len(it.puts) == 1
        it.gateway.lights["9"] = siren
        await it.gateway.push({"e": "added", "id": "9", "r": "lights", "t": "event", "light": siren})
        await it.put(2)
        assert it.puts[1] == ("lights/9/state", {"alert": "none"})


async def test_a_siren_that_is_silent_again_before_the_answer_comes(
    tmp_path: Path, patient_clock: MockClock
) -> None:
    async with followed(tmp_path) as it:
        it.gateway.slow_s = 1.0
        command = it.home.begin("siren", sound(20))
        await it.gateway.until(lambda: it.gateway.requests[-1][0] == "PUT")
        await it.gateway.change("lights", "1", alert="lselect")
        await it.gateway.change("lights", "1", alert="none")
        assert await command.failure() is None
        assert [told.on for told in it.home.events(SirenChanged)] == [True, False]
        assert it.home.remotes["siren"].state() == "off"
