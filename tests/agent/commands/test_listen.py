from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import trio
import trustme
from click.testing import CliRunner, Result
from harness.event_server import EventServer, Gone, SocketWire, listening
from harness.scripted_agent import ScriptedAgent

from agent.cli import cli

Portero = Callable[..., Result]
Behaviour = Callable[[SocketWire], Any]


class ServerThread:
    """An event server in a thread of its own, beside the command under test; a context manager."""

    def __init__(self, context: ssl.SSLContext | None, behave: Behaviour) -> None:
        self.url = ""
        self._context = context
        self._behave = behave
        self._started = threading.Event()
        self._scope = trio.CancelScope()
        self._token: trio.lowlevel.TrioToken | None = None
        self._thread = threading.Thread(target=trio.run, args=(self._run,))

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            async with listening(self._behave, tls=self._context) as url:
                self.url = url
                self._started.set()
                await trio.sleep_forever()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._token is not None
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(5)
        assert not self._thread.is_alive()


class Door:
    """An event server that rings as soon as somebody listens."""

    def __init__(self, *, rings: int = 2, user: str = "listen-1", password: str = "pass-1") -> None:
        self.rings = rings
        self.user = user
        self.password = password
        self.servers: list[EventServer] = []

    async def __call__(self, wire: SocketWire) -> None:
        server = EventServer(user=self.user, password=self.password)
        self.servers.append(server)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._serve, server, wire, nursery.cancel_scope)
                await server.until(lambda: server.listeners == 1)
                for number in range(self.rings):
                    await server.alarm(1, 100 + number, "Bell", "Bell\x1b[2J pressed")
        except* Gone:
            pass  # has heard enough

    async def _serve(self, server: EventServer, wire: SocketWire, scope: trio.CancelScope) -> None:
        await server.serve(wire)
        scope.cancel()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def ready(state: Path, authority: trustme.CA) -> Callable[[str], None]:
    """Write the ready.json of a door that serves its clients at a URL."""
    ca = state / "tls" / "ca.pem"
    ca.parent.mkdir()
    ca.write_bytes(authority.cert_pem.bytes())

    def write(url: str) -> None:
        (state / "ready.json").write_text(json.dumps({"pid": 1, "ca": str(ca), "listeners": {"zmes": url}}))

    return write


@pytest.fixture
def agent(state: Path) -> Iterator[ScriptedAgent]:
    with ScriptedAgent(state, listen_login={"account": "listen-1", "secret": "pass-1"}) as agent:
        yield agent


Ready = Callable[[str], None]


def test_own_door_needs_no_typing(
    portero: Portero, agent: ScriptedAgent, ready: Ready, tls: ssl.SSLContext
) -> None:
    with ServerThread(tls, Door()) as server:
        ready(server.url)
        done = portero("listen", "--count", "2")
        as_json = portero("listen", "--count", "1", "--json")
    assert done.exit_code == 0, done.stderr
    assert [line[21:] for line in done.stdout.splitlines()] == [
        "Bell: Bell\\x1b[2J pressed  (monitor 1, event 100)",
        "Bell: Bell\\x1b[2J pressed  (monitor 1, event 101)",
    ]
    item = json.loads(as_json.stdout)
    assert item.pop("received_at_ns") > 0
    assert item == {
        "event_id": "100",
        "monitor_id": "1",
        "name": "Bell",
        "cause": "Bell\x1b[2J pressed",
        "detection": [],
        "rules": {},
        "monitor_name": "",
        "picture": "",
    }


def test_ctrl_c_and_a_reader_that_leaves_are_quiet(
    state: Path, agent: ScriptedAgent, ready: Ready, tls: ssl.SSLContext
) -> None:
    command = [sys.executable, "-m", "agent", "listen", "--state", str(state)]
    with ServerThread(tls, Door(rings=1)) as server:
        ready(server.url)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert "Bell" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
        assert (process.returncode, out, err) == (130, "", "")
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_account_and_monitors(
    portero: Portero, agent: ScriptedAgent, ready: Ready, tls: ssl.SSLContext
) -> None:
    door = Door(user="anna", password="s e c r e t")
    with ServerThread(tls, door) as server:
        ready(server.url)
        arguments = ["--user", "anna", "--password-stdin", "--monitors", "1, 2", "--count", "1"]
        done = portero("listen", *arguments, stdin="s e c r e t\n")
    assert done.exit_code == 0, done.stderr
    assert door.servers[0].received[0]["data"]["monlist"] == "1,2"
    assert not agent.asked


def test_refused_password(portero: Portero, ready: Ready, tls: ssl.SSLContext) -> None:
    with ServerThread(tls, Door(user="anna")) as server:
        ready(server.url)
        done = portero("listen", "--user", "anna", "--password-stdin", stdin="wrong\n")
    assert done.exit_code == 1
    assert "the server refused account anna with this password (BADAUTH)" in done.stderr
    assert "portero user list" in done.stderr
    assert "wrong" not in done.stderr


