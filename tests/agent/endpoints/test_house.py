from __future__ import annotations

from typing import Any

import pytest
from harness.doorhouse import DoorHouse, settle
from trio.testing import MockClock

from agent.endpoints.house import ALL_DEAD_S
from agent.model.actions import SoundSiren, Unlock
from agent.model.events import CallChanged, HardwareFailed, JournalFailed, JournalRecovered
from agent.runtime import EndpointInfo, RemoteConfig
from hw.pins import (
    ButtonPins,
    ContactPins,
    EndpointPins,
    LedPins,
    LightPins,
    SirenPins,
    sim_endpoints,
)


def test_what_workers_are_told_of_the_simulated_door() -> None:
    infos = {info.name: info for info in DoorHouse(sim_endpoints()).house.infos}
    assert infos["doorbell"].kind == "button"
    assert infos["doorbell"].label == "Bell"
    assert infos["smoke"].role == "smoke"
    assert infos["strike"].has_door_contact
    assert not infos["siren"].has_door_contact
    assert list(infos) == list(sim_endpoints())


async def test_an_endpoint_without_a_label_shows_its_name(autojump_clock: MockClock) -> None:
    (info,) = DoorHouse({"bell": ButtonPins(pin=17)}).house.infos
    assert info.label == "bell"


async def test_nothing_is_wired_and_nothing_breaks(autojump_clock: MockClock) -> None:
    door = DoorHouse({})
    async with door.running():
        await settle(1000)
        assert door.house.sick() is None
        assert door.house.states() == []


async def test_without_a_chip_every_endpoint_says_so_and_the_watchdog_is_content(
    autojump_clock: MockClock,
) -> None:
    """A restart would not bring the chip."""
    door = DoorHouse(sim_endpoints())
    wires = [*sim_endpoints(), "strike.contact"]
    for name in wires:
        door.pins.fail(name, "no chip", "open")
    async with door.running():
        assert sorted(name for _, name in door.health()) == sorted(wires)
        for _ in range(100):
            await settle(10)
            assert door.house.sick() is None
        for name in wires:
            door.pins.heal(name)
        await settle(61)
        assert door.house.problems() == []
        door.do(Unlock(endpoint="strike"))
        assert door.energised("strike")


async def test_a_board_that_died_is_sick_after_two_minutes(autojump_clock: MockClock) -> None:
    door = DoorHouse({"bell": ButtonPins(pin=17), "siren": SirenPins(pin=23)})
    async with door.running():
        assert door.house.sick() is None
        door.pins.press("bell")
        door.pins.unplug("bell")
        await settle(1)
        assert door.house.sick() is None  # one of two
        door.do(SoundSiren(endpoint="siren"))
        door.pins.unplug("siren")
        await settle(65)
        assert len(door.house.problems()) == 2
        assert door.house.sick() is None
        await settle(ALL_DEAD_S - 10)
        assert door.house.sick() is None
        await settle(20)
        assert door.house.sick() == "no device of the board works"
        door.pins.heal("bell")
        await settle(61)
        assert door.house.sick() is None


async def test_a_lone_bell_that_chatters_is_no_reason_to_restart(autojump_clock: MockClock) -> None:
    door = DoorHouse({"bell": ButtonPins(pin=17)})
    async with door.running():
        assert door.house.sick() is None
        for _ in range(20):
            await door.chatter("bell", 10)
            assert door.house.problems()
            assert door.house.sick() is None


async def test_only_known_endpoints_can_be_told_something() -> None:
    door = DoorHouse(sim_endpoints())
    assert sorted(door.house.performers) == ["doorbell", "siren", "staircase", "strike"]


# What lives on a foreign system.


class ToyEndpoint(RemoteConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="toy"):
    pass


def far(**more: Any) -> dict[str, Any]:
    return {
        "gate": ToyEndpoint(acts_as="lock", label="Garden gate", max_on_s=10),
        "yard": ToyEndpoint(acts_as="light", default_s=0),
        "horn": ToyEndpoint(acts_as="siren"),
        "window": ToyEndpoint(acts_as="contact", role="motion"),
        "back_bell": ToyEndpoint(acts_as="button"),
        **more,
    }


def test_what_workers_are_told_of_what_is_far_away() -> None:
    infos = DoorHouse(far(bell=ButtonPins(pin=17, label="Bell"))).house.infos
    assert infos == (
        EndpointInfo(name="gate", label="Garden gate", kind="lock", system="toy", hold_s=5, max_s=10),
        EndpointInfo(name="yard", label="yard", kind="light", system="toy"),
        EndpointInfo(name="horn", label="horn", kind="siren", system="toy", hold_s=60, max_s=180),
        EndpointInfo(name="window", label="window", kind="contact", role="motion", system="toy"),
        EndpointInfo(name="back_bell", label="back_bell", kind="button", system="toy"),
        EndpointInfo(name="bell", label="Bell", kind="button"),
    )


def test_what_workers_are_told_of_times() -> None:
    infos = {info.name: info for info in DoorHouse(sim_endpoints()).house.infos}
    times = {name: (info.hold_s, info.max_s) for name, info in infos.items()}
    assert times == {
        "strike": (5, 30),
        "siren": (60, 180),
        "staircase": (120, None),
        **dict.fromkeys(("doorbell", "tamper", "smoke", "motion", "status"), (None, None)),
    }
    (lamp,) = DoorHouse({"lamp": LightPins(pin=24, default_s=0, max_on_s=900)}).house.infos
    assert (lamp.hold_s, lamp.max_s) == (None, 900)


