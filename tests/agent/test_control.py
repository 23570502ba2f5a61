"""The local socket, with real sockets: what strangers and slow readers may do to it, and what not."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from harness.door import Recorded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from agent.control import IDLE_S, MAX_CONNECTIONS, MAX_REQUEST_BYTES, SEND_S, ControlServer, Request
from agent.control_client import CommandFailed, ControlClient
from agent.model.errors import AgentError, ConfigError, MalformedMessage, PeerError
from agent.supervise import Guard


class Agent:
    """A control server with a few commands. strict: a bug in a connection fails the test."""

    def __init__(self, path: Path, *, strict: bool = True, group: str = "") -> None:
        self.path = path
        self.log = Recorded()
        self.guard = Guard("control", self.log.publish, strict=strict)
        self.asked: list[Request] = []
        self.streaming = 0
        self.scope = trio.CancelScope()
        self.peers: list[Peer] = []
        self.server = ControlServer(
            path,
            answers={
                "echo": self.echo,
                "refuse": self.refuse,
                "bug": self.bug,
                "who": self.who,
                "slow": self.slow,
            },
            streams={"count": self.count, "flood": self.flood, "three": self.three},
            guard=self.guard,
            group=group,
        )

    async def echo(self, request: Request) -> object:
        await trio.lowlevel.checkpoint()
        self.asked.append(request)
        return request.get("text", str, "nothing")

    async def refuse(self, request: Request) -> object:
        await trio.lowlevel.checkpoint()
        raise AgentError("no, because")

    async def bug(self, request: Request) -> object:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    async def who(self, request: Request) -> object:
        await trio.lowlevel.checkpoint()
        return request.account

    async def slow(self, request: Request) -> object:
        await trio.sleep(3600)
        return "late"

    async def count(self, request: Request) -> AsyncIterator[object]:
        after = request.get("after", int | None, None)
        self.streaming += 1
        try:
            yield after
            await trio.sleep_forever()
        finally:
            self.streaming -= 1

    async def flood(self, request: Request) -> AsyncIterator[object]:
        self.streaming += 1
        try:
            while True:
                await trio.lowlevel.checkpoint()
                yield "x" * 10_000
        finally:
            self.streaming -= 1

    async def three(self, request: Request) -> AsyncIterator[object]:
        for number in range(3):
            await trio.lowlevel.checkpoint()
            yield number
        if request.get("fail", bool, False):
            raise AgentError("that was it")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._serve)
            try:
                yield
            finally:
                self.scope.cancel()
                for peer in self.peers:
                    peer.stream.socket.close()

    async def _serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self.scope:
            await self.server.run(task_status=task_status)

    async def connect(self) -> Peer:
        """A client, closed when `running` ends."""
        peer = Peer(await trio.open_unix_socket(str(self.path)))
        self.peers.append(peer)
        return peer


class Peer:
    """A raw client inside trio."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = b""

    async def send(self, line: bytes) -> None:
        await self.stream.send_all(line)

    async def line(self) -> Any:
        """The next reply, None at the end."""
        with trio.fail_after(3600):
            while b"\n" not in self._buffer:
                try:
                    data = await self.stream.receive_some()
                except trio.BrokenResourceError:
                    return None
                if not data:
                    return None
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    async def ask(self, line: bytes) -> Any:
        await self.send(line + b"\n")
        return await self.line()


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path / "control.sock")


async def test_question_and_answer(agent: Agent) -> None:
    async with agent.running():
        peer = await agent.connect()
        assert await peer.ask(b'{"command": "echo", "text": "\xc3\xbc"}') == {"ok": "ü"}
        assert await peer.ask(b'{"command": "echo"}') == {"ok": "nothing"}
        assert await peer.ask(b'{"command": "refuse"}') == {"error": "no, because"}
        account = (await peer.ask(b'{"command": "who"}'))["ok"]
        assert account.startswith("local:")
        assert account != "local:"
    assert [request.arguments for request in agent.asked] == [{"text": "ü"}, {}]


async def test_several_questions_in_one_packet_and_one_in_many(agent: Agent) -> None:
    async with agent.running():
        peer = await agent.connect()
        await peer.send(b'{"command": "echo", "text": "1"}\n{"command": "echo", "text": "2"}\n{"comm')
        assert [await peer.line(), await peer.line()] == [{"ok": "1"}, {"ok": "2"}]
        for byte in b'and": "echo", "text": "3"}\n':
            await peer.send(bytes([byte]))
        assert await peer.line() == {"ok": "3"}


