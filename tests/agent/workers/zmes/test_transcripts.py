"""Conversations with the real server over real TLS, from tests/fixtures/zmes/*.jsonl.

A fixture file begins with a line that says where its knowledge is from (SOURCE) and may hold defaults for its
rows. Every other line is one conversation with a fresh server: `row` names it, `covers` lists the numbered
decisions of docs/zmes.md that it proves, and `steps` are carried out in order:

connect, disconnect        a connection by name; "a" is there from the start
reconnect                  connect, as soon as somebody listens
on                         beside any step: the connection it is about, "a" by default
send, raw, binary, ping    one message: an object, any text, bytes as hex, a PING that must be answered
login                      authenticate with the house's account (or, with "escontrol", the control password)
recv                       the next frame is exactly this; "$" matches any text, "$name" the same every time,
                           {"$json": ...} a text that holds this JSON
alarm                      the next frame is an alarm with these members, in short
nothing                    no frame was due: an unknown event is sent and its echo is the next frame
closed                     the next thing is a CLOSE with this code; after_s: when, since it was opened
alive                      another client can still log in
event, mode, quiet         something happens in the house
refuse                     from now on the house refuses whatever it is asked for
submitted, modes           what the house was asked for, and how it stands
file                       a state file becomes this
pushed                     what has arrived at the push service so far, in any order
restart                    the agent stops and starts again; all connections are gone
wait_s                     time passes
"""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import trio
import trio.testing
from harness.context import House
from harness.push_service import PushService, push_service
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream

from agent.model.actions import SetNotify
from agent.model.outcomes import Refused
from agent.model.records import Unknown, from_plain
from agent.runtime import EndpointInfo
from agent.workers.zmes import WORKER
from agent.workers.zmes.config import ZmesConfig

FIXTURES = Path(__file__).parents[3] / "fixtures" / "zmes"
PATIENCE_S = 5.0
ENDPOINTS = (
    EndpointInfo(name="bell", label="Front door", kind="button"),
    EndpointInfo(name="yard", label="Hof ü 門", kind="button"),
    EndpointInfo(name="door", label="Entrance", kind="lock", has_door_contact=True),
    EndpointInfo(name="fire", label="Hall", kind="contact", role="smoke"),
    EndpointInfo(name="siren", label="Siren", kind="siren"),
    EndpointInfo(name="lamp", label="Stairs", kind="light"),
)
LOGGED_IN = {"event": "auth", "type": "", "status": "Success", "reason": "", "version": "6.1.29"}


def rows() -> list[Any]:
    found = []
    for path in sorted(FIXTURES.glob("*.jsonl")):
        header, *lines = path.read_text().splitlines()
        defaults = json.loads(header).get("defaults", {})
        for line in lines:
            row = {**defaults, **json.loads(line)}
            covers = "".join(f" [{number}]" for number in row.get("covers", ()))
            found.append(pytest.param(row, id=f"{path.stem}: {row['row']}{covers}"))
    return found


