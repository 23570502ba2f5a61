"""One frame to many clients: CPU time against two other ways, a stalled client's neighbours, memory.

Every server is a process of its own, its clients others that only drain raw sockets; rounds are interleaved,
figures are medians, and CPU time is the server's own with the kernel's share of sending.

    python -m bench.fanout [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import select
import socket
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from bench.child import Child, say
from bench.report import Row, at_most, table

ROOT = Path(__file__).resolve().parents[1]
MODULE = "bench.fanout"
PAYLOAD_BYTES = 250
STAMP_DIGITS = 20
FRAME_BYTES = 4 + PAYLOAD_BYTES
SENDS_PER_ROUND = 20_000
SPARE_DESCRIPTORS = 100
LATENCY_MESSAGES = 300
LATENCY_INTERVAL_S = 0.01
STALL_FILL_BYTES = 4096
STALL_FILL_MESSAGES = 200
SETTLE_S = 0.3
DRAIN_INTERVAL_S = 0.002
MINE, LOOP, WEBSOCKETS, BARE = "portero", "trio-websocket loop", "websockets", "nothing but socket.send"
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def payload(size: int = PAYLOAD_BYTES) -> bytes:
    """A message that begins with the moment it was made."""
    return (b"%0*d" % (STAMP_DIGITS, time.monotonic_ns())).ljust(size, b".")


def rss_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


# The servers: `send` sends one message to everybody; `clients` tells how many there are.


async def command_loop(
    lines: AsyncIterator[str],
    clients: Callable[[], int],
    send: Callable[[int], Any],
    bare: Callable[[int], Any],
    sleep: Callable[[float], Any],
) -> None:
    """Do what the parent says until it closes the pipe."""
    async for line in lines:
        command = json.loads(line)
        match command["do"]:
            case "count":
                say(clients=clients(), rss=rss_bytes())
            case "burst" | "bare" as what:
                one = send if what == "burst" else bare
                start = time.process_time()
                for _ in range(command["messages"]):
                    await one(PAYLOAD_BYTES)
                say(cpu_s=time.process_time() - start)
            case "fill":
                for _ in range(STALL_FILL_MESSAGES):
                    await send(STALL_FILL_BYTES)
                    await sleep(0.001)
                say()
            case "paced":
                begin = time.monotonic()
                for number in range(command["messages"]):
                    await sleep(max(0.0, begin + number * LATENCY_INTERVAL_S - time.monotonic()))
                    await send(PAYLOAD_BYTES)
                say()


def server_context(folder: str) -> ssl.SSLContext:
    """A TLS context with the bench's own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/server.pem")
    return context


def serve_on_trio(mine: bool, folder: str | None) -> None:
    """Our fan-out, or trio-websocket as its manual shows it."""
    import trio
    import trio_websocket

    from agent.net.listeners import address_of, open_listeners
    from agent.net.websocket import Limits, Peer, fan_out, serve_websocket, text_frame

    context = server_context(folder) if folder else None

    async def lines() -> AsyncIterator[str]:
        async with trio.lowlevel.FdStream(os.dup(0)) as stdin:
            pending = b""
            async for data in stdin:
                *whole, pending = (pending + data).split(b"\n")
                for line in whole:
                    yield line.decode()

    async def run_mine() -> None:
        peers: set[Peer] = set()

        @asynccontextmanager
        async def guard(name: str) -> AsyncIterator[None]:
            yield

        async def handler(peer: Peer) -> None:
            peers.add(peer)
            try:
                while True:
                    await peer.receive()
            finally:
                peers.discard(peer)

        async def send(size: int) -> None:
            await fan_out(peers, text_frame(payload(size)))

        async def bare(size: int) -> None:
            frame = text_frame(payload(size))
            for peer in peers:
                peer._wire._send(frame)

        # The stalled client shall stay, so that its neighbours can be looked at.
        limits = Limits(
            max_connections=5000,
            max_per_peer=5000,
            outbox_messages=10**6,
            outbox_bytes=10**9,
            outbox_age_s=3600,
            silence_timeout_s=3600,
            ping_interval_s=3600,
        )
        listeners = open_listeners("127.0.0.1", 0)
        async with trio.open_nursery() as nursery:

            async def serve(*, task_status: trio.TaskStatus[None]) -> None:
                await serve_websocket(
                    handler,
                    listeners,
                    ssl_context=context,
                    limits=limits,
                    guard=guard,
                    task_status=task_status,
                )

            await nursery.start(serve)
            say(port=address_of(listeners)[1])
            await command_loop(lines(), lambda: len(peers), send, bare, trio.sleep)
            nursery.cancel_scope.cancel()

    async def run_loop() -> None:
        peers: set[trio_websocket.WebSocketConnection] = set()

        async def handler(request: trio_websocket.WebSocketRequest) -> None:
            ws = await request.accept()
            peers.add(ws)
            try:
                while True:
                    await ws.get_message()
            except trio_websocket.ConnectionClosed:
                pass
            finally:
                peers.discard(ws)

        async def send(size: int) -> None:
            text = payload(size).decode()
            for ws in tuple(peers):
                await ws.send_message(text)

        async with trio.open_nursery() as nursery:

            async def serve(*, task_status: trio.TaskStatus[trio_websocket.WebSocketServer]) -> None:
                await trio_websocket.serve_websocket(
                    handler, "127.0.0.1", 0, context, task_status=task_status
                )

            server = await nursery.start(serve)
            say(port=server.port)
            await command_loop(lines(), lambda: len(peers), send, send, trio.sleep)
            nursery.cancel_scope.cancel()

    trio.run(run_mine if mine else run_loop)


