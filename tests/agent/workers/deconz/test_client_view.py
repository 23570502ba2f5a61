"""What the door knows of a gateway, and that nothing a gateway says can upset it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from harness.deconz_gateway import household
from harness.deconz_home import ENDPOINTS, Home
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.model.events import ButtonPressed, DeviceChanged
from agent.workers.deconz.client_link import Link
from agent.workers.deconz.client_view import View
from agent.workers.deconz.wire import Changed, decode_event, decode_object

T1, T2, T3 = "2026-01-01T12:00:01.000", "2026-01-01T12:00:02.000", "2026-01-01T12:00:03.000"


def viewed(folder: Path, **options: Any) -> tuple[Home, View]:
    home = Home(folder, **options)
    return home, View("home", tuple(home.remotes.values()), Link(), home.log.publish)


def full(**more: Any) -> dict[str, Any]:
    lights, sensors = household()
    return {"lights": lights, "sensors": sensors, "config": {"UTC": "2026-01-01T13:00:00"}} | more


def test_a_keypad_is_told_by_its_words(tmp_path: Path) -> None:
    home, view = viewed(tmp_path)
    view.read(full(), 1.0, live=True)
    for stamp, state in (
        (T1, {"action": "armed_away", "panel": "disarmed"}),
        (T2, {"action": "armed_away", "panel": "exit_delay", "seconds_remaining": 9}),
        (T2, {"action": "armed_away", "panel": "exit_delay"}),
        (T3, {"action": "panic"}),
        (T3, {"action": "x" * 40}),
    ):
        view.take(Changed(r="sensors", id="5", state=state | {"lastupdated": stamp}), 2.0)
    assert [(told.fact, told.value) for told in home.events()] == [
        ("keypad", "armed_away"),
        ("keypad", "panic"),
    ]


def test_an_older_press_has_the_clock_looked_at(tmp_path: Path) -> None:
    _, view = viewed(tmp_path)
    view.read(full(), 1.0, live=True)
    assert view.take(Changed(r="sensors", id="1", state={"buttonevent": 1002, "lastupdated": T2}), 1.0)
    assert not view.take(Changed(r="sensors", id="1", state={"buttonevent": 1002, "lastupdated": T1}), 2.0)


def test_a_press_in_a_message_with_other_parts(tmp_path: Path) -> None:
    home, view = viewed(tmp_path)
    view.read(full(), 1.0, live=True)
    state = {"buttonevent": 1002, "lastupdated": T1}
    view.take(Changed(r="sensors", id="1", state=state, config={"battery": 3}, attr={"lastseen": "x"}), 1.0)
    assert len(home.events(ButtonPressed)) == 1


def test_rows_for_a_person(tmp_path: Path) -> None:
    _, view = viewed(tmp_path, endpoints={"door": ENDPOINTS["door"], "lock": ENDPOINTS["lock"]})
    assert view.rows() == []
    view.read(full(), 1.0, live=True)
    rows = {f"{row.resource}/{row.id}": row for row in view.rows()}
    assert len(rows) == 10
    assert (rows["sensors/2"].name, rows["sensors/2"].state, rows["sensors/2"].endpoint) == (
        "Door", "open=false, tampered=false", "door"
    )  # fmt: skip
    assert rows["sensors/3"].endpoint == "lock"
    assert rows["sensors/4"].endpoint == ""
    json.dumps(msgspec.to_builtins(view.rows()))


def test_names_of_devices_are_cleaned_before_they_are_told(tmp_path: Path) -> None:
    home, view = viewed(tmp_path)
    state = full()
    state["sensors"]["4"] |= {"name": "Smoke\x1b[2J\n" + "x" * 500, "uniqueid": "\x07"}
    state["sensors"]["4"]["state"]["fire"] = True
    view.read(state, 1.0, live=True)
    (told,) = home.events(DeviceChanged)
    assert told.device.startswith("Smoke [2J x")
    assert len(told.device) == 128
    assert told.unique_id == ""


SCALAR = (
    st.none() | st.booleans() | st.integers(-5, 30_000) | st.text(max_size=6) | st.floats(allow_nan=False)
)
ANYTHING = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
VALUES = ANYTHING | st.sampled_from(
    [T1, T2, "none", 1000, 1002, 1001, "locked", "unlocked", "lselect", "panic"]
)
KEYS = ["buttonevent", "lastupdated", "open", "fire", "on", "alert", "lockstate", "reachable", "action"]
STATE = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), VALUES, max_size=6)
BODY = st.dictionaries(
    st.sampled_from(["state", "config", "name", "type", "uniqueid", "x"]), STATE | ANYTHING
) | st.fixed_dictionaries({"state": STATE, "name": st.sampled_from(["Bell", "Lock", "Siren", "Staircase"])})
MESSAGE = st.fixed_dictionaries(
    {
        "e": st.sampled_from(["changed", "changed", "added", "deleted", "scene-called"]),
        "r": st.sampled_from(["lights", "sensors", "groups"]),
        "id": st.sampled_from(["1", "2", "3", "4", "5", "99"]),
    },
    optional={
        "state": STATE, "config": STATE, "attr": STATE, "name": ANYTHING, "uniqueid": ANYTHING,
        "light": BODY, "sensor": BODY,
    },
)  # fmt: skip
IDS = st.sampled_from(["1", "2", "3", "4", "5"]) | st.text(max_size=3)
FULL = st.fixed_dictionaries(
    {},
    optional={kind: st.dictionaries(IDS, BODY | ANYTHING) for kind in ("lights", "sensors", "config")},
)


@given(st.lists(MESSAGE | FULL.map(lambda plain: {"full": plain}) | ANYTHING, max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_whatever_a_gateway_says_it_is_survived(tmp_path: Path, said: list[Any]) -> None:
    home, view = viewed(tmp_path)
    view.read(full(), 0.0, live=True)
    now = 1.0
    for message in said:
        now += 0.1
        if isinstance(message, dict) and set(message) == {"full"}:
            view.mirror.begin_read()
            view.read(decode_object(msgspec.json.encode(message["full"]), "state"), now, live=bool(said))
            continue
        try:
            event = decode_event(msgspec.json.encode(message))
        except MalformedMessage:
            continue
        view.take(event, now)
        view.flush(now)
    view.rows()
    view.lost("gone", now)
    assert all(problem for problem in map(home.problem, home.remotes))


@pytest.mark.parametrize("config", [None, [], 5, {"UTC": None}, {"UTC": "x"}, {}])
def test_without_a_clock(config: object, tmp_path: Path) -> None:
    home, view = viewed(tmp_path)
    view.read(full(config=config), 1.0, live=True)
    view.read(full(config=config), 2.0, live=True)
    view.take(Changed(r="sensors", id="1", state={"buttonevent": 1002, "lastupdated": T1}), 3.0)
    assert len(home.events(ButtonPressed)) == 1