class Conversation:
    """One row being played."""

    def __init__(self, row: dict[str, Any], folder: Path) -> None:
        self.row = row
        self.house = House(folder, endpoints=ENDPOINTS, accounts={"admin": ("pass ü", "resident")})
        self.service: PushService | None = None
        self._folder = folder
        self._sockets: dict[str, WebSocketConnection] = {}
        self._opened: dict[str, float] = {}
        self._texts: dict[str, str] = {}
        self._probes = 0
        self._streams: list[trio.SSLStream[trio.SocketStream]] = []
        self._clients: trio.Nursery

    def config(self) -> ZmesConfig:
        """The worker's configuration for this row."""
        table = {**self.row.get("config", {})}
        if self.row.get("escontrol") is not None:
            password = self._folder / "escontrol"
            password.write_text(self.row["escontrol"])
            table |= {"escontrol": True, "escontrol_password_file": str(password)}
        if self.service is not None:
            key = self._folder / "key"
            key.write_text("k3y")
            table["push"] = {"url": self.service.url, "key_file": str(key), **self.row.get("push", {})}
        return msgspec.convert({"server": table}, ZmesConfig)

    async def play(self) -> None:
        state_dir = self.house.context("zmes").state_dir
        for name, content in self.row.get("files", {}).items():
            text = content if isinstance(content, str) else json.dumps(content)
            (state_dir / name).write_text(text)
        steps = list(self.row["steps"])
        while steps:
            async with trio.open_nursery() as nursery:
                await nursery.start(partial(WORKER.run, self.config(), self.house.context("zmes")))
                async with trio.open_nursery() as self._clients:
                    try:
                        await self.until_restart(steps)
                    finally:
                        await self.hang_up()
                        self._clients.cancel_scope.cancel()
                nursery.cancel_scope.cancel()

    async def until_restart(self, steps: list[dict[str, Any]]) -> None:
        await self.connect("a")
        while steps:
            step = steps.pop(0)
            if "restart" in step:
                return
            with trio.fail_after(PATIENCE_S):
                await self.step(step)

    async def hang_up(self) -> None:
        """Close every socket that was ever opened."""
        for socket in self._sockets.values():
            with trio.move_on_after(0.3):
                await socket.aclose()
        for stream in self._streams:
            await trio.aclose_forcefully(stream)
        self._sockets.clear()
        self._streams.clear()

    async def connect(self, name: str) -> None:
        url = urlsplit(self.house.ready["zmes"])
        assert url.hostname is not None
        assert url.port is not None
        stream = await trio.open_ssl_over_tcp_stream(
            url.hostname, url.port, ssl_context=self.house.tls.client_context(), https_compatible=True
        )
        self._streams.append(stream)
        self._sockets[name] = await wrap_client_stream(self._clients, stream, url.netloc, "/")
        self._opened[name] = trio.current_time()

    async def reconnect(self, name: str) -> None:
        """Connect as soon as somebody listens again; the caller has a deadline."""
        while name not in self._sockets:
            with trio.move_on_after(1):
                try:
                    await self.connect(name)
                except (HandshakeError, OSError, trio.BrokenResourceError):
                    await trio.sleep(0.01)

    async def step(self, step: dict[str, Any]) -> None:
        socket = self._sockets.get(step.get("on", "a"))
        match step:
            case {"connect": name}:
                await self.connect(name)
            case {"reconnect": name}:
                await self.reconnect(name)
            case {"refuse": True}:
                self.house.answer = lambda action, principal: Refused(action_id="a", reason="not now")
            case {"event": plain}:
                event = from_plain(plain)
                assert not isinstance(event, Unknown), plain
                self.house.log.publish(event)
                await trio.testing.wait_all_tasks_blocked()
            case {"mode": modes}:
                self.house.notifications.modes |= modes
            case {"quiet": quiet}:
                self.house.notifications.quiet = quiet
            case {"modes": modes}:
                assert self.house.notifications.modes == modes
            case {"submitted": expected}:
                assert self.submitted() == expected
            case {"file": name, "is": content}:
                await self.file(name, content)
            case {"pushed": expected}:
                assert self.service is not None
                found = await self.service.received(len(expected))
                await trio.testing.wait_all_tasks_blocked(0.02)
                assert len(self.service.messages) == len(expected)
                for members in expected:
                    # Several senders work at once: the order says nothing.
                    match = next((message for message in found if _contains(message, members)), None)
                    assert match is not None, found
                    found.remove(match)
            case {"wait_s": seconds}:
                await trio.sleep(seconds)
            case {"alive": True}:
                await self.connect("another")
                await self.login("another")
            case {"disconnect": name}:
                await self._sockets.pop(name).aclose()
                await trio.testing.wait_all_tasks_blocked(0.02)
            case {"login": kind}:
                await self.login(step.get("on", "a"), kind)
            case _:
                assert socket is not None
                await self.talk(socket, step)

    async def talk(self, socket: WebSocketConnection, step: dict[str, Any]) -> None:
        """The steps that are about what is on the wire."""
        match step:
            case {"send": message}:
                await socket.send_message(json.dumps(message))
            case {"raw": text}:
                await socket.send_message(text)
            case {"binary": data}:
                await socket.send_message(bytes.fromhex(data))
            case {"ping": text}:
                await socket.ping(text.encode())
            case {"recv": expected}:
                found = json.loads(await socket.get_message())
                assert self.matches(expected, found), f"got {found}"
            case {"alarm": members}:
                found = json.loads(await socket.get_message())
                assert self.matches(_alarm(**members), found), f"got {found}"
            case {"nothing": True}:
                self._probes += 1
                probe = f"probe {self._probes}"
                await socket.send_message(json.dumps({"event": probe}))
                found = json.loads(await socket.get_message())
                assert found == {"event": probe, "type": "", "status": "Fail", "reason": "NOTSUPPORTED"}
            case {"closed": code}:
                with pytest.raises(ConnectionClosed) as caught:
                    await socket.get_message()
                assert caught.value.reason is not None
                assert caught.value.reason.code == code
                if "after_s" in step:
                    least, most = step["after_s"]
                    elapsed = trio.current_time() - self._opened[step.get("on", "a")]
                    assert least - 0.02 <= elapsed <= most, elapsed
            case _:
                pytest.fail(f"no such step: {step}")

    async def login(self, name: str, kind: Any = True) -> None:
        message: dict[str, Any] = {"event": "auth", "data": {"user": "admin", "password": "pass ü"}}
        if kind == "escontrol":
            message = {
                "event": "auth", "category": "escontrol", "data": {"password": self.row["escontrol"]}
            }  # fmt: skip
        await self._sockets[name].send_message(json.dumps(message))
        assert json.loads(await self._sockets[name].get_message()) == LOGGED_IN

    def submitted(self) -> list[dict[str, Any]]:
        found = []
        for action, principal in self.house.submitted:
            assert isinstance(action, SetNotify)
            # Whoever holds the control password may do this and nothing else.
            assert principal.grant.endpoints == ("notify",)
            found.append({"mode": action.mode, "endpoints": list(action.endpoints)})
        return found

    async def file(self, name: str, content: Any) -> None:
        path = self.house.context("zmes").state_dir / name
        found = None
        with trio.move_on_after(2):
            while True:
                try:
                    found = json.loads(path.read_text())
                except FileNotFoundError:
                    found = None
                if self.matches(content, found):
                    return
                await trio.sleep(0.005)
        pytest.fail(f"{name} holds {found}")

    def matches(self, expected: Any, found: Any) -> bool:
        match expected:
            case "$":
                return isinstance(found, str)
            case str() if expected.startswith("$"):
                return isinstance(found, str) and self._texts.setdefault(expected, found) == found
            case {"$json": inner}:
                return isinstance(found, str) and self.matches(inner, json.loads(found))
            case dict():
                return (
                    isinstance(found, dict)
                    and expected.keys() == found.keys()
                    and all(self.matches(expected[key], found[key]) for key in expected)
                )
            case list():
                return (
                    isinstance(found, list)
                    and len(expected) == len(found)
                    and all(map(self.matches, expected, found))
                )
            case _:
                return type(expected) is type(found) and bool(expected == found)


