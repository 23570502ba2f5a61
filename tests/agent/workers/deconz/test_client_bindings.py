"""Which device is an endpoint of this house, and what it is to it. Without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness.deconz_gateway import LAMP, household, sensor
from harness.deconz_home import Home

from agent.model.events import (
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    ContactChanged,
    DeviceChanged,
    HardwareFailed,
    HardwareRecovered,
    LightChanged,
    LockChanged,
)
from agent.workers.deconz.client_link import Link
from agent.workers.deconz.client_view import View
from agent.workers.deconz.wire import Added, Changed, Deleted

BELL = "00:15:8d:00:02:00:00:11-01-0006"


class Viewed:
    """A view of the gateway's household, read and live; `stamp` counts up."""

    def __init__(self, folder: Path, **endpoints: dict[str, Any]) -> None:
        self.home = Home(folder, endpoints=endpoints)
        self.lights, self.sensors = household()
        self.view = View("home", tuple(self.home.remotes.values()), Link(), self.home.log.publish)
        self.now = 100.0
        self._stamp = 0

    def read(self) -> Viewed:
        full = {"lights": self.lights, "sensors": self.sensors, "config": {"UTC": "2026-01-01T13:00:00"}}
        assert self.view.read(full, self.now, live=True)
        return self

    def tell(self, kind: Any, number: str, **state: Any) -> bool:
        self._stamp += 1
        self.now += 1
        stamp = {"lastupdated": f"2026-01-01T12:00:{self._stamp:02}.000"} if kind == "sensors" else {}
        return self.view.take(Changed(r=kind, id=number, state=state | stamp), self.now)

    @property
    def events(self) -> list[Any]:
        return self.home.events()


def button(**more: Any) -> dict[str, Any]:
    return {"device": "Bell", "acts_as": "button"} | more


def test_a_button_rings_when_it_is_let_go(tmp_path: Path) -> None:
    it = Viewed(tmp_path, bell=button()).read()
    for code in (1000, 1002, 2002, 1030):
        it.tell("sensors", "1", buttonevent=code)
    assert it.events == [
        ButtonPressed(endpoint="bell"),
        ButtonReleased(endpoint="bell", held_ms=1000),
        DeviceChanged(source="home", device="Bell", unique_id=BELL, fact="button", value=2002),
    ]


def test_a_button_rings_as_it_goes_down(tmp_path: Path) -> None:
    it = Viewed(tmp_path, bell=button(device=BELL.upper(), ring_on="press")).read()
    for code in (1000, 1001, 1003):
        it.tell("sensors", "1", buttonevent=code, eventduration=12)
    assert it.events == [
        ButtonPressed(endpoint="bell"),
        ButtonHeld(endpoint="bell", held_ms=1200),
        ButtonReleased(endpoint="bell", held_ms=1200),
    ]


def test_two_buttons_of_one_remote(tmp_path: Path) -> None:
    it = Viewed(tmp_path, front=button(), back=button(button=2)).read()
    it.tell("sensors", "1", buttonevent=2002)
    it.tell("sensors", "1", buttonevent=1002)
    it.tell("sensors", "1", buttonevent=3002)
    assert [event.endpoint for event in it.home.events(ButtonPressed)] == ["back", "front"]
    assert [event.value for event in it.home.events(DeviceChanged)] == [3002]


def test_a_code_that_is_none_is_nothing(tmp_path: Path) -> None:
    it = Viewed(tmp_path, bell=button()).read()
    for code in (0, 999, 28_000, True, "1002", 1002.5, -1, 10**30):
        assert it.tell("sensors", "1", buttonevent=code)
    assert it.events == []


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("ZHAFire", "fire"), ("ZHACarbonMonoxide", "carbonmonoxide"), ("ZHAWater", "water"),
        ("ZHAAlarm", "alarm"), ("ZHAOpenClose", "open"), ("ZHAPresence", "presence"),
        ("ZHAVibration", "vibration"),
    ],
)  # fmt: skip
def test_each_kind_of_detector(kind: str, field: str, tmp_path: Path) -> None:
    it = Viewed(tmp_path, it={"device": "It", "acts_as": "contact", "role": "smoke"})
    it.sensors["9"] = sensor(kind, "It", "00:15-9", {field: True, "tampered": False})
    it.read()
    for value in (True, None, False, False, True):
        it.tell("sensors", "9", **{field: value})
    told = [(True), (False), (True)]
    assert it.events == [ContactChanged(endpoint="it", role="smoke", active=value) for value in told]
    # What else it tells is of the house too, but no endpoint.
    it.tell("sensors", "9", tampered=True)
    assert [(event.fact, event.value) for event in it.home.events(DeviceChanged)] == [("tamper", True)]


