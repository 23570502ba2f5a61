"""Each push of the vendor's page through real push servers, across a kill of the server."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import HERE, Door
from vms_servers import INTERCOM, EchoServer, SocketIo, Soketi, Vms

CHANNELS = 6  # user, token, index, dictionary, cameras, analytics


def _pushes() -> list[tuple[str, str, str, Any]]:
    """The same fixtures as the tests of the parser have; data, and nothing of Portero."""
    path = HERE.parent / "tests" / "support" / "harness" / "vms_pushes.py"
    spec = importlib.util.spec_from_file_location("vms_pushes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: list[tuple[str, str, str, Any]] = module.PUSHES
    return found


def vms_status(door: Door) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(door.portero("vms", "status", "--json"))
    return found


def until(door: Door, met: Callable[[dict[str, Any]], bool], within_s: float = 40.0) -> dict[str, Any]:
    deadline = time.monotonic() + within_s
    while True:
        status = vms_status(door)
        if met(status):
            return status
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {status}"
        time.sleep(0.2)


def is_live(status: dict[str, Any]) -> bool:
    return (
        status["state"] == "connected"
        and status.get("channels") is not None
        and sum(row["state"] == "live" for row in status["channels"]) == CHANNELS
    )


@pytest.mark.parametrize("kind", [Soketi, EchoServer, SocketIo], ids=lambda kind: kind.__name__)
def test_every_push_also_after_a_kill(kind: Any, build_door: Callable[..., Door], tmp_path: Path) -> None:
    server = kind(tmp_path)
    vms = Vms(server.port, signs=server.signs)
    try:
        server.start(vms)
        secret = tmp_path / "password"
        secret.write_text("secret")
        secret.chmod(0o600)
        door = build_door(
            f"""
[workers.vms]
url = "{vms.url}"
login = "door"
password_file = "{secret}"
intercom_id = {INTERCOM}
camera_id = 429
analytics = true
transport = "{server.transport}"
"""
        )
        pushes = _pushes()
        for times in (1, 2):
            until(door, is_live)
            before = vms_status(door).get("pushes", 0)
            for _, channel, event, payload in pushes:
                server.publish(f"private-{channel}", event, payload)
            wanted = before + len(pushes)
            status = until(door, lambda now, wanted=wanted: now.get("pushes", 0) >= wanted)
            assert status["pushes"] == wanted, "each once"
            assert status["unknown_kinds"] == ["door_sings"]
            assert status.get("malformed", 0) == 0
            assert status["dictionary"] == 1
            assert status["cameras"] == {"429": "active"}
            events = [
                json.loads(line)["event"]
                for line in door.portero(
                    "events", "--type", "cloud_reported", "--json", "-n", "500"
                ).splitlines()
            ]
            kinds = [event["kind"] for event in events]
            assert kinds.count("intercom_status_changed") == times
            assert kinds.count("intercom_sync_keys") == 2 * times
            if times == 1:
                server.kill()
                until(door, lambda now: now["state"] in ("offline", "connecting", "refused"))
                server.start(vms)
    finally:
        server.close()
        vms.shutdown()
        vms.server_close()
