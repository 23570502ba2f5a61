"""A real `portero run --sim` in a process of its own, to be asked, watched and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from click.testing import CliRunner, Result

from agent.cli import cli
from agent.control_client import ControlClient
from agent.journal.query import export
from hw.mirror import MirroredOutput, read_mirror

READY_S = 15.0
REST_S = 0.08  # within its debounce time a button that was let go hears no other press


class AgentProcess:
    """One run of the agent on a state directory; a context manager that leaves nothing behind.

    any_port: listeners take free ones, whatever the configuration says. environ: more variables. launcher: a
    command that starts the agent's own, e.g. `setpriv`. stderr: where it logs to instead of `log_path`; a
    descriptor that stays the caller's.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        config: Path | None = None,
        simulated: bool = True,
        any_port: bool = True,
        environ: Mapping[str, str] | None = None,
        launcher: Sequence[str] = (),
        stderr: int | None = None,
    ) -> None:
        self.state_dir = state_dir
        self.log_path = state_dir.with_name(state_dir.name + ".log")
        self._arguments = ["--any-port"] if any_port else []
        self._arguments += ["--sim"] if simulated else []
        self._arguments += ["--config", str(config)] if config else []
        self._environ = {**os.environ, "PORTERO_STRICT": "", **(environ or {})}
        self._launcher = list(launcher)
        self._stderr = stderr
        self._begun = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}
        self.ready_after_s = 0.0

    def start(self) -> Self:
        """Start and wait until ready.json is there. Raises: RuntimeError with the log when it is not."""
        self.begin()
        return self.wait_ready()

    def begin(self) -> None:
        """Start, and wait for nothing."""
        command = [*self._launcher, sys.executable, "-m", "agent", "run"]
        command += ["--state", str(self.state_dir), *self._arguments]
        self._begun = time.monotonic()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log if self._stderr is None else self._stderr,
                env=self._environ,
            )

    def wait_ready(self) -> Self:
        """Wait until ready.json is there. Raises: RuntimeError with the log when it is not."""
        assert self._process is not None
        path = self.state_dir / "ready.json"
        while time.monotonic() - self._begun < READY_S:
            try:
                ready = json.loads(path.read_bytes())
            except (FileNotFoundError, ValueError, RecursionError):
                pass  # a test may have left anything there
            else:
                if isinstance(ready, dict) and ready.get("pid") == self._process.pid:
                    self.ready = ready
                    self.ready_after_s = time.monotonic() - self._begun
                    return self
            if self._process.poll() is not None:
                break
            time.sleep(0.01)
        self.kill()
        raise RuntimeError(f"the agent did not get ready:\n{self.log()}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, name: str = "zmes") -> str:
        """The address of a listener."""
        return str(self.ready["listeners"][name])

    def control(self) -> ControlClient:
        """A new connection to the control socket."""
        return ControlClient(self.state_dir / "control.sock")

    def ask(self, command: str, **arguments: Any) -> Any:
        """One command on a connection of its own."""
        with self.control() as control:
            return control.ask(command, **arguments)

    def portero(self, *arguments: str, typed: str = "") -> Result:
        """The `portero` command on this agent's state directory, run in this process to save time."""
        result = CliRunner().invoke(cli, [*arguments, "--state", str(self.state_dir)], input=typed)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def unlock(self, endpoint: str = "strike", **more: Any) -> dict[str, Any]:
        """Ask for an unlock as the local account; the outcome."""
        action = {"do": "unlock", "endpoint": endpoint, **more}
        outcome: dict[str, Any] = self.ask("submit", action=action)
        return outcome

    def press(self, endpoint: str = "doorbell", for_ms: int = 20) -> None:
        """Press a button of the simulated door, let it go and wait until it rests."""
        self.ask("sim", verb="press", endpoint=endpoint, for_ms=for_ms)
        time.sleep(REST_S)

    def stored(self, *kinds: str) -> list[dict[str, Any]]:
        """The events in the journal, oldest first; of these kinds alone if any are named."""
        rows = (msgspec.json.decode(line) for line in export(self.state_dir / "journal.db"))
        events: list[dict[str, Any]] = [row["event"] for row in rows if "event" in row]
        return [event for event in events if not kinds or str(event["type"]).partition("/")[0] in kinds]

    def until_stored(self, kind: str, within_s: float = 5.0, **fields: Any) -> dict[str, Any]:
        """Wait for an event with these fields in the journal. Raises: AssertionError with what was there."""
        deadline = time.monotonic() + within_s
        while True:
            found = self.stored(kind)
            fitting = [event for event in found if all(event.get(key) == fields[key] for key in fields)]
            if fitting:
                return fitting[-1]
            assert time.monotonic() < deadline, f"no {kind} {fields} within {within_s:g} s; there are {found}"
            time.sleep(0.02)

    def rss_bytes(self) -> int:
        """The memory that the process holds now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def relays(self) -> dict[str, MirroredOutput]:
        """The outputs as an onlooker sees them."""
        return read_mirror(self.state_dir / "relays.sim")

    def until_relay(self, name: str, energised: bool, within_s: float = 5.0) -> MirroredOutput:
        """Wait until an output is so. Raises: AssertionError."""
        deadline = time.monotonic() + within_s
        while (output := self.relays()[name]).energised is not energised:
            assert time.monotonic() < deadline, f"{name} is not so after {within_s:g} s: {output}"
            time.sleep(0.005)
        return output

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, timeout_s: float = 10.0, *, by: signal.Signals = signal.SIGTERM) -> int:
        """SIGTERM, and wait for the end; the exit code."""
        assert self._process is not None
        self._process.send_signal(by)
        return self._process.wait(timeout_s)

    def wait(self, timeout_s: float = 10.0) -> int:
        """Wait for an end that comes by itself; the exit code."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    def log(self) -> str:
        """What it wrote to stderr and stdout, of all its runs."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def until_logged(self, text: str, within_s: float = 5.0) -> None:
        """Wait until it has written this. Raises: AssertionError with what it wrote."""
        deadline = time.monotonic() + within_s
        while text not in self.log():
            assert time.monotonic() < deadline, f"{text!r} is not in:\n{self.log()}"
            time.sleep(0.01)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
