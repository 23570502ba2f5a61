"""Honest and hostile clients against one simulated door for a long time: does anything grow?

    python -m bench.soak [--minutes 60]

Fails (exit 1) when, after warm-up, resident memory grows by more than 5 %, when descriptors or threads are
left over, when honest clients do not get their alarms, or when the agent logged a bug.
"""

from __future__ import annotations

import argparse
import random
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from bench.footprint import cpu_s, rss_mb
from bench.report import Row, at_most, table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from harness.agent_process import AgentProcess

HONEST = 6
SAMPLE_S = 2.0
GROWTH = 1.05
NASTY_TEXTS = (
    "", "nonsense", "[]", "null", "1", '"auth"', "{}", '{"event":5}', '{"event":"auth","data":[]}',
    '{"event":"auth","data":{"user":{},"password":[]}}', '{"event":"control","data":"x"}',
    '{"event":"push","data":{"type":"token","token":"' + "t" * 9000 + '"}}', "[" * 5000, '{"a":' * 3000,
    '{"event":"escontrol","data":{"command":"edit","key":"enable","val":"no"}}', "\u0000", "\ud7ff\uffff",
)  # fmt: skip


class Load:
    """Everybody who talks to the door; each worker is one thread that ends when `over` is set."""

    def __init__(self, agent: AgentProcess) -> None:
        self.agent = agent
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.counts: dict[str, int] = {}
        url = agent.url()
        self.host, port = url.removeprefix("wss://").rstrip("/").rsplit(":", 1)
        self.port = int(port)
        self.trust = ssl.create_default_context(cafile=agent.ready["ca"])
        self.trust.check_hostname = False

    def count(self, what: str, by: int = 1) -> None:
        """Add to a figure of the report."""
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + by

    def connect(self) -> ClientConnection:
        """A websocket to the door."""
        url = f"wss://{self.host}:{self.port}/"
        return connect(url, ssl=self.trust, open_timeout=10, close_timeout=2, max_size=2**20)

    def honest(self, number: int) -> None:
        """Log in, stay for a while, remember every ring, leave politely, come back."""
        dice = random.Random(number)
        while not self.over.is_set():
            login = self.agent.ask("listen_login")
            with self.connect() as ws:
                data = {"user": login["account"], "password": login["secret"]}
                ws.send(msgspec.json.encode({"event": "auth", "data": data}).decode())
                if msgspec.json.decode(ws.recv(timeout=10))["status"] != "Success":
                    self.count("honest refused")
                    continue
                self.count("honest sessions")
                stay_until = time.monotonic() + dice.uniform(5, 30)
                while time.monotonic() < stay_until and not self.over.is_set():
                    try:
                        frame = ws.recv(timeout=0.5)
                    except TimeoutError:
                        ws.send('{"event":"control","data":{"type":"version"}}')
                        continue
                    if '"alarm"' in str(frame):
                        self.count("alarms received")

    def ringing(self) -> None:
        """A busy door: press, unlock, siren, contacts."""
        dice = random.Random(1)
        with self.agent.control() as control:
            while not self.over.is_set():
                control.ask("sim", verb="press", endpoint="doorbell", for_ms=20)
                self.count("presses")
                match dice.randrange(4):
                    case 0:
                        control.ask("submit", action={"do": "unlock", "endpoint": "strike", "hold_s": 0.2})
                    case 1:
                        control.ask(
                            "submit", action={"do": "sound_siren", "endpoint": "siren", "duration_s": 0.1}
                        )
                    case 2:
                        control.ask("sim", verb="bounce", endpoint="motion")
                    case 3:
                        control.ask("status")
                time.sleep(dice.uniform(0.02, 0.2))

    def nasty_messages(self, number: int) -> None:
        """Connect properly, then say everything that is known to kill the original server."""
        dice = random.Random(number)
        while not self.over.is_set():
            with self.connect() as ws:
                for _ in range(dice.randrange(1, 40)):
                    text = dice.choice(NASTY_TEXTS)
                    ws.send(text if dice.random() < 0.9 else text.encode("utf-8", "surrogatepass"))
                    self.count("nasty messages")
                if dice.random() < 0.5:
                    ws.send("x" * dice.choice((65_536, 65_537, 200_000)))
                if dice.random() < 0.5:
                    ws.ping()
            time.sleep(0.05)

    def nasty_bytes(self, number: int) -> None:
        """Garbage before, in and after the TLS handshake; half a hello; silence; sudden ends."""
        dice = random.Random(number)
        while not self.over.is_set():
            with socket.create_connection((self.host, self.port), timeout=5) as raw:
                match dice.randrange(4):
                    case 0:
                        raw.sendall(dice.randbytes(dice.randrange(1, 3000)))
                    case 1:
                        raw.sendall(b"\x16\x03\x01\x02\x00\x01")
                        time.sleep(dice.uniform(0, 1))
                    case 2:
                        with self.trust.wrap_socket(raw, server_hostname=self.host) as tls:
                            tls.sendall(dice.choice((b"GET / HTTP/1.1\r\n\r\n", b"\0" * 9000, b"POST /x")))
                            time.sleep(dice.uniform(0, 0.3))
                    case 3:
                        pass
            self.count("nasty connections")
            time.sleep(0.02)

    def stalled(self) -> None:
        """Log in and never read again; the door must drop this one alone."""
        while not self.over.is_set():
            login = self.agent.ask("listen_login")
            with self.connect() as ws:
                data = {"user": login["account"], "password": login["secret"]}
                ws.send(msgspec.json.encode({"event": "auth", "data": data}).decode())
                ws.recv(timeout=10)
                self.over.wait(20)
            self.count("stalled clients")

    def keep(self, work: Callable[..., None], *arguments: Any) -> threading.Thread:
        """Run one kind of client until the end, whatever happens to its connections."""

        def run() -> None:
            while not self.over.is_set():
                try:
                    work(*arguments)
                except (OSError, ConnectionClosed, TimeoutError, EOFError):
                    self.count(f"{work.__name__} connections ended")
                    time.sleep(0.1)

        thread = threading.Thread(target=run, daemon=True, name=work.__name__)
        thread.start()
        return thread


