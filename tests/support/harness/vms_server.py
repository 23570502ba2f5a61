"""A VMS on one port of loopback: its REST, and its pushes by both transports.

hypercorn and Starlette serve; the frames are put together here, from the descriptions of the protocols.
"""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import hypercorn.trio
import trio
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

LOGIN, PASSWORD, APP_KEY = "door@example.org", "correct horse", "app-key"
INTERCOM, CAMERA = 18, 429
Json = dict[str, Any]


def wrapped(kind: str, data: Any, status: str = "ok", **more: Any) -> Json:
    """A push as the VMS makes it."""
    return {"data": {"type": kind, "status": status, "data": data} | more, "subject": None, "message": None}


class VmsServer:
    """requests: every (method, path). asked: channels in the order in which they were asked for.

    good: whether the log-in holds. forbidden: channels that are refused with 403. intercom: its status.
    file: of keys, (status, content type, content). answer: may answer itself: path -> Response or None.
    mute: greets nobody. version: of Engine.IO. refuse_code: a pusher:error before the greeting, and a close.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.asked: list[str] = []
        self.logins = 0
        self.token = ""
        self.forbidden: set[str] = set()
        self.intercom: str | None = "active"
        self.file: tuple[int, str, bytes] = (200, "text/csv", b"key,name\n7BB26E,Ana\n")
        self.answer: Callable[[str], Response | None] = lambda path: None
        self.announce = True
        self.mute = False
        self.version = 3
        self.refuse_code = 0
        self.wsurl_path = "/ws"
        self.port = 0
        self.connections = 0
        self.live: dict[str, list[Callable[[str], Any]]] = {}
        self.sockets: set[WebSocket] = set()
        self.heard: list[str] = []
        self._changed = trio.lowlevel.ParkingLot()
        self._scope = trio.CancelScope()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def file_url(self) -> str:
        return f"{self.url}/files/keys.csv"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[VmsServer]:
        async with trio.open_nursery() as nursery:
            await self.start(nursery)
            yield self
            self._scope.cancel()
            nursery.cancel_scope.cancel()

    async def start(self, nursery: trio.Nursery) -> None:
        self._scope = trio.CancelScope()
        sock = socket.create_server(("127.0.0.1", self.port))
        self.port = sock.getsockname()[1]
        config = Config()
        config.bind = [f"fd://{sock.detach()}"]
        config.accesslog = config.errorlog = None
        config.graceful_timeout = 0.01
        config.websocket_ping_interval = None
        app = Starlette(
            routes=[
                Route("/api/v1/token", self._token, methods=["POST"]),
                Route("/api/v1/wsurl", self._wsurl),
                Route("/broadcasting/auth", self._auth, methods=["POST"]),
                Route("/api/admin/v1/intercoms/{id}", self._intercom),
                Route("/api/admin/v1/intercoms/{id}/keys/export", self._export, methods=["POST"]),
                Route("/files/{name}", self._file),
                WebSocketRoute("/ws/app/{key}", self._pusher),
                WebSocketRoute("/socket.io/", self._socketio),
            ]
        )

        async def serve(*, task_status: trio.TaskStatus[None]) -> None:
            with self._scope:
                async with trio.open_nursery() as inner:
                    await inner.start(partial(hypercorn.trio.serve, app, config))  # type: ignore[arg-type]
                    task_status.started()

        await nursery.start(serve)

    async def stop(self) -> None:
        """Killed: connections end without a word."""
        self._scope.cancel()
        self.live.clear()
        self.sockets.clear()
        await trio.sleep(0.05)

    async def drop(self, code: int = 1006) -> None:
        """End every connection."""
        for ws in list(self.sockets):
            try:
                await ws.close(1001 if code == 1006 else code)
            except RuntimeError:
                pass
        self.live.clear()

    async def until(self, met: Callable[[], bool]) -> None:
        while not met():
            await self._changed.park()

    async def push(self, channel: str, payload: Any, event: str = "App\\Events\\UserPush") -> int:
        """To everybody on it; to how many that was."""
        told = self.live.get(channel, [])
        for tell in list(told):
            await tell(json.dumps([event, channel, payload]))
        return len(told)

    def is_live(self, *channels: str) -> bool:
        return all(self.live.get(channel) for channel in channels)

    # ----- REST -----

    def _note(self, request: Request) -> Response | None:
        self.requests.append((request.method, request.url.path))
        self.headers.append(dict(request.headers))
        self._changed.unpark_all()
        return self.answer(request.url.path)

    def _knows(self, request: Request) -> bool:
        return bool(self.token) and request.headers.get("authorization") == f"Bearer {self.token}"

    async def _token(self, request: Request) -> Response:
        if odd := self._note(request):
            return odd
        given = await request.json()
        if given.get("login") != LOGIN or given.get("password") != PASSWORD:
            return JSONResponse({"message": "wrong", "errors": {"login": ["wrong"]}}, 422)
        self.logins += 1
        self.token = f"{self.logins}.{secrets.token_hex(8)}"
        user = {"id": 7, "login": LOGIN, "access_token_id": f"tokenid{self.logins}", "permissions": []}
        return JSONResponse({"user": user, "access_token": self.token})

    async def _wsurl(self, request: Request) -> Response:
        if odd := self._note(request):
            return odd
        return JSONResponse(
            {"ws_url": f"ws://127.0.0.1:{self.port}{self.wsurl_path}", "app_key": APP_KEY, "port": self.port,
             "host": "127.0.0.1", "path": self.wsurl_path, "is_encrypted": False}
        )  # fmt: skip

    async def _auth(self, request: Request) -> Response:
        if odd := self._note(request):
            return odd
        form = dict(parse_qsl((await request.body()).decode()))
        if not self._knows(request):
            return JSONResponse({}, 401)
        if form.get("channel_name") in self.forbidden:
            return JSONResponse({}, 403)
        return JSONResponse({"auth": f"{APP_KEY}:{form.get('socket_id')}/{form.get('channel_name')}"})

    async def _intercom(self, request: Request) -> Response:
        if odd := self._note(request):
            return odd
        if not self._knows(request):
            return JSONResponse({}, 401)
        if self.intercom is None:
            return JSONResponse({}, 404)
        return JSONResponse({"data": {"id": INTERCOM, "status": self.intercom}})

    async def _export(self, request: Request) -> Response:
        if odd := self._note(request):
            return odd
        if not self._knows(request):
            return JSONResponse({}, 401)
        if self.announce:
            push = wrapped("export_intercom_keys", {"path": self.file_url}) | {"socket": None}
            await self.push(f"private-token.tokenid{self.logins}", push, "App\\Events\\TokenPush")
        return Response(status_code=204)

    async def _file(self, request: Request) -> Response:
        if odd := self._note(request):
            return odd
        status, kind, content = self.file
        return Response(content, status, media_type=kind)

    # ----- pushes -----

    async def _pusher(self, ws: WebSocket) -> None:
        await ws.accept()
        self._met(ws)
        if self.mute:
            await trio.sleep_forever()
        if self.refuse_code:
            error = {"code": self.refuse_code, "message": "no"}
            await ws.send_text(json.dumps({"event": "pusher:error", "data": error}))
            await ws.close(1000)
            return
        socket_id = f"{secrets.randbelow(10**9)}.{secrets.randbelow(10**9)}"
        hello = json.dumps({"socket_id": socket_id, "activity_timeout": 30})
        await ws.send_text(json.dumps({"event": "pusher:connection_established", "data": hello}))

        async def tell(text: str) -> None:
            event, channel, payload = json.loads(text)
            frame = {"event": event, "channel": channel, "data": json.dumps(payload)}
            await ws.send_text(json.dumps(frame))

        async def hear(text: str) -> None:
            frame = json.loads(text)
            if frame["event"] == "pusher:ping":
                await ws.send_text('{"event":"pusher:pong","data":{}}')
            elif frame["event"] == "pusher:subscribe":
                channel = frame["data"]["channel"]
                self.asked.append(channel)
                if channel.startswith("private-"):
                    assert frame["data"]["auth"] == f"{APP_KEY}:{socket_id}/{channel}"
                self.live.setdefault(channel, []).append(tell)
                done = {"event": "pusher_internal:subscription_succeeded", "channel": channel}
                await ws.send_text(json.dumps(done))

        await self._serve(ws, hear, tell)

    async def _socketio(self, ws: WebSocket) -> None:
        await ws.accept()
        self._met(ws)
        hello: Json = {"sid": "x", "upgrades": [], "pingInterval": 25000, "pingTimeout": 20000}
        if self.version == 4:
            hello["maxPayload"] = 1_000_000
        await ws.send_text("0" + json.dumps(hello))
        if self.version == 3:
            await ws.send_text("40")
        joined = self.version == 3

        async def tell(text: str) -> None:
            await ws.send_text("42" + text)

        async def hear(text: str) -> None:
            nonlocal joined
            if text == "2" and self.version == 3:
                await ws.send_text("3")
            elif text == "2":
                await ws.close()
            elif text.startswith("40"):
                joined = True
                await ws.send_text('40{"sid":"y"}')
            elif text.startswith("42"):
                assert joined
                event, data = json.loads(text[2:])
                assert event == "subscribe"
                channel = data["channel"]
                self.asked.append(channel)
                bearer = data["auth"]["headers"].get("Authorization")
                if channel.startswith("private-") and bearer != f"Bearer {self.token}":
                    await ws.send_text("42" + json.dumps(["subscription_error", channel, 401]))
                elif channel in self.forbidden:
                    await ws.send_text("42" + json.dumps(["subscription_error", channel, 403]))
                else:
                    self.live.setdefault(channel, []).append(tell)

        async def ping() -> None:
            while True:
                await trio.sleep(25)
                try:
                    await ws.send_text("2")
                except RuntimeError:
                    return

        async with trio.open_nursery() as nursery:
            if self.version == 4:
                nursery.start_soon(ping)
            await self._serve(ws, hear, tell)
            nursery.cancel_scope.cancel()

    def _met(self, ws: WebSocket) -> None:
        self.connections += 1
        self.sockets.add(ws)
        self._changed.unpark_all()

    async def _serve(self, ws: WebSocket, hear: Callable[[str], Any], tell: Callable[[str], Any]) -> None:
        try:
            while True:
                text = await ws.receive_text()
                self.heard.append(text)
                await hear(text)
                self._changed.unpark_all()
        except (WebSocketDisconnect, RuntimeError, KeyError):
            pass
        finally:
            self.sockets.discard(ws)
            for told in self.live.values():
                if tell in told:
                    told.remove(tell)
