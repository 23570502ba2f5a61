"""A deCONZ gateway as its source and people's reports describe it, oddities included, on real sockets.

Written from descriptions, with the HTTP and websocket libraries of others, so that it shares nothing with our
own two ends but the port. One listener serves REST and websocket, as gateways since version 2.32 do; with
`apart` the websocket has a listener of its own. A test sets what is odd, and reads what the client did.
"""

from __future__ import annotations

import copy
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import h11
import trio
import trio.testing
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Message, Ping
from wsproto.utilities import LocalProtocolError, generate_accept_token

Json = dict[str, Any]
KEY = "0A498B9909"
BRIDGE_ID = "00212EFFFF012345"
OK: dict[str, str] = {"Content-Type": "application/json; charset=utf-8", "Access-Control-Allow-Origin": "*"}
HTML = "<html><head><title>Phoscon</title></head><body>please wait</body></html>"

SIREN: Json = {
    "etag": "58a84e851e55175d22158ca97af58a1f", "hascolor": False, "lastannounced": None,
    "lastseen": "2026-01-01T00:00Z", "manufacturername": "Heiman", "modelid": "WarningDevice",
    "name": "Siren", "state": {"alert": "none", "reachable": True}, "swversion": None,
    "type": "Warning device", "uniqueid": "00:15:8d:00:02:00:00:01-01",
}  # fmt: skip
LAMP: Json = {
    "hascolor": False, "manufacturername": "IKEA", "modelid": "plug", "name": "Staircase",
    "state": {"alert": "none", "on": False, "reachable": True}, "type": "On/Off light",
    "uniqueid": "00:15:8d:00:02:00:00:02-01",
}  # fmt: skip
OLD_LOCK: Json = {
    "hascolor": False, "manufacturername": "Danalock", "modelid": "V3", "name": "Garden gate",
    "state": {"alert": "none", "on": True, "reachable": True}, "type": "Door Lock",
    "uniqueid": "00:15:8d:00:02:00:00:03-01",
}  # fmt: skip


def sensor(kind: str, name: str, uniqueid: str, state: Json, **config: Any) -> Json:
    """A sensor as gateways show it."""
    return {
        "config": {"battery": 80, "on": True, "reachable": True} | config,
        "ep": 1,
        "etag": "f5ff6b9a5a4a5cdc1f1d0b8a2b0e2c11",
        "lastseen": "2026-01-01T00:00Z",
        "manufacturername": "LUMI",
        "modelid": "lumi",
        "name": name,
        "state": {"lastupdated": "none"} | state,
        "swversion": "20161129",
        "type": kind,
        "uniqueid": uniqueid,
    }


def _id(number: int, rest: str) -> str:
    return f"00:15:8d:00:02:00:00:{number}-01-{rest}"


def household() -> tuple[dict[str, Json], dict[str, Json]]:
    """Lights and sensors of a small household."""
    lights = {"1": SIREN, "2": LAMP, "3": OLD_LOCK}
    sensors = {
        "1": sensor("ZHASwitch", "Bell", _id(11, "0006"), {"buttonevent": None}),
        "2": sensor("ZHAOpenClose", "Door", _id(12, "0500"), {"open": False, "tampered": False}),
        "3": sensor("ZHADoorLock", "Lock", _id(13, "0101"), {"lockstate": "locked"}, lock=True),
        "4": sensor("ZHAFire", "Smoke", _id(14, "0500"), {"fire": False, "tampered": None}),
        "5": sensor("ZHAAncillaryControl", "Keypad", _id(15, "0501"),
                    {"action": "disarmed", "panel": "disarmed", "seconds_remaining": 0}),
        "6": sensor("ZHAPresence", "Hall", _id(16, "0406"), {"presence": None}),
        "7": sensor("ZHATemperature", "Hall", _id(16, "0402"), {"temperature": 2100}),
    }  # fmt: skip
    return copy.deepcopy(lights), copy.deepcopy(sensors)


