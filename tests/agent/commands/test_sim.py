from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from harness.scripted_agent import STATUS, ScriptedAgent

from agent.model.errors import AgentError

Portero = Callable[..., Result]


def answer(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"endpoint": arguments["endpoint"], "active": arguments["verb"] != "state"}


@pytest.mark.parametrize(
    ("arguments", "sent", "said"),
    [
        (["press"], {"endpoint": "doorbell"}, "pressed and let go"),
        (
            ["press", "doorbell", "--for-ms", "300"],
            {"endpoint": "doorbell", "for_ms": 300},
            "pressed and let go",
        ),
        (["hold", "--for-ms", "3000"], {"endpoint": "doorbell", "for_ms": 3000}, "held and let go"),
        (["release"], {"endpoint": "doorbell"}, "let go"),
        (["bounce"], {"endpoint": "doorbell"}, "pressed with a bouncing contact, and let go"),
        (["open"], {"endpoint": "strike"}, "open"),
        (["close", "strike"], {"endpoint": "strike"}, "closed"),
        (["tamper"], {"endpoint": "tamper"}, "active"),
        (["tamper", "smoke"], {"endpoint": "smoke"}, "active"),
        (["calm"], {"endpoint": "tamper"}, "calm"),
        (["fail", "strike"], {"endpoint": "strike"}, "broken"),
        (["fail", "strike", "--reason", "no"], {"endpoint": "strike", "reason": "no"}, "broken"),
        (["heal", "strike"], {"endpoint": "strike"}, "mended"),
    ],
)
def test_verb_reaches_the_board(
    arguments: list[str], sent: dict[str, Any], said: str, portero: Portero, state: Path
) -> None:
    with ScriptedAgent(state, sim=answer) as agent:
        done = portero("sim", *arguments)
        as_json = portero("sim", *arguments, "--json")
    assert (done.exit_code, done.stdout) == (0, f"{sent['endpoint']}: {said}\n")
    assert agent.arguments("sim") == {"verb": arguments[0], **sent}
    assert json.loads(as_json.stdout) == {"endpoint": sent["endpoint"], "active": True}


def test_state_of_one_and_of_all(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, sim=answer):
        assert portero("sim", "state", "strike").stdout == "strike: at rest\n"
        assert "strike     at rest" in portero("sim", "state").stdout
        everything = json.loads(portero("sim", "state", "--json").stdout)
    assert [row["endpoint"] for row in everything] == [row["name"] for row in STATUS["endpoints"]]


def test_real_board(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, sim=AgentError("this door has a real board")):
        done = portero("sim", "press")
    assert done.exit_code == 1
    assert done.stderr == "portero: this door has a real board\n"


def test_wrong_arguments(portero: Portero, state: Path) -> None:
    assert portero("sim", "fail").exit_code == 2
    done = portero("sim", "press", "--for-ms", "0")
    assert done.exit_code == 2
    assert "0 is not in the range" in done.stderr
    with ScriptedAgent(state, status={**STATUS, "endpoints": []}):
        done = portero("sim", "tamper")
    assert done.exit_code == 1
    assert "this door has no tamper" in done.stderr
    assert portero("sim", "press").exit_code == 3
