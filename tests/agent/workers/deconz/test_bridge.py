from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.context import House
from harness.deconz_door import ARMED, BELL, EVERYTHING, GATE, LED, SIREN, STAIRS, STRIKE, WINDOW

from agent.bus import EventLog
from agent.model.events import (
    AlarmChanged,
    AnyEvent,
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    CallChanged,
    ContactChanged,
    DoorChanged,
    HardwareFailed,
    HardwareRecovered,
    LightChanged,
    LockChanged,
    SirenChanged,
)
from agent.runtime import AlarmStatus, EndpointInfo, EndpointState
from agent.workers.deconz.bridge import Bridge
from agent.workers.deconz.config import ServerConfig
from agent.workers.deconz.directory import Directory, Stored
from agent.workers.deconz.translate import Shown
from agent.workers.deconz.wire import Changed, encode_event

AT_NS = 1_767_225_600_000_000_000


class Site:
    """A bridge, and what it tells of events."""

    def __init__(
        self,
        tmp_path: Path,
        endpoints: tuple[EndpointInfo, ...] = EVERYTHING,
        *,
        alarm: AlarmStatus | None = None,
        states: dict[str, EndpointState] | None = None,
        directory: Directory | None = None,
        daylight: Shown | None = None,
        config: ServerConfig | None = None,
    ) -> None:
        self.log = EventLog(boot_id="b", clock_ns=lambda: AT_NS)
        self.house = House(tmp_path, endpoints=endpoints, log=self.log)
        self.house.alarm = alarm
        self.house.states = states or {}
        self.directory = directory or Directory(
            Stored(mac="02aabbccddee", uuid="2ebd2dac-f97e-4ae7-934b-b791dfe4571c")
        )
        self.bridge = Bridge(
            config or ServerConfig(), self.house.context("deconz"), self.directory, daylight=daylight
        )

    def tell(self, *events: AnyEvent) -> list[dict[str, Any]]:
        changed: list[Changed] = []
        for event in events:
            changed += self.bridge.note(self.log.publish(event))
        return plain(changed)

    def names(self) -> dict[str, str]:
        resources = (*self.bridge.lights.values(), *self.bridge.sensors.values())
        return {f"{resource.r}/{resource.id}": resource.form.type for resource in resources}


def plain(changed: list[Changed]) -> list[dict[str, Any]]:
    return [json.loads(encode_event(change)) for change in changed]


