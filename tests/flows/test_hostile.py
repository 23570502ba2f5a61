"""Everything a stranger on the network, or a confused program on the machine, can throw at the door."""

from __future__ import annotations

import json
import random
import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from harness.agent_process import AgentProcess
from harness.phones import phone
from harness.quick_door import PASSWORDS, Door
from harness.raw_websocket import REQUEST, masked
from harness.siege import HONEST, attacker, besieged, mutations
from websockets.exceptions import ConnectionClosed

SOURCES = [f"127.0.1.{number}" for number in range(1, 101)]
PER_PEER = 64
CONTROL_PASSWORD = "seis llaves y ninguna"
GUESS = "estrella de mar"
WEIRD: tuple[Any, ...] = (
    None, True, False, 0, -1.5, 10**18, 10**40, 1e308, "", "\0", "ñ" * 5000, "1,2,,x", "\ud800",
    [], [None, 5, ["a"]], {"a": {"b": []}},
)  # fmt: skip
VERSION = {"event": "control", "data": {"type": "version"}}
SHAPES: tuple[dict[str, Any], ...] = (
    {"event": "control", "data": {"type": "filter", "monlist": "1,2", "intlist": "0,60"}},
    VERSION,
    {"event": "push", "data": {"type": "token", "token": "t", "platform": "ios", "state": "enabled",
                               "monlist": "1", "intlist": "0", "profile": "p", "appversion": "1"}},
    {"event": "push", "token": "t", "data": {"type": "badge", "badge": 3}},
    {"event": "escontrol", "data": {"command": "mute", "monitors": ["1", 2]}},
    {"event": "escontrol", "data": {"command": "edit", "key": "cause_ring", "val": "Ding"}},
    {"event": "escontrol", "data": {"command": "get"}},
)  # fmt: skip
AUTH = {
    "event": "auth",
    "category": "normal",
    "data": {"user": "mallory", "password": GUESS, "monlist": "1", "intlist": "0", "appversion": "1"},
}
ANSWERS = {"auth", "control", "push", "escontrol", "malformed", "alarm"}


def port_of(agent: AgentProcess) -> int:
    return urlsplit(agent.url()).port or 0


