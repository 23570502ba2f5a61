"""The other end of the control socket: blocking and small, so that `portero unlock` starts at once."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.model.errors import AgentError, PeerError

TIMEOUT_S = 10.0


class CommandFailed(AgentError):
    """The agent understood and said no; the text says why."""


class ControlClient:
    """One connection to a running agent; a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._sock.settimeout(TIMEOUT_S)
        try:
            self._sock.connect(str(path))
        except OSError as error:
            self._sock.close()
            raise PeerError(f"no agent answers at {path} ({error.strerror or error})") from error
        self._lines = self._sock.makefile("rb")

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._lines.close()
        self._sock.close()

    def ask(self, command: str, *, timeout_s: float = TIMEOUT_S, **arguments: Any) -> Any:
        """The result of one command. Raises: PeerError, CommandFailed."""
        self._sock.settimeout(timeout_s)
        self._send(command, arguments)
        reply = self._receive()
        if "error" in reply:
            raise CommandFailed(str(reply["error"]))
        return reply.get("ok")

    def stream(self, command: str, **arguments: Any) -> Iterator[Any]:
        """The items of a stream command for ever. Raises: PeerError when the agent stops, CommandFailed."""
        self._send(command, arguments)
        self._sock.settimeout(None)
        while True:
            reply = self._receive()
            if "error" in reply:
                raise CommandFailed(str(reply["error"]))
            yield reply.get("item")

    def _send(self, command: str, arguments: dict[str, Any]) -> None:
        try:
            self._sock.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
        except BrokenPipeError:
            pass  # why it has closed is in what there is to read
        except OSError as error:
            raise PeerError("the agent closed the control socket") from error

    def _receive(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise PeerError("the agent does not answer") from error
        if not line.endswith(b"\n"):
            raise PeerError("the agent closed the control socket")
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise PeerError("what answers at the control socket is no agent") from error
        if not isinstance(reply, dict):
            raise PeerError("what answers at the control socket is no agent")
        return reply
