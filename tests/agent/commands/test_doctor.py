from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from harness.scripted_agent import STATUS, ScriptedAgent

Portero = Callable[..., Result]


def findings(done: Result) -> dict[str, list[str]]:
    """check -> results, of a JSON report."""
    found: dict[str, list[str]] = {}
    for row in json.loads(done.stdout):
        assert row["result"] == "ok" or row["todo"], row
        found.setdefault(row["check"], []).append(row["result"])
    return found


def test_simulated_door_in_order(portero: Portero, state: Path) -> None:
    from agent.journal.opening import open_database

    open_database(state / "journal.db").close()
    with ScriptedAgent(state):
        done = portero("doctor", "--json")
        people = portero("doctor")
    assert done.exit_code == 0
    found = findings(done)
    assert found["config"] == found["pins"] == found["state"] == found["journal"] == found["agent"] == ["ok"]
    assert found["journal file"] == ["ok"]
    assert "gpio" not in found
    assert "sandbox" not in found
    assert people.exit_code == 0
    assert "ok    config        8 endpoints, protocols: zmes, zello, deconz\n" in people.stdout


def test_real_door_without_an_agent(portero: Portero, state: Path, tmp_path: Path) -> None:
    path = tmp_path / "portero.toml"
    path.write_text('[endpoints.bell]\nkind = "button"\npin = 17\n[workers.zmes.server]\nport = 0\n')
    done = portero("doctor", "--config", str(path), "--json")
    found = findings(done)
    assert found["agent"] == ["warn"]
    assert found["config"] == ["ok"]
    assert "gpio" in found


def test_bad_configuration_fails(portero: Portero, tmp_path: Path) -> None:
    path = tmp_path / "portero.toml"
    path.write_text("[dor]\n[calls]\nx = 1\n")
    done = portero("doctor", "--config", str(path))
    assert done.exit_code == 1
    assert "FAIL  config        dor: unknown; did you mean 'door'?" in done.stdout
    assert "Correct the file and restart." in done.stdout


def test_stopped_simulated_door_is_no_service(portero: Portero, state: Path) -> None:
    (state / "relays.sim").touch()
    done = portero("doctor")
    assert "`portero run --sim` starts it" in done.stdout
    assert "systemctl start portero" not in done.stdout


def test_problems_of_the_agent_fail(portero: Portero, state: Path) -> None:
    status = {
        **STATUS,
        "problems": ["strike: stuck"],
        "workers": {"zmes": {"state": "parked", "reason": "no", "page": {}}},
    }
    with ScriptedAgent(state, status=status):
        done = portero("doctor", "--json")
    assert done.exit_code == 1
    assert findings(done)["agent"] == ["fail", "fail"]


def test_agent_that_does_not_answer(portero: Portero, state: Path) -> None:
    from agent.model.errors import AgentError

    with ScriptedAgent(state, status=AgentError("hung")):
        done = portero("doctor", "--json")
    assert done.exit_code == 1
    assert findings(done)["agent"] == ["fail"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into everything")
def test_state_that_may_not_be_seen(portero: Portero, state: Path) -> None:
    state.chmod(0)
    try:
        done = portero("doctor")
    finally:
        state.chmod(0o700)
    assert done.exit_code == 1
    assert "this account may not look into it" in done.stdout
