from __future__ import annotations

import json
from typing import Any

import pytest

from agent.model.actions import AlarmMode
from agent.model.events import AlarmChanged, AlarmState
from agent.runtime import AlarmStatus, EndpointInfo
from agent.workers.deconz.alarms import AlarmSystem
from agent.workers.deconz.resources import Resource
from agent.workers.deconz.translate import Kind
from agent.workers.deconz.wire import Changed, encode_event

STATES = {
    "armed_away", "armed_night", "armed_stay", "arming_away", "arming_night", "arming_stay", "disarmed",
    "entry_delay", "exit_delay", "in_alarm",
}  # fmt: skip
ACTIONS = {"armed_away", "armed_night", "armed_stay", "disarmed"}


class Panel:
    """An alarm system whose house is set by the test."""

    def __init__(self) -> None:
        self.status = AlarmStatus(
            state="disarmed",
            mode="disarmed",
            exit_delay_s=60,
            entry_delay_s=30,
            trigger_s=180,
            watched={"strike": ("away", "stay", "night"), "hall": ("away",), "letters": ("night",)},
        )
        sensors = [
            sensor("door", "strike"), sensor("lock", "strike"), sensor("motion", "hall"),
            sensor("generic", "letters"), sensor("smoke", "kitchen"),
        ]  # fmt: skip
        self.keypad = sensor("keypad", "")
        self.system = AlarmSystem(lambda: self.status, self.keypad, sensors)

    def become(self, state: AlarmState, mode: AlarmMode, seconds: int = 0) -> list[dict[str, Any]]:
        event = AlarmChanged(state=state, mode=mode, seconds=seconds)
        return plain(self.system.note(event, 10**18, notify_all=True))


def sensor(kind: Kind, endpoint: str) -> Resource:
    info = EndpointInfo(name=endpoint, label="", kind="contact") if endpoint else None
    address = f"02:00:00:00:00:00:00:{len(endpoint):02x}"
    return Resource(kind, number="9", address=address, key=endpoint, name=endpoint, info=info)


def plain(changes: list[Changed]) -> list[dict[str, Any]]:
    return [json.loads(encode_event(change)) for change in changes]


def test_the_whole_system() -> None:
    panel = Panel()
    body = panel.system.body()
    assert body["state"] == {"armstate": "disarmed", "seconds_remaining": 0}
    assert body["config"] == {
        "armmode": "disarmed",
        "configured": True,
        "disarmed_entry_delay": 0,
        "disarmed_exit_delay": 0,
        **{
            f"armed_{mode}_{what}": value
            for mode in ("away", "stay", "night")
            for what, value in (("entry_delay", 30), ("exit_delay", 60), ("trigger_duration", 180))
        },
    }


def test_its_devices_are_the_keypad_and_what_is_watched() -> None:
    devices = Panel().system.body()["devices"]
    assert devices == {
        "02:00:00:00:00:00:00:00-01-0501": {"armmask": "none"},
        "02:00:00:00:00:00:00:06-02-0500": {"armmask": "ANS", "trigger": "state/open"},
        "02:00:00:00:00:00:00:04-01-0406": {"armmask": "A", "trigger": "state/presence"},
        "02:00:00:00:00:00:00:07-01-0500": {"armmask": "N", "trigger": "state/open"},
    }


def test_from_arming_to_an_alarm_and_back() -> None:
    panel = Panel()
    mode, state, keypad = panel.become("arming", "away", 60)
    assert (mode["r"], mode["id"], mode["config"]) == ("alarmsystems", "1", {"armmode": "armed_away"})
    assert state["state"] == {"armstate": "arming_away", "seconds_remaining": 60}
    assert "uniqueid" not in state
    assert keypad["r"] == "sensors"
    shown = {key: keypad["state"][key] for key in ("action", "panel", "seconds_remaining")}
    assert shown == {"action": "armed_away", "panel": "arming_away", "seconds_remaining": 60}

    state, keypad = panel.become("armed", "away")
    assert state["state"]["armstate"] == keypad["state"]["panel"] == "armed_away"
    assert panel.become("armed", "away") == []
    state, keypad = panel.become("entry_delay", "away", 30)
    assert (state["state"]["armstate"], keypad["state"]["panel"]) == ("entry_delay", "entry_delay")
    state, keypad = panel.become("in_alarm", "away")
    assert (state["state"]["armstate"], keypad["state"]["action"]) == ("in_alarm", "armed_away")
    mode, state, keypad = panel.become("disarmed", "disarmed")
    assert mode["config"] == {"armmode": "disarmed"}
    assert (state["state"]["armstate"], keypad["state"]["action"]) == ("disarmed", "disarmed")


def test_a_read_tells_the_seconds_that_are_left_by_now() -> None:
    panel = Panel()
    panel.become("arming", "away", 60)
    panel.status = AlarmStatus(state="arming", mode="away", seconds_left=41)
    assert panel.system.body()["state"] == {"armstate": "arming_away", "seconds_remaining": 41}
    assert panel.system.seconds_left == 41


@pytest.mark.parametrize("state", ["disarmed", "arming", "armed", "entry_delay", "in_alarm"])
@pytest.mark.parametrize("mode", ["away", "stay", "night"])
def test_no_word_is_outside_the_lists_of_clients(state: AlarmState, mode: AlarmMode) -> None:
    panel = Panel()
    panel.become(state, "disarmed" if state == "disarmed" else mode)
    assert panel.keypad.state["action"] in ACTIONS
    assert panel.keypad.state["panel"] in STATES
    assert panel.system.body()["state"]["armstate"] in STATES


def test_at_the_start_it_is_as_it_is() -> None:
    armed = AlarmStatus(state="entry_delay", mode="stay", seconds_left=12)
    keypad = sensor("keypad", "")
    system = AlarmSystem(lambda: armed, keypad, ())
    assert system.body()["state"] == {"armstate": "entry_delay", "seconds_remaining": 12}
    assert keypad.state["panel"] == "entry_delay"
    assert keypad.state["lastupdated"] == "none"
    assert keypad.config == {"on": True, "reachable": True, "enrolled": 1, "pending": []}


def test_what_was_missed_is_read_again() -> None:
    panel = Panel()
    assert panel.system.reread(1, notify_all=True) == []
    panel.status = AlarmStatus(state="in_alarm", mode="away")
    told = plain(panel.system.reread(1, notify_all=True))
    assert [message["r"] for message in told] == ["alarmsystems", "alarmsystems", "sensors"]
    assert told[1]["state"]["armstate"] == "in_alarm"


def test_who_connects_hears_its_mode_and_its_state() -> None:
    panel = Panel()
    panel.become("armed", "night")
    mode, state = plain(panel.system.now())
    assert mode["config"] == {"armmode": "armed_night"}
    assert state["state"] == {"armstate": "armed_night", "seconds_remaining": 0}
