"""The door as a gateway: button edge -> websocket event at 20 clients, and what a GET costs.

Beside ours stand what a user would pick instead: a loop of `await ws.send_message` on trio-websocket for the
event, and a bare Starlette route on hypercorn's own `serve` for the GET. Every server and its clients are
processes of their own; both are asked in turn.

    python -m bench.deconz [--quick]
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import select
import socket
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
from bench.latency import press_on_command
from bench.report import Row, at_most, table

ROOT = Path(__file__).resolve().parents[1]
CLIENTS = 20
PRESSES = 150
PAUSE_S = 0.02
GETS = 400
ROUNDS = 9
MARK = b'"buttonevent":1000'
LIMIT_RATIO = 1.2


def door(folder: Path) -> None:
    """The real path: fake pins in a foreign thread, edges, event log, the deCONZ server."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    import trio
    from harness import context as harness

    from agent.bus import EventLog
    from agent.endpoints import House
    from agent.workers.deconz import WORKER
    from agent.workers.deconz.config import DeconzConfig, ServerConfig
    from hw.board import ButtonPins, EndpointPins, LightPins, open_board
    from hw.fake import FakePins

    pin_map: dict[str, EndpointPins] = {
        "doorbell": ButtonPins(pin=17, debounce_ms=1),
        "staircase": LightPins(pin=24),
    }

    async def main() -> None:
        log = EventLog(boot_id="bench")
        house = House(pin_map, log=log)
        outside = harness.House(folder, endpoints=house.infos, log=log)
        key = await outside.keys.issue(user="smart-home", role="resident", name="bench", by="bench")
        pins = FakePins()  # pressed from the thread that reads stdin, as foreign as the one of lgpio
        config = DeconzConfig(server=ServerConfig(max_connections=256, max_per_peer=256))
        with pins, open_board(pin_map, pins=pins) as board:
            async with trio.open_nursery() as nursery:
                await nursery.start(house.run, board)
                await nursery.start(WORKER.run, config, outside.context("deconz"))
                say(
                    port=_port(outside.ready["deconz"]),
                    ws_port=_port(outside.ready["deconz_ws"]),
                    path=f"/api/{key}/lights/1",
                )
                await trio.to_thread.run_sync(_serve_lines, pins.press, pins.release, abandon_on_cancel=True)
                nursery.cancel_scope.cancel()

    trio.run(main)