def test_a_tamper_switch_and_its_detector_are_two_endpoints(tmp_path: Path) -> None:
    it = Viewed(
        tmp_path,
        door={"device": "Door", "acts_as": "contact"},
        cover={"device": "Door", "acts_as": "contact", "role": "tamper", "tamper": True},
    ).read()
    it.tell("sensors", "2", open=True, tampered=True)
    it.tell("sensors", "2", tampered=False)
    assert [(event.endpoint, event.active) for event in it.events] == [
        ("door", True), ("cover", True), ("cover", False)
    ]  # fmt: skip


def test_a_lock_tells_its_door_too(tmp_path: Path) -> None:
    it = Viewed(tmp_path, lock={"device": "Lock", "acts_as": "lock"})
    it.sensors["3"]["state"]["open"] = False
    it.read()
    it.tell("sensors", "3", lockstate="unlocked", open=True)
    assert [type(event) for event in it.events] == [LockChanged, DeviceChanged]


def test_config_lock_is_only_what_was_asked_for(tmp_path: Path) -> None:
    it = Viewed(tmp_path, lock={"device": "Lock", "acts_as": "lock"}).read()
    it.view.take(Changed(r="sensors", id="3", config={"lock": False}), 1.0)
    assert it.events == []


def test_unreachable_and_back(tmp_path: Path) -> None:
    it = Viewed(tmp_path, stairs={"device": "Staircase", "acts_as": "light"}, bell=button())
    it.lights["2"]["state"]["reachable"] = False
    it.read()
    assert it.home.problem("stairs") == "the gateway cannot reach the device"
    it.tell("lights", "2", reachable=None)
    it.tell("lights", "2", reachable=True)
    it.view.take(Changed(r="sensors", id="1", config={"reachable": False}), 200.0)
    # A button that tells something can be reached, whatever the gateway thinks.
    it.tell("sensors", "1", buttonevent=1002)
    assert [type(event) for event in it.events] == [
        HardwareFailed, HardwareRecovered, HardwareFailed, ButtonPressed, ButtonReleased,
    ]  # fmt: skip


def test_missing_ambiguous_and_of_the_wrong_kind(tmp_path: Path) -> None:
    it = Viewed(
        tmp_path,
        none={"device": "Attic", "acts_as": "light"},
        twins={"device": "Staircase", "acts_as": "light"},
        wrong={"device": "Bell", "acts_as": "light"},
    )
    it.lights["9"] = LAMP | {"uniqueid": "00:15-9"}
    it.read()
    assert "no device 'Attic'" in it.home.problem("none")
    assert "2 devices are called 'Staircase'" in it.home.problem("twins")
    assert "'Bell' is no light but ZHASwitch" in it.home.problem("wrong")
    assert it.view.misses_a_device


def test_renamed_deleted_and_added(tmp_path: Path) -> None:
    it = Viewed(tmp_path, stairs={"device": "Staircase", "acts_as": "light"}).read()
    it.view.take(Changed(r="lights", id="2", attr={"name": "Hall"}), 1.0)
    assert "no device" in it.home.problem("stairs")
    it.view.take(Changed(r="lights", id="2", name="Staircase"), 2.0)
    assert it.home.problem("stairs") == ""
    it.view.take(Deleted(r="lights", id="2"), 3.0)
    assert "no device" in it.home.problem("stairs")
    body = LAMP | {"state": {"on": True, "reachable": True}}
    it.view.take(Added(r="lights", id="20", body=body), 4.0)
    assert it.home.problem("stairs") == ""
    assert it.home.events(LightChanged) == [LightChanged(endpoint="stairs", on=True)]


def test_the_id_of_a_bound_device_may_change(tmp_path: Path) -> None:
    it = Viewed(tmp_path, bell=button()).read()
    it.sensors["31"] = it.sensors.pop("1")
    it.read()
    it.tell("sensors", "31", buttonevent=1002)
    assert len(it.home.events(ButtonPressed)) == 1


def test_a_device_that_flaps_is_told_slowly_and_right_in_the_end(tmp_path: Path) -> None:
    it = Viewed(tmp_path, stairs={"device": "Staircase", "acts_as": "light"}).read()
    for turn in range(201):
        it.view.take(
            Changed(r="lights", id="2", state={"reachable": turn % 2 == 0, "on": turn % 2 == 0}), 50.0
        )
    assert len(it.events) <= 3 * 20
    now = 50.0
    while (wait := it.view.flush(now)) is not None:
        now += wait
    assert now < 52
    assert it.home.problem("stairs") == ""
    assert it.home.remotes["stairs"].state() == "on"


def test_without_a_connection_nothing_works(tmp_path: Path) -> None:
    it = Viewed(tmp_path, bell=button(), stairs={"device": "Staircase", "acts_as": "light"}).read()
    it.view.lost("gone", 1.0)
    it.view.lost("still gone", 2.0)
    assert it.home.problem("bell") == "still gone"
    assert len(it.home.events(HardwareFailed)) == 2
    # What is read before its events flow does not make it work.
    full = {"lights": it.lights, "sensors": it.sensors}
    it.view.read(full, 3.0, live=False)
    assert it.home.problem("bell") == "still gone"
    it.view.read(full, 4.0, live=True)
    assert it.home.problem("bell") == ""
