"""The npm package ws against the door: a client with a browser's habits, and a server for our own client."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import NODE_MODULES, PASSWORD, USER, Door, Peer


@pytest.fixture(autouse=True)
def ws_installed() -> None:
    if not (NODE_MODULES / "ws").is_dir():
        pytest.skip("ws is not installed; npm ci --prefix interop installs it")


@pytest.fixture
def shell(door: Door, run_peer: Callable[..., Peer]) -> Peer:
    return run_peer("ws_shell.js", door)


def log_in(client: Peer, password: str = PASSWORD) -> dict[str, Any]:
    client.tell(send={"event": "auth", "data": {"user": USER, "password": password}, "category": "normal"})
    return client.message("auth")


def ask_version(client: Peer) -> dict[str, Any]:
    client.tell(send={"event": "control", "data": {"type": "version"}})
    return client.message("control")


def test_offered_compression_is_politely_not_taken(shell: Peer) -> None:
    headers = shell.of("upgraded")
    assert "sec-websocket-extensions" not in headers
    assert "sec-websocket-protocol" not in headers
    assert shell.of("opened") == {"extensions": "", "protocol": ""}
    assert log_in(shell)["status"] == "Success"


def test_logs_in_filters_and_hears_the_bell(door: Door, shell: Peer) -> None:
    assert log_in(shell)["status"] == "Success"
    shell.tell(send={"event": "control", "data": {"type": "filter", "monlist": "1,2", "intlist": "0,0"}})
    ask_version(shell)
    door.press()
    alarm = shell.message("alarm")
    assert set(alarm) == {"event", "type", "status", "events"}
    assert set(alarm["events"][0]) >= {
        "EventId", "MonitorId", "Name", "Cause", "DetectionJson", "RulesObject",
    }  # fmt: skip


def test_an_interval_keeps_the_second_ring_back(door: Door, shell: Peer) -> None:
    log_in(shell)
    shell.tell(send={"event": "control", "data": {"type": "filter", "monlist": "1,6", "intlist": "3600,0"}})
    ask_version(shell)
    door.press()
    assert shell.message("alarm")["events"][0]["MonitorId"] == "1"
    door.press()
    ask_version(shell)
    assert shell.events().count("alarm") == 1


def test_a_wrong_password_may_be_mended_at_once(shell: Peer) -> None:
    assert log_in(shell, "ábrete sésamo")["reason"] == "BADAUTH"
    assert log_in(shell)["status"] == "Success"
    assert ask_version(shell)["status"] == "Success"


def test_a_wrong_password_that_is_not_mended_ends_it(shell: Peer) -> None:
    assert log_in(shell, "ábrete sésamo")["reason"] == "BADAUTH"
    assert shell.of("closed", within_s=10) == 1008


def test_a_message_in_128_fragments_is_one_message(shell: Peer) -> None:
    log_in(shell)
    text = json.dumps(
        {"event": "control", "data": {"type": "version", "filler": "ñ" * 200}}, ensure_ascii=False
    )
    size = -(-len(text) // 128)
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    parts += [" "] * (128 - len(parts))
    shell.tell(fragments=parts)
    assert shell.message("control")["type"] == "version"


def test_a_message_in_129_fragments_is_too_much(shell: Peer) -> None:
    log_in(shell)
    shell.tell(fragments=[" "] * 129)
    assert shell.of("closed") == 1009


def test_a_message_of_64_kib_is_read_and_one_byte_more_is_not(shell: Peer) -> None:
    log_in(shell)
    question = '{"event":"control","data":{"type":"version"}}'
    shell.tell(raw=question + " " * (65_536 - len(question)))
    assert shell.message("control")["type"] == "version"
    shell.tell(raw=question + " " * (65_537 - len(question)))
    assert shell.of("closed") == 1009


def test_a_ping_is_answered_before_and_after_login(shell: Peer) -> None:
    shell.of("opened")
    shell.tell(ping=True)
    assert shell.of("pong") is True
    log_in(shell)
    shell.tell(ping=True)
    assert shell.of("pong") is True


def test_garbage_and_binary_do_not_end_it(shell: Peer) -> None:
    log_in(shell)
    for garbage in ("", "{", "[]", "null", "7", '"auth"', '{"event":"auth","data":"x"}', "\ufeff{}"):
        shell.tell(raw=garbage)
        assert shell.message("malformed")["reason"] == "BADJSON"
    shell.tell(binary=100)
    shell.tell(send={"event": "weather"})
    assert shell.message("weather")["reason"] == "NOTSUPPORTED"
    assert ask_version(shell)["status"] == "Success"


def test_a_close_is_answered_in_kind(shell: Peer) -> None:
    log_in(shell)
    shell.tell(close=4001)
    assert shell.of("closed") == 4001


def test_a_peer_that_vanishes_leaves_nothing_behind(door: Door, run_peer: Callable[..., Peer]) -> None:
    for _ in range(5):
        peer = run_peer("ws_shell.js", door)
        log_in(peer)
        peer.tell(terminate=True)
        assert peer.of("closed") == 1006
    client = run_peer("ws_shell.js", door)
    log_in(client)
    door.press()
    assert client.message("alarm")["events"][0]["Cause"] == "Ring"


def test_a_stop_says_going_away(build_door: Callable[..., Door], run_peer: Callable[..., Peer]) -> None:
    door = build_door()
    client = run_peer("ws_shell.js", door)
    log_in(client)
    begun = time.monotonic()
    door.terminate()
    assert client.of("closed") == 1001
    assert door.wait() == 0
    assert time.monotonic() - begun < 5


UPSTREAM = """
[workers.zmes.server]

[[workers.zmes.upstream]]
name = "yard"
url = "ws://127.0.0.1:{port}/es"
user = "{user}"
password_file = "{secret}"
monitors = ["3", "4"]
"""


def upstream_page(door: Door) -> dict[str, Any]:
    """What the status page shows of the upstream, without the common prefix of its keys."""
    text = json.dumps(door.status())
    return dict(re.findall(r'"upstream\.yard\.([a-z_]+)": "?([^",}]*)', text))


def test_our_client_follows_a_server_on_ws(
    tmp_path: Path, build_door: Callable[..., Door], run_peer: Callable[..., Peer]
) -> None:
    upstream = run_peer("ws_upstream.js")
    port = upstream.of("listening")
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    door = build_door(UPSTREAM.format(port=port, user=USER, secret=secret))
    assert upstream.of("opened") == {"path": "/es", "extensions": ""}
    assert upstream.message("auth")["data"]["user"] == USER
    assert upstream.message("control")["data"] == {"type": "filter", "monlist": "3,4", "intlist": "0,0"}
    event = {"EventId": 5060, "MonitorId": 3, "Name": "Hof Ã¼", "Cause": "Motion: All"}
    for cause in ("Motion: All", "Motion: All", "End:End:Motion: All"):
        alarm = {"event": "alarm", "type": "", "status": "Success", "events": [event | {"Cause": cause}]}
        upstream.tell(send=alarm)
    upstream.tell(close=1001)
    upstream.of("closed")
    # It comes back by itself.
    assert upstream.message("auth")["data"]["user"] == USER
    entries = [
        json.loads(line)["event"]
        for line in door.portero("events", "--json", "--type", "camera_alarm").splitlines()
    ]
    assert [(entry["monitor"], entry["cause"], entry.get("ended", False)) for entry in entries] == [
        ("Hof ü", "Motion: All", False),
        ("Hof ü", "Motion: All", True),
    ]
    page = upstream_page(door)
    assert page["version"] == "7.0.24"
    assert page["alarms"] == "2"