def plain(body_file: Path) -> None:
    """What a user would pick: trio-websocket in a loop, Starlette on hypercorn; the same pins and bytes."""
    import hypercorn.trio
    import trio
    import trio_websocket
    from hypercorn.config import Config
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from hw.board import ButtonPins, open_board
    from hw.edges import EdgeFeed
    from hw.fake import FakePins

    body = body_file.read_bytes()
    event = json.dumps({"e": "changed", "state": {"buttonevent": 1000}}, separators=(",", ":"))
    clients: set[trio_websocket.WebSocketConnection] = set()

    async def get(_request: Request) -> Response:
        return Response(body, media_type="application/json; charset=utf-8")

    async def handler(request: trio_websocket.WebSocketRequest) -> None:
        ws = await request.accept()
        clients.add(ws)
        try:
            await ws.get_message()
        except trio_websocket.ConnectionClosed:
            clients.discard(ws)

    async def tell(feed: EdgeFeed) -> None:
        while True:
            if (await feed.receive()).active:
                for ws in list(clients):
                    await ws.send_message(event)

    async def main() -> None:
        app = Starlette(routes=[Route("/api/{key}/lights/{light}", get)])
        config = Config()
        config.accesslog = config.errorlog = None
        sock = socket.create_server(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        config.bind = [f"fd://{sock.detach()}"]
        pins = FakePins()
        pin_map = {"doorbell": ButtonPins(pin=17, debounce_ms=1)}
        with pins, open_board(pin_map, pins=pins) as board:
            async with trio.open_nursery() as nursery:
                await nursery.start(partial(hypercorn.trio.serve, app, config))  # type: ignore[arg-type]
                serve = partial(trio_websocket.serve_websocket, handler, "127.0.0.1", 0, None)
                server = await nursery.start(serve)
                async with EdgeFeed(board.inputs["doorbell"], 0.001) as feed:
                    nursery.start_soon(tell, feed)
                    say(port=port, ws_port=server.port, path="/api/key/lights/1")
                    await trio.to_thread.run_sync(
                        _serve_lines, pins.press, pins.release, abandon_on_cancel=True
                    )
                    nursery.cancel_scope.cancel()

    trio.run(main)


def _port(url: str) -> int:
    return int(url.rstrip("/").rsplit(":", 1)[1])


def _serve_lines(press: Callable[[str], object], release: Callable[[str], object]) -> None:
    """A line of stdin is a press, answered with its moment; `cpu` asks for the CPU seconds so far."""
    for line in sys.stdin:
        if line.strip() == "cpu":
            say(cpu_s=time.process_time())
        else:
            press_on_command(press, release)


def clients(port: int, count: int) -> None:
    """N connected clients; each line of stdin is answered with when the last of them had its event."""
    poll = select.epoll()
    streams: dict[int, socket.socket] = {}
    for _ in range(count):
        stream = socket.create_connection(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        stream.sendall(
            f"GET / HTTP/1.1\r\nHost: door\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += stream.recv(4096)
        stream.setblocking(False)
        streams[stream.fileno()] = stream
        poll.register(stream.fileno(), select.EPOLLIN)
    arrived = threading.Event()
    last_ns = 0

    def watch() -> None:
        nonlocal last_ns
        had: set[int] = set()
        while True:
            for number, _ in poll.poll():
                try:
                    while data := streams[number].recv(65536):
                        if MARK in data:
                            had.add(number)
                except BlockingIOError:
                    pass
            if len(had) == count:
                last_ns = time.monotonic_ns()
                had.clear()
                arrived.set()

    threading.Thread(target=watch, daemon=True).start()
    time.sleep(0.5)  # what a fresh client is told first
    say(clients=count)
    for _ in sys.stdin:
        say(last_ns=last_ns if arrived.wait(5) else 0)
        arrived.clear()


class Server:
    """One server, its 20 websocket clients, and a keep-alive connection for GETs."""

    def __init__(self, stack: ExitStack, *role: str) -> None:
        self._server = Child(stack, "bench.deconz", *role)
        told = self._server.hear()
        self._clients = Child(
            stack, "bench.deconz", "--clients", str(CLIENTS), "--port", str(told["ws_port"])
        )
        self._clients.hear()
        self._path = str(told["path"])
        self._http = http.client.HTTPConnection("127.0.0.1", int(told["port"]), timeout=20)
        stack.callback(self._http.close)

    def press_ms(self) -> float:
        """Press once; milliseconds until the last client has it."""
        pressed_ns = self._server.tell()["pressed_ns"]
        last_ns = self._clients.tell()["last_ns"]
        time.sleep(PAUSE_S)
        return float(last_ns - pressed_ns) / 1e6

    def get(self) -> bytes:
        """One GET on the kept connection."""
        self._http.request("GET", self._path)
        answer = self._http.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"GET answered {answer.status}")
        return body

    def get_cpu_us(self, count: int) -> float:
        """CPU of the server per GET, in microseconds."""
        before = self._cpu_s()
        for _ in range(count):
            self.get()
        return (self._cpu_s() - before) / count * 1e6

    def _cpu_s(self) -> float:
        return float(self._server.tell("cpu")["cpu_s"])


def run(quick: bool = False) -> list[Row]:
    """Latency to 20 clients and CPU of a GET, each beside what a user would pick."""
    presses, gets, rounds = (40, 100, 3) if quick else (PRESSES, GETS, ROUNDS)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        Path(folder, "door").mkdir()
        ours = Server(stack, "--door", str(Path(folder, "door")))
        body_file = Path(folder, "body")
        body_file.write_bytes(ours.get())
        theirs = Server(stack, "--plain", str(body_file))
        taken: dict[Any, list[float]] = {ours: [], theirs: []}
        for number in range(presses + 10):
            for server, delays in taken.items():
                delay_ms = server.press_ms()
                if number >= 10:
                    delays.append(delay_ms)
        spent: dict[Any, list[float]] = {ours: [], theirs: []}
        for server in spent:
            server.get_cpu_us(50)
        for _ in range(rounds):
            for server, costs in spent.items():
                costs.append(server.get_cpu_us(gets))
    fast, slow = (sorted(delays) for delays in taken.values())
    own_us, bare_us = (statistics.median(costs) for costs in spent.values())
    p50, p50_loop = statistics.median(fast), statistics.median(slow)
    label = f"button edge -> last of {CLIENTS} deCONZ clients"
    return [
        Row(f"{label}, p50", p50, "ms"),
        Row(f"{label}, p99", fast[len(fast) * 99 // 100], "ms"),
        Row("the same by a loop of send_message, p50", p50_loop, "ms"),
        at_most("p50 of ours / of the loop", p50 / p50_loop, "", 1.0),
        Row("GET of one light, CPU", own_us, "us"),
        Row("bare Starlette on hypercorn, the same bytes, CPU", bare_us, "us"),
        at_most("GET / bare GET", own_us / bare_us, "", LIMIT_RATIO),
    ]


def main() -> None:
    """Parent, door, plain server or clients, as the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--door", type=Path)
    parser.add_argument("--plain", type=Path)
    parser.add_argument("--clients", type=int)
    parser.add_argument("--port", type=int)
    arguments = parser.parse_args()
    if arguments.door is not None:
        door(arguments.door)
    elif arguments.plain is not None:
        plain(arguments.plain)
    elif arguments.clients is not None:
        clients(arguments.port, arguments.clients)
    else:
        print(table(run(arguments.quick)))


if __name__ == "__main__":
    main()