def _alarm(
    monitor: str,
    name: str,
    cause: str,
    event_id: str = "$",
    *,
    supplementary: bool = False,
    critical: bool = False,
) -> dict[str, Any]:
    item = {
        "EventId": event_id,
        "MonitorId": monitor,
        "Name": name,
        "MonitorName": name,
        "Cause": cause,
        "DetectionJson": [],
        "RulesObject": {"notification_type": "critical"} if critical else {},
    }
    frame: dict[str, Any] = {"event": "alarm", "type": "", "status": "Success", "events": [item]}
    return frame | ({"supplementary": "true"} if supplementary else {})


def _contains(found: Any, members: Any) -> bool:
    if isinstance(members, dict):
        return isinstance(found, dict) and all(
            key in found and _contains(found[key], value) for key, value in members.items()
        )
    return bool(found == members)


@pytest.mark.parametrize("row", rows())
async def test_transcript(row: dict[str, Any], tmp_path: Path) -> None:
    conversation = Conversation(row, tmp_path)
    async with AsyncExitStack() as stack:
        if "push" in row:
            conversation.service = await stack.enter_async_context(push_service())
        await conversation.play()


def test_every_fixture_says_where_it_is_from() -> None:
    files = sorted(FIXTURES.glob("*.jsonl"))
    assert files
    for path in files:
        header = json.loads(path.read_text().splitlines()[0])
        assert "6.1.29" in header["SOURCE"]


def test_row_names_are_unique_and_every_numbered_decision_is_covered() -> None:
    ids = [param.id for param in rows()]
    assert len(set(ids)) == len(ids)
    covered = {number for param in rows() for number in param.values[0].get("covers", ())}
    assert covered == set(range(1, 26))
