"""From the finger to the last phone: press -> last of N clients over TLS, with the journal on and off.

Two doors in processes of their own (one keeps a journal on the disk under test, one does not) ring in turn;
the clients are a third process. All clocks are CLOCK_MONOTONIC of one machine.

    python -m bench.latency [--quick]
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import select
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from bench.child import Child, say
from bench.report import Row, at_most, table

ROOT = Path(__file__).resolve().parents[1]
PRESSES = 150
PAUSE_S = 0.02
ACCOUNT, SECRET = "bench", "bench secret"
LIMIT_MS = {10: 0.5, 100: 1.3}


def door(folder: Path, with_journal: bool) -> None:
    """The real path: fake pins in a foreign thread, edges, event log, ES server over TLS, journal or not."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    import trio
    from harness import context as harness

    from agent.bus import EventLog
    from agent.endpoints import House
    from agent.journal.config import JournalConfig
    from agent.journal.store import Journal
    from agent.workers.zmes import WORKER
    from agent.workers.zmes.config import ServerConfig, ZmesConfig
    from hw.board import ButtonPins, open_board
    from hw.fake import FakePins

    async def main() -> None:
        log = EventLog(boot_id="bench")
        house = House({"doorbell": ButtonPins(pin=17, debounce_ms=1)}, log=log)
        outside = harness.House(
            folder, endpoints=house.infos, accounts={ACCOUNT: (SECRET, "resident")}, log=log
        )
        pins = FakePins()  # pressed from the thread that reads stdin, as foreign as the one of lgpio
        config = ZmesConfig(server=ServerConfig(host="127.0.0.1", max_connections=4096, max_per_peer=4096))
        with pins, open_board({"doorbell": ButtonPins(pin=17, debounce_ms=1)}, pins=pins) as board:
            async with trio.open_nursery() as nursery:
                if with_journal:
                    journal = Journal.open(folder / "journal.db", JournalConfig()).journal
                    nursery.start_soon(partial(journal.run, after=0, report=log.publish), log)
                await nursery.start(house.run, board)
                await nursery.start(WORKER.run, config, outside.context("zmes"))
                say(
                    port=int(outside.ready["zmes"].rstrip("/").rsplit(":", 1)[1]), ca=str(outside.tls.ca_path)
                )
                await trio.to_thread.run_sync(_press_on_command, pins, abandon_on_cancel=True)
                nursery.cancel_scope.cancel()

    trio.run(main)


def _press_on_command(pins: Any) -> None:
    """Each line of stdin is one press."""
    for _ in sys.stdin:
        press_on_command(pins.press, pins.release)


def press_on_command(press: Callable[[str], object], release: Callable[[str], object]) -> None:
    """One press; answers with the moment the contact closed."""
    pressed_ns = time.monotonic_ns()
    press("doorbell")
    say(pressed_ns=pressed_ns)
    time.sleep(0.005)
    release("doorbell")


def clients(port: int, ca: str, count: int) -> None:
    """N logged-in clients; each line of stdin is answered with when the last of them had its alarm."""
    context = ssl.create_default_context(cafile=ca)
    poll = select.epoll()
    streams: dict[int, ssl.SSLSocket] = {}
    for _ in range(count):
        raw = socket.create_connection(("127.0.0.1", port))
        stream = context.wrap_socket(raw, server_hostname="localhost")
        key = base64.b64encode(os.urandom(16)).decode()
        stream.sendall(
            f"GET / HTTP/1.1\r\nHost: door\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in stream.recv(4096):
            pass
        login = json.dumps({"event": "auth", "data": {"user": ACCOUNT, "password": SECRET}}).encode()
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(login))
        stream.sendall(bytes([0x81, 0x80 | len(login)]) + mask + masked)
        if b"Success" not in stream.recv(4096):
            raise RuntimeError("not logged in")
        stream.setblocking(False)
        streams[stream.fileno()] = stream
        poll.register(stream.fileno(), select.EPOLLIN)
    arrived: threading.Event = threading.Event()
    last_ns = 0

    def watch() -> None:
        nonlocal last_ns
        had: set[int] = set()
        while True:
            for number, _ in poll.poll():
                try:
                    while data := streams[number].recv(4096):
                        if b'"alarm"' in data:
                            had.add(number)
                except ssl.SSLWantReadError:
                    pass
            if len(had) == count:
                last_ns = time.monotonic_ns()
                had.clear()
                arrived.set()

    threading.Thread(target=watch, daemon=True).start()
    say(clients=count)
    for _ in sys.stdin:
        say(last_ns=last_ns if arrived.wait(5) else 0)
        arrived.clear()


class Setup:
    """One door and its clients."""

    def __init__(self, stack: ExitStack, folder: Path, count: int, journal: bool) -> None:
        folder.mkdir()
        self._door = Child(stack, "bench.latency", "--door", str(folder), *(["--journal"] if journal else []))
        told = self._door.hear()
        self._clients = Child(
            stack, "bench.latency", "--clients", str(count), "--port", str(told["port"]), "--ca", told["ca"]
        )
        self._clients.hear()

    def press_ms(self) -> float:
        """Press once; milliseconds until the last client has it."""
        pressed_ns = self._door.tell()["pressed_ns"]
        last_ns = self._clients.tell()["last_ns"]
        time.sleep(PAUSE_S)
        return float(last_ns - pressed_ns) / 1e6


def run(quick: bool = False) -> list[Row]:
    """p50 and p99 for 10 and 100 clients, and the ratio journal on / off."""
    presses = 40 if quick else PRESSES
    rows: list[Row] = []
    # Not in /tmp, which may be memory: the journal belongs on a disk.
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        for count in (10, 100):
            with ExitStack() as stack:
                doors = {
                    journal: Setup(stack, Path(folder, f"{count}-{journal}"), count, journal)
                    for journal in (True, False)
                }
                taken: dict[bool, list[float]] = {True: [], False: []}
                for number in range(presses + 10):
                    for journal, setup in doors.items():
                        delay_ms = setup.press_ms()
                        if number >= 10:
                            taken[journal].append(delay_ms)
            on, off = sorted(taken[True]), sorted(taken[False])
            label = f"press -> last of {count}"
            p50_on, p50_off = statistics.median(on), statistics.median(off)
            rows += [
                at_most(f"{label}, journal on, p50", p50_on, "ms", LIMIT_MS[count]),
                Row(f"{label}, journal on, p99", on[len(on) * 99 // 100], "ms"),
                Row(f"{label}, journal off, p50", p50_off, "ms"),
                Row(f"{label}, journal off, p99", off[len(off) * 99 // 100], "ms"),
                at_most(f"{label}, p50 on / off", p50_on / p50_off, "", 1.2),
            ]
    return rows


def main() -> None:
    """Parent, door or clients, as the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--door", type=Path)
    parser.add_argument("--journal", action="store_true")
    parser.add_argument("--clients", type=int)
    parser.add_argument("--port", type=int)
    parser.add_argument("--ca")
    arguments = parser.parse_args()
    if arguments.door is not None:
        door(arguments.door, arguments.journal)
    elif arguments.clients is not None:
        clients(arguments.port, arguments.ca, arguments.clients)
    else:
        print(table(run(arguments.quick)))


if __name__ == "__main__":
    main()
