from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from harness.scripted_agent import STATUS, ScriptedAgent

Portero = Callable[..., Result]


def test_human_and_json(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state):
        done = portero("status")
        as_json = portero("status", "--json")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == "Front door: portero 0.1.0, simulated, up 1 d 2 h, start number 7, process 4711"
    assert lines[1] == "journal: ok, 41 entries, 0.1 MB, last stored 41, waiting 0"
    assert lines[2] == "call c1: ringing at doorbell"
    cells = [line.split("  ") for line in lines]
    rows = [[cell.strip() for cell in row if cell.strip()] for row in cells]
    assert ["strike", "Front door", "lock", "locked door=closed", "default"] in rows
    assert ["tamper", "Tamper loop", "contact (tamper)", "calm", "default"] in rows
    assert any(line.split() == ["zmes", "running", "clients=2"] for line in lines)
    assert as_json.exit_code == 0
    assert json.loads(as_json.stdout) == STATUS


def test_problems_exit_with_1(portero: Portero, state: Path) -> None:
    status = {**STATUS, "problems": ["strike: relay stuck", "evil\x1b[2J"]}
    with ScriptedAgent(state, status=status):
        done = portero("status")
        as_json = portero("status", "--json")
    assert done.exit_code == 1
    assert "problem: strike: relay stuck\n" in done.stdout
    assert "problem: evil\\x1b[2J\n" in done.stdout
    assert as_json.exit_code == 1


@pytest.mark.parametrize(
    ("alarm", "text"),
    [
        (None, ""),
        ({"state": "disarmed", "mode": "disarmed", "seconds_left": 0}, "alarm system: disarmed\n"),
        ({"state": "armed", "mode": "night", "seconds_left": 0}, "alarm system: armed (night)\n"),
        ({"state": "arming", "mode": "away", "seconds_left": 42}, "alarm system: arming (away), 42 s left\n"),
        (
            {"state": "entry_delay", "mode": "away", "seconds_left": 75},
            "alarm system: entry delay (away), 75 s left\n",
        ),
        ({"state": "in_alarm", "mode": "stay", "seconds_left": 0}, "alarm system: IN ALARM (stay)\n"),
    ],
)
def test_the_alarm_system_is_shown(
    alarm: dict[str, Any] | None, text: str, portero: Portero, state: Path
) -> None:
    with ScriptedAgent(state, status={**STATUS, "alarm": alarm}):
        done = portero("status")
    assert done.exit_code == 0
    assert [line + "\n" for line in done.stdout.splitlines() if "alarm" in line] == ([text] if text else [])


def test_broken_journal_is_shown(portero: Portero, state: Path) -> None:
    journal = {**STATUS["journal"], "ok": False, "problem": "disk full"}
    with ScriptedAgent(state, status={**STATUS, "journal": journal, "endpoints": [], "workers": {}}):
        assert "journal: NOT OK: disk full" in portero("status").stdout


def test_no_agent(portero: Portero) -> None:
    assert portero("status").exit_code == 3
    assert portero("status", "--json").exit_code == 3
