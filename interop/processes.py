"""The processes that meet here: a real door, and foreign programs around it.

Nothing of Portero is imported: what is tested is what comes out of its sockets and its command line.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PORTERO = os.environ.get("PORTERO", str(HERE.parent / ".venv" / "bin" / "portero"))
NODE_MODULES = Path(os.environ.get("INTEROP_NODE_PATH", HERE / "node_modules"))
READY_S = 10.0
ANSWER_S = 15.0
STOP_S = 10.0
USER = "fernanda"
PASSWORD = "la llave está bajo la maceta"


class Door:
    """One `portero run --sim`, with one resident. any_port: free ports, whatever its configuration says."""

    def __init__(
        self,
        folder: Path,
        *,
        config: str = "",
        environment: dict[str, str] | None = None,
        any_port: bool = True,
    ) -> None:
        self._environment = {**os.environ, **(environment or {})}
        self._any_port = any_port
        self.state = folder / "state"
        self.log_path = folder / "door.log"
        self._folder = folder
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}
        self.ready_after_s = 0.0

    def start(self) -> Door:
        """Start it, for the first time or once more, and wait until it is ready."""
        command = [PORTERO, "run", "--sim", "--state", str(self.state)]
        if self._any_port:
            command.append("--any-port")
        if self._config:
            path = self._folder / "portero.toml"
            path.write_text(self._config)
            command += ["--config", str(path), "--real-sound"]
        begun = time.monotonic()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )
        first = not self.ready
        while (ready := self._ready_now()).get("pid") != self._process.pid:
            if self._process.poll() is not None or time.monotonic() - begun > READY_S:
                self.kill()
                raise RuntimeError(f"the door did not get ready within {READY_S:g} s:\n{self.log()}")
            time.sleep(0.02)
        self.ready_after_s = time.monotonic() - begun
        self.ready = ready
        if first:
            self.portero("user", "add", USER, "--role", "resident", "--password-stdin", typed=f"{PASSWORD}\n")
        return self

    def _ready_now(self) -> dict[str, Any]:
        try:
            ready: dict[str, Any] = json.loads((self.state / "ready.json").read_text())
        except FileNotFoundError:
            return {}
        return ready

    @property
    def url(self) -> str:
        return self.address("zmes")

    def address(self, listener: str) -> str:
        """Where a listener is, as ready.json tells."""
        return str(self.ready["listeners"][listener])

    @property
    def ca(self) -> str:
        return str(self.ready["ca"])

    def portero(self, *arguments: str, typed: str = "") -> str:
        """Run a command of the command line against this door."""
        done = subprocess.run(
            [PORTERO, *arguments, "--state", str(self.state)],
            input=typed,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, (
            f"portero {' '.join(arguments)}: {done.stdout}{done.stderr}\n{self.log()}"
        )
        return done.stdout

    def press(self) -> None:
        """Somebody rings."""
        self.portero("sim", "press", "doorbell")

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.portero("status", "--json"))
        return answer

    def terminate(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        assert self._process is not None
        return self._process.wait(STOP_S)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""


class Peer:
    """A foreign program, spoken to in JSON lines (peers/README.md)."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.heard: list[dict[str, Any]] = []
        self.noise: list[str] = []
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def tell(self, **command: Any) -> None:
        """Give the program an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def next(self, wanted: Callable[[dict[str, Any]], bool], within_s: float = ANSWER_S) -> dict[str, Any]:
        """The next line that is wanted; those before it are skipped, all are kept in `heard`."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(
                    f"not within {within_s:g} s; heard {self.heard}, and besides:\n" + "\n".join(self.noise)
                )
            self.heard.append(line)
            if wanted(line):
                return line

    def of(self, key: str, within_s: float = ANSWER_S) -> Any:
        """The value of the next line with this key."""
        return self.next(lambda line: key in line, within_s)[key]

    def message(self, event: str, within_s: float = ANSWER_S) -> dict[str, Any]:
        """The next message of the door of this event."""
        found: dict[str, Any] = self.next(
            lambda line: isinstance(line.get("got"), dict) and line["got"].get("event") == event, within_s
        )["got"]
        return found

    def events(self) -> list[str]:
        """The events of all messages so far."""
        return [line["got"]["event"] for line in self.heard if "got" in line]

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(5)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                pass

    def _read(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            try:
                line = json.loads(text)
            except ValueError:
                line = None
            if isinstance(line, dict):
                self._lines.put(line)
            else:
                self.noise.append(text.rstrip())
        self._lines.put(None)