async def test_only_its_owner_may_open_it(agent: Agent) -> None:
    before = os.umask(0)
    try:
        async with agent.running():
            mode = agent.path.stat().st_mode
            assert stat.S_ISSOCK(mode)
            assert stat.S_IMODE(mode) == 0o600
            assert os.umask(0) == 0  # given back
    finally:
        os.umask(before)
    assert not agent.path.exists()


async def test_a_group_may_be_let_in(tmp_path: Path) -> None:
    import grp

    name = grp.getgrgid(os.getgid()).gr_name
    agent = Agent(tmp_path / "control.sock", group=name)
    async with agent.running():
        assert stat.S_IMODE(agent.path.stat().st_mode) == 0o660
        assert agent.path.stat().st_gid == os.getgid()


async def test_a_group_that_does_not_exist_leaves_no_open_socket_behind(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "control.sock", group="no such group")
    with pytest.raises(ConfigError, match="cannot listen"):
        await agent.server.run()
    assert not agent.path.exists()


async def test_a_socket_of_an_agent_that_was_killed_is_replaced(agent: Agent) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(agent.path))
    assert agent.path.exists()
    async with agent.running():
        peer = await agent.connect()
        assert await peer.ask(b'{"command": "echo"}') == {"ok": "nothing"}


@pytest.mark.parametrize("kind", ["file", "folder"])
async def test_something_else_in_the_way_is_left_alone(agent: Agent, kind: str) -> None:
    if kind == "file":
        agent.path.write_text("precious")
    else:
        agent.path.mkdir()
    with pytest.raises(ConfigError, match="no socket is in the way"):
        await agent.server.run()
    assert agent.path.exists()


async def test_a_place_that_cannot_be_is_a_mistake_of_the_operator(tmp_path: Path) -> None:
    for path in (tmp_path / ("x" * 120), tmp_path / "missing" / "control.sock"):
        with pytest.raises(ConfigError, match="cannot listen"):
            await Agent(path).server.run()


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"", "request: "),
        (b"hello", "request: "),
        (b"[]", "request: expected an object"),
        (b"5", "request: expected an object"),
        (b"{}", "command: unknown: ''"),
        (b'{"command": "open sesame"}', "command: unknown: 'open sesame'"),
        (b'{"command": ["echo"]}', "command: unknown: \"['echo']\""),
        (b'{"command": null}', "command: unknown: 'None'"),
        (b'{"command": "' + b"x" * 5000 + b'"}', "command: unknown: '" + "x" * 40 + "'"),
        (b'{"command": "echo", "text": 5}', "text: Expected `str`, got `int`"),
        (b'{"command": "echo", "text": "\xff"}', "request: "),
        (b'{"command": "echo", "text": "\\ud800"}', "request: "),
        (b"[" * 5000, "request: nested deeper than"),
        (b'{"a":' * 20 + b"1" + b"}" * 20, "request: nested deeper than"),
        (b'{"command": "echo", "n": ' + b"1" * 5000 + b"}", "request: "),
        (b'{"command": "count", "after": "x"}', "after: Expected `int | null`, got `str`"),
    ],
)
async def test_nonsense_is_answered(agent: Agent, line: bytes, text: str) -> None:
    async with agent.running():
        peer = await agent.connect()
        reply = await peer.ask(line)
        assert reply["error"].startswith(text)
        other = await agent.connect()
        assert await other.ask(b'{"command": "echo"}') == {"ok": "nothing"}
    assert agent.log.events() == []


async def test_a_connection_outlives_nonsense(agent: Agent) -> None:
    async with agent.running():
        peer = await agent.connect()
        for _ in range(50):
            assert "error" in await peer.ask(b"\x00\x01\xff{[")
        assert await peer.ask(b'{"command": "echo"}') == {"ok": "nothing"}


async def test_a_line_without_an_end_is_not_kept(agent: Agent) -> None:
    async with agent.running():
        peer = await agent.connect()

        async def talk() -> None:
            for _ in range(100):
                await peer.send(b"x" * 8192)
                await trio.sleep(0.001)

        with pytest.raises(trio.BrokenResourceError):
            await talk()
        assert await peer.line() is None
        other = await agent.connect()
        assert await other.ask(b'{"command": "echo"}') == {"ok": "nothing"}


async def test_a_line_that_is_just_too_long_is_refused(agent: Agent) -> None:
    async with agent.running():
        peer = await agent.connect()
        text = b"x" * (MAX_REQUEST_BYTES - len(b'{"command": "echo", "text": ""}'))
        reply = await peer.ask(b'{"command": "echo", "text": "' + text + b'"}')
        assert len(reply["ok"]) == len(text)
        assert "error" in await peer.ask(b'{"command": "echo", "text": "x' + text + b'"}')