async def test_garbage_instead_of_tls_and_of_http(door: Door) -> None:
    dice = random.Random(20)
    blobs = [b"\0" * 100_000, b"GET / HTTP/1.1\r\n\r\n" * 100, b"\x16\x03\x01\xff\xff" + bytes(70_000), b"\n"]
    blobs += [dice.randbytes(1 << size) for size in range(0, 17, 2)]
    with door() as agent:
        async with besieged(agent) as siege:
            for blob in blobs:
                sock = trio.socket.socket()
                await sock.connect(("127.0.0.1", port_of(agent)))
                async with trio.SocketStream(sock) as stream:
                    try:
                        await stream.send_all(blob)
                        await stream.send_eof()
                        with trio.fail_after(5):
                            while await stream.receive_some():
                                pass
                    except trio.BrokenResourceError:
                        pass
                async with attacker(agent, upgrade=False) as client:
                    try:
                        await client.send(blob + b"\r\n\r\n")
                        head = await client.read_head()
                    except trio.BrokenResourceError:
                        continue
                    assert head[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 426", b"HTTP/1.1 431"), head
            await siege.rings(2)


@pytest.mark.slow
async def test_half_a_hello_and_one_byte_at_a_time(door: Door) -> None:
    """A hundred that say half of it and wait, and some that never finish: all gone after their time."""
    hello = bytes.fromhex("1603010200010001fc0303") + bytes(40)
    with door() as agent:
        async with besieged(agent), trio.open_nursery() as nursery:
            gone: list[float] = []
            begun = time.monotonic()

            async def half_a_hello(source: str) -> None:
                with closing(socket.socket()) as plain:
                    plain.bind((source, 0))
                    plain.connect(("127.0.0.1", port_of(agent)))
                    plain.sendall(hello)
                    plain.setblocking(False)
                    await trio.lowlevel.wait_readable(plain)
                    gone.append(time.monotonic() - begun)

            async def slow_request(source: str) -> None:
                async with attacker(agent, source, upgrade=False) as client:
                    try:
                        for byte in REQUEST * 100:
                            await client.send(bytes([byte]))
                            await trio.sleep(0.2)
                    except trio.BrokenResourceError:
                        gone.append(time.monotonic() - begun)

            for number in range(10):
                nursery.start_soon(slow_request, f"127.0.2.{number + 1}")
            await trio.sleep(0.3)
            for source in SOURCES:
                nursery.start_soon(half_a_hello, source)
            await trio.sleep(0.2)
            async with phone(agent, "ben", PASSWORDS["ben"], source="127.0.0.3") as late:
                late_s = time.monotonic() - begun
                assert await late.silent(0.01) or True
            print(f"another phone came in after {late_s:.1f} s")
            with trio.fail_after(15):
                while len(gone) < 110:
                    await trio.sleep(0.05)
            assert 9 < max(gone) < 12.5
            assert late_s < 5


def _frames() -> Iterator[tuple[str, bytes, tuple[int, ...]]]:
    """What is sent, and the codes of CLOSE it may be answered with."""
    text, continuation, binary = 1, 0, 2
    yield "65537 bytes", masked(text, b"x" * 65_537), (1009,)
    yield "65537 bytes announced", b"\x81\xff" + struct.pack("!Q", 65_537) + bytes(4), (1009,)
    yield "2**63 bytes announced", b"\x81\xff" + struct.pack("!Q", 2**63) + bytes(4), (1002, 1009)
    yield "129 fragments", masked(text, b"", fin=False) + masked(continuation, b"", fin=False) * 128, (1009,)
    yield (
        "65537 bytes in two fragments",
        masked(text, b"x" * 40_000, fin=False) + masked(continuation, b"x" * 25_537),
        (1009,),
    )
    yield "not masked", b"\x81\x02hi", (1002,)
    yield "a reserved opcode", masked(3, b""), (1002,)
    yield "a reserved bit", masked(text, b"{}", rsv=4), (1002,)
    yield "a ping that is too long", masked(9, bytes(126)), (1002,)
    yield "a fragmented ping", masked(9, b"", fin=False), (1002,)
    yield "a continuation of nothing", masked(continuation, b"x"), (1002,)
    yield "two beginnings", masked(text, b"x", fin=False) + masked(text, b"x"), (1002,)
    yield "no UTF-8", masked(text, b"\xff\xfe"), (1007,)
    yield "a CLOSE of one byte", masked(8, b"\x03"), (1002,)
    yield "a CLOSE with a code that is none", masked(8, struct.pack("!H", 999)), (1002,)
    yield "20 times garbage", masked(text, b"{") * 20, (1008,)
    yield "20 deep towers", masked(text, b"[" * 30_000) * 20, (1008,)
    yield (
        "20 binary and 20 text towers",
        (masked(binary, b"[" * 9) + masked(text, b'{"a":' * 17)) * 20,
        (1008,),
    )


async def test_frames_that_break_the_rules(door: Door) -> None:
    with door() as agent:
        async with besieged(agent) as siege:
            for what, data, codes in _frames():
                async with attacker(agent) as client:
                    try:
                        await client.send(data)
                    except trio.BrokenResourceError:
                        pass
                    end = await client.closed()
                    assert end.code in codes, (what, end)
            async with attacker(agent) as client:
                await client.send(masked(2, b"\0" * 1000) * 50)
                await client.text(json.dumps(AUTH))
                assert json.loads(await client.message())["reason"] == "BADAUTH"
            await siege.rings(2)


@pytest.mark.slow
async def test_every_wrong_type_in_every_field(door: Door, tmp_path: Path) -> None:
    secret, key = tmp_path / "escontrol", tmp_path / "push"
    secret.write_text(CONTROL_PASSWORD)
    key.write_text("irrelevant")
    secret.chmod(0o600)
    key.chmod(0o600)
    more = f"""
escontrol = true
escontrol_password_file = "{secret}"
push = {{ url = "http://127.0.0.1:9/", key_file = "{key}" }}
"""
    login = {"event": "auth", "data": {"user": "ben", "password": PASSWORDS["ben"]}}
    control = {"event": "auth", "category": "escontrol", "data": {"password": CONTROL_PASSWORD}}
    with door(more=more) as agent:
        # The control channel may mute the bell: with nobody listening.
        sent = await _answers_to_wrong_types(agent, control)
        async with attacker(agent) as client:
            await client.text(json.dumps(control))
            await client.text('{"event":"escontrol","data":{"command":"reset"}}')
            assert [json.loads(await client.message())["status"] for _ in range(2)] == ["Success"] * 2
        async with besieged(agent, CONTROL_PASSWORD, GUESS):
            sent += await _answers_to_wrong_types(agent, login)
            for wrong in mutations(AUTH, WEIRD):
                async with attacker(agent, "127.0.0.67") as client:
                    await client.text(json.dumps(wrong))
                    sent += 1
                    answer = json.loads(await client.message())
                    assert answer.get("status") == "Fail" or answer["event"] == "malformed", answer
        print(f"{sent} messages")


async def _answers_to_wrong_types(agent: AgentProcess, credentials: dict[str, Any]) -> int:
    """Send every wrong shape on one connection, which has to survive; how many there were."""
    sent = 0
    async with attacker(agent) as client:
        await client.text(json.dumps(credentials))
        assert json.loads(await client.message())["status"] == "Success"
        for shape in SHAPES:
            for wrong in mutations(shape, WEIRD):
                await client.text(json.dumps(wrong))
                await client.text(json.dumps(VERSION))
                sent += 1
                # Everything has its answer or none, and the next question always has one.
                answer: dict[str, Any] = {}
                while (answer.get("event"), answer.get("type")) != ("control", "version"):
                    answer = json.loads(await client.message())
                    known = str(answer["event"]) in ANSWERS
                    assert known or answer["reason"] == "NOTSUPPORTED", answer
    return sent


@pytest.mark.slow
async def test_two_thousand_connections_from_one_address(door: Door) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2000 if hard == resource.RLIM_INFINITY else min(2000, hard - 300)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted + 300), hard))
    sockets: list[socket.socket] = []

    def flood(agent: AgentProcess) -> None:
        for number in range(wanted):
            if number % 50 == 0:
                time.sleep(0.01)  # a full backlog costs the attacker a second, and the test as well
            sockets.append(sock := socket.socket())
            sock.bind(("127.0.0.66", 0))
            sock.settimeout(5)
            sock.connect(("127.0.0.1", port_of(agent)))

    def still_open() -> int:
        count = 0
        for sock in sockets:
            sock.setblocking(False)
            try:
                count += sock.recv(1) != b""
            except BlockingIOError:
                count += 1
            except OSError:
                pass
        return count

    try:
        with door() as agent:
            async with besieged(agent) as siege:
                await trio.to_thread.run_sync(flood, agent)
                await siege.rings(2)
                assert still_open() <= PER_PEER
                async with phone(agent, "ben", PASSWORDS["ben"], source="127.0.0.3") as late:
                    assert late
                for sock in sockets:
                    sock.close()
            print(f"{len(sockets)} connections")
    finally:
        for sock in sockets:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
