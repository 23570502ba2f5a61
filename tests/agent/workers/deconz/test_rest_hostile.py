"""Any request at all: a documented answer, no traceback, and nothing moves without a key."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import trio
from harness.context import House
from harness.deconz_door import ARMED, EVERYTHING
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.workers.deconz.about import Identity
from agent.workers.deconz.bridge import Bridge
from agent.workers.deconz.config import ServerConfig
from agent.workers.deconz.directory import Directory, new_directory
from agent.workers.deconz.link import LinkWindow
from agent.workers.deconz.rest import rest_app
from agent.workers.deconz.state import Counters, ServerState

STATUSES = {200, 304, 400, 403, 404, 503}
TYPES = {1, 2, 3, 4, 5, 6, 7, 8, 11, 101, 901, 951}
PIN = "739512"


class Desk:
    """The app without a socket; what it raises reaches the test."""

    def __init__(self, folder: Path) -> None:
        self.house = House(folder, endpoints=EVERYTHING)
        self.house.alarm = ARMED
        self.house.authenticator.pins["smart-home"] = PIN
        context = self.house.context("deconz")
        config = ServerConfig()
        bridge = Bridge(config, context, Directory(new_directory()))
        self.state = ServerState(
            config=config,
            context=context,
            bridge=bridge,
            link=LinkWindow(60),
            identity=Identity(bridge_id="A2B8BBFFFF07BF8F", mac="a2", uuid="u", name="Door"),
            networks=(),
            counters=Counters(),
            tell=self._tell,
            clients=lambda: 0,
        )

    async def _tell(self, changed: object) -> None:
        await trio.lowlevel.checkpoint()

    async def ask(self, method: str, path: str, body: bytes) -> tuple[str, httpx.Response]:
        """Path: below /api, with KEY for a good key. The answer, and that key."""
        key = await self.house.keys.issue(user="smart-home", role="resident", name="x", by="x")
        transport = httpx.ASGITransport(rest_app(self.state), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport) as http:
            return key, await http.request(method, "http://door" + path.replace("KEY", key), content=body)


WORDS = st.sampled_from(
    [
        "api", "KEY", "config", "lights", "sensors", "groups", "alarmsystems", "scenes", "rules", "state",
        "action", "1", "2", "4", "10", "99", "whitelist", "disarm", "arm_away", "device", "recall",
        "description.xml", "pk_00000001_x", "0", "", "..", "%2F", "%00", "%F0%9F%94%94", "%ff",
    ]
)  # fmt: skip
PATHS = st.lists(WORDS | st.text(max_size=6).map(lambda text: quote(text, safe="")), max_size=7)
KNOWN = st.sampled_from(
    [
        "/api/KEY/lights/1/state", "/api/KEY/lights/2/state", "/api/KEY/sensors/2/config",
        "/api/KEY/sensors/5/config", "/api/KEY/groups/1/action", "/api/KEY/lights/1", "/api/KEY/config",
        "/api/KEY/alarmsystems/1/disarm", "/api/KEY/alarmsystems/1/config", "/api",
        "/api/KEY/sensors/1/state",
    ]
)  # fmt: skip
METHODS = st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO"])
NAMES = st.sampled_from(
    ["on", "alert", "ontime", "lock", "toggle", "name", "code0", "devicetype", "unlock", "websocketnotifyall"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["none", "select", "lselect", "blink", PIN]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
OBJECTS = st.dictionaries(NAMES | st.text(max_size=8), VALUES, max_size=4)
BODIES = (
    OBJECTS.map(lambda plain: json.dumps(plain).encode())
    | VALUES.map(lambda plain: json.dumps(plain).encode())
    | st.binary(max_size=60)
    | st.sampled_from([b"NaN", b'{"on":NaN}', b'{"ontime":1e999}', b"[" * 5000, b'{"on":true'])
)  # fmt: skip


def check(key: str, method: str, path: str, answer: httpx.Response) -> None:
    """It is a documented answer."""
    assert answer.status_code in STATUSES, (method, path, answer.status_code)
    if method == "OPTIONS" or answer.status_code == 304 or method == "HEAD":
        return
    if path.rstrip("/") == "/description.xml" and answer.status_code == 200:
        return
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    plain: Any = answer.json()
    assert isinstance(plain, dict | list)
    if answer.status_code != 200:
        assert isinstance(plain, list)
        assert all(item["error"]["type"] in TYPES for item in plain if "error" in item)
        assert key not in answer.text
    assert PIN not in answer.text


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(METHODS, PATHS.map(lambda parts: "/" + "/".join(parts)) | KNOWN, BODIES)
@example("PUT", "/api/KEY/lights/1/state", b'{"alert":"lselect","ontime":1e308}')
@example("DELETE", "/api/KEY/config/whitelist/KEY", b"")
@example("GET", "/api/%F0%9F%94%94/lights", b"")
@example("PUT", "/api/KEY/alarmsystems/1/disarm", b'{"code0":"739512"}')
def test_any_request_at_all(method: str, path: str, body: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        key, answer = trio.run(Desk(Path(folder)).ask, method, path, body)
    check(key, method, path, answer)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(
    METHODS,
    KNOWN,
    st.sampled_from(["0123456789", "pk_00000001_x", "", "%20", "KEY".lower(), "pk_"])
    | st.text(min_size=1, max_size=12).map(lambda text: quote(text, safe="")),
    BODIES,
)
def test_nothing_moves_without_a_key(method: str, path: str, word: str, body: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder))
        path = path.replace("KEY", word)
        before = desk.state.bridge.directory.to_bytes()
        key, answer = trio.run(desk.ask, method, path, body)
        check(key, method, path, answer)
        assert desk.house.submitted == []
        assert len(desk.house.keys.issued) == 1
        assert desk.state.bridge.directory.to_bytes() == before
        if method in ("PUT", "PATCH", "DELETE"):
            assert answer.status_code in (403, 404)
