"""The alarm system with real time of a mock clock: who sets it off when, and what it remembers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from harness.door import Counting, ObedientJournal, Recorded, who
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from agent import rules
from agent.alarm import SETTLE_S, Alarm, AlarmConfig, WatchMode
from agent.dispatch import Dispatch
from agent.model.actions import SetAlarm
from agent.model.errors import EndpointError
from agent.model.events import (
    AlarmChanged,
    ButtonPressed,
    ContactChanged,
    DoorChanged,
    HardwareFailed,
    HardwareRecovered,
    LockChanged,
)
from agent.model.outcomes import Done, Failed, Refused
from agent.rules import RuleConfig
from agent.runtime import AlarmStatus, EndpointInfo, EndpointState

ENDPOINTS = (
    EndpointInfo(name="bell", label="Bell", kind="button"),
    EndpointInfo(name="strike", label="Front door", kind="lock", has_door_contact=True),
    EndpointInfo(name="gate", label="Gate", kind="lock"),
    EndpointInfo(name="hall", label="Hall", kind="contact", role="motion"),
    EndpointInfo(name="box", label="Box", kind="contact", role="tamper"),
    EndpointInfo(name="smoke", label="Smoke", kind="contact", role="smoke"),
    EndpointInfo(name="window", label="Window", kind="contact", role="generic", system="deconz"),
)
EVERY: tuple[WatchMode, ...] = ("away", "stay", "night")
CONFIG = AlarmConfig(exit_delay_s=60, entry_delay_s=30, trigger_s=180)
WINDOW_TOO = msgspec.structs.replace(CONFIG, watch={"strike": EVERY, "hall": ("away",), "window": EVERY})


class Guarded:
    """A house, what is active in it, and its alarm system.

    silently: the house changes and nobody is told, as in a gap or while the door was off.
    """

    def __init__(self, folder: Path, config: AlarmConfig = CONFIG) -> None:
        self.config = config
        self.path = folder / "alarm.json"
        self.log = Recorded()
        self.active: set[str] = set()
        self.alarm = self.made()

    def made(self) -> Alarm:
        """As after a restart."""
        return Alarm(self.config, ENDPOINTS, log=self.log, path=self.path, state_of=self.state_of)

    def state_of(self, name: str) -> EndpointState:
        assert name in (info.name for info in ENDPOINTS)
        if name in ("strike", "gate"):
            door = "" if name == "gate" else "left_open" if name in self.active else "closed"
            return EndpointState(state="locked", door=door)
        return EndpointState(state="active" if name in self.active else "calm")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(self.alarm.run, after=self.log.last_seq))
            yield
            nursery.cancel_scope.cancel()

    def set(self, mode: Any, by: str = "ana") -> None:
        action = SetAlarm(mode=mode)
        assert self.alarm.refuse(action) is None
        self.alarm.perform(action, by=by, action_id="a1")

    def silently(self, name: str, active: bool) -> None:
        (self.active.add if active else self.active.discard)(name)

    def publish(self, name: str, active: bool, state: str = "open") -> None:
        """An event, without waiting for anybody to read it."""
        self.silently(name, active)
        if name == "strike":
            self.log.publish(DoorChanged(endpoint=name, state=state if active else "closed"))  # type: ignore[arg-type]
        else:
            role: Any = next(info.role for info in ENDPOINTS if info.name == name)
            self.log.publish(ContactChanged(endpoint=name, role=role, active=active))

    async def see(self, name: str, active: bool = True, state: str = "open") -> None:
        self.publish(name, active, state)
        await trio.testing.wait_all_tasks_blocked()

    def story(self) -> list[tuple[str, str, int, str, str]]:
        """(state, mode, seconds, endpoint, by) of every change."""
        return [
            (event.state, event.mode, event.seconds, event.endpoint, event.by)
            for event in self.log.events()
            if isinstance(event, AlarmChanged)
        ]

    def states(self) -> list[str]:
        return [state for state, *_ in self.story()]

    @property
    def state(self) -> str:
        return self.alarm.status().state


@pytest.fixture
def house(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


async def armed(house: Guarded, mode: str = "away") -> None:
    house.set(mode)
    await trio.sleep(house.config.exit_delay_s)
    await trio.testing.wait_all_tasks_blocked()
    assert house.state == "armed"


# The way through its states.


async def test_from_leaving_to_an_alarm_and_back(house: Guarded, autojump_clock: MockClock) -> None:
    async with house.running():
        house.set("away")
        await trio.sleep(59)
        assert house.state == "arming"
        await trio.sleep(2)
        await house.see("strike")
        await trio.sleep(29)
        assert house.state == "entry_delay"
        await trio.sleep(2)
        assert house.state == "in_alarm"
        await trio.sleep(180)
        assert house.state == "armed"
        house.set("disarmed", by="ben")
        await trio.sleep(1000)
    assert house.story() == [
        ("arming", "away", 60, "", "ana"),
        ("armed", "away", 0, "", ""),
        ("entry_delay", "away", 30, "strike", ""),
        ("in_alarm", "away", 0, "strike", ""),
        ("armed", "away", 0, "", ""),
        ("disarmed", "disarmed", 0, "", "ben"),
    ]
    told = house.log.events(AlarmChanged)
    assert [event.action_id for event in told] == ["a1", "", "", "", "", "a1"]  # type: ignore[union-attr]


async def test_the_delays_are_as_long_as_they_say(house: Guarded, autojump_clock: MockClock) -> None:
    begun = trio.current_time()
    async with house.running():
        house.set("stay")
        for state, left_s in (("arming", 60), ("armed", 0)):
            status = house.alarm.status()
            assert (status.state, status.seconds_left) == (state, left_s)
            await trio.sleep(0.5)
            assert house.alarm.status().seconds_left == left_s
            await trio.sleep(60)
        await house.see("strike")
        assert house.alarm.status().seconds_left == 30
        await trio.sleep(29.9)
        assert house.alarm.status().seconds_left == 1
        await trio.sleep(0.2)
        assert (house.state, house.alarm.status().seconds_left) == ("in_alarm", 0)
    assert trio.current_time() - begun == pytest.approx(151.1)


async def test_disarming_in_time_is_no_alarm(house: Guarded, autojump_clock: MockClock) -> None:
    async with house.running():
        await armed(house)
        await house.see("strike")
        await trio.sleep(29)
        house.set("disarmed")
        await trio.sleep(1000)
    assert house.states() == ["arming", "armed", "entry_delay", "disarmed"]
    assert house.story()[-1] == ("disarmed", "disarmed", 0, "", "ana")


@pytest.mark.parametrize("wait_s", [0, 30, 70, 95])
async def test_disarming_leads_out_of_every_state(
    house: Guarded, autojump_clock: MockClock, wait_s: float
) -> None:
    async with house.running():
        house.set("away")
        await trio.sleep(wait_s)
        if wait_s >= 70:
            await house.see("strike")
            await trio.sleep(wait_s - 60)
        house.set("disarmed")
        assert house.alarm.status() == AlarmStatus(
            state="disarmed",
            mode="disarmed",
            exit_delay_s=60,
            entry_delay_s=30,
            trigger_s=180,
            watched={"strike": EVERY, "hall": ("away",), "box": EVERY},
        )
        told = len(house.story())
        await house.see("box")
        await trio.sleep(1000)
        assert len(house.story()) == told


@pytest.mark.parametrize(
    ("name", "mode", "state"),
    [
        ("strike", "away", "entry_delay"),
        ("strike", "stay", "entry_delay"),
        ("strike", "night", "entry_delay"),
        ("hall", "away", "in_alarm"),
        ("hall", "stay", "armed"),
        ("hall", "night", "armed"),
        ("box", "away", "in_alarm"),
        ("box", "stay", "in_alarm"),
        ("box", "night", "in_alarm"),
        ("smoke", "away", "armed"),
        ("window", "away", "armed"),
    ],
)
async def test_what_is_watched_when_nothing_is_configured(
    house: Guarded, autojump_clock: MockClock, name: str, mode: str, state: str
) -> None:
    async with house.running():
        await armed(house, mode)
        await house.see(name)
        assert house.state == state


async def test_a_door_that_is_forced_has_the_delay_of_a_key(
    house: Guarded, autojump_clock: MockClock
) -> None:
    """A mechanical key opens without an unlocking too."""
    async with house.running():
        await armed(house)
        await house.see("strike", state="forced")
        assert house.state == "entry_delay"


async def test_what_only_goes_on_or_says_something_else_sets_nothing_off(
    house: Guarded, autojump_clock: MockClock
) -> None:
    async with house.running():
        await armed(house)
        await house.see("strike", state="left_open")
        await house.see("hall", active=False)
        house.log.publish(ButtonPressed(endpoint="hall"))
        house.log.publish(LockChanged(endpoint="strike", state="unlocked", by="ana"))
        house.log.publish(ContactChanged(endpoint="attic", role="motion", active=True))
        await trio.testing.wait_all_tasks_blocked()
        assert house.state == "armed"


async def test_whoever_comes_in_walks_past_the_detectors(tmp_path: Path, autojump_clock: MockClock) -> None:
    for name, state in (("hall", "entry_delay"), ("strike", "entry_delay"), ("window", "in_alarm")):
        house = Guarded(tmp_path, WINDOW_TOO)
        house.path.unlink(missing_ok=True)
        async with house.running():
            await armed(house)
            await house.see("strike")
            await house.see("strike", active=False)
            await trio.sleep(10)
            await house.see(name)
            assert house.state == state
            await trio.sleep(21)
            assert house.state == "in_alarm"


async def test_without_delays(tmp_path: Path, autojump_clock: MockClock) -> None:
    house = Guarded(tmp_path, AlarmConfig(exit_delay_s=0, entry_delay_s=0, trigger_s=1))
    async with house.running():
        house.set("night")
        assert house.story() == [("armed", "night", 0, "", "ana")]
        await house.see("strike")
        assert house.story()[1:] == [("in_alarm", "night", 0, "strike", "")]
        await trio.sleep(1.5)
        assert house.states() == ["armed", "in_alarm", "armed"]


async def test_who_is_delayed_can_be_said(tmp_path: Path, autojump_clock: MockClock) -> None:
    house = Guarded(tmp_path, msgspec.structs.replace(CONFIG, delayed=("hall",)))
    async with house.running():
        await armed(house)
        await house.see("hall")
        assert house.state == "entry_delay"
        await house.see("strike")
        assert house.story()[-1] == ("in_alarm", "away", 0, "strike", "")


# Asked.


async def test_what_is_so_already_is_not_told_again(house: Guarded, autojump_clock: MockClock) -> None:
    async with house.running():
        house.set("disarmed")
        assert house.story() == []
        assert not house.path.exists()
        house.set("away")
        await trio.sleep(50)
        house.set("away", by="ben")
        await trio.sleep(11)
        assert house.state == "armed", "asking again gives no more time"
        house.set("away")
        assert house.states() == ["arming", "armed"]


async def test_another_mode_begins_with_an_exit_delay(house: Guarded, autojump_clock: MockClock) -> None:
    async with house.running():
        await armed(house, "stay")
        house.set("away")
        await house.see("hall")
        await trio.sleep(59)
        assert house.state == "arming"
        await trio.sleep(2)
    assert [(state, mode) for state, mode, *_ in house.story()] == [
        ("arming", "stay"),
        ("armed", "stay"),
        ("arming", "away"),
        ("armed", "away"),
    ]


@pytest.mark.parametrize("mode", EVERY)
async def test_arming_ends_no_alarm(house: Guarded, autojump_clock: MockClock, mode: Any) -> None:
    async with house.running():
        await armed(house)
        await house.see("strike")
        for state in ("entry_delay", "in_alarm"):
            assert house.state == state
            assert house.alarm.refuse(SetAlarm(mode=mode)) == "the alarm is on: disarm it first"
            with pytest.raises(EndpointError, match="disarm it first"):  # begun while it was written down
                house.alarm.perform(SetAlarm(mode=mode), by="ana", action_id="a2")
            assert house.state == state
            await trio.sleep(31)


async def test_a_mode_in_which_nothing_is_watched_is_refused(tmp_path: Path) -> None:
    house = Guarded(tmp_path, msgspec.structs.replace(CONFIG, watch={"hall": ("away", "away")}))
    assert house.alarm.status().watched == {"hall": ("away",)}
    assert house.alarm.refuse(SetAlarm(mode="night")) == "nothing is watched in mode night"
    assert house.alarm.refuse(SetAlarm(mode="away")) is None
    assert house.alarm.refuse(SetAlarm(mode="disarmed")) is None


def test_it_works_without_a_journal(house: Guarded) -> None:
    assert house.alarm.acts_without_journal(SetAlarm(mode="disarmed"), who(local=False))
    assert house.alarm.acts_without_journal(SetAlarm(mode="away"), who(local=False))


# What is active while it is armed.


@pytest.mark.parametrize(("name", "state"), [("window", "in_alarm"), ("strike", "entry_delay")])
async def test_what_is_open_keeps_nobody_from_arming(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, name: str, state: str
) -> None:
    house = Guarded(tmp_path, WINDOW_TOO)
    async with house.running():
        await house.see(name)
        await house.see("hall")  # not watched in this mode
        await armed(house, "night")
        assert f"active={name}\n" in caplog.text
        await house.see(name)  # told again, as by a gateway that came back
        assert house.state == "armed"
        await house.see(name, active=False)
        await house.see(name)
        assert house.state == state
        house.set("disarmed")
        await armed(house, "night")
        house.set("disarmed")
    assert msgspec.json.decode(house.path.read_bytes()) == {"mode": "disarmed", "ignored": []}


async def test_what_moves_while_one_leaves_is_forgotten(house: Guarded, autojump_clock: MockClock) -> None:
    async with house.running():
        house.set("away")
        for _ in range(5):
            await house.see("hall")
            await house.see("strike")
            await trio.sleep(10)
            await house.see("strike", active=False)
            await house.see("hall", active=False)
        await trio.sleep(11)
        assert house.state == "armed"
        await house.see("hall")
        assert house.state == "in_alarm"


async def test_what_was_not_read_yet_happened_before_it_was_armed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    house = Guarded(tmp_path, msgspec.structs.replace(CONFIG, exit_delay_s=0))
    async with house.running():
        await trio.testing.wait_all_tasks_blocked()
        house.publish("hall", True)
        house.publish("hall", False)
        house.publish("box", True)
        house.set("away")
        await trio.testing.wait_all_tasks_blocked()
        assert house.states() == ["armed"]
        house.publish("box", False)
        house.publish("box", True)
        await trio.testing.wait_all_tasks_blocked()
        assert house.states() == ["armed", "in_alarm"]


async def test_a_cut_wire_sounds_once_and_not_for_ever(house: Guarded, autojump_clock: MockClock) -> None:
    async with house.running():
        await armed(house)
        await house.see("box")
        await trio.sleep(1000)
        assert house.states() == ["arming", "armed", "in_alarm", "armed"]
        await house.see("hall")
        assert house.state == "in_alarm"


async def test_after_a_gap_it_looks_for_itself(
    house: Guarded, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    def flood() -> None:
        for _ in range(2000):
            house.log.publish(ButtonPressed(endpoint="bell"))

    async with house.running():
        house.silently("box", True)
        await armed(house)
        flood()
        await trio.testing.wait_all_tasks_blocked()
        assert "alarm missed entries" in caplog.text
        assert house.state == "armed"
        house.silently("box", False)
        flood()
        await trio.testing.wait_all_tasks_blocked()
        house.silently("box", True)
        flood()
        await trio.testing.wait_all_tasks_blocked()
        assert house.story()[-1] == ("in_alarm", "away", 0, "box", "")


async def test_a_gap_before_it_was_armed_is_nothing(house: Guarded, autojump_clock: MockClock) -> None:
    house.config = msgspec.structs.replace(CONFIG, exit_delay_s=0)
    house.alarm = house.made()
    async with house.running():
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(2000):
            house.log.publish(ButtonPressed(endpoint="bell"))
        house.set("away")
        house.silently("hall", True)  # its event is still to come
        await trio.testing.wait_all_tasks_blocked()
        assert house.state == "armed"


# Over a restart.


async def restarted(house: Guarded) -> None:
    house.alarm = house.made()
    house.log.entries.clear()


@pytest.mark.parametrize("wait_s", [0, 61, 70, 95])
async def test_whatever_it_was_about_to_do_it_is_armed_again(
    house: Guarded, autojump_clock: MockClock, wait_s: float
) -> None:
    async with house.running():
        house.set("night")
        await trio.sleep(wait_s)
        if wait_s >= 70:
            await house.see("strike")
            await house.see("strike", active=False)
            await trio.sleep(wait_s - 60)
    await restarted(house)
    async with house.running():
        assert house.story() == [("armed", "night", 0, "", "")]
        assert house.alarm.status().mode == "night"
        await trio.sleep(SETTLE_S + 1)
        assert house.states() == ["armed"]
        await house.see("strike")
        assert house.state == "entry_delay"


async def test_disarmed_stays_disarmed_and_says_nothing(house: Guarded, autojump_clock: MockClock) -> None:
    async with house.running():
        await armed(house)
        house.set("disarmed")
    await restarted(house)
    async with house.running():
        await house.see("box")
        assert house.log.events(AlarmChanged, HardwareFailed) == []
        assert house.state == "disarmed"


async def test_a_door_opened_while_the_power_was_out_is_seen(
    house: Guarded, autojump_clock: MockClock
) -> None:
    async with house.running():
        await armed(house)
    await restarted(house)
    async with house.running():
        await house.see("strike")  # "nobody knows how it came to be open"
        assert house.state == "entry_delay"
        await trio.sleep(31)
        assert house.state == "in_alarm"


async def test_detectors_that_warm_up_are_not_believed(house: Guarded, autojump_clock: MockClock) -> None:
    async with house.running():
        await armed(house)
    await restarted(house)
    async with house.running():
        for _ in range(3):
            await house.see("hall")
            await trio.sleep(5)
            await house.see("hall", active=False)
            await trio.sleep(5)
        await trio.sleep(SETTLE_S - 29)
        assert house.states() == ["armed"]
        await house.see("hall")
        assert house.state == "in_alarm"


async def test_a_detector_still_active_when_it_settles_has_to_be_calm_once(
    house: Guarded, autojump_clock: MockClock
) -> None:
    async with house.running():
        await armed(house)
    await restarted(house)
    async with house.running():
        await house.see("hall")
        await trio.sleep(SETTLE_S + 1)
        await house.see("hall")
        assert house.state == "armed"
        await house.see("hall", active=False)
        await house.see("hall")
        assert house.state == "in_alarm"


async def test_a_window_left_open_is_still_ignored_after_a_restart(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    house = Guarded(tmp_path, WINDOW_TOO)
    async with house.running():
        await house.see("window")
        await armed(house)
    await restarted(house)
    async with house.running():
        await house.see("window")  # told at the start, since it is open
        await trio.sleep(SETTLE_S + 1)
        assert house.states() == ["armed"]
    await restarted(house)
    async with house.running():
        house.silently("window", False)  # closed meanwhile: calm at the start is not told
        await trio.sleep(SETTLE_S + 1)
    await restarted(house)
    async with house.running():
        await house.see("window")
        assert house.state == "in_alarm"


async def test_a_window_closed_before_the_power_cut_counts_after_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    house = Guarded(tmp_path, WINDOW_TOO)
    async with house.running():
        await house.see("window")
        await armed(house)
        await house.see("window", active=False)
    await restarted(house)
    async with house.running():
        await house.see("window")
        assert house.state == "in_alarm"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"mode": "party"}', b'{"mode": 1}', b"\xff\xfe", b"[" * 100_000, b'"away"', b"{}"],
)
async def test_with_a_broken_file_it_is_disarmed_and_says_so(
    house: Guarded, autojump_clock: MockClock, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    house.path.write_bytes(content)
    async with house.running():
        assert house.story() == [("disarmed", "disarmed", 0, "", "")]
        (failed,) = house.log.events(HardwareFailed)
        assert isinstance(failed, HardwareFailed)
        assert failed.endpoint == "alarm.json"
        assert failed.reason.startswith("disarmed, since what it was cannot be read: ")
        assert house.alarm.problem == failed.reason
        assert "cannot be read" in caplog.text
        house.set("disarmed")  # somebody has taken note
        assert house.alarm.problem == ""
        assert house.log.events(HardwareRecovered) == [HardwareRecovered(endpoint="alarm.json")]
    await restarted(house)
    async with house.running():
        assert house.log.events() == []


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=40))
def test_any_file_is_a_state_or_a_problem(house: Guarded, content: bytes) -> None:
    house.path.write_bytes(content)
    alarm = house.made()

    async def start() -> None:
        with trio.move_on_after(1):
            await alarm.run(after=0)

    trio.run(start, clock=MockClock(autojump_threshold=0))
    assert (alarm.status().state == "disarmed") == bool(alarm.problem)


async def test_a_mode_that_is_watched_no_longer_is_not_kept_up(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    house = Guarded(tmp_path)
    async with house.running():
        await armed(house, "night")
    house.config = msgspec.structs.replace(CONFIG, watch={"hall": ("away",)})
    await restarted(house)
    async with house.running():
        assert house.story() == [("disarmed", "disarmed", 0, "", "")]
        assert house.alarm.problem == "disarmed, since nothing is watched any more in mode night"


async def test_the_file_of_a_newer_version_and_of_other_endpoints(
    house: Guarded, autojump_clock: MockClock
) -> None:
    house.path.write_text('{"mode": "away", "ignored": ["attic", "strike"], "colour": "red"}')
    async with house.running():
        await house.see("strike")
        await trio.sleep(SETTLE_S + 1)
        assert house.states() == ["armed"]


async def test_a_disk_that_cannot_store_keeps_nobody_from_arming_and_disarming(
    house: Guarded, autojump_clock: MockClock
) -> None:
    house.path.with_suffix(".new").mkdir()  # works for root too
    async with house.running():
        await armed(house)
        assert "a restart will not know that it is set to away" in house.alarm.problem
        house.set("disarmed")
        assert house.state == "disarmed"
        assert len(house.log.events(HardwareFailed)) == 1
        house.path.with_suffix(".new").rmdir()
        house.set("away")
        assert house.alarm.problem == ""
        assert len(house.log.events(HardwareRecovered)) == 1
    assert [path.name for path in house.path.parent.iterdir()] == ["alarm.json"]
    assert msgspec.json.decode(house.path.read_bytes()) == {"mode": "away", "ignored": []}


# With the rest of the door.


def served(house: Guarded) -> Dispatch:
    return Dispatch(
        log=house.log, journal=ObedientJournal(), performers={"alarm": house.alarm}, new_id=Counting("a")
    )


async def test_through_dispatch(house: Guarded, autojump_clock: MockClock) -> None:
    dispatch = served(house)
    async with house.running():
        assert isinstance(await dispatch.submit(SetAlarm(mode="away"), who("guest")), Refused)
        assert isinstance(await dispatch.submit(SetAlarm(mode="away"), who("installer")), Refused)
        assert isinstance(await dispatch.submit(SetAlarm(mode="away"), who()), Done)
        await trio.sleep(61)
        await house.see("box")
        outcome = await dispatch.submit(SetAlarm(mode="stay"), who())
        assert isinstance(outcome, Refused)
        assert outcome.reason == "the alarm is on: disarm it first"
        assert isinstance(await dispatch.submit(SetAlarm(mode="disarmed"), who()), Done)
    assert house.states() == ["arming", "armed", "in_alarm", "disarmed"]


async def test_an_alarm_that_begins_while_arming_is_written_down(
    house: Guarded, autojump_clock: MockClock
) -> None:
    journal = ObedientJournal()
    journal.delay_s = 0.5
    dispatch = Dispatch(
        log=house.log, journal=journal, performers={"alarm": house.alarm}, new_id=Counting("a")
    )
    outcomes = []

    async def ask() -> None:
        outcomes.append(await dispatch.submit(SetAlarm(mode="stay"), who()))

    async with house.running():
        await armed(house)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.sleep(0.1)
            await house.see("box")
        assert house.state == "in_alarm"
    assert [type(outcome) for outcome in outcomes] == [Failed]


async def test_rules_arm_it_and_act_on_it(house: Guarded, autojump_clock: MockClock) -> None:
    def rule(**plain: Any) -> RuleConfig:
        return msgspec.convert(plain, RuleConfig)

    leave = rule(
        name="leave",
        on="button_pressed",
        where={"endpoint": "bell"},
        then={"do": "set_alarm", "mode": "away"},
    )
    quiet = rule(
        name="calm",
        on="alarm_changed",
        where={"state": "in_alarm", "mode": "away", "endpoint": "hall"},
        then={"do": "set_alarm", "mode": "disarmed"},
    )
    run_rules = partial(rules.run, [leave, quiet], log=house.log, submit=served(house).submit, after=0)
    async with house.running(), trio.open_nursery() as nursery:
        await nursery.start(run_rules)
        house.log.publish(ButtonPressed(endpoint="bell"))
        await trio.sleep(61)
        await house.see("hall")
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert [(state, by) for state, _, _, _, by in house.story()] == [
        ("arming", "rule:leave"),
        ("armed", ""),
        ("in_alarm", ""),
        ("disarmed", "rule:calm"),
    ]


def test_only_what_can_be_seen_is_watched() -> None:
    """Configurations are checked; this is what holds where one was not."""
    assert WINDOW_TOO.watched({"window": "generic"}) == {"window": EVERY}
    assert AlarmConfig().watched({"a": "generic", "b": "smoke", "c": "co", "d": "motion"}) == {"d": ("away",)}


@pytest.mark.parametrize(
    "plain",
    [
        {"exit_delay_s": 256},
        {"exit_delay_s": -1},
        {"exit_delay_s": 1.5},
        {"entry_delay_s": 256},
        {"trigger_s": 0},
        {"trigger_s": 256},
        {"watch": {"hall": []}},
        {"watch": {"hall": "away"}},
        {"watch": {"hall": ["disarmed"]}},
        {"delayed": "hall"},
        {"siren": "siren"},
    ],
)
def test_what_is_no_configuration(plain: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(plain, AlarmConfig)
