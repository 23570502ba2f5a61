"""Imitations of the two apps (peers/README.md says what they are worth) against a door that also pushes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from processes import ANSWER_S, Door, Peer

CONFIG = """
[workers.zmes.server]
picture_url = "https://door.example/EVENTID.jpg"

[workers.zmes.server.push]
url = "http://127.0.0.1:{port}/v1/projects/door/messages:send"
key_file = "{key}"
"""


class PushService:
    """Takes what the door sends to Firebase's place."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.arrived = threading.Condition()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with service.arrived:
                    service.messages.append(body)
                    service.arrived.notify_all()
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def wait(self, count: int) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.messages) >= count, ANSWER_S), self.messages


@pytest.fixture
def push_service() -> Iterator[PushService]:
    service = PushService()
    thread = threading.Thread(target=service.server.serve_forever)
    thread.start()
    yield service
    service.server.shutdown()
    thread.join()
    service.server.server_close()


@pytest.fixture
def pushing_door(tmp_path: Path, push_service: PushService, build_door: Callable[..., Door]) -> Door:
    key = tmp_path / "key"
    key.write_text("a bearer token")
    key.chmod(0o600)
    return build_door(CONFIG.format(port=push_service.server.server_port, key=key))


def test_zmninja_without_a_token(door: Door, run_peer: Callable[..., Peer]) -> None:
    app = run_peer("zmninja.py", door)
    assert app.of("welcome")["popup"] is False
    # With nothing chosen it sends empty lists, which mean every monitor.
    app.tell(event="control", data={"type": "version"})
    app.message("control")
    door.press()
    shown = app.next(lambda line: "shown" in line)
    assert shown["shown"] == "Bell: Ring"
    assert shown["sound"] is True
    # Its badge message cannot be done here, which it only notes.
    assert app.message("push")["reason"] == "PUSHDISABLED"


def test_zmninja_with_a_token_says_things_backwards(
    pushing_door: Door, push_service: PushService, run_peer: Callable[..., Peer]
) -> None:
    app = run_peer(
        "zmninja.py", pushing_door, PEER_TOKEN="ninja:token", PEER_MONLIST="1,2", PEER_INTLIST="0,0"
    )
    app.of("welcome")
    assert [line["sent"]["type"] for line in app.heard if "sent" in line] == [""]
    app.next(lambda line: line.get("sent") == {"event": "push", "type": "token"})
    assert [line["sent"]["type"] for line in app.heard if "sent" in line] == ["", "filter", "token"]
    app.tell(event="control", data={"type": "version"})
    app.message("control")
    pushing_door.press()
    alarm = app.message("alarm")
    assert alarm["supplementary"] == "true"
    assert app.next(lambda line: "shown" in line)["sound"] is False
    push_service.wait(1)
    assert push_service.messages[0]["message"]["token"] == "ninja:token"
    assert "push" not in app.events()


def test_zmninja_that_waits_for_its_token_is_not_banned(door: Door, run_peer: Callable[..., Peer]) -> None:
    """On a phone it connects and says nothing; many of those must not keep the next ones out."""
    for _ in range(5):
        run_peer("websockets_shell.py", door).of("opened")
    app = run_peer("zmninja.py", door)
    assert app.message("auth")["status"] == "Success"


def test_zmninja_ng(pushing_door: Door, push_service: PushService, run_peer: Callable[..., Peer]) -> None:
    app = run_peer("zmninja_ng.py", pushing_door, PEER_TOKEN="ng-token", PEER_MONLIST="1", PEER_INTLIST="0")
    assert app.message("auth")["status"] == "Success"
    for _ in range(3):
        app.tell(probe=True)
        assert app.of("alive") is True
    pushing_door.press()
    alarm = app.message("alarm")
    shown = app.next(lambda line: "shown" in line)
    assert shown["shown"] == "Bell"
    assert shown["cause"] == "Ring"
    assert shown["picture"] == f"https://door.example/{alarm['events'][0]['EventId']}.jpg"
    app.next(lambda line: line.get("sent") == {"event": "push", "type": "badge"})
    push_service.wait(1)
    app.tell(probe=True)
    assert app.of("alive") is True
    assert "push" not in app.events()


def test_zmninja_ng_gives_up_after_a_refusal(door: Door, run_peer: Callable[..., Peer]) -> None:
    app = run_peer("zmninja_ng.py", door, PEER_PASSWORD="no es esta")
    assert app.of("failed") == "BADAUTH"


def test_zmninja_ng_probes_while_the_door_is_busy(door: Door, run_peer: Callable[..., Peer]) -> None:
    """The demand is an answer within five seconds, also while others hash passwords and the bell rings."""
    app = run_peer("zmninja_ng.py", door)
    app.message("auth")
    others = [run_peer("zmninja_ng.py", door) for _ in range(4)]
    for _ in range(3):
        door.press()
        app.tell(probe=True)
        assert app.of("alive") is True
    for other in others:
        assert other.message("auth")["status"] == "Success"