async def test_a_bug_ends_one_connection_and_is_told(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "control.sock", strict=False)
    async with agent.running():
        peer = await agent.connect()
        assert await peer.ask(b'{"command": "bug"}') is None
        other = await agent.connect()
        assert await other.ask(b'{"command": "echo"}') == {"ok": "nothing"}
    assert len(agent.log.events()) == 1


async def test_a_silent_connection_is_closed(agent: Agent, autojump_clock: MockClock) -> None:
    async with agent.running():
        peer = await agent.connect()
        begun = trio.current_time()
        assert await peer.line() is None
        assert IDLE_S <= trio.current_time() - begun < IDLE_S + 1


# Streams.


async def test_a_stream_ends_when_its_reader_leaves(agent: Agent) -> None:
    async with agent.running():
        peer = await agent.connect()
        assert await peer.ask(b'{"command": "count", "after": 7}') == {"item": 7}
        assert agent.streaming == 1
        await peer.stream.aclose()
        with trio.fail_after(5):
            while agent.streaming:
                await trio.sleep(0.01)


async def test_a_reader_may_leave_in_the_middle_of_a_flood(agent: Agent) -> None:
    async with agent.running():
        peer = await agent.connect()
        assert await peer.ask(b'{"command": "flood"}')
        await peer.stream.aclose()
        with trio.fail_after(5):
            while agent.streaming:
                await trio.sleep(0.01)


async def test_a_stream_ends_with_the_agent(agent: Agent) -> None:
    async with agent.running():
        peer = await agent.connect()
        assert await peer.ask(b'{"command": "count"}') == {"item": None}
        agent.scope.cancel()
        assert await peer.line() is None
        assert agent.streaming == 0


@pytest.mark.parametrize("fail", [False, True])
async def test_a_stream_that_is_over_closes_its_connection(agent: Agent, fail: bool) -> None:
    async with agent.running():
        peer = await agent.connect()
        await peer.send(json.dumps({"command": "three", "fail": fail}).encode() + b"\n")
        assert [await peer.line() for _ in range(3)] == [{"item": 0}, {"item": 1}, {"item": 2}]
        if fail:
            assert await peer.line() == {"error": "that was it"}
        assert await peer.line() is None


async def test_what_a_follower_says_is_not_listened_to(agent: Agent) -> None:
    async with agent.running():
        peer = await agent.connect()
        assert await peer.ask(b'{"command": "count"}') == {"item": None}
        for _ in range(20):
            await peer.send(b'{"command": "echo"}\n')
        await trio.sleep(0.05)
        assert agent.asked == []
        assert agent.streaming == 1


async def test_a_reader_that_does_not_read_is_dropped_and_costs_a_bounded_time(
    agent: Agent, autojump_clock: MockClock
) -> None:
    async with agent.running():
        peer = await agent.connect()
        await peer.send(b'{"command": "flood"}\n')
        begun = trio.current_time()
        await trio.sleep(0.1)
        assert agent.streaming == 1
        while agent.streaming:
            await trio.sleep(0.1)
        assert SEND_S - 1 <= trio.current_time() - begun <= SEND_S + 1
        rest = b"".join([data async for data in peer.stream])
        assert b"error" not in rest  # in the middle of a line nothing more can be said
        other = await agent.connect()
        assert await other.ask(b'{"command": "echo"}') == {"ok": "nothing"}
    assert agent.log.events() == []


async def test_a_follower_is_not_idle(agent: Agent, autojump_clock: MockClock) -> None:
    async with agent.running():
        peer = await agent.connect()
        assert await peer.ask(b'{"command": "count"}') == {"item": None}
        await trio.sleep(IDLE_S * 100)
        assert agent.streaming == 1


# Many at once.


async def test_one_connection_too_many_is_told_so_and_the_rest_work(agent: Agent) -> None:
    async with agent.running():
        peers = [await agent.connect() for _ in range(MAX_CONNECTIONS)]
        for peer in peers:
            assert await peer.ask(b'{"command": "echo"}') == {"ok": "nothing"}
        extra = [await agent.connect() for _ in range(100 - MAX_CONNECTIONS)]
        for peer in extra:
            assert await peer.line() == {"error": f"there are {MAX_CONNECTIONS} connections already"}
            assert await peer.line() is None
        for peer in peers:
            assert await peer.ask(b'{"command": "echo"}') == {"ok": "nothing"}
            await peer.stream.aclose()
        await trio.sleep(0.05)
        late = await agent.connect()
        assert await late.ask(b'{"command": "echo"}') == {"ok": "nothing"}


