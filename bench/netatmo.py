"""The door as a Classe 300 EOS: button edge -> first byte of the ring at its webhook, and at the last of 20.

Beside ours stands what a user would write instead: an httpx client on trio that posts the same signed body to
all of them at once. The doors and the receivers are processes of their own; both doors are asked in turn.

    python -m bench.netatmo [--quick]
"""

from __future__ import annotations

import argparse
import hmac
import json
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
from hashlib import sha256
from pathlib import Path

from bench.child import Child, say
from bench.latency import press_on_command
from bench.report import Row, at_most, table

ROOT = Path(__file__).resolve().parents[1]
PRESSES = 120
PAUSE_S = 0.04
MARK = b"-incoming_call"
LIMIT_MS = 5.0
HUNG = 3
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def door(folder: Path, urls: list[str]) -> None:
    """The real path: fake pins in a foreign thread, edges, event log, calls, the Netatmo server."""
    sys.path.insert(0, str(ROOT / "tests" / "support"))
    import trio
    from harness import context as harness
    from harness.netatmo_door import ALL, NetatmoDoor

    from agent.bus import EventLog
    from agent.calls import Calls, CallsConfig
    from agent.endpoints import House
    from agent.model.actions import EndCall
    from agent.workers.netatmo.config import ServerConfig
    from agent.workers.netatmo.server import serve
    from hw.board import ButtonPins, open_board
    from hw.fake import FakePins

    pin_map = {"doorbell": ButtonPins(pin=17, debounce_ms=1)}

    async def main() -> None:
        log = EventLog(boot_id="bench")
        house = House(pin_map, log=log)
        calls = Calls(CallsConfig(), log=log, new_id=iter(map(str, range(10**6))).__next__)
        outside = harness.House(folder, endpoints=house.infos, log=log)
        pins = FakePins()  # pressed from the thread that reads stdin, as foreign as the one of lgpio

        def hang_up(_name: str) -> None:
            pins.release("doorbell")
            trio.from_thread.run_sync(partial(calls.perform, EndCall(), by="bench", action_id=""))

        with pins, open_board(pin_map, pins=pins) as board:
            async with trio.open_nursery() as nursery:
                await nursery.start(partial(calls.run, after=0))
                await nursery.start(house.run, board)
                await nursery.start(serve, ServerConfig(max_webhooks=256), outside.context("netatmo"))
                own = NetatmoDoor(outside)
                for url in urls:
                    token = await own.issue(ALL)
                    reply = await own.call("POST", "/webhooks/v1", token=token, plain={"url": url})
                    assert reply.status == 200, reply.json
                say(ready=True)
                await trio.to_thread.run_sync(partial(_presses, pins.press, hang_up), abandon_on_cancel=True)
                nursery.cancel_scope.cancel()

    trio.run(main)


