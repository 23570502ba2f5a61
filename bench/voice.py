"""Voice: what a packet costs in Python, how fast a ring is heard, and the relay to fifty listeners.

The relay is measured beside what one would write first, a trio-websocket server that sends each packet to
one listener after the other, and beside nothing but the sending. Each server is a process of its own, its
listeners another; rounds are interleaved and CPU time is the server's own, with what it receives.

    python -m bench.voice [--quick]
"""

from __future__ import annotations

import argparse
import json
import math
import select
import ssl
import statistics
import struct
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.child import ROOT, Child, say
from bench.line import Line
from bench.report import Row, at_most, table

MODULE = "bench.voice"
LISTENERS = 50
PACKET_MS = 20
SPEED = 2.0  # times real time: a server may refuse more than three
ROUND_S, QUICK_ROUND_S = 6.0, 2.0
CHANNEL = "Front door"
ACCOUNT, SECRET = "bench", "bench secret"
STAMPS = struct.Struct(">BII")


def speech(seconds: float, rate_hz: int = 16_000) -> bytes:
    """Something with the spectrum of a voice: a buzz of 120 Hz whose loudness goes up and down."""
    samples = array("h")
    for number in range(int(seconds * rate_hz)):
        at = number / rate_hz
        buzz = sum(math.sin(2 * math.pi * 120 * k * at) / k for k in range(1, 25))
        samples.append(int(6000 * buzz * (0.55 + 0.45 * math.sin(2 * math.pi * 3 * at))))
    return samples.tobytes()


# ----- the servers -----


