from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result
from harness.scripted_agent import ScriptedAgent

Portero = Callable[..., Result]
ROW = {
    "id": "pfim4kyd", "holder": "Ana", "flat": "12", "method": "tag", "duress": False, "endpoints": None,
    "valid_from_ns": None, "valid_until_ns": None, "schedule": "", "uses_left": None, "enabled": True,
    "source": "local", "created_ns": 7,
}  # fmt: skip


class Agent:
    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    def __call__(self, arguments: dict[str, Any]) -> Any:
        self.asked.append(arguments)
        return self.answer


def test_add(portero: Portero, state: Path) -> None:
    agent = Agent(ROW | {"code": "707924", "uses_left": 1, "schedule": "mon-fri"})
    with ScriptedAgent(state, keys_add=agent):
        done = portero("keys", "add", "--holder", "Ana", "--code", "--uses", "1", "--endpoint", "strike")
        assert done.stdout == (
            "key pfim4kyd of Ana: added (tag, mon-fri; 1 uses left)\ncode 707924 (shown this once)\n"
        )
        portero("keys", "add", "--tag", "62E3086CED", "--code-stdin", stdin="4711\n4712\n")
        assert portero("keys", "add", "--holder", "Ana").exit_code == 2
        assert portero("keys", "add", "--code-stdin", stdin="").exit_code == 1
    first, second = agent.asked
    assert (first["generate"], first["key"]["endpoints"], first["key"]["uses"]) == (True, ["strike"], 1)
    assert (second["generate"], second["key"]["code"], second["key"]["duress"]) == (False, "4711", "4712")


def test_learn(portero: Portero, state: Path) -> None:
    agent = Agent(ROW)
    with ScriptedAgent(state, keys_learn=agent):
        done = portero("keys", "learn", "front_reader", "--holder", "Ana")
    assert "hold the tag to front_reader now" in done.stdout
    assert "key pfim4kyd of Ana: added (tag)" in done.stdout
    assert agent.asked[0]["reader"] == "front_reader"


def test_list(portero: Portero, state: Path) -> None:
    limits = {"valid_until_ns": 1_790 * 10**15, "endpoints": ["gate"], "duress": True, "enabled": False}
    with ScriptedAgent(state, keys_list=Agent([ROW, ROW | limits | {"holder": "B\x1b[2J"}])):
        text = portero("keys", "list").stdout
        assert "pfim4kyd  Ana" in text
        assert "gate; with duress code; disabled" in text
        assert "\x1b" not in text
        assert len(json.loads(portero("keys", "list", "--json").stdout)) == 2
    with ScriptedAgent(state, keys_list=Agent([])):
        assert "no keys" in portero("keys", "list", "--source", "vms").stdout


def test_revoke_history_rollback(portero: Portero, state: Path) -> None:
    version = {"number": 1, "source": "file", "at_ns": 1_790 * 10**15, "file": "a.xlsx", "by": "local:ana",
               "added": 3, "changed": 0, "removed": 1, "can_return": True}  # fmt: skip
    change = {"added": 1, "changed": 0, "removed": 3}
    with ScriptedAgent(
        state, keys_revoke=Agent([ROW]), keys_history=Agent([version]), keys_rollback=Agent(change)
    ):
        assert portero("keys", "revoke", "pfim4kyd").stdout == "key pfim4kyd of Ana: revoked\n"
        assert "a.xlsx" in portero("keys", "history").stdout
        assert portero("keys", "rollback", "file").stdout == "keys of file: 1 added, 0 changed, 3 removed\n"


def test_import(portero: Portero, state: Path, tmp_path: Path) -> None:
    file = tmp_path / "keys.csv"
    file.write_bytes(b"key\n" + b"7BB26E\n" * 10_000)
    pieces = Agent({"bytes": 1})
    result = Agent({"added": 1, "changed": 0, "removed": 0, "refused": ["row 3: the same key"]})
    with ScriptedAgent(state, keys_piece=pieces, keys_import=result):
        done = portero("keys", "import", str(file), "--dry-run", "--source", "house")
        assert done.stdout == "keys of house: 1 would be added, 0 would be changed, 0 would be removed\n"
        assert "row 3: the same key" in done.stderr
        portero("keys", "import", str(file), "--force")
    assert [one["first"] for one in pieces.asked] == [True, False] * 2
    assert [(one["dry_run"], one["force"]) for one in result.asked] == [(True, False), (False, True)]
    (tmp_path / "big").write_bytes(bytes(9 << 20))
    assert portero("keys", "import", str(tmp_path / "big")).exit_code == 1
