from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from harness.scripted_agent import STATUS, ScriptedAgent

from agent.cli import cli

Portero = Callable[..., Result]
DONE = {"outcome": "done", "action_id": "a1"}

CASES: list[tuple[list[str], dict[str, Any], str]] = [
    (["unlock"], {"do": "unlock", "endpoint": "strike"}, "strike: unlocked"),
    (
        ["unlock", "strike", "--hold", "7.5"],
        {"do": "unlock", "endpoint": "strike", "hold_s": 7.5},
        "strike: unlocked for 7.5 s",
    ),
    (["lock"], {"do": "lock", "endpoint": "strike"}, "strike: locked"),
    (["siren", "on"], {"do": "sound_siren", "endpoint": "siren"}, "siren: on"),
    (
        ["siren", "on", "--for", "3"],
        {"do": "sound_siren", "endpoint": "siren", "duration_s": 3.0},
        "siren: on",
    ),
    (["siren", "off"], {"do": "stop_siren", "endpoint": "siren"}, "siren: off"),
    (["light", "on"], {"do": "switch_light", "endpoint": "staircase", "on": True}, "staircase: on"),
    (
        ["light", "on", "staircase", "--for", "60"],
        {"do": "switch_light", "endpoint": "staircase", "on": True, "duration_s": 60.0},
        "staircase: on",
    ),
    (["light", "off"], {"do": "switch_light", "endpoint": "staircase", "on": False}, "staircase: off"),
    (["ring"], {"do": "ring", "endpoint": "doorbell"}, "doorbell: rung"),
    (["answer"], {"do": "answer_call", "call_id": ""}, "call answered"),
    (["answer", "c1"], {"do": "answer_call", "call_id": "c1"}, "call answered"),
    (["hangup"], {"do": "end_call", "call_id": ""}, "call ended"),
    (
        ["mute"],
        {"do": "set_notify", "mode": "mute", "endpoints": []},
        "all endpoints: muted (smoke and carbon monoxide never are)",
    ),
    (
        ["mute", "doorbell", "tamper"],
        {"do": "set_notify", "mode": "mute", "endpoints": ["doorbell", "tamper"]},
        "doorbell, tamper: muted",
    ),
    (["unmute"], {"do": "set_notify", "mode": "force", "endpoints": []}, "all endpoints: notified always"),
    (
        ["notify-default", "doorbell"],
        {"do": "set_notify", "mode": "default", "endpoints": ["doorbell"]},
        "doorbell: as each client asked",
    ),
]


@pytest.mark.parametrize(("arguments", "action", "text"), CASES, ids=lambda value: str(value)[:40])
def test_action_reaches_the_agent(
    arguments: list[str], action: dict[str, Any], text: str, portero: Portero, state: Path
) -> None:
    with ScriptedAgent(state, submit=DONE) as agent:
        done = portero(*arguments)
        as_json = portero(*arguments, "--json")
    assert (done.exit_code, done.stdout) == (0, text + "\n")
    assert agent.arguments("submit") == {"action": action}
    assert as_json.exit_code == 0
    assert json.loads(as_json.stdout) == DONE


@pytest.mark.parametrize(("arguments", "action", "text"), CASES[::3], ids=lambda value: str(value)[:40])
def test_action_is_one_that_the_model_takes(arguments: list[str], action: dict[str, Any], text: str) -> None:
    import msgspec

    from agent.model.actions import Action

    msgspec.convert(action, Action)


@pytest.mark.parametrize(
    ("outcome", "code", "text"),
    [
        ({"outcome": "refused", "action_id": "a1", "reason": "not now"}, 1, "portero: refused: not now"),
        ({"outcome": "busy", "action_id": "a1"}, 4, "Try again in a few seconds."),
        (
            {"outcome": "failed", "action_id": "a1", "reason": "relay stuck"},
            5,
            "portero: failed: relay stuck",
        ),
        ({"outcome": "postponed", "action_id": "a1"}, 1, ""),
    ],
)
def test_outcome_decides_the_exit_code(
    outcome: dict[str, str], code: int, text: str, portero: Portero, state: Path
) -> None:
    with ScriptedAgent(state, submit=outcome):
        done = portero("unlock")
        as_json = portero("unlock", "--json")
    assert done.exit_code == code
    assert text in done.stderr
    assert done.stdout == ""
    assert as_json.exit_code == code
    assert json.loads(as_json.stdout) == outcome


def test_unknown_endpoint_gets_a_suggestion(portero: Portero, state: Path) -> None:
    refused = {"outcome": "refused", "action_id": "a1", "reason": "no endpoint named 'strik'"}
    with ScriptedAgent(state, submit=refused):
        assert "Did you mean strike?" in portero("unlock", "strik").stderr
        assert "Did you mean doorbell?" in portero("mute", "dorbell").stderr
        assert "This door has: doorbell, strike" in portero("unlock", "zzzzz").stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["unlock", "--hold", "0"], "0.0 is not in the range"),
        (["unlock", "--hold", "soon"], "'soon' is not a valid float"),
        (["siren"], "Missing argument"),
        (["siren", "up"], "'up' is not one of 'on', 'off'"),
        (["siren", "off", "--for", "3"], "--for goes with on"),
        (["light", "off", "--for", "3"], "--for goes with on"),
    ],
)
def test_wrong_arguments(arguments: list[str], text: str, portero: Portero) -> None:
    done = portero(*arguments)
    assert done.exit_code == 2
    assert text in done.stderr


def test_none_or_several_of_a_kind(portero: Portero, state: Path) -> None:
    second = {**STATUS["endpoints"][1], "name": "gate"}
    with ScriptedAgent(state, status={**STATUS, "endpoints": [STATUS["endpoints"][1], second]}):
        done = portero("unlock")
        assert done.exit_code == 2
        assert "name one of strike, gate." in done.stderr
        done = portero("light", "on")
        assert done.exit_code == 1
        assert "this door has no light" in done.stderr


@pytest.mark.parametrize("arguments", [case[0] for case in CASES], ids=" ".join)
def test_no_agent(arguments: list[str], portero: Portero, state: Path) -> None:
    done = portero(*arguments)
    assert done.exit_code == 3
    assert done.stderr.startswith(f"portero: no agent is running in {state}\n")
    assert "--state DIR" in done.stderr


def test_agent_that_dies_while_asked(portero: Portero, state: Path) -> None:
    import socket
    import threading

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(state / "control.sock"))
        listener.listen()

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        done = portero("unlock", "strike")
        thread.join()
    assert done.exit_code == 75
    assert "the agent closed the control socket" in done.stderr
    assert "portero doctor" in done.stderr


def test_path_too_long_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["deep-folder"] * 12)
    deep.mkdir(parents=True)
    done = CliRunner().invoke(cli, ["--state", str(deep), "unlock"])
    assert done.exit_code == 1
    assert "too long for a socket" in done.stderr


def test_agent_refuses_the_command(portero: Portero, state: Path) -> None:
    from agent.model.errors import MalformedMessage

    with ScriptedAgent(state, submit=MalformedMessage("action", "Expected `object`")):
        done = portero("unlock", "strike")
    assert done.exit_code == 1
    assert done.stderr == "portero: action: Expected `object`\n"


def test_endpoints_are_completed(portero: Portero, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def completed(words: str) -> list[str]:
        environ = {"_PORTERO_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "2"}
        done = CliRunner().invoke(cli, [], env=environ, prog_name="portero")
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    with ScriptedAgent(state):
        assert completed("portero unlock ") == ["strike"]
        assert completed("portero mute s") == ["strike", "siren", "staircase", "smoke"]
    assert completed("portero unlock ") == []
