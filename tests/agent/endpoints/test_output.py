"""The relays of lock, siren and light: on for a bounded time, off on every way out, and told truthfully."""

from __future__ import annotations

import math
import time
from contextlib import suppress

import pytest
import trio
from harness.doorhouse import DoorHouse, settle
from trio.testing import MockClock

from agent.endpoints.health import Health
from agent.endpoints.output import OFF_TRIES, RETRY_OFF_S, TimedOutput
from agent.model.actions import Action, Lock, SoundSiren, StopSiren, SwitchLight, Unlock
from agent.model.errors import EndpointError
from agent.model.events import HardwareFailed, LightChanged, LockChanged
from hw.errors import HardwareError
from hw.pins import ContactPins, LightPins, LockPins, SirenPins

UNLOCK = Unlock(endpoint="strike")
LOCK = Lock(endpoint="strike")


def a_house(mode: str = "fail_secure", hold_s: float = 5.0, max_hold_s: float = 30.0) -> DoorHouse:
    return DoorHouse(
        {
            "strike": LockPins(pin=27, mode=mode, hold_s=hold_s, max_hold_s=max_hold_s),  # type: ignore[arg-type]
            "siren": SirenPins(pin=23, default_s=10, max_on_s=20),
            "lamp": LightPins(pin=24, default_s=0),
            "stairs": LightPins(pin=25, default_s=60, max_on_s=100),
        }
    )