def serve_on_asyncio(folder: str | None) -> None:
    """The websockets library with its own broadcast()."""
    from websockets.asyncio.server import ServerConnection, broadcast, serve
    from websockets.exceptions import ConnectionClosed

    async def lines() -> AsyncIterator[str]:
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(0)))
        while line := await reader.readline():
            yield line.decode()

    async def run() -> None:
        peers: set[ServerConnection] = set()

        async def handler(ws: ServerConnection) -> None:
            peers.add(ws)
            try:
                while True:
                    await ws.recv()
            except ConnectionClosed:
                pass
            finally:
                peers.discard(ws)

        async def send(size: int) -> None:
            broadcast(peers, payload(size).decode())
            await asyncio.sleep(0)

        context = server_context(folder) if folder else None
        async with serve(
            handler, "127.0.0.1", 0, ssl=context, compression=None, ping_interval=None
        ) as server:
            say(port=next(iter(server.sockets)).getsockname()[1])
            await command_loop(lines(), lambda: len(peers), send, send, asyncio.sleep)

    asyncio.run(run())


# The clients


def drain(port: int, clients: int, folder: str | None, stalled: int) -> None:
    """Connect, then swallow everything; answers "latency" with the delays seen since the last answer."""
    context = ssl.create_default_context(cafile=f"{folder}/ca.pem") if folder else None
    poll = select.epoll()
    kept: dict[int, socket.socket] = {}
    for number in range(clients):
        sock = socket.socket()
        if number < stalled:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname="localhost")
        sock.sendall(REQUEST)
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(4096)
        kept[sock.fileno()] = sock
        if number >= stalled:
            poll.register(sock.fileno(), select.EPOLLIN)
    poll.register(0, select.EPOLLIN)
    say(connected=clients)
    delays_ns: list[int] = []
    rests: dict[int, bytes] = dict.fromkeys(kept, b"")
    timed = False
    while True:
        if not timed:
            # Real clients are other machines: waking ours from its sleep is not what sending costs a door.
            time.sleep(DRAIN_INTERVAL_S)
        for descriptor, _ in poll.poll(None if timed else 0):
            if descriptor == 0:
                command = os.read(0, 4096)
                if not command:
                    return
                timed = command.strip() == b"start"
                say(delays_ns=delays_ns)
                delays_ns, rests = [], dict.fromkeys(kept, b"")
                continue
            # Under TLS too the raw bytes are enough to make room.
            data = os.read(descriptor, 65536)
            now = time.monotonic_ns()
            if not data:
                poll.unregister(descriptor)
            elif timed:
                data = rests[descriptor] + data
                while len(data) >= FRAME_BYTES:
                    delays_ns.append(now - int(data[4 : 4 + STAMP_DIGITS]))
                    data = data[FRAME_BYTES:]
                rests[descriptor] = data


# The parent