async def test_stopping_does_not_wait_for_anybody(agent: Agent) -> None:
    with trio.fail_after(2):
        async with agent.running():
            for command in (b"slow", b"flood", b"count", b"echo"):
                peer = await agent.connect()
                await peer.send(b'{"command": "' + command + b'"}\n')
            await trio.sleep(0.05)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")), min_size=1, max_size=8))
def test_any_lines_are_answered_one_by_one(agent: Agent, lines: list[bytes]) -> None:
    async def main() -> None:
        agent.scope = trio.CancelScope()
        agent.peers.clear()
        async with agent.running():
            peer = await agent.connect()
            for line in lines:
                reply = await peer.ask(line)
                assert set(reply) in ({"ok"}, {"error"})

    trio.run(main)


@pytest.mark.parametrize(
    ("arguments", "kind", "value"),
    [
        ({"a": 5}, int, 5),
        ({}, int, None),
        ({"a": None}, int | None, None),
        ({"a": [1, "x"]}, tuple[int, str], (1, "x")),
    ],
)
def test_arguments_have_types(arguments: dict[str, Any], kind: Any, value: object) -> None:
    assert Request(arguments, "local:ana").get("a", kind | None, None) == value


@pytest.mark.parametrize(
    ("arguments", "kind"), [({}, int), ({"a": "5"}, int), ({"a": {}}, str), ({"a": 1.5}, int)]
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], kind: Any) -> None:
    with pytest.raises(MalformedMessage, match=r"^a: "):
        Request(arguments, "local:ana").get("a", kind)


# The other end.


@contextmanager
def answering(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[None]:
    """A socket that serves one connection like this."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def accept() -> None:
            connection, _ = listener.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield
        thread.join(5)


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match=r"no agent answers at .* \(No such file"):
        ControlClient(tmp_path / "control.sock")
    with pytest.raises(PeerError, match="no agent answers"):
        ControlClient(tmp_path / ("x" * 200))
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "stale"))
    with pytest.raises(PeerError, match="Connection refused"):
        ControlClient(tmp_path / "stale")


@pytest.mark.parametrize(
    "reply", [b"", b"\n", b"hello\n", b"[]\n", b"5\n", b'{"ok": 1', b"\xff\n", b"[" * 100_000 + b"\n"]
)
def test_who_answers_is_no_agent(tmp_path: Path, reply: bytes) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(reply)

    path = tmp_path / "control.sock"
    with answering(path, serve), ControlClient(path) as client, pytest.raises(PeerError):
        client.ask("status")


def test_who_is_turned_away_reads_why(tmp_path: Path) -> None:
    gone = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(b'{"error": "too many"}\n')
        connection.close()
        gone.set()

    path = tmp_path / "control.sock"
    with answering(path, serve), ControlClient(path) as client:
        assert gone.wait(5)
        with pytest.raises(CommandFailed, match="too many"):
            client.ask("status")


def test_an_agent_that_hangs(tmp_path: Path) -> None:
    def hang(connection: socket.socket) -> None:
        while connection.recv(1000):
            pass

    path = tmp_path / "control.sock"
    with (
        answering(path, hang),
        ControlClient(path) as client,
        pytest.raises(PeerError, match="does not answer"),
    ):
        client.ask("status", timeout_s=0.1)


def test_an_agent_that_stops_in_the_middle_of_a_stream(tmp_path: Path) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b'{"item": 1}\n{"item": 2}\n{"it')

    path = tmp_path / "control.sock"
    with answering(path, serve), ControlClient(path) as client:
        items = client.stream("events")
        assert [next(items), next(items)] == [1, 2]
        with pytest.raises(PeerError, match="closed"):
            next(items)


async def test_both_ends_together(agent: Agent) -> None:
    def talk() -> list[object]:
        heard: list[object] = []
        with ControlClient(agent.path) as client:
            heard.append(client.ask("echo", text="a"))
            with pytest.raises(CommandFailed, match="no, because"):
                client.ask("refuse")
            with pytest.raises(CommandFailed, match="unknown"):
                client.ask("fly")
            items = client.stream("three", fail=True)
            heard += [next(items), next(items), next(items)]
            with pytest.raises(CommandFailed, match="that was it"):
                next(items)
        return heard

    async with agent.running():
        assert await trio.to_thread.run_sync(talk) == ["a", 0, 1, 2]