async def test_guessing_from_everywhere_does_not_lock_the_family_out(door: Door) -> None:
    with door() as agent:
        async with besieged(agent, GUESS), trio.open_nursery() as nursery:
            guesses = 0

            async def guess(source: str) -> None:
                nonlocal guesses
                while True:
                    async with phone(agent, source=source) as app:
                        guesses += 1
                        try:
                            answer = await app.log_in("ana", f"{GUESS} {guesses}")
                        except ConnectionClosed as end:
                            # Not looked at: nobody learns anything.
                            answer = {"reason": end.rcvd.code if end.rcvd else None}
                        assert answer["reason"] in ("BADAUTH", 1013)

            for source in SOURCES[:40]:
                nursery.start_soon(guess, source)
            await trio.sleep(0.7)
            slowest_s = 0.0
            for _ in range(3):
                begun = time.monotonic()
                async with phone(agent, "ana", PASSWORDS["ana"], source=HONEST):
                    slowest_s = max(slowest_s, time.monotonic() - begun)
                await trio.sleep(0.3)
            nursery.cancel_scope.cancel()
        print(f"{guesses} guesses, the slowest log-in of the family took {slowest_s:.2f} s")
        assert guesses > 40
        assert slowest_s < 2
        denied = agent.stored("access_denied")
        assert len(denied) <= 32 + 33, "an attack washes the journal away"
        assert GUESS not in json.dumps(agent.stored())