async def test_what_is_far_away_can_be_told_something_and_tells(autojump_clock: MockClock) -> None:
    door = DoorHouse(far(bell=ButtonPins(pin=17), tamper=ContactPins(pin=5)))
    house = door.house
    assert sorted(house.remotes) == ["back_bell", "gate", "horn", "window", "yard"]
    assert sorted(house.performers) == ["back_bell", "bell", "gate", "horn", "window", "yard"]
    async with door.running():
        for remote in house.remotes.values():
            remote.works()
        pending = house.performers["gate"].perform(Unlock(endpoint="gate"), by="ana", action_id="a1")
        assert pending is not None
        command = await house.remotes["gate"].command()
        house.remotes["gate"].switched(True, command=command)
        command.done()
        assert await pending.failure() is None
        house.remotes["window"].contact(True)
        house.remotes["back_bell"].pressed()
        states = {name: house.state_of(name).state for name in (*house.remotes, "bell", "tamper")}
    assert states == {
        "gate": "unlocked",
        "yard": "off",
        "horn": "off",
        "window": "active",
        "back_bell": "pressed",
        "bell": "released",
        "tamper": "calm",
    }
    assert door.locks() == [("unlocked", "ana", "")]
    rows = {row["name"]: row for row in house.states()}
    assert rows["gate"] == {
        "name": "gate",
        "label": "Garden gate",
        "kind": "lock",
        "role": "",
        "state": "unlocked",
        "problem": "",
        "extra": {"system": "toy"},
    }
    assert rows["window"]["role"] == "motion"
    assert rows["tamper"]["extra"] == {}


async def test_what_is_far_away_and_broken_is_told_and_no_reason_to_restart(
    autojump_clock: MockClock,
) -> None:
    """A restart of the door brings no gateway back; and a gateway that lives says nothing of the board."""
    door = DoorHouse(far(bell=ButtonPins(pin=17)))
    async with door.running():
        assert door.house.sick() is None
        for remote in door.house.remotes.values():
            remote.failed("gateway gone")
        for _ in range(100):
            await settle(10)
            assert door.house.sick() is None
        assert sorted(door.house.problems()) == [
            f"{name}: gateway gone" for name in sorted(door.house.remotes)
        ]
        assert door.house.state_of("gate").problem == "gateway gone"
        for remote in door.house.remotes.values():
            remote.works()
        assert door.house.problems() == []
        door.pins.press("bell")
        door.pins.unplug("bell")
        await settle(65)
        assert door.house.sick() is None
        await settle(ALL_DEAD_S + 1)
        assert door.house.sick() == "no device of the board works"


async def test_a_door_with_nothing_on_its_own_wires_is_never_sick(autojump_clock: MockClock) -> None:
    door = DoorHouse(far())
    async with door.running():
        for remote in door.house.remotes.values():
            remote.failed("gateway gone")
        for _ in range(50):
            await settle(10)
            assert door.house.sick() is None


# The status lamp.


def shows(door: DoorHouse) -> str:
    return door.state("lamp")


async def test_the_lamp_shows_the_most_urgent_thing(autojump_clock: MockClock) -> None:
    door = DoorHouse({"lamp": LedPins(pin=25), "bell": ButtonPins(pin=17)})
    async with door.running():
        assert shows(door) == "on"
        assert door.energised("lamp")
        door.log.publish(JournalFailed(reason="disk full"))
        await settle(0.01)
        assert shows(door) == "blink_slow"
        door.log.publish(CallChanged(call_id="c1", endpoint="bell", state="ringing"))
        await settle(0.01)
        assert shows(door) == "blink_fast"
        door.log.publish(CallChanged(call_id="c1", endpoint="bell", state="answered"))
        await settle(0.01)
        assert shows(door) == "blink_slow"
        door.log.publish(JournalRecovered())
        await settle(0.01)
        assert shows(door) == "on"
    assert not door.energised("lamp")


@pytest.mark.parametrize("order", [("lamp", "bell"), ("bell", "lamp")])
async def test_the_lamp_knows_what_failed_before_it_was_lit(
    autojump_clock: MockClock, order: tuple[str, str]
) -> None:
    pins: dict[str, EndpointPins] = {"lamp": LedPins(pin=25), "bell": ButtonPins(pin=17)}
    for _ in range(5):  # trio starts tasks in any order
        door = DoorHouse({name: pins[name] for name in order})
        door.pins.fail("bell", "gone", "open")
        async with door.running():
            assert shows(door) == "blink_slow"


async def test_a_lamp_that_was_away_knows_what_happened_meanwhile(autojump_clock: MockClock) -> None:
    door = DoorHouse({"lamp": LedPins(pin=25), "bell": ButtonPins(pin=17)})
    async with door.running():
        door.pins.fail("lamp", "burnt out")
        door.log.publish(CallChanged(call_id="c1", endpoint="bell", state="ringing"))
        await settle(1)
        assert ("failed", "lamp") in door.health()
        door.log.publish(CallChanged(call_id="c1", endpoint="bell", state="missed"))
        door.pins.heal("lamp")
        await settle(61)
        assert door.health()[-1] == ("recovered", "lamp")
        assert shows(door) == "on"


async def test_a_lamp_that_was_lapped_does_not_blink_for_ever(autojump_clock: MockClock) -> None:
    door = DoorHouse({"lamp": LedPins(pin=25)})
    async with door.running():
        door.log.publish(CallChanged(call_id="c1", endpoint="bell", state="ringing"))
        await settle(0.01)
        door.log.publish(CallChanged(call_id="c1", endpoint="bell", state="ended"))
        for number in range(2000):
            door.log.publish(HardwareFailed(endpoint=f"e{number % 3}", reason="x"))
        await settle(0.01)
        assert shows(door) == "blink_slow"
