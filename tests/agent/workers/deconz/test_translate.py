from __future__ import annotations

import pytest

from agent.model.actions import AlarmMode
from agent.model.events import (
    AlarmState,
    AnyEvent,
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    ContactChanged,
    DoorChanged,
    HardwareFailed,
    HardwareRecovered,
    LightChanged,
    LockChanged,
    NotifyChanged,
    SirenChanged,
)
from agent.runtime import EndpointInfo, EndpointState
from agent.workers.deconz.translate import (
    FORMS,
    Kind,
    after,
    arm_mask,
    arm_mode,
    arm_state,
    button_codes,
    kinds_of,
    last_seen,
    last_updated,
    lock_state,
    second,
    shown,
    words,
)

CALM = EndpointState(state="calm")
OFF = EndpointState(state="off")
LOCKED = EndpointState(state="locked")
CLOSED = EndpointState(state="locked", door="closed")


@pytest.mark.parametrize(
    ("info", "kinds"),
    [
        (EndpointInfo(name="a", label="", kind="button"), ("button",)),
        (EndpointInfo(name="a", label="", kind="siren"), ("siren",)),
        (EndpointInfo(name="a", label="", kind="light"), ("light",)),
        (EndpointInfo(name="a", label="", kind="lock"), ("lock",)),
        (EndpointInfo(name="a", label="", kind="lock", has_door_contact=True), ("lock", "door")),
        (EndpointInfo(name="a", label="", kind="contact", role="smoke"), ("smoke",)),
        (EndpointInfo(name="a", label="", kind="contact", role="co"), ("co",)),
        (EndpointInfo(name="a", label="", kind="contact", role="motion"), ("motion",)),
        (EndpointInfo(name="a", label="", kind="contact", role="tamper"), ("tamper",)),
        (EndpointInfo(name="a", label="", kind="contact", role="generic"), ("generic",)),
        (EndpointInfo(name="a", label="", kind="led"), ()),
    ],
)
def test_what_an_endpoint_is_to_clients(info: EndpointInfo, kinds: tuple[Kind, ...]) -> None:
    assert kinds_of(info, "sensor") == kinds


def test_a_lock_may_be_a_light() -> None:
    lock = EndpointInfo(name="a", label="", kind="lock", has_door_contact=True)
    assert kinds_of(lock, "light") == ("old_lock", "door")
    assert (FORMS["old_lock"].r, FORMS["lock"].r) == ("lights", "sensors")


@pytest.mark.parametrize(
    ("event", "was", "now"),
    [
        (LockChanged(endpoint="a", state="unlocked"), LOCKED, EndpointState(state="unlocked")),
        (SirenChanged(endpoint="a", on=True), OFF, EndpointState(state="on")),
        (LightChanged(endpoint="a", on=False), EndpointState(state="on"), OFF),
        (ContactChanged(endpoint="a", role="smoke", active=True), CALM, EndpointState(state="active")),
        (DoorChanged(endpoint="a", state="forced"), CLOSED, EndpointState(state="locked", door="forced")),
        (HardwareFailed(endpoint="a", reason="gone"), OFF, EndpointState(state="off", problem="gone")),
        (HardwareFailed(endpoint="a", reason=""), OFF, EndpointState(state="off", problem="failed")),
        (HardwareRecovered(endpoint="a"), EndpointState(state="off", problem="gone"), OFF),
        (ButtonPressed(endpoint="a"), OFF, OFF),
        (NotifyChanged(endpoint="a", mode="mute"), OFF, OFF),
    ],
)
def test_how_an_endpoint_is_after_an_event(event: AnyEvent, was: EndpointState, now: EndpointState) -> None:
    assert after(event, was) == now


