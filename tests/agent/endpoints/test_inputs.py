"""Bell, contacts and door leaf: what moves on the wires, and what is told of it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from harness.doorhouse import DoorHouse, settle
from trio.testing import MockClock

from agent.endpoints.inputs import CHATTERS, FORCED_GRACE_S
from agent.model.actions import Lock, Ring, Unlock
from agent.model.events import ButtonHeld, ButtonPressed, ButtonReleased, ContactChanged
from hw.fake import BOUNCE_5_MS
from hw.pins import ButtonPins, ContactPins, DoorContactPins, LockPins

DOOR = "strike.contact"


def a_house(**lock: object) -> DoorHouse:
    contact = DoorContactPins(pin=22)
    return DoorHouse(
        {
            "bell": ButtonPins(pin=17, hold_ms=1500),
            "back": ButtonPins(pin=18, hold_ms=0),
            "smoke": ContactPins(pin=6, role="smoke"),
            "tamper": ContactPins(pin=5, role="tamper"),
            "strike": LockPins(pin=27, door_contact=contact, **{"left_open_after_s": 60, **lock}),  # type: ignore[arg-type]
        }
    )


def told(door: DoorHouse) -> list[str]:
    return [type(event).__name__ for event in door.log.events(ButtonPressed, ButtonHeld, ButtonReleased)]


async def test_a_press_that_bounces_is_one_press(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.pins.bounce("bell", BOUNCE_5_MS)
        await settle(0.2)
        assert told(door) == ["ButtonPressed"]
        door.pins.bounce("bell", BOUNCE_5_MS)
        await settle(0.2)
        assert told(door) == ["ButtonPressed", "ButtonReleased"]


async def test_a_hundred_presses_are_a_hundred(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        for _ in range(100):
            door.pins.bounce("bell")
            await settle(0.2)
            door.pins.bounce("bell")
            await settle(0.2)
    assert told(door) == ["ButtonPressed", "ButtonReleased"] * 100


async def test_a_press_shorter_than_the_debounce_still_ends(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.pins.press("bell")
        door.pins.release("bell")
        await settle(0.2)
        assert told(door) == ["ButtonPressed", "ButtonReleased"]
        assert door.state("bell") == "released"


async def test_a_long_press_is_told_while_it_lasts(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.pins.press("bell")
        await settle(1.4)
        assert told(door) == ["ButtonPressed"]
        assert door.state("bell") == "pressed"
        await settle(0.2)
        assert told(door) == ["ButtonPressed", "ButtonHeld"]
        await settle(600)
        door.pins.release("bell")
        await settle(0.2)
        assert told(door) == ["ButtonPressed", "ButtonHeld", "ButtonReleased"]


async def test_a_button_without_long_presses_has_none(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.pins.press("back")
        await settle(600)
        door.pins.release("back")
        await settle(0.2)
    assert told(door) == ["ButtonPressed", "ButtonReleased"]


async def test_a_button_that_is_stuck_at_the_start_does_not_ring(autojump_clock: MockClock) -> None:
    door = a_house()
    door.pins._wire("bell").active = True
    async with door.running():
        await settle(10)
        assert told(door) == []
        door.pins.release("bell")
        await settle(1)
        assert told(door) == []
        door.pins.press("bell")
        await settle(0.2)
        assert told(door) == ["ButtonPressed"]


async def test_a_ring_by_command_is_a_press_with_a_name(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(Ring(endpoint="bell"), by="ben")
        assert door.log.events(ButtonPressed) == [ButtonPressed(endpoint="bell", by="ben")]
        assert door.house.performers["bell"].refuse(Unlock(endpoint="bell")) == "bell is a button"


async def test_what_burns_at_the_start_is_told_at_once(autojump_clock: MockClock) -> None:
    door = a_house()
    door.pins._wire("smoke").active = True
    async with door.running():
        assert door.log.events(ContactChanged) == [
            ContactChanged(endpoint="smoke", role="smoke", active=True)
        ]
        assert door.state("smoke") == "active"
        assert door.state("tamper") == "calm"
        door.pins.release("smoke")
        await settle(0.2)
    assert door.log.events(ContactChanged)[1:] == [
        ContactChanged(endpoint="smoke", role="smoke", active=False)
    ]


async def test_what_burned_before_the_wire_broke_is_not_told_twice(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.pins.press("smoke")
        door.pins.fail("smoke", "gone", "read")
        await settle(1)
        assert door.health() == [("failed", "smoke")]
        door.pins.heal("smoke")
        await settle(70)
    assert door.health() == [("failed", "smoke"), ("recovered", "smoke")]
    assert [event.active for event in door.log.events(ContactChanged)] == [True]  # type: ignore[union-attr]


# The door leaf.


async def test_a_door_that_is_let_open_is_told(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(Unlock(endpoint="strike"))
        await settle(1)
        door.pins.press(DOOR)
        await settle(59)
        assert door.doors() == ["open"]
        await settle(2)
        assert door.doors() == ["open", "left_open"]
        await settle(600)
        door.pins.release(DOOR)
        await settle(0.2)
        assert door.doors() == ["open", "left_open", "closed"]


async def test_zero_seconds_never_are_left_open(autojump_clock: MockClock) -> None:
    door = a_house(left_open_after_s=0)
    async with door.running():
        door.do(Unlock(endpoint="strike"))
        door.pins.press(DOOR)
        await settle(1e6)
    assert door.doors() == ["open"]


async def test_a_door_opened_without_an_unlock_is_forced_and_then_left_open(
    autojump_clock: MockClock,
) -> None:
    door = a_house()
    async with door.running():
        door.pins.press(DOOR)
        await settle(0.2)
        assert door.doors() == ["forced"]
        await settle(61)
        assert door.doors() == ["forced", "left_open"]


@pytest.mark.parametrize(
    ("late_s", "state"), [(FORCED_GRACE_S - 0.1, "open"), (FORCED_GRACE_S + 0.1, "forced")]
)
async def test_who_was_slow_after_the_unlock_is_no_burglar(
    autojump_clock: MockClock, late_s: float, state: str
) -> None:
    door = a_house()
    async with door.running():
        door.do(Unlock(endpoint="strike", hold_s=2))
        await settle(2 + late_s)
        door.pins.press(DOOR)
        await settle(0.2)
    assert door.doors() == [state]


async def test_lock_by_hand_also_leaves_a_grace(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.do(Unlock(endpoint="strike", hold_s=20))
        door.do(Lock(endpoint="strike"))
        await settle(FORCED_GRACE_S - 0.1)
        door.pins.press(DOOR)
        await settle(0.2)
    assert door.doors() == ["open"]


async def test_a_house_that_does_not_want_to_know_is_not_told_forced(autojump_clock: MockClock) -> None:
    door = a_house(forced_detection=False)
    async with door.running():
        door.pins.press(DOOR)
        await settle(0.2)
    assert door.doors() == ["open"]


async def test_a_fail_safe_lock_without_its_relay_is_open_and_nobody_forces_it(
    autojump_clock: MockClock,
) -> None:
    door = a_house(mode="fail_safe")
    door.pins.fail("strike", "gone", "open")
    async with door.running():
        await settle(60)
        door.pins.press(DOOR)
        await settle(0.2)
    assert door.doors() == ["open"]


async def test_a_door_open_at_the_start_is_open_not_forced(autojump_clock: MockClock) -> None:
    door = a_house()
    door.pins._wire(DOOR).active = True
    async with door.running():
        assert door.doors() == ["open"]
        assert [row["extra"] for row in door.house.states() if row["name"] == "strike"] == [
            {"door": "open", "door_problem": ""}
        ]
        await settle(61)
        assert door.doors() == ["open", "left_open"]


async def test_a_door_that_moved_while_its_wire_was_broken_is_told_afterwards(
    autojump_clock: MockClock,
) -> None:
    door = a_house()
    async with door.running():
        door.do(Unlock(endpoint="strike"))
        door.pins.press(DOOR)
        door.pins.unplug(DOOR)
        await settle(1)
        assert door.health() == [("failed", DOOR)]
        door.pins.release(DOOR)
        await settle(1)
        assert door.doors() == ["open"]
        door.pins.heal(DOOR)
        await settle(70)
        assert door.doors() == ["open", "closed"]
        assert door.health() == [("failed", DOOR), ("recovered", DOOR)]


# Wires that break.


async def test_an_unplugged_bell_is_told_opened_again_and_rings(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        door.pins.press("bell")  # a change makes it look at the level, which then cannot be read
        door.pins.unplug("bell")
        await settle(1)
        assert door.health() == [("failed", "bell")]
        door.pins.heal("bell")
        door.pins._wire("bell").active = False
        await settle(10)
        assert door.health() == [("failed", "bell"), ("recovered", "bell")]
        before = len(told(door))
        door.pins.press("bell")
        await settle(0.2)
        assert told(door)[before:] == ["ButtonPressed"]


async def test_reopening_slows_down_and_never_ends(autojump_clock: MockClock) -> None:
    door = a_house()
    tries: list[float] = []
    original = door.pins.open_input

    def open_input(name: str, pins: object) -> object:
        if name == "bell":
            tries.append(trio.current_time())
        return original(name, pins)  # type: ignore[arg-type]

    door.pins.open_input = open_input  # type: ignore[method-assign, assignment]
    door.pins.fail("bell", "no such line", "open")
    async with door.running():
        await settle(7200)
        assert door.health() == [("failed", "bell")]
        gaps = [late - early for early, late in pairwise(tries)]
        assert 1.5 <= gaps[0] <= 2.1
        assert all(gap <= 60.1 for gap in gaps)
        assert all(gap >= 44 for gap in gaps[6:])
        door.pins.heal("bell")
        await settle(61)
        assert door.health() == [("failed", "bell"), ("recovered", "bell")]
        door.pins.press("bell")
        await settle(0.2)
        assert told(door) == ["ButtonPressed"]


async def test_a_device_that_worked_for_long_is_opened_again_soon(autojump_clock: MockClock) -> None:
    door = a_house()
    door.pins.fail("bell", "no such line", "open")
    async with door.running():
        await settle(3600)
        door.pins.heal("bell")
        await settle(600)
        door.pins.press("bell")
        door.pins.fail("bell", "gone", "read")
        await settle(1)
        door.pins.heal("bell")
        await settle(2.1)
        assert door.health() == [("failed", "bell"), ("recovered", "bell")] * 2


async def test_an_input_that_opens_but_cannot_be_read_is_told_once(autojump_clock: MockClock) -> None:
    door = a_house()
    door.pins.fail("bell", "floating", "read")
    async with door.running():
        await settle(3600)
        assert door.health() == [("failed", "bell")]
        door.pins.heal("bell")
        await settle(61)
        assert door.health() == [("failed", "bell"), ("recovered", "bell")]


async def test_a_chattering_contact_is_told_and_taken_back(autojump_clock: MockClock) -> None:
    door = a_house()
    async with door.running():
        await door.chatter("tamper")
        assert door.health() == [("failed", "tamper")]
        assert door.house.problems() == [f"tamper: {CHATTERS}"]
        door.pins.release("tamper")
        await settle(1)
        assert door.health()[-1] == ("recovered", "tamper")