def test_control_category(portero: Portero, ready: Ready, tls: ssl.SSLContext) -> None:
    heard: list[dict[str, Any]] = []

    async def behave(wire: SocketWire) -> None:
        heard.append(json.loads(await wire.receive()))
        await wire.send('{"event":"auth","type":"","status":"Success","reason":"","version":"6.1.29"}')
        heard.append(json.loads(await wire.receive()))
        table = json.dumps({"notifications": {"1": 0}})
        await wire.send(
            json.dumps({"event": "escontrol", "type": "", "status": "Success", "response": table})
        )
        await wire.eof()

    with ServerThread(tls, behave) as server:
        ready(server.url)
        done = portero("listen", "--escontrol", "--password-stdin", stdin="control\n")
    assert heard == [
        {"event": "auth", "category": "escontrol", "data": {"password": "control"}},
        {"event": "escontrol", "data": {"command": "get"}},
    ]
    assert 'control: {"notifications": {"1": 0}}' in done.stdout
    assert done.exit_code == 75


def test_control_category_that_is_off(portero: Portero, ready: Ready, tls: ssl.SSLContext) -> None:
    async def behave(wire: SocketWire) -> None:
        await wire.receive()
        await wire.send('{"event":"auth","type":"","status":"Fail","reason":"ESCONTROLDISABLED"}')
        await wire.receive()

    with ServerThread(tls, behave) as server:
        ready(server.url)
        done = portero("listen", "--escontrol", "--password-stdin", stdin="control\n")
    assert done.exit_code == 1
    assert "does not offer the control category" in done.stderr


def test_certificate_is_always_checked(
    portero: Portero, agent: ScriptedAgent, ready: Ready, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    door = Door()
    other = tmp_path / "other.pem"
    other.write_bytes(trustme.CA().cert_pem.bytes())
    with ServerThread(tls, door) as server:
        ready(server.url)
        done = portero("listen", "--ca", str(other))
        (tmp_path / "elsewhere").mkdir()
        remote = [
            "--url",
            server.url,
            "--user",
            "anna",
            "--password-stdin",
            "--state",
            str(tmp_path / "elsewhere"),
        ]
        elsewhere = portero("listen", *remote, stdin="x\n")
        trusted = portero("listen", *remote, "--ca", str(tmp_path / "state" / "tls" / "ca.pem"), stdin="x\n")
    assert done.exit_code == 75
    assert "not made by that authority" in done.stderr
    assert elsewhere.exit_code == 75
    assert "portero ca --export" in elsewhere.stderr
    assert trusted.exit_code == 1  # trusted, and so asked for the account, which is wrong
    assert len(door.servers) == 1


def test_server_that_hangs_up_or_is_none(portero: Portero, agent: ScriptedAgent, ready: Ready) -> None:
    async def hang_up(wire: SocketWire) -> None:
        await wire.receive()
        await wire.close(1001)

    async def rubbish(wire: SocketWire) -> None:
        await wire.receive()
        await wire.send("rubbish")
        await wire.receive()

    with ServerThread(None, hang_up) as server:
        ready(server.url)
        done = portero("listen")
    assert done.exit_code == 75
    assert "went away (1001): it stops, or starts again" in done.stderr
    done = portero("listen")
    assert done.exit_code == 75
    assert "portero status" in done.stderr
    with ServerThread(None, rubbish) as server:
        ready(server.url)
        done = portero("listen")
    assert done.exit_code == 75
    assert "this is no event server" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--url", "wss://door:9000"], "--url needs --user"),
        (["--url", "https://door:9000", "--user", "a", "--password-stdin"], "expected wss://HOST:PORT"),
        (["--url", "wss://door:99999", "--user", "a", "--password-stdin"], "expected wss://HOST:PORT"),
        (["--url", "wss://me:pw@door", "--user", "a", "--password-stdin"], "expected wss://HOST:PORT"),
        (["--monitors", "front"], "expected numbers such as 1,2."),
        (["--password-stdin"], "needs --user"),
        (["--count", "0"], "0 is not in the range"),
    ],
)
def test_wrong_arguments(arguments: list[str], text: str) -> None:
    done = CliRunner().invoke(cli, ["listen", *arguments], input="x\n")
    assert done.exit_code == 2
    assert text in done.stderr


def test_no_password_and_nobody_to_ask(portero: Portero, ready: Ready) -> None:
    ready("wss://127.0.0.1:9/")
    done = portero("listen", "--user", "anna")
    assert done.exit_code == 1
    assert "--password-stdin" in done.stderr
    assert "portero user add" in done.stderr
    done = portero("listen", "--user", "anna", "--password-stdin", stdin="\n")
    assert done.exit_code == 1
    assert "the password is empty" in done.stderr


def test_no_agent_and_no_listener(portero: Portero, state: Path) -> None:
    assert portero("listen").exit_code == 3
    (state / "ready.json").write_text('{"pid": 1, "ca": "", "listeners": {}}')
    done = portero("listen")
    assert done.exit_code == 1
    assert "[workers.zmes.server]" in done.stderr
    (state / "ready.json").write_text("rubbish")
    assert portero("listen").exit_code == 75