def serve_mine(folder: Path) -> None:
    """The door's channel server, with a household in memory behind it and no door in the channel."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    import trio
    from harness.context import House

    from agent.workers.zello import WORKER
    from agent.workers.zello.config import ChannelConfig, ServerConfig, ZelloConfig

    async def main() -> None:
        house = House(folder, accounts={ACCOUNT: (SECRET, "resident")})
        config = ZelloConfig(
            server=ServerConfig(
                host="127.0.0.1",
                channels=(ChannelConfig(name=CHANNEL, door="never"),),
                max_connections=1024,
                max_per_peer=1024,
                max_per_user=64,
                max_stream_s=600,
            )
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(WORKER.run, config, house.context("zello"))
            say(url=house.ready["zello"], ca=str(house.tls.ca_path))
            await trio.to_thread.run_sync(tell_cpu, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()

    trio.run(main)


def serve_loop(folder: Path) -> None:
    """One channel as the manual of trio-websocket would have it: every binary message to everybody else."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    import trio
    import trio_websocket
    from harness.context import MemoryTls

    tls = MemoryTls(folder)

    async def main() -> None:
        everyone: set[trio_websocket.WebSocketConnection] = set()

        async def handle(request: trio_websocket.WebSocketRequest) -> None:
            ws = await request.accept()
            everyone.add(ws)
            try:
                while True:
                    message = await ws.get_message()
                    if isinstance(message, bytes):
                        for other in tuple(everyone):
                            if other is not ws:
                                await other.send_message(message)
                    elif (plain := json.loads(message)).get("seq") is not None:
                        reply = {"seq": plain["seq"], "success": True, "stream_id": 1}
                        await ws.send_message(json.dumps(reply))
            except trio_websocket.ConnectionClosed:
                pass
            finally:
                everyone.discard(ws)

        async def listen(*, task_status: trio.TaskStatus[trio_websocket.WebSocketServer]) -> None:
            await trio_websocket.serve_websocket(
                handle, "127.0.0.1", 0, tls.server_context(), task_status=task_status
            )

        async with trio.open_nursery() as nursery:
            server = await nursery.start(listen)
            say(url=f"wss://127.0.0.1:{server.port}/ws", ca=str(tls.ca_path))
            await trio.to_thread.run_sync(tell_cpu, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()

    trio.run(main)


def serve_bare(folder: Path) -> None:
    """What nothing can beat: one frame, and for each listener one non-blocking send on its TLS socket."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    import trio
    from harness.context import House

    from agent.net.listeners import address_of, open_listeners
    from agent.net.websocket import Limits, Peer, binary_frame, serve_websocket, text_frame

    async def main() -> None:
        house = House(folder)
        everyone: set[Peer] = set()

        async def handle(peer: Peer) -> None:
            everyone.add(peer)
            try:
                while True:
                    message = await peer.receive()
                    if isinstance(message, bytes):
                        frame = binary_frame(message)
                        for other in everyone:
                            if other is not peer:
                                other._wire._send(frame)
                    elif (plain := json.loads(message)).get("seq") is not None:
                        reply = {"seq": plain["seq"], "success": True, "stream_id": 1}
                        peer.send(text_frame(json.dumps(reply).encode()))
            finally:
                everyone.discard(peer)

        listeners = open_listeners("127.0.0.1", 0)
        async with trio.open_nursery() as nursery:
            await nursery.start(
                partial(
                    serve_websocket,
                    handle,
                    listeners,
                    ssl_context=house.tls.server_context(),
                    limits=Limits(max_connections=1024, max_per_peer=1024),
                    guard=house.context("bare").guard,
                )
            )
            port = address_of(listeners)[1]
            say(url=f"wss://127.0.0.1:{port}/ws", ca=str(house.tls.ca_path))
            await trio.to_thread.run_sync(tell_cpu, abandon_on_cancel=True)
            nursery.cancel_scope.cancel()

    trio.run(main)


SERVERS = {"mine": serve_mine, "loop": serve_loop, "bare": serve_bare}


def tell_cpu() -> None:
    """Each line of stdin is answered with the CPU seconds of this process."""
    for _ in sys.stdin:
        say(cpu_s=time.process_time())


# ----- the clients -----


def listen(url: str, ca: str, count: int) -> None:
    """Log on `count` listeners, then swallow everything; answers with how many binary frames came since."""
    lines = [Line(url, ca) for _ in range(count)]
    for line in lines:
        line.log_on(ACCOUNT, SECRET, CHANNEL)
    poll = select.epoll()
    heard = 0

    def swallow() -> None:
        nonlocal heard
        by_number = {line.sock.fileno(): line for line in lines}
        for number, line in by_number.items():
            line.sock.setblocking(False)
            poll.register(number, select.EPOLLIN)
        while True:
            time.sleep(0.002)  # other machines do not wake ours at every packet
            for number, _ in poll.poll():
                line = by_number[number]
                try:
                    while data := line.sock.recv(65536):
                        line.rest += data
                except ssl.SSLWantReadError:
                    pass
                heard += _whole_binaries(line)

    threading.Thread(target=swallow, daemon=True).start()
    say(listeners=count)
    for _ in sys.stdin:
        say(heard=heard)


def _whole_binaries(line: Line) -> int:
    """Take the whole frames off what has come; how many of them were binary."""
    found, data, place = 0, line.rest, 0
    while len(data) - place >= 2:
        size, start = data[place + 1] & 0x7F, place + 2
        if size == 126:
            if len(data) - place < 4:
                break
            (size,) = struct.unpack_from(">H", data, place + 2)
            start = place + 4
        if len(data) < start + size:
            break
        found += data[place] & 0x0F == 2
        place = start + size
    line.rest = data[place:]
    return found


class Setup:
    """One server, its listeners, and a talker."""

    def __init__(self, stack: ExitStack, kind: str, folder: Path) -> None:
        folder.mkdir()
        self.server = Child(stack, MODULE, "--serve", kind, "--folder", str(folder))
        where = self.server.hear()
        self.listeners = Child(
            stack, MODULE, "--listen", where["url"], "--ca", where["ca"], "--count", str(LISTENERS)
        )
        self.listeners.hear()
        self.talker = Line(where["url"], where["ca"])
        self.talker.log_on(ACCOUNT, SECRET, CHANNEL)
        self._seq = 1

    def round_us(self, packets: list[bytes]) -> float:
        """Talk; CPU microseconds of the server per packet and listener that had it."""
        self._seq += 2
        reply = self.talker.ask(
            command="start_stream", seq=self._seq, channel=CHANNEL, type="audio", codec="opus",
            codec_header="gD4BFA==", packet_duration=PACKET_MS,
        )  # fmt: skip
        stream_id = reply["stream_id"]
        heard, cpu_s = self.listeners.tell()["heard"], self.server.tell()["cpu_s"]
        begun = time.monotonic()
        for number, packet in enumerate(packets):
            time.sleep(max(0.0, begun + number * PACKET_MS / 1000 / SPEED - time.monotonic()))
            self.talker.send(STAMPS.pack(1, stream_id, number) + packet[STAMPS.size :])
        expected, deadline = len(packets) * LISTENERS, time.monotonic() + 2 * len(packets) * PACKET_MS / 1000
        while (got := self.listeners.tell()["heard"] - heard) < expected and time.monotonic() < deadline:
            time.sleep(0.05)
        spent_s = self.server.tell()["cpu_s"] - cpu_s
        self.talker.ask(command="stop_stream", seq=self._seq + 1, stream_id=stream_id, channel=CHANNEL)
        if got < expected:
            print(f"  only {got} of {expected} packets were heard", file=sys.stderr)
        return float(1e6 * spent_s / max(got, 1))


def relay(quick: bool, folder: Path) -> list[Row]:
    """The relay to fifty listeners over TLS, beside the loop."""
    from agent.voice.codec import Codec

    codec, sound = Codec(), speech(QUICK_ROUND_S if quick else ROUND_S)
    packets = [
        codec.encode_packet(1, number, sound[start : start + codec.frame_bytes])
        for number, start in enumerate(range(0, len(sound) - codec.frame_bytes, codec.frame_bytes))
    ]
    with ExitStack() as stack:
        setups = {kind: Setup(stack, kind, folder / kind) for kind in SERVERS}
        spent: dict[str, list[float]] = {kind: [] for kind in setups}
        for number in range(2 if quick else 5):
            for kind, setup in setups.items():
                # The first round is for caches and allocators to warm up.
                once = setup.round_us(packets[:50] if number == 0 else packets)
                if number > 0:
                    spent[kind].append(once)
    mine, loop, bare = (statistics.median(spent[kind]) for kind in SERVERS)
    return [
        Row(f"relay to {LISTENERS} listeners, TLS, per packet and listener", mine, "us CPU"),
        Row("  the same by `await ws.send_message` in a loop", loop, "us CPU"),
        Row("  the same by nothing but socket.send", bare, "us CPU"),
        at_most("  ratio to the loop", mine / loop, "", 0.2),
        Row("  ratio of nothing but socket.send to the loop", bare / loop, ""),
    ]


# ----- Python around the codec -----


def per_packet(quick: bool) -> list[Row]:
    """CPU of one packet's way through the door, with the codec and without it."""
    from agent.intercom.microphone import Heard
    from agent.intercom.transmission import DoorTransmission
    from agent.voice.codec import Codec, CodecSettings
    from agent.voice.playout import Playout
    from agent.workers.zello.wire import decode_packet

    settings = CodecSettings()
    sound = speech(2.0 if quick else 10.0)
    plain = Codec(16_000, 20_000, settings)
    size = plain.frame_bytes
    periods = [sound[start : start + size] for start in range(0, len(sound) - size, size)]
    packets = [plain.encode_packet(1, number, pcm) for number, pcm in enumerate(periods)]
    level = plain.sent_level

    def encode_alone() -> None:
        for number, pcm in enumerate(periods):
            plain.encode_packet(1, number, pcm)

    def outgoing() -> None:
        import trio

        async def run() -> None:
            transmission = DoorTransmission(1, "ring", call_id="c", endpoint="b", settings=settings)
            with transmission.encoded(packet_ms=20) as stream:
                for pcm in periods:
                    transmission.hear(Heard(pcm, level))
                    await stream.packet(1)

        trio.run(run)

    def decode_alone() -> None:
        codec = Codec(16_000, 20_000, settings)
        for packet in packets:
            codec.decode_packet(packet)

    def incoming() -> None:
        now = 0.0
        playout = Playout(clock=lambda: now)
        for packet in packets:
            found = decode_packet(packet)
            playout.push(found.data)  # type: ignore[union-attr]
            now += 0.02
            playout.pull()

    rounds = 3 if quick else 7
    spent: dict[Callable[[], None], list[float]] = {
        way: [] for way in (encode_alone, outgoing, decode_alone, incoming)
    }
    for _ in range(rounds):
        for way, times in spent.items():
            begun = time.process_time()
            way()
            times.append(1e6 * (time.process_time() - begun) / len(periods))
    encode, out, decode, into = (statistics.median(times) for times in spent.values())
    return [
        Row("microphone -> packet, codec included", out, "us CPU"),
        Row("packet -> loudspeaker, codec included", into, "us CPU"),
        at_most("Python around the codec, out and in", (out - encode) + (into - decode), "us CPU", 40),
    ]


# ----- the ring -----


def ring(quick: bool, folder: Path) -> list[Row]:
    """From the press to the first voice packet at a client, on a whole simulated door."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    from harness.agent_process import AgentProcess

    delays_ms: list[float] = []
    with AgentProcess(folder / "door") as door:
        login = door.ask("voice_login", talk=False)
        line = Line(door.url("zello"), door.ready["ca"])
        line.log_on(login["account"], login["secret"], CHANNEL)
        for _ in range(3 if quick else 10):
            press = threading.Thread(
                target=partial(door.ask, "sim", verb="press", endpoint="doorbell", for_ms=60)
            )
            begun = time.monotonic()
            press.start()
            while not isinstance(line.receive(), bytes):
                pass
            delays_ms.append(1000 * (time.monotonic() - begun))
            press.join()
            door.portero("hangup")
            while not (isinstance(told := line.receive(), dict) and told.get("command") == "on_stream_stop"):
                pass
            time.sleep(0.3)
    return [
        Row("press -> first voice packet at a LAN client, median", statistics.median(delays_ms), "ms"),
        Row("  slowest", max(delays_ms), "ms"),
    ]


def run(quick: bool = False) -> list[Row]:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        return [*per_packet(quick), *ring(quick, path), *relay(quick, path)]


def main() -> None:
    """The parent, or one of its children."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--serve", choices=tuple(SERVERS))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--listen", metavar="URL")
    parser.add_argument("--ca")
    parser.add_argument("--count", type=int)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        SERVERS[arguments.serve](arguments.folder)
    elif arguments.listen is not None:
        listen(arguments.listen, arguments.ca, arguments.count)
    else:
        print(table(run(arguments.quick)))


if __name__ == "__main__":
    main()