async def test_an_unlock_ends_by_itself_after_its_hold(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        assert door.state("strike") == "locked"
        door.do(UNLOCK)
        assert door.energised("strike")
        assert door.state("strike") == "unlocked"
        await settle(4.9)
        assert door.energised("strike")
        await settle(0.2)
        assert not door.energised("strike")
    assert door.locks() == [("unlocked", "ana", ""), ("locked", "", "time over")]
    (unlocked, _) = door.log.events(LockChanged)
    assert isinstance(unlocked, LockChanged)
    assert (unlocked.hold_s, unlocked.action_id) == (5.0, "a1")


async def test_unlocking_again_extends_and_never_shortens(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(UNLOCK)
        await settle(4)
        door.do(UNLOCK)
        await settle(4.9)
        assert door.energised("strike")
        door.do(Unlock(endpoint="strike", hold_s=20))
        await settle(1)
        door.do(Unlock(endpoint="strike", hold_s=0.1))
        await settle(18.5)
        assert door.energised("strike")
        await settle(1)
        assert not door.energised("strike")
    told = [event.hold_s for event in door.log.events(LockChanged) if isinstance(event, LockChanged)]
    assert told == [5.0, 5.0, 20.0, 19.0, None]


async def test_lock_ends_a_hold_at_once(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(UNLOCK)
        await settle(1)
        door.do(LOCK, by="ben")
        assert not door.energised("strike")
        await settle(60)
    assert door.locks() == [("unlocked", "ana", ""), ("locked", "ben", "")]


async def test_locking_a_locked_door_is_confirmed_to_whoever_asked(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(LOCK, by="ben")
    assert door.locks() == [("locked", "ben", "")]


async def test_a_new_hold_after_lock_lasts_its_own_time(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(Unlock(endpoint="strike", hold_s=30))
        door.do(LOCK)
        door.do(Unlock(endpoint="strike", hold_s=1))
        await settle(1.1)
        assert not door.energised("strike")


@pytest.mark.parametrize("hold_s", [30.1, 86_400.0, 1e300, math.inf])
async def test_no_unlock_is_longer_than_the_maximum(autojump_clock: MockClock, hold_s: float) -> None:
    door = a_house()
    async with door.running():
        door.do(Unlock(endpoint="strike", hold_s=hold_s))
        await settle(29.9)
        assert door.energised("strike")
        await settle(0.2)
        assert not door.energised("strike")
    event = door.log.events(LockChanged)[0]
    assert isinstance(event, LockChanged)
    assert event.hold_s == 30.0


@pytest.mark.parametrize("hold_s", [math.nan, 0.0, -0.0, -1.0, -math.inf])
async def test_a_hold_that_is_no_time_moves_nothing_and_breaks_nothing(
    autojump_clock: MockClock, hold_s: float
) -> None:
    door = a_house()
    async with door.running():
        for action in (
            Unlock(endpoint="strike", hold_s=hold_s),
            SoundSiren(endpoint="siren", duration_s=hold_s),
            SwitchLight(endpoint="lamp", on=True, duration_s=hold_s),
        ):
            with pytest.raises(EndpointError, match="above 0 s"):
                door.do(action)
        await settle(1)
        door.do(UNLOCK)  # the house still stands
        assert door.energised("strike")
    assert door.pins.history("siren") == ()


async def test_a_fail_safe_lock_is_locked_by_its_relay(autojump_clock: MockClock) -> None:
    door = a_house("fail_safe")
    assert door.state("strike") == "unlocked"  # nobody holds the magnet yet
    async with door.running():
        assert door.energised("strike")
        assert door.state("strike") == "locked"
        door.do(UNLOCK)
        assert not door.energised("strike")
        await settle(5.1)
        assert door.energised("strike")
        door.do(UNLOCK)
        door.do(LOCK)
        assert door.energised("strike")
    assert not door.energised("strike")
    assert door.state("strike") == "unlocked"  # de-energised is safe, and here means open
    assert door.locks() == [
        ("locked", "", "started"),
        ("unlocked", "ana", ""),
        ("locked", "", "time over"),
        ("unlocked", "ana", ""),
        ("locked", "ana", ""),
        ("unlocked", "", "stopped"),
    ]


@pytest.mark.parametrize(
    "action",
    [
        UNLOCK,
        SoundSiren(endpoint="siren"),
        SwitchLight(endpoint="lamp", on=True),
        SwitchLight(endpoint="stairs", on=True),
    ],
)
@pytest.mark.parametrize("way_out", ["cancelled", "bug", "bug of another endpoint"])
async def test_every_way_out_drops_the_relay(autojump_clock: MockClock, action: Action, way_out: str) -> None:
    door = a_house()
    name = action.endpoint  # type: ignore[union-attr]
    if way_out == "cancelled":
        async with door.running():
            door.do(action)
            assert door.energised(name)
    else:
        victim = name if way_out == "bug" else next(n for n in door.endpoints if n != name)

        async def fall_over_later(port: object) -> None:
            with trio.CancelScope() as scope:
                scope.deadline = trio.current_time() + 1
                await original(port)
            raise ZeroDivisionError

        unit = door.house._units[victim]
        original = unit.run
        unit.run = fall_over_later  # type: ignore[method-assign]

        async def fall() -> None:
            async with door.running():
                door.do(action)
                assert door.energised(name)
                await trio.sleep(2)

        with pytest.raises(BaseExceptionGroup) as caught:
            await fall()
        assert caught.group_contains(ZeroDivisionError)
    assert not door.energised(name)
    assert door.locks()[-1:] in ([], [("locked", "", "stopped")])
    assert door.switched()[-1:] in ([], [(False, "", "stopped")])


async def test_a_stopped_house_is_told_what_it_did(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(UNLOCK)
        door.do(SoundSiren(endpoint="siren"))
    assert door.locks()[-1] == ("locked", "", "stopped")
    assert door.switched()[-1] == (False, "", "stopped")
    assert door.state("strike") == "locked"


async def test_nothing_can_be_told_before_the_start_and_after_the_end(autojump_clock: MockClock) -> None:
    door = a_house()
    with pytest.raises(EndpointError, match="not open"):
        door.do(UNLOCK)
    async with door.running():
        pass
    with pytest.raises(EndpointError, match="not open"):
        door.do(UNLOCK)
    with pytest.raises(EndpointError, match="not open"):
        door.do(LOCK)
    assert door.pins.history("strike") == ()


# The hardware fails.


async def test_an_unlock_that_fails_is_told_once_and_leaves_the_relay_off(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.pins.fail("strike", "relay does not answer", "drive")
        with pytest.raises(EndpointError, match="relay does not answer"):
            door.do(UNLOCK)
        assert door.health() == [("failed", "strike")]
        with pytest.raises(EndpointError):
            door.do(UNLOCK)
        assert door.health() == [("failed", "strike")]
        door.pins.heal("strike")
        await settle(RETRY_OFF_S + 0.1)
        assert not door.energised("strike")
        assert door.health() == [("failed", "strike"), ("recovered", "strike")]
        door.do(UNLOCK)
        assert door.energised("strike")
    assert door.locks()[0] == ("unlocked", "ana", "")


async def test_an_extension_that_fails_ends_the_hold(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(UNLOCK)
        door.pins.fail("strike", "stuck", "drive")
        with pytest.raises(EndpointError):
            door.do(UNLOCK)
        door.pins.heal("strike")
        await settle(RETRY_OFF_S + 0.1)
        assert not door.energised("strike")
        assert door.state("strike") == "locked"


async def test_relocking_that_fails_is_tried_again(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(UNLOCK)
        door.pins.fail("strike", "stuck", "drive")
        await settle(5.1)
        assert door.state("strike") == "unlocked"  # the truth, however unwelcome
        assert door.health() == [("failed", "strike")]
        door.pins.heal("strike")
        await settle(RETRY_OFF_S)
        assert not door.energised("strike")
    assert door.locks() == [("unlocked", "ana", ""), ("locked", "", "time over")]
    assert door.health() == [("failed", "strike"), ("recovered", "strike")]


async def test_lock_that_fails_is_tried_again_though_the_hold_would_be_long(
    autojump_clock: MockClock,
) -> None:
    door = a_house()
    async with door.running():
        door.do(Unlock(endpoint="strike", hold_s=30))
        door.pins.fail("strike", "stuck", "drive")
        with pytest.raises(EndpointError, match="stuck"):
            door.do(LOCK)
        door.pins.heal("strike")
        await settle(RETRY_OFF_S + 0.1)
        assert not door.energised("strike")


async def test_failures_long_apart_do_not_add_up(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        for _ in range(2 * OFF_TRIES):
            door.do(Unlock(endpoint="strike", hold_s=1))
            door.pins.fail("strike", "stuck", "drive")
            await settle(1.1)
            door.pins.heal("strike")
            await settle(RETRY_OFF_S)
            assert not door.energised("strike")
            door.do(LOCK)  # still open, and told off in time: never given up
    assert [reason for state, by, reason in door.locks() if not by] == ["time over"] * 2 * OFF_TRIES


async def test_an_impatient_hand_does_not_put_off_the_retry(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(UNLOCK)
        door.pins.fail("strike", "stuck", "drive")
        for _ in range(12):
            await settle(RETRY_OFF_S / 2)
            with suppress(EndpointError):
                door.do(LOCK)
        assert not door.energised("strike")  # given up, closed and opened anew by now


async def test_a_relay_that_cannot_be_dropped_is_opened_anew(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(Unlock(endpoint="strike", hold_s=1))
        door.pins.fail("strike", "stuck", "drive")
        await settle(1 + RETRY_OFF_S * (OFF_TRIES - 1) + 0.1)
        # It is neither dropped nor said to be: nobody could move it.
        assert door.energised("strike")
        assert door.state("strike") == "unlocked"
        assert [state for state, _, _ in door.locks()] == ["unlocked"]
        with pytest.raises(EndpointError, match="stuck"):
            door.do(LOCK)
        await settle(2.1)  # the first reopening: a line given back floats to rest
        assert not door.energised("strike")
        assert door.state("strike") == "locked"
        assert door.locks() == [("unlocked", "ana", ""), ("locked", "", "started")]
        assert door.health() == [("failed", "strike"), ("recovered", "strike")]
        door.pins.heal("strike")
        door.do(UNLOCK)
        assert door.energised("strike")


async def test_a_device_that_opens_but_does_not_work_is_not_told_over_and_over(
    autojump_clock: MockClock,
) -> None:
    door = a_house("fail_safe")
    door.pins.fail("strike", "stuck", "drive")
    async with door.running():
        await settle(3600)
        assert door.health() == [("failed", "strike")]
        assert [row["problem"] for row in door.house.states() if row["name"] == "strike"] == ["stuck"]
        door.pins.heal("strike")
        await settle(61)
        assert door.health() == [("failed", "strike"), ("recovered", "strike")]
        assert door.state("strike") == "locked"


async def test_a_siren_that_does_not_open_leaves_the_lock_alone(autojump_clock: MockClock) -> None:
    door = a_house()
    door.pins.fail("siren", "no such line", "open")
    async with door.running():
        door.do(UNLOCK)
        assert door.energised("strike")
        with pytest.raises(EndpointError, match="no such line"):
            door.do(SoundSiren(endpoint="siren"))
        assert door.health() == [("failed", "siren")]
        assert door.house.problems() == ["siren: no such line"]
        door.pins.heal("siren")
        await settle(10)
        door.do(SoundSiren(endpoint="siren"))
        assert door.energised("siren")


# The maximum of the hardware below ours. Its thread lives in real time.


async def test_the_loop_may_hang_and_the_door_is_shut_and_told_once() -> None:
    door = a_house(hold_s=0.1, max_hold_s=0.1)
    async with door.running():
        door.do(UNLOCK)
        time.sleep(0.5)  # the program's own timer cannot act
        assert not door.energised("strike")
        await settle()
        assert len(door.locks()) == 2
        assert door.state("strike") == "locked"


async def test_a_cut_off_of_the_hardware_is_told() -> None:
    door = a_house(hold_s=0.1, max_hold_s=0.1)
    async with door.running():
        door.do(UNLOCK)
        output = door.house.performers["strike"].output  # type: ignore[attr-defined]
        output._hold.clear()  # a program that has forgotten
        with trio.fail_after(5):
            while len(door.locks()) < 2:
                await trio.sleep(0.02)
        assert not door.energised("strike")
    assert door.locks() == [("unlocked", "ana", ""), ("locked", "", "hardware maximum")]


async def test_a_late_word_of_a_cut_off_does_not_hide_a_new_unlock(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(UNLOCK)
        assert door.board is not None
        door.board._cutoff("strike")  # it struck before, and the word of it comes after this unlock
        await settle(0.1)
        assert door.state("strike") == "unlocked"
        await settle(5)
        assert not door.energised("strike")
    assert door.locks() == [("unlocked", "ana", ""), ("locked", "", "time over")]


async def test_a_cut_off_of_an_unreadable_relay_drives_it_off(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(UNLOCK)
        door.pins.fail("strike", "unreadable", "read")
        assert door.board is not None
        door.board._cutoff("strike")
        await settle(0.1)
        assert not door.energised("strike")
        assert door.state("strike") == "locked"


async def test_a_cut_off_of_something_unknown_or_at_rest_is_nothing(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        assert door.board is not None
        door.board._cutoff("strike")
        door.board._cutoff("attic")
        await settle(0.1)
    assert door.locks() == []


# Siren and light.


async def test_a_siren_sounds_for_its_default_and_never_longer_than_its_maximum(
    autojump_clock: MockClock,
) -> None:
    door = a_house()
    async with door.running():
        door.do(SoundSiren(endpoint="siren"))
        await settle(10.1)
        assert not door.energised("siren")
        door.do(SoundSiren(endpoint="siren", duration_s=86_400))
        await settle(19.9)
        assert door.energised("siren")
        await settle(0.2)
        assert not door.energised("siren")
        door.do(SoundSiren(endpoint="siren"))
        door.do(StopSiren(endpoint="siren"), by="ben")
        assert not door.energised("siren")
    assert door.switched()[-1] == (False, "ben", "")


async def test_a_light_without_a_time_shines_until_told(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(SwitchLight(endpoint="lamp", on=True))
        await settle(1e6)
        assert door.energised("lamp")
        door.do(SwitchLight(endpoint="lamp", on=True, duration_s=5))  # at least what is left: for ever
        await settle(10)
        assert door.energised("lamp")
        door.do(SwitchLight(endpoint="lamp", on=False))
        assert not door.energised("lamp")
        door.do(SwitchLight(endpoint="lamp", on=True, duration_s=5))
        await settle(5.1)
        assert not door.energised("lamp")
        door.do(SwitchLight(endpoint="stairs", on=True, duration_s=86_400))
        await settle(100.1)
        assert not door.energised("stairs")
    told = [event.duration_s for event in door.log.events(LightChanged) if isinstance(event, LightChanged)]
    assert told[:2] == [None, None]


async def test_an_endless_light_that_cannot_be_switched_off_is_tried_again(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(SwitchLight(endpoint="lamp", on=True))
        door.pins.fail("lamp", "stuck", "drive")
        with pytest.raises(EndpointError):
            door.do(SwitchLight(endpoint="lamp", on=False))
        door.pins.heal("lamp")
        await settle(RETRY_OFF_S + 0.1)
        assert not door.energised("lamp")
        assert door.state("lamp") == "off"


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (SoundSiren(endpoint="strike"), "strike is a lock"),
        (Unlock(endpoint="siren"), "siren is a siren"),
        (Unlock(endpoint="lamp"), "lamp is a light"),
    ],
)
def test_each_kind_refuses_the_actions_of_others(action: Action, reason: str) -> None:
    door = a_house()
    assert door.house.performers[action.endpoint].refuse(action) == reason  # type: ignore[union-attr]


async def test_many_hands_at_one_lock(autojump_clock: MockClock) -> None:
    """Whatever the order, the state told last is the state of the relay."""
    door = a_house()
    async with door.running():

        async def hand(delay_s: float) -> None:
            for _ in range(20):
                await trio.sleep(delay_s)
                door.do(UNLOCK if int(trio.current_time() * 10) % 2 else LOCK)
                last = door.locks()[-1][0]
                assert (
                    door.energised("strike") == (last == "unlocked") == (door.state("strike") == "unlocked")
                )

        async with trio.open_nursery() as nursery:
            for number in range(1, 8):
                nursery.start_soon(hand, number / 10)
        await settle(6)
        assert not door.energised("strike")
        assert door.locks()[-1][0] == "locked"


class DeadRelay:
    """A relay that cannot even be put to rest."""

    is_on = False

    def on(self) -> None:
        raise HardwareError("strike", "dead")

    def off(self) -> None:
        raise HardwareError("strike", "dead")


async def test_a_relay_that_cannot_be_put_to_rest_is_not_taken_into_service(
    autojump_clock: MockClock,
) -> None:
    door = DoorHouse({"tamper": ContactPins(pin=5)})
    output = TimedOutput("strike", max_s=5, tell=lambda on, **more: None, health=Health("strike", door.log))
    with pytest.raises(HardwareError, match="dead"):
        await output.run(DeadRelay(), lambda: None)
    with pytest.raises(EndpointError):
        output.turn_on(1, by="ana", action_id="a1")
    assert door.log.events(HardwareFailed) == []  # House tells it