def briefly(told: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Of each message whose it is, and its part without times."""
    found = []
    for message in told:
        part = message.get("state", message.get("config", {"name": message.get("name")}))
        found.append(
            (f"{message['r']}/{message['id']}", {k: v for k, v in part.items() if k != "lastupdated"})
        )
    return found


# ----- what there is -----


def test_every_endpoint_is_shown_and_no_led_and_nothing_of_gateways(tmp_path: Path) -> None:
    assert Site(tmp_path, alarm=ARMED).names() == {
        "lights/1": "Warning device",
        "lights/2": "On/Off light",
        "lights/3": "On/Off light",
        "sensors/1": "ZHASwitch",
        "sensors/2": "ZHADoorLock",
        "sensors/3": "ZHAOpenClose",
        "sensors/4": "ZHADoorLock",
        "sensors/5": "ZHAFire",
        "sensors/6": "ZHACarbonMonoxide",
        "sensors/7": "ZHAPresence",
        "sensors/8": "ZHAAlarm",
        "sensors/9": "ZHAOpenClose",
        "sensors/10": "ZHAAncillaryControl",
    }


def test_what_is_hidden_is_not_shown(tmp_path: Path) -> None:
    site = Site(tmp_path, (BELL, STRIKE, SIREN), config=ServerConfig(hide=("strike",)))
    assert site.names() == {"sensors/1": "ZHASwitch", "lights/1": "Warning device"}
    assert site.tell(LockChanged(endpoint="strike", state="unlocked")) == []


def test_a_lock_may_be_shown_as_a_light(tmp_path: Path) -> None:
    site = Site(tmp_path, (STRIKE, STAIRS), config=ServerConfig(lock_as="light"))
    assert site.names() == {"lights/1": "Door Lock", "lights/2": "On/Off light", "sensors/1": "ZHAOpenClose"}
    assert briefly(site.tell(LockChanged(endpoint="strike", state="unlocked"))) == [
        ("lights/1", {"alert": "none", "on": False, "reachable": True})
    ]
    # "All off" must not open the door.
    group = site.bridge.group()
    assert group is not None
    assert group["lights"] == ["2"]


def test_a_device_has_one_address_and_its_parts_have_endpoints_of_it(tmp_path: Path) -> None:
    site = Site(tmp_path, (BELL, STRIKE))
    bell, lock, leaf = site.bridge.sensors.values()
    assert bell.uniqueid.partition("-")[0] != lock.uniqueid.partition("-")[0]
    assert lock.uniqueid.partition("-")[0] == leaf.uniqueid.partition("-")[0]
    assert (lock.uniqueid[-7:], leaf.uniqueid[-7:]) == ("01-0101", "02-0500")
    assert (lock.name, leaf.name) == ("Front door", "Front door contact")


def test_ids_survive_and_come_back(tmp_path: Path) -> None:
    first = Site(tmp_path, (BELL, WINDOW, SIREN))
    ids = {resource.endpoint: resource.uniqueid for resource in first.bridge.sensors.values()}
    without = Site(tmp_path, (BELL, GATE), directory=first.directory)
    assert without.names() == {"sensors/1": "ZHASwitch", "sensors/3": "ZHADoorLock"}
    again = Site(tmp_path, (GATE, WINDOW, BELL), directory=first.directory)
    found = {
        resource.endpoint: (resource.id, resource.uniqueid) for resource in again.bridge.sensors.values()
    }
    assert found["window"] == ("2", ids["window"])
    assert found["bell"] == ("1", ids["bell"])


def test_no_endpoint_at_all_is_a_gateway_with_nothing(tmp_path: Path) -> None:
    bridge = Site(tmp_path, (LED,)).bridge
    for r in ("lights", "sensors", "groups", "alarmsystems", "scenes", "rules"):
        assert bridge.map_of(r) == {}
    assert bridge.snapshot() == []


def test_a_resource_is_found_by_its_id_and_its_unique_id(tmp_path: Path) -> None:
    bridge = Site(tmp_path).bridge
    siren = bridge.lights["1"]
    assert bridge.find("lights", "1") is siren
    assert bridge.find("lights", siren.uniqueid.upper()) is siren
    assert bridge.find("sensors", siren.uniqueid) is None
    for number in ("", "01", "99", "one", "1 ", "¹", ":::::::"):
        assert bridge.find("lights", number) is None


def test_at_the_start_everything_is_as_it_is(tmp_path: Path) -> None:
    states = {
        "siren": EndpointState(state="on"),
        "strike": EndpointState(state="unlocked", door="open"),
        "smoke": EndpointState(state="active"),
        "stairs": EndpointState(state="on"),
        "co": EndpointState(state="calm", problem="no answer"),
    }
    bridge = Site(tmp_path, states=states).bridge
    assert bridge.lights["1"].state == {"alert": "lselect", "reachable": True}
    assert bridge.sensors["2"].state["lockstate"] == "unlocked"
    assert bridge.sensors["3"].state["open"] is True
    assert bridge.sensors["5"].state["fire"] is True
    assert bridge.sensors["6"].config["reachable"] is False
    group = bridge.group()
    assert group is not None
    assert group["state"] == {"all_on": False, "any_on": True}


def test_a_group_has_all_that_clients_need(tmp_path: Path) -> None:
    group = Site(tmp_path).bridge.group()
    assert group is not None
    assert {"action", "state", "scenes", "lights", "name", "id", "type", "etag"} <= set(group)
    assert group["scenes"] == []
    assert group["lights"] == ["2", "3"]


# ----- what happens -----


def test_a_press_and_its_release(tmp_path: Path) -> None:
    site = Site(tmp_path)
    told = site.tell(ButtonPressed(endpoint="bell"), ButtonReleased(endpoint="bell", held_ms=90))
    assert briefly(told) == [("sensors/1", {"buttonevent": 1000}), ("sensors/1", {"buttonevent": 1002})]
    assert told[0]["state"]["lastupdated"] < told[1]["state"]["lastupdated"]


def test_a_long_press(tmp_path: Path) -> None:
    told = Site(tmp_path).tell(
        ButtonPressed(endpoint="bell"),
        ButtonHeld(endpoint="bell", held_ms=1500),
        ButtonReleased(endpoint="bell", held_ms=3000),
        ButtonPressed(endpoint="bell"),
        ButtonReleased(endpoint="bell", held_ms=90),
    )
    assert [message["state"]["buttonevent"] for message in told] == [1000, 1001, 1003, 1000, 1002]


def test_a_ring_without_a_finger_is_a_click(tmp_path: Path) -> None:
    told = Site(tmp_path).tell(ButtonPressed(endpoint="bell", by="admin"))
    assert [message["state"]["buttonevent"] for message in told] == [1000, 1002]
    assert told[0]["state"]["lastupdated"] < told[1]["state"]["lastupdated"]


def test_no_release_without_a_press(tmp_path: Path) -> None:
    site = Site(tmp_path)
    # It was down when the server started.
    assert site.tell(ButtonHeld(endpoint="bell", held_ms=1500)) == []
    assert site.tell(ButtonReleased(endpoint="bell", held_ms=3000)) == []


def test_a_muted_bell_is_not_told(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.house.notifications.quiet = True
    assert site.tell(ButtonPressed(endpoint="bell"), ButtonReleased(endpoint="bell", held_ms=90)) == []
    # States are no notifications.
    assert len(site.tell(SirenChanged(endpoint="siren", on=True))) == 1


def test_nothing_else_ever_speaks_of_a_button(tmp_path: Path) -> None:
    site = Site(tmp_path)
    told = site.tell(
        HardwareFailed(endpoint="bell", reason="chatters"),
        HardwareRecovered(endpoint="bell"),
        CallChanged(call_id="1", endpoint="bell", state="ringing"),
        LockChanged(endpoint="strike", state="unlocked"),
    )
    assert [set(message) & {"state", "config"} for message in told if message["id"] == "1"] == [
        {"config"},
        {"config"},
    ]


def test_the_lock_tells_its_config_and_then_its_state(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert briefly(site.tell(LockChanged(endpoint="gate", state="unlocked"))) == [
        ("sensors/4", {"lock": False, "on": True, "reachable": True}),
        ("sensors/4", {"lockstate": "unlocked"}),
    ]
    # An extension is no news.
    assert site.tell(LockChanged(endpoint="gate", state="unlocked")) == []
    assert [part for _, part in briefly(site.tell(LockChanged(endpoint="gate", state="locked")))] == [
        {"lock": True, "on": True, "reachable": True},
        {"lockstate": "locked"},
    ]


def test_somebody_comes_in(tmp_path: Path) -> None:
    site = Site(tmp_path)
    told = site.tell(
        LockChanged(endpoint="strike", state="unlocked"),
        DoorChanged(endpoint="strike", state="open"),
        LockChanged(endpoint="strike", state="locked"),
        DoorChanged(endpoint="strike", state="closed"),
    )
    assert briefly(told) == [
        ("sensors/2", {"lock": False, "on": True, "reachable": True}),
        ("sensors/2", {"lockstate": "unlocked"}),
        ("sensors/3", {"open": True, "tampered": False}),
        ("sensors/2", {"lock": True, "on": True, "reachable": True}),
        ("sensors/2", {"lockstate": "not fully locked"}),
        ("sensors/2", {"lockstate": "locked"}),
        ("sensors/3", {"open": False, "tampered": False}),
    ]


def test_a_forced_door_is_tampered_with(tmp_path: Path) -> None:
    told = Site(tmp_path).tell(DoorChanged(endpoint="strike", state="forced"))
    assert briefly(told)[-1] == ("sensors/3", {"open": True, "tampered": True})


def test_the_siren_is_seen_to_sound_and_to_stop(tmp_path: Path) -> None:
    told = Site(tmp_path).tell(
        SirenChanged(endpoint="siren", on=True),
        SirenChanged(endpoint="siren", on=True),
        SirenChanged(endpoint="siren", on=False),
    )
    assert [part["alert"] for _, part in briefly(told)] == ["lselect", "none"]


def test_lights_and_their_group(tmp_path: Path) -> None:
    site = Site(tmp_path)
    told = site.tell(LightChanged(endpoint="stairs", on=True), LightChanged(endpoint="porch", on=True))
    assert briefly(told) == [
        ("lights/2", {"alert": "none", "on": True, "reachable": True}),
        ("groups/1", {"all_on": False, "any_on": True}),
        ("lights/3", {"alert": "none", "on": True, "reachable": True}),
        ("groups/1", {"all_on": True, "any_on": True}),
    ]
    assert "uniqueid" not in told[1]
    group = site.bridge.group()
    assert group is not None
    assert group["action"]["on"] is True


def test_contacts(tmp_path: Path) -> None:
    told = Site(tmp_path).tell(
        ContactChanged(endpoint="smoke", role="smoke", active=True),
        ContactChanged(endpoint="co", role="co", active=True),
        ContactChanged(endpoint="motion", role="motion", active=True),
        ContactChanged(endpoint="tamper", role="tamper", active=True),
        ContactChanged(endpoint="window", role="generic", active=True),
        ContactChanged(endpoint="cellar", role="smoke", active=True),
        ContactChanged(endpoint="window", role="generic", active=False),
    )
    assert briefly(told) == [
        ("sensors/5", {"fire": True, "test": False}),
        ("sensors/6", {"carbonmonoxide": True}),
        ("sensors/7", {"presence": True}),
        ("sensors/8", {"alarm": True, "tampered": True}),
        ("sensors/9", {"open": True, "tampered": False}),
        ("sensors/9", {"open": False, "tampered": False}),
    ]
    assert {message["state"]["lastupdated"][:10] for message in told} == {"2026-01-01"}


def test_reachable_follows_the_hardware(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert briefly(site.tell(HardwareFailed(endpoint="siren", reason="x"))) == [
        ("lights/1", {"alert": "none", "reachable": False})
    ]
    assert briefly(site.tell(HardwareFailed(endpoint="smoke", reason="x"))) == [
        ("sensors/5", {"on": True, "reachable": False})
    ]
    assert site.tell(HardwareFailed(endpoint="smoke", reason="still")) == []
    assert len(site.tell(HardwareRecovered(endpoint="siren"), HardwareRecovered(endpoint="smoke"))) == 2


def test_the_contact_of_a_door_has_a_health_of_its_own(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.house.states["strike"] = EndpointState(state="locked", door="closed", door_problem="cut")
    assert briefly(site.tell(HardwareFailed(endpoint="strike.contact", reason="cut"))) == [
        ("sensors/2", {"lockstate": "undefined"}),
        ("sensors/3", {"on": True, "reachable": False}),
    ]
    site.house.states["strike"] = EndpointState(state="locked", door="closed")
    assert len(site.tell(HardwareRecovered(endpoint="strike.contact"))) == 2
    assert site.tell(HardwareFailed(endpoint="journal", reason="x")) == []


def test_the_alarm_system(tmp_path: Path) -> None:
    site = Site(tmp_path, alarm=ARMED)
    told = site.tell(AlarmChanged(state="arming", mode="away", seconds=60))
    assert briefly(told) == [
        ("alarmsystems/1", {"armmode": "armed_away"}),
        ("alarmsystems/1", {"armstate": "arming_away", "seconds_remaining": 60}),
        ("sensors/10", {"action": "armed_away", "panel": "arming_away", "seconds_remaining": 60}),
    ]
    devices = site.bridge.map_of("alarmsystems")["1"]["devices"]
    assert site.bridge.sensors["10"].uniqueid in devices
    assert devices[site.bridge.sensors["3"].uniqueid] == {"armmask": "ANS", "trigger": "state/open"}
    site.house.alarm = AlarmStatus(state="arming", mode="away", seconds_left=17)
    assert site.bridge.body(site.bridge.sensors["10"])["state"]["seconds_remaining"] == 17


def test_a_door_without_alarm_system_has_none(tmp_path: Path) -> None:
    site = Site(tmp_path)
    assert site.bridge.map_of("alarmsystems") == {}
    assert site.tell(AlarmChanged(state="armed", mode="away")) == []


def test_the_sun(tmp_path: Path) -> None:
    night = Shown(
        config={"configured": True, "on": True}, state={"dark": True, "daylight": False, "status": 230}
    )
    site = Site(tmp_path, (BELL,), daylight=night)
    (sensor,) = [sensor for sensor in site.bridge.sensors.values() if sensor.kind == "daylight"]
    assert sensor.uniqueid == "02:aa:bb:cc:dd:ee:00:00-01"
    assert "reachable" not in sensor.config
    day = Shown(config={}, state={"dark": False, "daylight": True, "status": 170})
    (told,) = plain(site.bridge.sun(day, AT_NS))
    assert told["state"]["daylight"] is True
    assert plain(site.bridge.sun(day, AT_NS)) == []
    assert Site(tmp_path, (BELL,)).bridge.sun(day, AT_NS) == []


# ----- what was missed -----


def test_what_was_missed_is_read_again_and_no_ring_invented(tmp_path: Path) -> None:
    site = Site(tmp_path, alarm=ARMED)
    site.tell(ButtonPressed(endpoint="bell"))
    site.house.states["siren"] = EndpointState(state="on")
    site.house.states["smoke"] = EndpointState(state="active")
    site.house.states["bell"] = EndpointState(state="pressed")
    assert briefly(plain(site.bridge.reread(AT_NS))) == [
        ("lights/1", {"alert": "lselect", "reachable": True}),
        ("sensors/5", {"fire": True, "test": False}),
    ]
    # The press that was told may have been another one.
    assert site.tell(ButtonReleased(endpoint="bell", held_ms=9)) == []
    assert plain(site.bridge.reread(AT_NS)) == []


def test_what_was_read_already_is_not_told_backwards(tmp_path: Path) -> None:
    site = Site(tmp_path)
    old = [
        site.log.publish(SirenChanged(endpoint="siren", on=True)),
        site.log.publish(ButtonPressed(endpoint="bell")),
        site.log.publish(AlarmChanged(state="armed", mode="away")),
    ]
    site.bridge.reread(AT_NS)  # the siren is silent again by now
    told = plain([change for entry in old for change in site.bridge.note(entry)])
    assert briefly(told) == [("sensors/1", {"buttonevent": 1000})]


# ----- names, tags, both ways of telling -----


def test_names_that_clients_give_are_kept(tmp_path: Path) -> None:
    site = Site(tmp_path)
    told = site.bridge.rename(site.bridge.lights["1"], "Heulboje") + site.bridge.rename_group("Lights")
    assert briefly(plain(told)) == [("lights/1", {"name": "Heulboje"}), ("groups/1", {"name": "Lights"})]
    again = Site(tmp_path, directory=site.directory)
    assert again.bridge.lights["1"].name == "Heulboje"
    group = again.bridge.group()
    assert group is not None
    assert group["name"] == "Lights"


def test_only_what_changed_when_a_client_wants_that(tmp_path: Path) -> None:
    site = Site(tmp_path, config=ServerConfig(notify_all=True))
    site.bridge.directory.set_notify_all(False)
    told = site.tell(
        SirenChanged(endpoint="siren", on=True),
        LockChanged(endpoint="gate", state="unlocked"),
        ButtonPressed(endpoint="bell"),
        ButtonReleased(endpoint="bell", held_ms=9),
        ButtonPressed(endpoint="bell"),
    )
    assert [message.get("state", message.get("config")) for message in told] == [
        {"alert": "lselect"},
        {"lock": False},
        {"lockstate": "unlocked", "lastupdated": "2026-01-01T00:00:00.000"},
        {"buttonevent": 1000, "lastupdated": "2026-01-01T00:00:00.000"},
        {"buttonevent": 1002, "lastupdated": "2026-01-01T00:00:00.001"},
        {"buttonevent": 1000, "lastupdated": "2026-01-01T00:00:00.002"},
    ]


def test_every_change_moves_the_tags_that_it_concerns(tmp_path: Path) -> None:
    site = Site(tmp_path, alarm=ARMED)

    def tags() -> list[str]:
        etags = site.bridge.etags
        return [
            etags.of(),
            etags.of("lights"),
            etags.of("lights", "1"),
            etags.of("sensors"),
            etags.of("groups"),
        ]

    def moved(*events: AnyEvent) -> list[bool]:
        before = tags()
        site.tell(*events)
        return [new != old for new, old in zip(tags(), before, strict=True)]

    assert moved(SirenChanged(endpoint="siren", on=True)) == [True, True, True, False, False]
    assert moved(LightChanged(endpoint="stairs", on=True)) == [True, True, False, False, True]
    assert moved(ButtonPressed(endpoint="bell")) == [True, False, False, True, False]
    assert moved(AlarmChanged(state="armed", mode="away")) == [True, False, False, True, False]
    assert moved(CallChanged(call_id="1", endpoint="bell", state="ringing")) == [False] * 5


def test_who_connects_hears_everything_but_buttons(tmp_path: Path) -> None:
    site = Site(tmp_path, alarm=ARMED)
    site.tell(ButtonPressed(endpoint="bell"), LightChanged(endpoint="stairs", on=True))
    told = plain(site.bridge.snapshot())
    states = [f"{message['r']}/{message['id']}" for message in told if "state" in message]
    assert states == [
        "lights/1", "lights/2", "lights/3", "sensors/2", "sensors/3", "sensors/4", "sensors/5", "sensors/6",
        "sensors/7", "sensors/8", "sensors/9", "sensors/10", "groups/1", "alarmsystems/1",
    ]  # fmt: skip
    keypad = next(message["state"] for message in told if message["id"] == "10" and "state" in message)
    assert "action" not in keypad
    assert keypad["panel"] == "disarmed"
    assert all(len({"state", "config", "attr", "name"} & set(message)) == 1 for message in told)