def descriptors(pid: int) -> int:
    """Open file descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def threads(pid: int) -> int:
    """Threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def soak(minutes: float) -> list[Row]:
    """Run the load and judge."""
    with tempfile.TemporaryDirectory() as folder, AgentProcess(Path(folder) / "state") as agent:
        rest = descriptors(agent.pid), threads(agent.pid)
        load = Load(agent)
        workers = [
            *(load.keep(load.honest, number) for number in range(HONEST)),
            *(load.keep(load.nasty_messages, number) for number in range(2)),
            *(load.keep(load.nasty_bytes, number) for number in range(2)),
            load.keep(load.ringing),
            load.keep(load.stalled),
        ]
        begun = time.monotonic()
        end = begun + minutes * 60
        warm_up_s = min(300.0, minutes * 60 / 3)
        samples: list[float] = []
        while time.monotonic() < end:
            time.sleep(SAMPLE_S)
            if time.monotonic() - begun > warm_up_s:
                samples.append(rss_mb(agent.pid))
        spent = cpu_s(agent.pid)
        load.over.set()
        for worker in workers:
            worker.join(30)
        time.sleep(12)  # pre-upgrade deadlines and close handshakes run out
        left = descriptors(agent.pid), threads(agent.pid)
        status = agent.ask("status")
        quarter = max(1, len(samples) // 4)
        first = sorted(samples[:quarter])[quarter // 2]
        last = sorted(samples[-quarter:])[quarter // 2]
        bugs = agent.log().count("Traceback")
        for name, value in sorted(load.counts.items()):
            print(f"  {name}: {value}")
        rows = [
            Row("minutes", minutes, "min"),
            Row("RSS after warm-up", first, "MB"),
            Row("RSS at the end", last, "MB"),
            at_most("growth", last / first, "", GROWTH),
            at_most("descriptors left over", left[0] - rest[0], "", 2),
            at_most("threads left over", left[1] - rest[1], "", 2),
            at_most("honest clients without an alarm", 0 if load.counts.get("alarms received") else 1, "", 0),
            at_most("tracebacks in the log", bugs, "", 0),
            Row("CPU of the agent", 100 * spent / (time.monotonic() - begun), "%"),
            Row("journal entries", status["journal"]["rows"], ""),
            at_most("journal in trouble", 0 if status["journal"]["ok"] else 1, "", 0),
            at_most("exit code after SIGTERM", agent.stop(), "", 0),
        ]
        if not all(row.ok for row in rows):
            print(agent.log()[-4000:])
        return rows


def main() -> None:
    """Run, print, and fail when something grew."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak")
    parser.add_argument("--minutes", type=float, default=60)
    rows = soak(parser.parse_args().minutes)
    print(table(rows))
    sys.exit(0 if all(row.ok for row in rows) else 1)


if __name__ == "__main__":
    main()
