from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import Result
from harness.scripted_agent import ScriptedAgent

Portero = Callable[..., Result]
JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"


@contextmanager
def camera(status: int, body: bytes) -> Iterator[str]:
    """A camera; where its pictures are."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/secret/live/snapshot_720.jpg"
        server.shutdown()
        thread.join()


def test_to_a_pipe_and_to_a_file(portero: Portero, state: Path, tmp_path: Path) -> None:
    with camera(200, JPEG) as url:
        asked: list[Any] = []

        def worker(arguments: Any) -> Any:
            asked.append(arguments)
            return {"url": url, "local": True}

        with ScriptedAgent(state, worker=worker):
            assert portero("netatmo", "picture", "Hall").stdout_bytes == JPEG
            file = tmp_path / "now.jpg"
            assert portero("netatmo", "picture", "Hall", "--cloud", "home", "-o", str(file)).exit_code == 0
            assert file.read_bytes() == JPEG
    assert [(one["verb"], one["what"], one.get("cloud")) for one in asked] == [
        ("cloud_video", "snapshot", None),
        ("cloud_video", "snapshot", "home"),
    ]


def test_what_is_no_picture(portero: Portero, state: Path, tmp_path: Path) -> None:
    for status, body in ((404, JPEG), (200, b"<html>"), (200, b""), (200, JPEG + bytes(3 << 20))):
        with camera(status, body) as url, ScriptedAgent(state, worker=lambda _, url=url: {"url": url}):
            done = portero("netatmo", "picture", "Hall")
            assert done.exit_code == 1
            assert "no picture" in done.stderr
            assert "secret" not in done.stderr


def test_nobody_there(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, worker=lambda _: {"url": "http://127.0.0.1:9/secret"}):
        done = portero("netatmo", "picture", "Hall")
    assert (done.exit_code, "secret" in done.stderr) == (1, False)
