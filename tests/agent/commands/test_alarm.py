from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result
from harness.scripted_agent import STATUS, ScriptedAgent

from agent.model.actions import Action

Portero = Callable[..., Result]
DONE = {"outcome": "done", "action_id": "a1"}
DISARMED = {
    "state": "disarmed",
    "mode": "disarmed",
    "seconds_left": 0,
    "exit_delay_s": 60,
    "entry_delay_s": 30,
    "trigger_s": 180,
    "watched": {"strike": ["away", "stay", "night"]},
}


def house(folder: Path, submit: object = DONE, **alarm: Any) -> ScriptedAgent:
    return ScriptedAgent(folder, status={**STATUS, "alarm": {**DISARMED, **alarm}}, submit=submit)


@pytest.mark.parametrize(
    ("arguments", "alarm", "mode", "text"),
    [
        (["arm", "away"], {}, "away", "alarm system: armed (away) in 60 s"),
        (["arm", "night"], {"exit_delay_s": 0}, "night", "alarm system: armed (night)"),
        (
            ["arm", "stay"],
            {"state": "arming", "mode": "stay", "seconds_left": 12},
            "stay",
            "alarm system: armed (stay) in 12 s",
        ),
        (["arm", "stay"], {"state": "armed", "mode": "stay"}, "stay", "alarm system: armed (stay)"),
        (
            ["arm", "away"],
            {"state": "armed", "mode": "stay"},
            "away",
            "alarm system: armed (away) in 60 s",
        ),
        (["disarm"], {"state": "in_alarm", "mode": "away"}, "disarmed", "alarm system: disarmed"),
    ],
)
def test_asked_and_told(
    arguments: list[str], alarm: dict[str, Any], mode: str, text: str, portero: Portero, state: Path
) -> None:
    with house(state, **alarm) as agent:
        done = portero(*arguments)
        as_json = portero(*arguments, "--json")
    assert (done.exit_code, done.stdout) == (0, text + "\n")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (0, DONE)
    action = {"do": "set_alarm", "mode": mode}
    assert agent.arguments("submit") == {"action": action}
    msgspec.convert(action, Action)


@pytest.mark.parametrize("arguments", [["arm", "away"], ["disarm"]])
def test_a_refusal_is_told(arguments: list[str], portero: Portero, state: Path) -> None:
    refused = {"outcome": "refused", "action_id": "a1", "reason": "the alarm is on: disarm it first"}
    with house(state, refused):
        done = portero(*arguments)
        as_json = portero(*arguments, "--json")
    assert done.exit_code == 1
    assert "portero: refused: the alarm is on: disarm it first\n" in done.stderr
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, refused)


@pytest.mark.parametrize("status", [STATUS, {**STATUS, "alarm": None}], ids=["older agent", "no table"])
def test_a_door_without_an_alarm_system(status: dict[str, Any], portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, status=status, submit=DONE) as agent:
        for arguments in (["arm", "away"], ["disarm"]):
            done = portero(*arguments)
            assert done.exit_code == 1
            assert "this door has no alarm system\n  Give it a table [alarm]" in done.stderr
    assert "submit" not in [name for name, _ in agent.asked]


@pytest.mark.parametrize(
    ("arguments", "text"), [(["arm"], "Missing argument"), (["arm", "disarmed"], "is not one of 'away'")]
)
def test_wrong_arguments(arguments: list[str], text: str, portero: Portero) -> None:
    done = portero(*arguments)
    assert done.exit_code == 2
    assert text in done.stderr


def test_no_agent(portero: Portero) -> None:
    assert portero("arm", "away").exit_code == 3
    assert portero("disarm").exit_code == 3