@pytest.mark.parametrize(
    ("kind", "now", "config", "state"),
    [
        ("siren", OFF, {"groups": []}, {"alert": "none", "reachable": True}),
        ("siren", EndpointState(state="on"), {"groups": []}, {"alert": "lselect", "reachable": True}),
        ("light", EndpointState(state="on"), {}, {"alert": "none", "on": True, "reachable": True}),
        ("light", EndpointState(state="off", problem="x"), {},
         {"alert": "none", "on": False, "reachable": False}),
        ("old_lock", LOCKED, {}, {"alert": "none", "on": True, "reachable": True}),
        ("old_lock", EndpointState(state="unlocked"), {}, {"alert": "none", "on": False, "reachable": True}),
        ("lock", LOCKED, {"lock": True, "on": True, "reachable": True}, {"lockstate": "locked"}),
        ("lock", EndpointState(state="unlocked"), {"lock": False, "on": True, "reachable": True},
         {"lockstate": "unlocked"}),
        ("door", CLOSED, {"on": True, "reachable": True}, {"open": False, "tampered": False}),
        ("door", EndpointState(state="locked", door="open"), {"on": True, "reachable": True},
         {"open": True, "tampered": False}),
        ("door", EndpointState(state="locked", door="left_open"), {"on": True, "reachable": True},
         {"open": True, "tampered": False}),
        ("door", EndpointState(state="locked", door="forced"), {"on": True, "reachable": True},
         {"open": True, "tampered": True}),
        ("door", EndpointState(state="locked", door="closed", door_problem="x"),
         {"on": True, "reachable": False}, {"open": False, "tampered": False}),
        ("door", EndpointState(state="locked", door="closed", problem="x"),
         {"on": True, "reachable": True}, {"open": False, "tampered": False}),
        ("smoke", EndpointState(state="active"), {"on": True, "reachable": True},
         {"fire": True, "test": False}),
        ("co", CALM, {"on": True, "reachable": True}, {"carbonmonoxide": False}),
        ("motion", EndpointState(state="active", problem="x"), {"on": True, "reachable": False},
         {"presence": True}),
        ("tamper", EndpointState(state="active"), {"on": True, "reachable": True},
         {"alarm": True, "tampered": True}),
        ("generic", EndpointState(state="active"), {"on": True, "reachable": True},
         {"open": True, "tampered": False}),
        ("button", EndpointState(state="pressed"), {"on": True, "reachable": True}, {}),
    ],
)  # fmt: skip
def test_what_is_shown_of_an_endpoint(
    kind: Kind, now: EndpointState, config: dict[str, object], state: dict[str, object]
) -> None:
    told = shown(kind, now)
    assert (told.config, told.state) == (config, state)


@pytest.mark.parametrize(
    ("now", "word"),
    [
        (LOCKED, "locked"),
        (EndpointState(state="unlocked"), "unlocked"),
        (CLOSED, "locked"),
        (EndpointState(state="unlocked", door="closed"), "unlocked"),
        (EndpointState(state="unlocked", door="open"), "unlocked"),
        (EndpointState(state="locked", door="open"), "not fully locked"),
        (EndpointState(state="locked", door="left_open"), "not fully locked"),
        (EndpointState(state="locked", door="forced"), "not fully locked"),
        (EndpointState(state="locked", door="closed", door_problem="wire"), "undefined"),
        (EndpointState(state="unlocked", door="closed", door_problem="wire"), "unlocked"),
    ],
)
def test_the_state_of_a_lock(now: EndpointState, word: str) -> None:
    assert lock_state(now) == word


@pytest.mark.parametrize(
    ("event", "held", "codes"),
    [
        (ButtonPressed(endpoint="a"), False, (1000,)),
        (ButtonPressed(endpoint="a", by="admin"), False, (1000, 1002)),
        (ButtonHeld(endpoint="a", held_ms=1500), False, (1001,)),
        (ButtonReleased(endpoint="a", held_ms=80), False, (1002,)),
        (ButtonReleased(endpoint="a", held_ms=2000), True, (1003,)),
        (SirenChanged(endpoint="a", on=True), False, ()),
    ],
)
def test_button_codes(event: AnyEvent, held: bool, codes: tuple[int, ...]) -> None:
    assert button_codes(event, held) == codes


@pytest.mark.parametrize(
    ("state", "mode", "word"),
    [
        ("disarmed", "disarmed", "disarmed"),
        ("arming", "away", "arming_away"),
        ("armed", "night", "armed_night"),
        ("entry_delay", "stay", "entry_delay"),
        ("in_alarm", "stay", "in_alarm"),
    ],
)
def test_the_state_of_the_alarm_system(state: AlarmState, mode: AlarmMode, word: str) -> None:
    assert arm_state(state, mode) == word
    assert arm_mode(mode) == ("disarmed" if mode == "disarmed" else f"armed_{mode}")


def test_arm_masks() -> None:
    assert arm_mask(("away", "stay", "night")) == "ANS"
    assert arm_mask(("stay",)) == "S"
    assert arm_mask(()) == "none"


def test_times_are_utc_in_the_protocols_three_forms() -> None:
    at_ns = 1_767_225_599_007_999_999  # 2025-12-31T23:59:59.007999999Z
    assert last_updated(at_ns) == "2025-12-31T23:59:59.007"
    assert last_seen(at_ns) == "2025-12-31T23:59Z"
    assert second(at_ns) == "2025-12-31T23:59:59"
    assert second(-1) == "1970-01-01T00:00:00"
    assert second(10**30) == "9999-12-31T23:59:59"


def test_words_for_people() -> None:
    assert words({"alert": "none", "on": False, "reachable": True}, {}) == "on=false"
    assert words({"alert": "lselect", "reachable": False}, {}) == "alert=lselect, unreachable"
    assert (
        words({"lockstate": "locked", "lastupdated": "none"}, {"reachable": False})
        == "lockstate=locked, unreachable"
    )
    assert words({"buttonevent": None, "lastupdated": "none"}, {}) == ""
