from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import Result
from harness.scripted_agent import ScriptedAgent

Portero = Callable[..., Result]
STATUS = {
    "vms": "vms.example", "state": "refused", "problem": "wrong key \x1b[2J", "keys": "3 added", "pushes": 4,
    "channels": [{"channel": "private-user.7", "state": "live", "reason": ""}],
}  # fmt: skip


def test_status_and_sync(portero: Portero, state: Path) -> None:
    asked: list[Any] = []

    def worker(arguments: Any) -> Any:
        asked.append(arguments["verb"])
        return STATUS if arguments["verb"] == "vms_status" else {"source": "vms"}

    with ScriptedAgent(state, worker=worker):
        text = portero("vms", "status").stdout
        assert "vms.example: refused (wrong key" in text
        assert "\x1b" not in text
        assert "private-user.7" in text
        assert json.loads(portero("vms", "status", "--json").stdout)["pushes"] == 4
        assert "asked" in portero("vms", "sync").stdout
    assert asked == ["vms_status", "vms_status", "vms_sync"]
