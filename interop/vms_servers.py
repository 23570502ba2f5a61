"""Servers that bring the pushes of a VMS, each as its maker ships it, and the rest of the VMS.

Versions: soketi 1.6.1, laravel-echo-server 1.6.3 with redis, python-socketio 5. soketi's own web server comes
from no registry; a build of it that others publish takes its place (package.json, `overrides`).
"""

from __future__ import annotations

import hashlib
import hmac
import http.server
import json
import os
import socket
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from conftest import _node
from processes import HERE, NODE_MODULES, Peer

KEY, SECRET, APP_ID = "app-key", "app-secret", "app-id"
BEARER, TOKEN_ID, USER_ID, INTERCOM = "throwaway.bearer", "TOKEN", 7, 18
START_S = 40.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_for(port: int, within_s: float = START_S) -> None:
    """Until somebody listens."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise AssertionError(f"nobody listens on {port} within {within_s:g} s") from None
            time.sleep(0.05)


class Vms(http.server.ThreadingHTTPServer):
    """The REST of a VMS: the log-in, where pushes are, leave for channels. push_port: of the other server."""

    daemon_threads = True

    def __init__(self, push_port: int, *, signs: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Rest)
        self.push_port = push_port
        self.signs = signs
        self.asked: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Rest(http.server.BaseHTTPRequestHandler):
    server: Vms

    def _answer(self, status: int, plain: object) -> None:
        data = json.dumps(plain).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/api/v1/wsurl":
            port = self.server.push_port
            self._answer(200, {"ws_url": f"ws://127.0.0.1:{port}", "app_key": KEY, "port": port,
                               "host": "127.0.0.1", "path": "", "is_encrypted": False})  # fmt: skip
        elif self.path == f"/api/admin/v1/intercoms/{INTERCOM}":
            self._answer(200, {"data": {"id": INTERCOM, "status": "active"}})
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/api/v1/token":
            user = {"id": USER_ID, "login": "door", "access_token_id": TOKEN_ID, "permissions": []}
            self._answer(200, {"user": user, "access_token": BEARER})
        elif self.headers.get("authorization") != f"Bearer {BEARER}":
            self._answer(401, {})
        elif self.path == "/broadcasting/auth" and self.server.signs:
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            text = f"{form['socket_id']}:{form['channel_name']}".encode()
            self._answer(200, {"auth": f"{KEY}:{hmac.digest(SECRET.encode(), text, 'sha256').hex()}"})
        elif self.path == "/broadcasting/auth":
            self._answer(200, True)
        else:
            self._answer(200, {})

    def log_message(self, *_: Any) -> None:
        pass


class Soketi:
    """soketi, and its HTTP interface for publishing."""

    transport, signs = "pusher", True

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log = (folder / "soketi.log").open("ab")
        self._metrics = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, _vms: Vms) -> None:
        environment = {
            **os.environ, "SOKETI_PORT": str(self.port), "SOKETI_METRICS_SERVER_PORT": str(self._metrics),
            "SOKETI_DEFAULT_APP_ID": APP_ID, "SOKETI_DEFAULT_APP_KEY": KEY,
            "SOKETI_DEFAULT_APP_SECRET": SECRET, "SOKETI_HOST": "127.0.0.1",
        }  # fmt: skip
        program = NODE_MODULES / "@soketi" / "soketi" / "bin" / "server.js"
        self._process = subprocess.Popen(
            [_node(), str(program), "start"], env=environment, stdout=self._log, stderr=self._log
        )
        wait_for(self.port)

    def publish(self, channel: str, event: str, payload: Any) -> None:
        body = json.dumps({"name": event, "channels": [channel], "data": json.dumps(payload)}).encode()
        query = (
            f"auth_key={KEY}&auth_timestamp={int(time.time())}&auth_version=1.0"
            f"&body_md5={hashlib.md5(body, usedforsecurity=False).hexdigest()}"
        )
        path = f"/apps/{APP_ID}/events"
        signed = hmac.digest(SECRET.encode(), f"POST\n{path}\n{query}".encode(), "sha256").hex()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}?{query}&auth_signature={signed}", body,
            {"content-type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        self.kill()
        self._log.close()


class EchoServer:
    """laravel-echo-server, fed by redis as Laravel's broadcaster feeds it."""

    transport, signs = "socketio", False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port, self._redis_port = free_port(), free_port()
        self._log = (folder / "echo.log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._redis = subprocess.Popen(
                ["redis-server", "--port", str(self._redis_port), "--bind", "127.0.0.1", "--save", "",
                 "--appendonly", "no", "--dir", str(folder)], stdout=self._log, stderr=self._log,
            )  # fmt: skip
        except FileNotFoundError:
            self._log.close()
            pytest.skip("no redis-server on this machine")
        wait_for(self._redis_port)

    def start(self, vms: Vms) -> None:
        config = {
            "authHost": vms.url, "authEndpoint": "/broadcasting/auth", "clients": [], "database": "redis",
            "databaseConfig": {"redis": {"port": str(self._redis_port), "host": "127.0.0.1"}},
            "devMode": True, "host": "127.0.0.1", "port": str(self.port), "protocol": "http", "socketio": {},
            "subscribers": {"http": False, "redis": True},
        }  # fmt: skip
        (self._folder / "laravel-echo-server.json").write_text(json.dumps(config))
        (self._folder / "laravel-echo-server.lock").unlink(missing_ok=True)
        program = NODE_MODULES / "laravel-echo-server" / "bin" / "server.js"
        self._process = subprocess.Popen(
            [_node(), str(program), "start", "--dir", str(self._folder)],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, cwd=self._folder,
        )  # fmt: skip
        wait_for(self.port)

    def publish(self, channel: str, event: str, payload: Any) -> None:
        message = json.dumps({"event": event, "data": payload, "socket": payload.get("socket")})
        parts = [b"PUBLISH", channel.encode(), message.encode()]
        request = b"*3\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        with socket.create_connection(("127.0.0.1", self._redis_port), 5) as redis:
            redis.sendall(request)
            assert redis.recv(100).startswith(b":"), "redis took it"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        self.kill()
        self._redis.kill()
        self._redis.wait()
        self._log.close()


class SocketIo:
    """python-socketio: another generation of the protocol."""

    transport, signs = "socketio", False

    def __init__(self, _folder: Path) -> None:
        self.port = free_port()
        self._peer: Peer | None = None

    def start(self, _vms: Vms) -> None:
        import sys

        program = str(HERE / "peers" / "socketio_server.py")
        self._peer = Peer([sys.executable, program], {"PEER_PORT": str(self.port)})
        self._peer.of("listening", START_S)

    def publish(self, channel: str, event: str, payload: Any) -> None:
        assert self._peer is not None
        self._peer.tell(channel=channel, event=event, payload=payload)
        self._peer.of("pushed")

    def kill(self) -> None:
        if self._peer is not None:
            self._peer.stop()
            self._peer = None

    def close(self) -> None:
        self.kill()