class Client:
    """A websocket of a client. deaf: not even a ping is answered any more. pings: those that came."""

    def __init__(self, stream: trio.abc.Stream, path: str) -> None:
        self.stream = stream
        self.path = path
        self.deaf = False
        self.pings = 0
        self.said: list[str] = []
        self._frames = Connection(ConnectionType.SERVER)
        self._sending = trio.Lock()

    async def tell(self, message: Json | str) -> None:
        """One text frame."""
        text = message if isinstance(message, str) else json.dumps(message, sort_keys=True)
        if self.deaf:
            return
        try:
            frame = self._frames.send(Message(data=text))
        except LocalProtocolError:  # its CLOSE was read a moment ago
            return
        await self.raw(frame)

    async def raw(self, data: bytes) -> None:
        """Bytes below the frames. What the client does not hear any more is nobody's fault."""
        try:
            async with self._sending:
                await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def drop(self) -> None:
        """End TCP, as a restart does."""
        await trio.aclose_forcefully(self.stream)

    async def serve(self) -> None:
        """Until it ends."""
        while True:
            try:
                data = await self.stream.receive_some(65536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not data:
                return
            if self.deaf:
                continue
            self._frames.receive_data(bytes(data))
            for event in self._frames.events():
                match event:
                    case Ping():
                        self.pings += 1
                        await self.raw(self._frames.send(event.response()))
                    case CloseConnection():
                        try:
                            await self.raw(self._frames.send(event.response()))
                        except LocalProtocolError:
                            pass
                        return
                    case _:
                        self.said.append(str(getattr(event, "data", "")))


class DeconzGateway:
    """requests: every (method, path), keys as KEY. puts: every (path below the key, body).

    keys: that are good. linked: the link button was pressed. apart: the websocket has its own port.
    reported_port: what the config says in place of that; missing: it says none.
    answer: may answer a request itself: (method, path below /api, body) -> (status, body text) or None.
    results: scripted answers to PUTs, used up from the front. slow_s: before any answer. mute: never answers.
    acts: a PUT has its effect, after `delay_s`.
    """

    def __init__(self, *, apart: bool = False, tls: ssl.SSLContext | None = None) -> None:
        self.lights, self.sensors = household()
        self.bridge_id = BRIDGE_ID
        self.name = "Phoscon-GW"
        self.keys = {KEY}
        self.linked = False
        self.utc = "2026-01-01T13:00:00"
        self.notify_all = True
        self.reported_port: object = None
        self.missing_port = False
        self.more_config: Json = {}
        self.requests: list[tuple[str, str]] = []
        self.puts: list[tuple[str, Json]] = []
        self.put_times: list[float] = []
        self.results: list[tuple[int, object]] = []
        self.answer: Callable[[str, str, bytes], tuple[int, str] | None] = lambda method, path, body: None
        self.slow_s = 0.0
        self.mute = False
        self.acts = True
        self.delay_s = 0.05
        self.clients: list[Client] = []
        self.websockets = 0
        self.port = 0
        self.ws_port = 0
        self._apart = apart
        self._tls = tls
        self._changed = trio.lowlevel.ParkingLot()
        self._open: set[trio.abc.Stream] = set()
        self._nursery: trio.Nursery | None = None
        self._serving = trio.CancelScope()
        self._tick = 0

    # ----- life -----

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[DeconzGateway]:
        """On, until the end of the block."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await self.start()
            yield self
            nursery.cancel_scope.cancel()

    async def start(self) -> None:
        """Come up; REST keeps its port, a websocket apart gets another one each time."""
        assert self._nursery is not None
        await self._nursery.start(self._serve)

    async def stop(self) -> None:
        """Go down: TCP just ends."""
        self._serving.cancel()
        for stream in list(self._open):
            await trio.aclose_forcefully(stream)
        await trio.testing.wait_all_tasks_blocked()

    async def restart(self, *, down_s: float = 0.0) -> None:
        await self.stop()
        await trio.sleep(down_s)
        await self.start()

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait for something that a request, a frame or the end of a connection brings about."""
        while not met():
            await self._changed.park()

    async def _serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as self._serving:
            bound = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
            self.port = self.ws_port = bound[0].socket.getsockname()[1]
            if self._apart:
                bound += await trio.open_tcp_listeners(0, host="127.0.0.1")
                self.ws_port = bound[-1].socket.getsockname()[1]
            listeners: list[trio.abc.Listener[Any]] = list(bound)
            if self._tls is not None:
                listeners = [trio.SSLListener(listener, self._tls) for listener in bound]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.serve_listeners, self._connection, listeners)
                task_status.started()

    # ----- what happens there -----

    async def push(self, message: Json | str) -> None:
        """Tell all clients."""
        for client in list(self.clients):
            await client.tell(message)

    async def change(self, kind: str, number: str, *, stamp: bool = True, **state: Any) -> None:
        """A device reports a state: it is so from now on, and is told in one message."""
        found = (self.lights if kind == "lights" else self.sensors)[number]
        if kind == "sensors" and stamp:
            self._tick += 1
            state["lastupdated"] = f"2026-01-01T12:{self._tick // 60:02}:{self._tick % 60:02}.500"
        found["state"].update(state)
        told = found["state"] if self.notify_all else state
        await self.push(event(kind, number, found.get("uniqueid"), state=dict(told)))

    async def press(self, code: int, number: str = "1") -> None:
        """A remote was pressed."""
        await self.change("sensors", number, buttonevent=code)

    def full_config(self) -> Json:
        """What the holder of a key is told."""
        user = {"create date": self.utc, "last use date": self.utc, "name": "x"}
        config: Json = self.basic_config() | {
            "UTC": self.utc, "ipaddress": "127.0.0.1", "linkbutton": self.linked, "localtime": self.utc,
            "networkopenduration": 60, "panid": 4660, "websocketnotifyall": self.notify_all,
            "whitelist": dict.fromkeys(self.keys, user), "zigbeechannel": 15,
        }  # fmt: skip
        if not self.missing_port:
            config["websocketport"] = self.ws_port if self.reported_port is None else self.reported_port
        if self._tls is not None:
            config |= {"websocketport": 1, "websocketport_wss": self.ws_port}
        return config | self.more_config

    def basic_config(self) -> Json:
        """What everybody is told."""
        return {
            "apiversion": "1.16.0", "bridgeid": self.bridge_id, "datastoreversion": "93",
            "devicename": "ConBee II", "factorynew": False, "mac": "00:21:2e:01:23:45", "modelid": "deCONZ",
            "name": self.name, "replacesbridgeid": None, "starterkitid": "", "swversion": "2.33.2",
        }  # fmt: skip

    # ----- sockets -----

    async def _connection(self, stream: trio.abc.Stream) -> None:
        self._open.add(stream)
        http = h11.Connection(h11.SERVER)
        try:
            while True:
                request, body = await self._request(stream, http)
                if request is None:
                    return
                headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
                if headers.get("upgrade") == "websocket":
                    await self._websocket(stream, request, headers)
                    return
                await self._respond(stream, http, request, body)
                if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                    return
                http.start_next_cycle()
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass
        finally:
            self._open.discard(stream)
            await trio.aclose_forcefully(stream)
            self._changed.unpark_all()

    async def _request(
        self, stream: trio.abc.Stream, http: h11.Connection
    ) -> tuple[h11.Request | None, bytes]:
        request: h11.Request | None = None
        body = b""
        while True:
            found = http.next_event()
            if found is h11.NEED_DATA:
                http.receive_data(bytes(await stream.receive_some(65536)))
            elif isinstance(found, h11.Request):
                request = found
                if b"websocket" in dict(found.headers).get(b"upgrade", b""):
                    return request, b""
            elif isinstance(found, h11.Data):
                body += bytes(found.data)
            elif isinstance(found, h11.EndOfMessage):
                return request, body
            else:
                return None, b""

    async def _respond(
        self, stream: trio.abc.Stream, http: h11.Connection, request: h11.Request, body: bytes
    ) -> None:
        method, target = request.method.decode(), request.target.decode()
        key, path = self._split(target)
        self.requests.append((method, target.replace(key, "KEY") if key else target))
        self._changed.unpark_all()
        if self.mute:
            await trio.sleep_forever()
        if self.slow_s:
            await trio.sleep(self.slow_s)
        scripted = self.answer(method, target.removeprefix("/api").replace(key, "KEY") if key else path, body)
        if scripted is not None:
            status, text = scripted
        else:
            status, found = self._rest(method, key, path, body)
            text = found if isinstance(found, str) else json.dumps(found)
        data = text.encode()
        head = h11.Response(status_code=status, headers=[*OK.items(), ("Content-Length", str(len(data)))])
        parts = (head, h11.Data(data=data), h11.EndOfMessage())
        await stream.send_all(b"".join(http.send(part) or b"" for part in parts))

    def _split(self, target: str) -> tuple[str, str]:
        """The key, and the path below it."""
        words = target.split("/")
        if len(words) < 3 or words[2] == "config":
            return "", target.removeprefix("/api")
        return words[2], "/" + "/".join(words[3:])

    def _rest(self, method: str, key: str, path: str, body: bytes) -> tuple[int, object]:
        if method == "POST" and not key:
            if not self.linked:
                return 403, [error(101, "/", "link button not pressed")]
            made = f"{len(self.keys) + 1:010X}"
            self.keys.add(made)
            return 200, [{"success": {"username": made}}]
        if method == "GET" and path == "/config":
            return 200, self.full_config() if key in self.keys else self.basic_config()
        if key not in self.keys:
            return 403, [error(1, path, "unauthorized user")]
        if method == "GET" and path == "/":
            return 200, {
                "alarmsystems": {}, "config": self.full_config(), "groups": {}, "lights": self.lights,
                "resourcelinks": {}, "rules": {}, "scenes": {}, "schedules": {}, "sensors": self.sensors,
            }  # fmt: skip
        if method == "PUT":
            return self._put(path, json.loads(body))
        return 404, [error(3, path, f"resource, {path}, not available")]

    # ----- commands -----

    def _put(self, path: str, body: Json) -> tuple[int, object]:
        self.puts.append((path.removeprefix("/"), body))
        self.put_times.append(trio.current_time())
        if self.results:
            return self.results.pop(0)
        _, kind, number, part = path.split("/")
        found = (self.lights if kind == "lights" else self.sensors).get(number)
        if found is None:
            return 404, [error(3, path, f"resource, {path}, not available")]
        if kind == "lights" and not found["state"].get("reachable", True):
            return 200, [error(202, path, f"parameter, {path}, is not modifiable. Device is not reachable.")]
        if found["type"] == "Warning device" and "alert" not in body:
            return 400, [error(6, path, f"parameter, {next(iter(body))}, not available")]
        if self.acts:
            assert self._nursery is not None
            self._nursery.start_soon(self._act, kind, number, part, body)
        return 200, [{"success": {f"{path}/{name}": value}} for name, value in body.items()]

    async def _act(self, kind: str, number: str, part: str, body: Json) -> None:
        await trio.sleep(self.delay_s)
        if kind == "sensors" and "lock" in body:
            found = self.sensors[number]
            found["config"]["lock"] = body["lock"]
            await self.push(event(kind, number, found["uniqueid"], config=dict(found["config"])))
            await self.change(kind, number, lockstate="locked" if body["lock"] else "unlocked")
        elif "on" in body:
            await self.change(kind, number, on=body["on"])

    # ----- websocket -----

    async def _websocket(self, stream: trio.abc.Stream, request: h11.Request, headers: Json) -> None:
        accept = generate_accept_token(headers["sec-websocket-key"].encode())
        await stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        client = Client(stream, request.target.decode())
        self.clients.append(client)
        self.websockets += 1
        self._changed.unpark_all()
        try:
            await client.serve()
        finally:
            self.clients.remove(client)


def event(kind: str, number: str, uniqueid: str | None = None, **parts: Any) -> Json:
    """A `changed` message; `parts` as they stand in it."""
    told: Json = {"e": "changed", "id": number, "r": kind, "t": "event"}
    if uniqueid is not None:
        told["uniqueid"] = uniqueid
    return told | parts


def error(kind: int, address: str, description: str) -> Json:
    """An item of a results array."""
    return {"error": {"address": address, "description": description, "type": kind}}