class Setup:
    """One server and its clients."""

    def __init__(
        self, stack: ExitStack, kind: str, clients: int, folder: str | None, *, stalled: int = 0
    ) -> None:
        tls = ["--tls", folder] if folder else []
        self.server = Child(stack, MODULE, "--serve", kind, *tls)
        port = str(self.server.hear()["port"])
        self.first_rss = 0
        self._drains = []
        # A few first, so that what is allocated only once is not counted as theirs.
        for share in (10, clients - 10):
            self._drains.append(
                Child(
                    stack, MODULE, "--drain", port, "--clients", str(share), "--stalled", str(stalled), *tls
                )
            )
            self._drains[-1].hear()
            stalled = 0
            while self.server.do("count")["clients"] < share:
                time.sleep(0.05)
            if not self.first_rss:
                time.sleep(SETTLE_S)
                self.first_rss = self.server.do("count")["rss"]
        while self.server.do("count")["clients"] < clients:
            time.sleep(0.05)
        time.sleep(SETTLE_S)
        self.rss_per_client = (self.server.do("count")["rss"] - self.first_rss) / (clients - 10)
        self.clients = clients

    def cpu_us(self, what: str = "burst") -> float:
        """CPU microseconds per message and client of one burst."""
        messages = max(5, SENDS_PER_ROUND // self.clients)
        spent = self.server.do(what, messages=messages)["cpu_s"]
        time.sleep(SETTLE_S)
        return float(spent) / messages / self.clients * 1e6

    def p99_ms(self) -> float:
        """The 99th percentile from making a message to its arrival, over the clients that read."""
        for one in self._drains:
            one.tell("start")
        self.server.do("paced", messages=LATENCY_MESSAGES)
        time.sleep(SETTLE_S)
        delays = sorted(delay for one in self._drains for delay in one.tell("stop")["delays_ns"])
        return float(delays[len(delays) * 99 // 100]) / 1e6


def certificates(folder: str) -> None:
    """A P-256 certificate for localhost, as the product makes them."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(f"{folder}/ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(f"{folder}/server.pem")


def raise_descriptors(wanted: int) -> int:
    """Ask for descriptors; how many there are in the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


def run(quick: bool = False) -> list[Row]:
    """All figures; quick leaves out the thousand clients and takes fewer rounds."""
    rounds = 3 if quick else 7
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        certificates(folder)
        for clients in (100,) if quick else (100, 1000):
            if raise_descriptors(clients + SPARE_DESCRIPTORS) < clients + SPARE_DESCRIPTORS:
                rows.append(Row(f"{clients} clients left out: RLIMIT_NOFILE", 0, "", "enough", False))
                continue
            for tls in (None, folder):
                rows += compare(clients, tls, rounds)
        rows += stalled_neighbour(rounds)
    return rows


def compare(clients: int, folder: str | None, rounds: int) -> list[Row]:
    """The three ways in interleaved rounds."""
    label = f"{clients} clients, {'TLS' if folder else 'plain'}"
    with ExitStack() as stack:
        setups = {kind: Setup(stack, kind, clients, folder) for kind in (MINE, LOOP, WEBSOCKETS)}
        spent: dict[str, list[float]] = {kind: [] for kind in (*setups, BARE)}
        for _ in range(rounds + 1):
            for kind, setup in setups.items():
                spent[kind].append(setup.cpu_us())
            spent[BARE].append(setups[MINE].cpu_us("bare"))
        rss = setups[MINE].rss_per_client
    # The first round warms up.
    median = {kind: statistics.median(values[1:]) for kind, values in spent.items()}
    return [
        *(Row(f"{label}: {kind}", value, "us/client") for kind, value in median.items()),
        at_most(f"{label}: ratio to the loop", median[MINE] / median[LOOP], "", 0.15),
        at_most(f"{label}: ratio to websockets", median[MINE] / median[WEBSOCKETS], "", 0.6),
        at_most(f"{label}: ratio to {BARE}", median[MINE] / median[BARE], "", 1.25),
        at_most(f"{label}: memory", rss / 1024, "KiB/client", 45 if folder else 30),
    ]


def stalled_neighbour(rounds: int) -> list[Row]:
    """What one client that never reads costs the other 99."""
    with ExitStack() as stack:
        calm = Setup(stack, MINE, 100, None)
        stalled = Setup(stack, MINE, 100, None, stalled=1)
        stalled.server.do("fill")
        time.sleep(SETTLE_S)
        pairs = [(calm.p99_ms(), stalled.p99_ms()) for _ in range(rounds)]
    undisturbed, beside = (statistics.median(values) for values in zip(*pairs, strict=True))
    return [
        Row("p99 of 100 clients", undisturbed, "ms"),
        Row("p99 of 99 clients beside a stalled one", beside, "ms"),
        at_most("ratio of the two", statistics.median(b / a for a, b in pairs), "", 1.5),
    ]


def main() -> None:
    """Parent, server or clients, as the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--serve", choices=(MINE, LOOP, WEBSOCKETS))
    parser.add_argument("--drain", type=int)
    parser.add_argument("--clients", type=int, default=0)
    parser.add_argument("--stalled", type=int, default=0)
    parser.add_argument("--tls")
    arguments = parser.parse_args()
    if arguments.serve is None and arguments.drain is None:
        rows = run(arguments.quick)
        print(table(rows))
        sys.exit(0 if all(row.ok for row in rows) else 1)
    raise_descriptors(arguments.clients + 5000)
    if arguments.drain is not None:
        drain(arguments.drain, arguments.clients, arguments.tls, arguments.stalled)
    elif arguments.serve == WEBSOCKETS:
        serve_on_asyncio(arguments.tls)
    else:
        serve_on_trio(arguments.serve == MINE, arguments.tls)


if __name__ == "__main__":
    main()
