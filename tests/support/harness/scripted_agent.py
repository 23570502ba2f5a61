"""A scripted agent on a real control socket, in a thread of its own: for tests of the command line."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trio

from agent.control import ControlServer, Request
from agent.model.errors import MalformedMessage
from agent.supervise import Guard

START_S = 5.0

STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 4711,
    "boot_id": "b" * 32,
    "boot_number": 7,
    "uptime_s": 93_784.2,
    "door": "Front door",
    "simulated": True,
    "ready": {"pid": 4711, "ca": "/nowhere/tls/ca.pem", "listeners": {}},
    "endpoints": [
        {
            "name": "doorbell",
            "label": "Bell",
            "kind": "button",
            "role": "",
            "state": "released",
            "problem": None,
            "notify": "default",
            "extra": {},
        },
        {
            "name": "strike",
            "label": "Front door",
            "kind": "lock",
            "role": "",
            "state": "locked",
            "problem": None,
            "notify": "default",
            "extra": {"door": "closed", "door_problem": None},
        },
        {
            "name": "siren",
            "label": "Siren",
            "kind": "siren",
            "role": "",
            "state": "off",
            "problem": None,
            "notify": "default",
            "extra": {},
        },
        {
            "name": "staircase",
            "label": "Staircase light",
            "kind": "light",
            "role": "",
            "state": "off",
            "problem": None,
            "notify": "mute",
            "extra": {},
        },
        {
            "name": "tamper",
            "label": "Tamper loop",
            "kind": "contact",
            "role": "tamper",
            "state": "calm",
            "problem": None,
            "notify": "default",
            "extra": {},
        },
        {
            "name": "smoke",
            "label": "Smoke detector",
            "kind": "contact",
            "role": "smoke",
            "state": "calm",
            "problem": None,
            "notify": "default",
            "extra": {},
        },
    ],
    "calls": [{"call_id": "c1", "endpoint": "doorbell", "state": "ringing"}],
    "journal": {
        "ok": True,
        "last_committed": 41,
        "pending": 0,
        "rows": 41,
        "size_bytes": 98_304,
        "problem": None,
    },
    "workers": {"zmes": {"state": "running", "reason": "", "page": {"clients": 2}}},
    "problems": [],
}


class ScriptedAgent:
    """Answers control commands from a table and notes what it was asked; a context manager.

    replies: command -> result, or a function of the arguments that gives it; an exception is raised.
    items: what the `events` stream says before it ends.
    """

    def __init__(self, state_dir: Path, **replies: Any) -> None:
        self.replies: dict[str, Any] = {"status": STATUS, **replies}
        self.items: list[object] = []
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._reached: threading.Event | None = None
        self._path = state_dir / "control.sock"
        self._started = threading.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._thread = threading.Thread(target=trio.run, args=(self._run,), name="scripted agent")

    def hold(self, reached: threading.Event) -> None:
        """Keep the `events` stream open at its end, and set `reached` when a client is there."""
        self._reached = reached

    def arguments(self, command: str) -> dict[str, Any]:
        """The arguments of the last such command."""
        return next(arguments for name, arguments in reversed(self.asked) if name == command)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(START_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._token is not None
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(START_S)
        assert not self._thread.is_alive()

    async def _run(self) -> None:
        commands = {name for name in self.replies if name != "events"}
        server = ControlServer(
            self._path,
            answers={name: self._answer(name) for name in commands},
            streams={"events": self._events},
            guard=_guard(),
        )
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(server.run)
                self._started.set()

    def _answer(self, name: str) -> Any:
        async def answer(request: Request) -> object:
            await trio.lowlevel.checkpoint()
            self.asked.append((name, request.arguments))
            reply = self.replies[name]
            if callable(reply):
                reply = reply(request.arguments)
            if isinstance(reply, Exception):
                raise reply
            return reply

        return answer

    async def _events(self, request: Request) -> AsyncIterator[object]:
        self.asked.append(("events", request.arguments))
        for item in self.items:
            await trio.lowlevel.checkpoint()
            yield item
        if self._reached is not None:
            self._reached.set()
            await trio.sleep_forever()
        # An agent that stops closes the connection; a silent end would leave the reader waiting.
        raise MalformedMessage("events", "the script is at its end")


def _guard() -> Callable[[str], AbstractAsyncContextManager[None]]:
    return Guard("control", lambda event: None, strict=True)