COMMANDS: dict[str, dict[str, Any]] = {
    "status": {},
    "submit": {"action": {"do": "unlock", "endpoint": "strike", "hold_s": 0.1}},
    "sim": {"verb": "state", "endpoint": "doorbell", "for_ms": 5},
    "user_add": {"name": "x y", "role": "guest", "password": "p" * 9, "valid_from_ns": 1, "valid_until_ns": 2,
                 "endpoints": ["strike"]},
    "user_remove": {"name": "nobody"},
    "user_password": {"name": "nobody", "password": GUESS},
    "user_enable": {"name": "nobody", "enabled": False},
    "user_list": {},
    "key_add": {"user": "nobody", "name": "k"},
    "key_list": {"user": "nobody"},
    "key_revoke": {"id": "nothing"},
    "no such command": {},
}  # fmt: skip


@pytest.mark.slow
async def test_the_control_socket_abused(door: Door) -> None:
    lines = [b"\n", b"{", b"[]\n", b"null\n", b"\xff\xfe\n", b'{"command":[]}\n', b"[" * 60_000 + b"\n"]
    lines += [
        b"x" * 70_000,
        b'{"command":"status"',
        bytes(1000) + b"\n",
        b'{"command":"events","after":"x"}\n',
    ]
    with door() as agent:
        async with besieged(agent, GUESS) as siege:
            await trio.to_thread.run_sync(_abuse, agent, lines)
            await siege.rings(2)
            assert agent.ask("status")["pid"] == agent.pid


def _abuse(agent: AgentProcess, lines: list[bytes]) -> None:
    path = str(agent.state_dir / "control.sock")

    def connect() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(5)
        sock.connect(path)
        return sock

    for line in lines:
        with closing(connect()) as sock:
            sock.sendall(line)
            sock.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda s=sock: s.recv(65_536), b""))  # type: ignore[misc]
            assert answer == b"" or b'"error"' in answer, answer
    crowd = [connect() for _ in range(40)]
    time.sleep(0.2)
    for sock in crowd:
        sock.close()
    time.sleep(0.2)
    sent = 0
    with closing(connect()) as sock, sock.makefile("rb") as answers:
        for command, arguments in COMMANDS.items():
            for wrong in mutations({"command": command, **arguments}, WEIRD):
                if not isinstance(wrong, dict) or wrong.get("command") == "events":
                    continue
                sock.sendall(json.dumps(wrong).encode() + b"\n")
                answer = json.loads(answers.readline())
                assert answer.keys() <= {"ok", "error"}, answer
                sent += 1
    print(f"{sent} commands")
    with closing(connect()) as deaf:
        # It follows the events and never reads one.
        deaf.sendall(b'{"command":"events","after":0}\n')
        time.sleep(0.3)