def plain(urls: list[str]) -> None:
    """What a user would write: httpx posts a body, signed as the vendor does, to every webhook at once."""
    import httpx
    import trio

    from hw.board import ButtonPins, open_board
    from hw.edges import EdgeFeed
    from hw.fake import FakePins

    event = {
        "user_id": "5c81004xxxxxxxxxx45f4", "event_type": "incoming_call", "device_id": "00:03:50:00:00:01",
        "home_id": "5c81004xxxxxxxxxx45f5", "home_name": "Home", "camera_id": "00:03:50:00:00:01",
        "event_id": "5c81004xxxxxxxxxx45f6", "session_id": "5c81004xxxxxxxxxx45f7",
        "push_type": "BNCX-incoming_call",
    }  # fmt: skip

    async def post(client: httpx.AsyncClient, url: str) -> None:
        body = json.dumps(event).encode()
        signature = hmac.digest(b"the secret", body, sha256).hex()
        headers = {"content-type": "application/json", "x-netatmo-secret": signature}
        await client.post(url, content=body, headers=headers)

    async def tell(feed: EdgeFeed, client: httpx.AsyncClient) -> None:
        while True:
            if (await feed.receive()).active:
                async with trio.open_nursery() as nursery:
                    for url in urls:
                        nursery.start_soon(post, client, url)

    async def main() -> None:
        pins = FakePins()
        pin_map = {"doorbell": ButtonPins(pin=17, debounce_ms=1)}
        with pins, open_board(pin_map, pins=pins) as board:
            async with (
                httpx.AsyncClient(trust_env=False) as client,
                EdgeFeed(board.inputs["doorbell"], 0.001) as feed,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(tell, feed, client)
                say(ready=True)
                await trio.to_thread.run_sync(
                    partial(_presses, pins.press, pins.release), abandon_on_cancel=True
                )
                nursery.cancel_scope.cancel()

    trio.run(main)


def _presses(press: Callable[[str], object], release: Callable[[str], object]) -> None:
    """Each line of stdin is a press, answered with its moment."""
    for _ in sys.stdin:
        press_on_command(press, release)


def receivers(count: int) -> None:
    """Webhooks on two ports: one answers, the other never does.

    Each line of stdin is answered with the moments at which the first and the last of `count` rings came.
    """
    answering, hanging = (socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(2))
    poll = select.epoll()
    poll.register(answering.fileno(), select.EPOLLIN)
    poll.register(hanging.fileno(), select.EPOLLIN)
    streams: dict[int, socket.socket] = {}
    arrived = threading.Event()
    moments: list[int] = []

    def watch() -> None:
        had: list[int] = []
        while True:
            for number, _ in poll.poll():
                now_ns = time.monotonic_ns()
                if number in (answering.fileno(), hanging.fileno()):
                    stream, _ = (answering if number == answering.fileno() else hanging).accept()
                    if number == answering.fileno():
                        poll.register(stream.fileno(), select.EPOLLIN)
                    streams[stream.fileno()] = stream
                    continue
                data = streams[number].recv(65536)
                if not data:
                    poll.unregister(number)
                    streams.pop(number).close()
                    continue
                had += [now_ns] * data.count(MARK)
                if b'"push_type"' in data:  # head and body come in one piece, or the body does
                    streams[number].sendall(ANSWER)
                if len(had) >= count:
                    moments[:] = (had[0], had[-1])
                    had.clear()
                    arrived.set()

    threading.Thread(target=watch, daemon=True).start()
    say(port=answering.getsockname()[1], hung_port=hanging.getsockname()[1])
    for _ in sys.stdin:
        say(moments=moments if arrived.wait(5) else None)
        arrived.clear()


class Pair:
    """A door and its receivers; `hung` of the webhooks never answer."""

    def __init__(self, stack: ExitStack, role: str, count: int, hung: int = 0) -> None:
        self._receivers = Child(stack, "bench.netatmo", "--receivers", str(count - hung))
        ports = self._receivers.hear()
        urls = [f"http://127.0.0.1:{ports['port']}/{number}" for number in range(count - hung)]
        urls += [f"http://127.0.0.1:{ports['hung_port']}/{number}" for number in range(hung)]
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        self._door = Child(stack, "bench.netatmo", role, folder, "--urls", json.dumps(urls))
        self._door.hear()
        self.first_ms: list[float] = []
        self.last_ms: list[float] = []

    def press(self, *, counts: bool) -> None:
        """Press once; how long it took until the first and the last of them had it."""
        pressed_ns = self._door.tell()["pressed_ns"]
        moments = self._receivers.tell()["moments"]
        time.sleep(PAUSE_S)
        if moments is None:
            raise RuntimeError("a webhook did not hear of a ring")
        if counts:
            self.first_ms.append((moments[0] - pressed_ns) / 1e6)
            self.last_ms.append((moments[1] - pressed_ns) / 1e6)


def run(quick: bool = False) -> list[Row]:
    """Latency with one webhook, with 20, and with 20 of which three hang; beside httpx."""
    presses = 40 if quick else PRESSES
    with ExitStack() as stack:
        one, many, hung = (
            Pair(stack, "--door", 1), Pair(stack, "--door", 20), Pair(stack, "--door", 20, HUNG),
        )  # fmt: skip
        loop = Pair(stack, "--plain", 20)
        for number in range(presses + 10):
            for pair in (one, many, hung, loop):
                pair.press(counts=number >= 10)
    first, last = statistics.median(many.first_ms), statistics.median(many.last_ms)
    loop_last = statistics.median(loop.last_ms)
    label = "button edge -> first webhook byte"
    return [
        at_most(f"{label}, 1 webhook, p50", statistics.median(one.first_ms), "ms", LIMIT_MS),
        Row(f"{label}, 1 webhook, p99", _p99(one.first_ms), "ms"),
        at_most(f"{label}, 20 webhooks, p50", first, "ms", LIMIT_MS),
        at_most(f"{label}, 20 of which {HUNG} hang, p50", statistics.median(hung.first_ms), "ms", LIMIT_MS),
        Row(f"{label}, 20 of which {HUNG} hang, p99", _p99(hung.first_ms), "ms"),
        Row("button edge -> the last of 20 webhooks, p50", last, "ms"),
        Row(f"the last of the {20 - HUNG} that do not hang, p50", statistics.median(hung.last_ms), "ms"),
        Row("the last of 20 by httpx, p50", loop_last, "ms"),
        at_most("p50 of the last, ours / httpx", last / loop_last, "", 1.0),
    ]


def _p99(delays: list[float]) -> float:
    return sorted(delays)[len(delays) * 99 // 100]


def main() -> None:
    """Parent, door, what a user would write, or receivers, as the arguments say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--door", type=Path)
    parser.add_argument("--plain", type=Path)
    parser.add_argument("--receivers", type=int)
    parser.add_argument("--urls", type=json.loads, default=[])
    arguments = parser.parse_args()
    if arguments.door is not None:
        door(arguments.door, arguments.urls)
    elif arguments.plain is not None:
        plain(arguments.urls)
    elif arguments.receivers is not None:
        receivers(arguments.receivers)
    else:
        print(table(run(arguments.quick)))


if __name__ == "__main__":
    main()
