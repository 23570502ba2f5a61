"""A Netatmo cloud as its document and people's captures describe it, oddities included, on real sockets.

Written from descriptions, with the HTTP library of others, so that it shares nothing with our own two ends
but the port. A test sets what is odd, and reads what the client did.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import h11
import trio
import trio.testing

Json = dict[str, Any]
Reply = tuple[int, object]
SECRET = "example-client-secret"
CLIENT_ID = "5f0000000000000000000001"
HOME = "5f96ffa54641d545d1554af2"
STATION = "00:03:50:c0:00:2f"
BELL = "c0002f-aa6f-c73e6db3f186"
LOCK = "c0002f-aa6f-c73e6db3f1d7"
STAIRS = "c0002f-0560-c73e6db3f228"
CAMERA = "70:ee:50:11:22:33"
SIREN = "02:00:00:aa:bb:01"
TAG = "02:00:00:aa:bb:02"
OUTDOOR = "70:ee:50:11:22:44"
DOORBELL = "70:ee:50:11:22:55"
ADVANCE = "70:ee:50:11:22:66"
SMOKE = "70:ee:50:11:22:77"
CO = "70:ee:50:11:22:88"
IP = "00:03:50:b0:00:01"
JOHN = "91827374-7e04-5298-83ad-a0cb8372dff1"
VPN = "https://prodvpn-eu-2.netatmo.net/restricted/10.255.0.1/0123456789abcdef0123456789abcdef/MTU4,,"
HTML = "<html><head><title>502</title></head><body>Bad Gateway</body></html>"
RAW = "raw"

# Source: the shapes of homesdata and homestatus in pyatmo's captures; ids, names and dates are made up.
MODULES: list[Json] = [
    {"id": STATION, "type": "BNCX", "name": "Classe 300 EOS", "setup_date": 1600000000,
     "room_id": "3688132631", "modules_bridged": [BELL, LOCK, STAIRS], "reachable": True},
    {"id": BELL, "type": "BNEU", "name": "Pulsantiera", "setup_date": 1600000001, "bridge": STATION},
    {"id": LOCK, "type": "BNDL", "name": "Portone", "setup_date": 1600000001, "bridge": STATION},
    {"id": STAIRS, "type": "BNSL", "name": "Luce scale", "setup_date": 1600000001, "bridge": STATION},
    {"id": CAMERA, "type": "NACamera", "name": "Salotto", "setup_date": 1544828430,
     "modules_bridged": [SIREN, TAG]},
    {"id": SIREN, "type": "NIS", "name": "Sirena", "setup_date": 1581177375, "bridge": CAMERA},
    {"id": TAG, "type": "NACamDoorTag", "name": "Finestra", "setup_date": 1581177375, "bridge": CAMERA,
     "category": "window"},
    {"id": OUTDOOR, "type": "NOC", "name": "Giardino", "setup_date": 1544828430},
    {"id": DOORBELL, "type": "NDB", "name": "Campanello", "setup_date": 1602691361, "network_lock": False},
    {"id": ADVANCE, "type": "NPC", "name": "Studio", "setup_date": 1660000000},
    {"id": SMOKE, "type": "NSD", "name": "Fumo", "setup_date": 1590000000},
    {"id": CO, "type": "NCO", "name": "CO", "setup_date": 1600000000},
    {"id": IP, "type": "BFII", "name": "IP", "setup_date": 1600000000},
]  # fmt: skip
STATUS: list[Json] = [
    {"id": CAMERA, "type": "NACamera", "firmware_revision": 1051000, "monitoring": "on", "is_local": True,
     "sd_status": 4, "alim_status": 2, "locked": False, "vpn_url": VPN, "wifi_state": "full",
     "wifi_strength": 52},
    {"id": OUTDOOR, "type": "NOC", "firmware_revision": 3002000, "firmware_name": "3.2.0",
     "monitoring": "on", "floodlight": "auto", "siren_status": "no_sound", "is_local": False,
     "sd_status": 4, "alim_status": 2, "vpn_url": VPN, "wifi_strength": 68, "wifi_state": "high"},
    {"id": DOORBELL, "type": "NDB", "firmware_name": "2.18.0", "firmware_revision": 2018000,
     "websocket_connected": True, "is_local": False, "vpn_url": VPN, "sd_status": 7, "alim_status": 1,
     "max_peers_reached": False, "last_ftp_event": {"type": 3, "time": 1631444443, "id": 3},
     "wifi_strength": 66},
    {"id": ADVANCE, "type": "NPC", "firmware_revision": 1000, "monitoring": "on", "sd_status": 4,
     "alim_status": 2, "vpn_url": VPN, "wifi_strength": 86},
    {"id": SIREN, "type": "NIS", "bridge": CAMERA, "status": "no_sound", "monitoring": "on",
     "reachable": True, "last_seen": 1700000000, "battery_state": "full", "battery_level": 5950,
     "firmware_revision": 209, "rf_state": "full", "rf_strength": 60},
    {"id": TAG, "type": "NACamDoorTag", "bridge": CAMERA, "status": "closed", "reachable": True,
     "last_seen": 1700000000, "last_activity": 1699990000, "battery_state": "high", "battery_level": 5200,
     "firmware_revision": 58, "rf_strength": 70},
    {"id": SMOKE, "type": "NSD", "firmware_revision": 1150, "last_seen": 1700000000, "wifi_strength": 50},
    {"id": CO, "type": "NCO", "firmware_revision": 1100, "last_seen": 1700000000, "wifi_strength": 46},
    {"id": STATION, "type": "BNCX", "firmware_name": "1.2.3", "firmware_revision": 10203,
     "reachable": True, "last_seen": 1700000000, "uptime": 3600, "wifi_strength": 65,
     "wifi_state": "medium", "local_ipv4": "192.0.2.10", "offload": False},
    {"id": BELL, "type": "BNEU", "bridge": STATION, "reachable": True},
    {"id": LOCK, "type": "BNDL", "bridge": STATION, "reachable": True},
    {"id": STAIRS, "type": "BNSL", "bridge": STATION, "reachable": True},
    {"id": IP, "type": "BFII", "firmware_revision": 1, "reachable": True, "last_seen": 1700000000,
     "wifi_strength": 60, "offload": 1},
]  # fmt: skip


def failed(status: int, code: int | str, message: str = "") -> Reply:
    """An error of the API."""
    return status, {"error": {"code": code, "message": message}}


class NetatmoCloud:
    """requests: every (method, path). calls: every (method name, arguments). orders: bodies of setstate.

    refresh: the one refresh token that is good; access: the access tokens that are. lasts_s: of new ones.
    answer: may answer itself: (method, path, body) -> (status, JSON), (status, text) or None.
    slow_s: before any answer. mute: never answers. hang_up: closes without one. headers: added to answers.
    webhook: the registered address. overlaps: calls that came while another one of the home was answered.
    code: the one that the consent page gave. clock_s: how far its clock is ahead.
    """

    def __init__(self) -> None:
        self.modules = copy.deepcopy(MODULES)
        self.status = copy.deepcopy(STATUS)
        self.persons: list[Json] = [
            {"id": JOHN, "pseudo": "John", "url": "https://netatmocameraimage.blob.core.windows.net/x"},
            {"id": "4a3b", "url": "https://netatmocameraimage.blob.core.windows.net/y"},
        ]
        self.away: dict[str, bool] = {JOHN: False}
        self.homes: list[Json] | None = None
        self.events: list[Json] = []
        self.part_errors: list[Json] = []
        self.scope = ["read_mx", "write_mx", "read_camera", "write_camera", "read_doorbell"]
        self.restricted = False
        self.lasts_s = 10_800
        self.refresh = "first|refresh"
        self.access = {"first|access"}
        self.code = ""
        self.token_requests: list[dict[str, str]] = []
        self.requests: list[tuple[str, str]] = []
        self.calls: list[tuple[str, Json]] = []
        self.orders: list[Json] = []
        self.order_times: list[float] = []
        self.bearers: list[str] = []
        self.webhook = ""
        self.webhook_posts: list[float] = []
        self.answer: Callable[[str, str, bytes], Reply | None] = lambda method, path, body: None
        self.headers: dict[str, str] = {}
        self.slow_s = 0.0
        self.mute = False
        self.hang_up = False
        self.clock_s = 0.0
        self.overlaps = 0
        self.port = 0
        self._busy = 0
        self._pairs = 0
        self._changed = trio.lowlevel.ParkingLot()
        self._open: set[trio.SocketStream] = set()
        self._nursery: trio.Nursery | None = None
        self._serving = trio.CancelScope()

    # ----- life -----

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[NetatmoCloud]:
        """On, until the end of the block."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await self.start()
            yield self
            nursery.cancel_scope.cancel()

    async def start(self) -> None:
        assert self._nursery is not None
        await self._nursery.start(self._serve)

    async def stop(self) -> None:
        """The internet is down."""
        self._serving.cancel()
        for stream in list(self._open):
            await trio.aclose_forcefully(stream)
        await trio.testing.wait_all_tasks_blocked()

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait for something that a request brings about."""
        while not met():
            await self._changed.park()

    def count(self, method: str) -> int:
        """How often a method was called."""
        return sum(name == method for name, _ in self.calls)

    def row(self, module: str) -> Json:
        """The status of a module, to be changed."""
        return next(row for row in self.status if row["id"] == module)

    def now_s(self) -> int:
        return int(time.time() + self.clock_s)

    async def _serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as self._serving:
            listeners = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
            self.port = listeners[0].socket.getsockname()[1]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.serve_listeners, self._connection, listeners)
                task_status.started()

    # ----- HTTP -----

    async def _connection(self, stream: trio.SocketStream) -> None:
        self._open.add(stream)
        try:
            async with stream:
                await self._requests(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError):
            pass
        finally:
            self._open.discard(stream)

    async def _requests(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            request, body = None, b""
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some(65536))
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    return
            assert request is not None
            method, path = request.method.decode(), request.target.decode()
            fields = {name.decode(): value.decode() for name, value in request.headers}
            self.requests.append((method, path))
            self._busy += 1
            self.overlaps += self._busy > 1 and not path.startswith("/oauth2")
            try:
                if self.hang_up:
                    self._changed.unpark_all()
                    return
                if self.mute:
                    self._changed.unpark_all()
                    await trio.sleep_forever()
                await trio.sleep(self.slow_s)
                status, answer = self._answer(method, path, fields, body)
            finally:
                self._busy -= 1
            await self._send(stream, connection, status, answer)
            self._changed.unpark_all()
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _send(
        self, stream: trio.SocketStream, connection: h11.Connection, status: int, answer: object
    ) -> None:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        kind = "text/html" if isinstance(answer, str) and not answer.startswith("{") else "application/json"
        data = text.encode()
        head = {"content-type": kind, "content-length": str(len(data))} | self.headers
        out = connection.send(h11.Response(status_code=status, headers=list(head.items()))) or b""
        out += connection.send(h11.Data(data=data)) or b""
        out += connection.send(h11.EndOfMessage()) or b""
        await stream.send_all(out)

    # ----- the API -----

    def _answer(self, method: str, path: str, fields: dict[str, str], body: bytes) -> Reply:
        told = self.answer(method, path, body)
        if told is not None:
            return told
        if path == "/oauth2/token":
            return self._token(dict(parse_qsl(body.decode())))
        bearer = fields.get("authorization", "").removeprefix("Bearer ")
        self.bearers.append(bearer)
        if not bearer:
            return failed(401, 1, "Access token is missing")
        if bearer not in self.access:
            return failed(403, 3, "Access token expired")
        if path == "/webhooks/v1":
            return self._webhooks(method, body)
        name = path.removeprefix("/api/")
        arguments: Json
        if fields.get("content-type", "").startswith("application/json"):
            try:
                arguments = json.loads(body)
            except ValueError:
                return failed(400, 40, "invalid JSON")
        else:
            arguments = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        self.calls.append((name, arguments))
        return self._method(name, arguments, restricted="restricted" in bearer)

    def _method(self, name: str, arguments: Json, *, restricted: bool) -> Reply:
        if name == "homesdata":
            home = {"id": HOME, "name": "Casa", "modules": self.modules, "persons": self.persons,
                    "rooms": [{"id": "3688132631", "name": "Ingresso", "type": "lobby"}]}  # fmt: skip
            return self._ok({"homes": [home] if self.homes is None else self.homes, "user": {"id": "u"}})
        home_id = arguments.get("home_id") or arguments.get("home", {}).get("id")
        if home_id is None:
            return failed(400, 10, "Missing home_id")
        if home_id != HOME:
            return failed(400, 21, "Invalid id")
        match name:
            case "homestatus":
                rows = copy.deepcopy(self.status)
                for row in rows if restricted else ():
                    row.pop("vpn_url", None)
                persons = [{"id": one, "last_seen": 1700000000, "out_of_sight": away}
                           for one, away in self.away.items()]  # fmt: skip
                body: Json = {"home": {"id": HOME, "modules": rows, "persons": persons}}
                return self._ok(body | ({"errors": self.part_errors} if self.part_errors else {}))
            case "getevents":
                return self._ok({"home": {"id": HOME, "events": self._page(arguments)}})
            case "setstate":
                self.orders.append(arguments)
                self.order_times.append(trio.current_time())
                return 200, {"status": "ok", "time_server": self.now_s()}
            case "setpersonsaway":
                for one in [arguments["person_id"]] if "person_id" in arguments else list(self.away):
                    self.away[one] = True
                return 200, {"status": "ok"}
            case "setpersonshome":
                for one in arguments["person_ids"]:
                    self.away[one] = False
                return 200, {"status": "ok"}
            case _:
                return failed(404, 31, "Method not found")

    def _page(self, arguments: Json) -> list[Json]:
        found = [
            event for event in self.events
            if all(event.get(key) == arguments[key] for key in ("module_id", "device_id", "person_id")
                   if key in arguments)
        ]  # fmt: skip
        before = arguments.get("event_id")
        if before is not None:
            ids = [event["id"] for event in found]
            found = found[ids.index(before) :] if before in ids else []  # repeated, as some gateways do
        return found[: int(arguments.get("size", 30))]

    def _webhooks(self, method: str, body: bytes) -> Reply:
        match method:
            case "GET":
                return self._ok([{"url": self.webhook}] if self.webhook else [])
            case "POST":
                self.webhook_posts.append(trio.current_time())
                if self.webhook:
                    return failed(409, "WH009", "webhook limit reached")
                self.webhook = json.loads(body)["url"]
                return 200, {"status": "ok"}
            case _:
                if not self.webhook:
                    return failed(406, 7, "Nothing to drop")
                self.webhook = ""
                return 200, {"status": "ok"}

    def _token(self, form: dict[str, str]) -> Reply:
        self.token_requests.append(form)
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, SECRET):
            return 400, {"error": "invalid_client"}
        match form.get("grant_type"):
            case "refresh_token" if form.get("refresh_token") == self.refresh:
                pass
            case "authorization_code" if self.code and form.get("code") == self.code:
                self.code = ""
            case _:
                return 400, {"error": "invalid_grant"}
        self._pairs += 1
        self.refresh = f"{self._pairs}|refresh"
        self.access = {f"{self._pairs}|access"}
        answer: Json = {
            "scope": self.scope, "access_token": f"{self._pairs}|access", "refresh_token": self.refresh,
            "expires_in": self.lasts_s, "expire_in": self.lasts_s,
        }  # fmt: skip
        if self.restricted:
            self.access.add(f"{self._pairs}|restricted")
            answer |= {"restricted_access_token": f"{self._pairs}|restricted",
                       "restricted_refresh_token": f"{self._pairs}|restricted-refresh"}  # fmt: skip
        return 200, answer

    def _ok(self, body: object) -> Reply:
        return 200, {"status": "ok", "body": body, "time_exec": 0.02, "time_server": self.now_s()}
