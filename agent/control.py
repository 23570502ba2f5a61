"""The local unix socket behind `portero status|unlock|sim …`.

One JSON object per line each way: `{"command": NAME, ...}` is answered by `{"ok": RESULT}` or
`{"error": TEXT}`; a stream command answers any number of `{"item": …}` lines until either side closes.
Who may open the socket decides who may command: it is mode 0600 (or 0660 for a configured group), and the
peer's user id goes into the journal.
"""

from __future__ import annotations

import grp
import logging
import os
import pwd
import socket
import stat
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any

import msgspec
import trio

from agent.model.errors import AgentError, ConfigError, MalformedMessage, PeerError
from agent.wire.json import decode_any

MAX_REQUEST_BYTES = 64 * 1024
MAX_CONNECTIONS = 16
BACKLOG = 128  # connect(2) to a unix socket does not wait when this many do
IDLE_S = 30.0
SEND_S = 10.0
_UCRED = struct.Struct("3i")
_ACCEPT_RETRY_S = 0.1

Answer = Callable[["Request"], Awaitable[object]]
Stream = Callable[["Request"], AsyncIterator[object]]
Guard = Callable[[str], AbstractAsyncContextManager[None]]
logger = logging.getLogger(__name__)


class Request:
    """One command with its arguments and the local account that sent it."""

    def __init__(self, arguments: dict[str, Any], account: str) -> None:
        self.arguments = arguments
        self.account = account

    def get(self, name: str, kind: Any, default: Any = msgspec.UNSET) -> Any:
        """A typed argument. Raises: MalformedMessage."""
        value = self.arguments.get(name, default)
        if value is msgspec.UNSET:
            raise MalformedMessage(name, "is missing")
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise MalformedMessage(name, str(error)) from error


class ControlServer:
    """Answers commands; knows nothing of what they mean."""

    def __init__(
        self,
        path: Path,
        *,
        answers: Mapping[str, Answer],
        streams: Mapping[str, Stream],
        guard: Guard,
        group: str = "",
    ) -> None:
        self._path = path
        self._answers = answers
        self._streams = streams
        self._guard = guard
        self._group = group

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled. Raises: ConfigError when the socket cannot be made."""
        try:
            listener = self._listen()
        except (OSError, KeyError) as error:
            raise ConfigError(str(self._path), f"cannot listen: {error}") from error
        limiter = trio.Semaphore(MAX_CONNECTIONS)
        try:
            with listener:
                async with trio.open_nursery() as nursery:
                    task_status.started()
                    while True:
                        stream = await self._accept(listener)
                        try:
                            limiter.acquire_nowait()
                        except trio.WouldBlock:
                            await self._turn_away(stream)
                        else:
                            nursery.start_soon(self._connection, stream, limiter)
        finally:
            self._path.unlink(missing_ok=True)

    def _listen(self) -> trio.socket.SocketType:
        if self._path.exists() and not stat.S_ISSOCK(self._path.stat().st_mode):
            raise OSError("something that is no socket is in the way")
        self._path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            # bind(2) makes the file with the umask's mode: nobody else may connect in between.
            before = os.umask(0o177)
            try:
                sock.bind(str(self._path))
            finally:
                os.umask(before)
            try:
                if self._group:
                    os.chown(self._path, -1, grp.getgrnam(self._group).gr_gid)
                    self._path.chmod(0o660)
                sock.listen(BACKLOG)
            except BaseException:
                self._path.unlink(missing_ok=True)
                raise
        except BaseException:
            sock.close()
            raise
        return trio.socket.from_stdlib_socket(sock)

    async def _accept(self, listener: trio.socket.SocketType) -> trio.SocketStream:
        while True:
            try:
                sock, _ = await listener.accept()
            except OSError as error:
                logger.warning("accept failed error=%s", error)
                await trio.sleep(_ACCEPT_RETRY_S)
            else:
                return trio.SocketStream(sock)

    async def _turn_away(self, stream: trio.SocketStream) -> None:
        """Say no to one connection too many; the few bytes fit into any socket's buffer."""
        async with self._guard("control"), stream:
            await _send(stream, {"error": f"there are {MAX_CONNECTIONS} connections already"})

    async def _connection(self, stream: trio.SocketStream, limiter: trio.Semaphore) -> None:
        try:
            async with self._guard("control"), stream:
                account = _account(stream)
                async with trio.open_nursery() as nursery:
                    lines = _Lines(stream)
                    while (line := await lines.next()) is not None:
                        await self._answer(line, account, stream, lines, nursery)
        finally:
            limiter.release()

    async def _answer(
        self,
        line: bytes,
        account: str,
        stream: trio.SocketStream,
        lines: _Lines,
        nursery: trio.Nursery,
    ) -> None:
        try:
            plain = decode_any(line, "request", max_bytes=MAX_REQUEST_BYTES)
            if not isinstance(plain, dict):
                raise MalformedMessage("request", "expected an object")
            command = str(plain.pop("command", ""))
            request = Request(plain, account)
            if command in self._streams:
                await self._follow(self._streams[command](request), stream, lines, nursery)
                return
            if command not in self._answers:
                raise MalformedMessage("command", f"unknown: {command[:40]!r}")
            reply: dict[str, object] = {"ok": await self._answers[command](request)}
        except _Gone:
            raise
        except AgentError as error:
            reply = {"error": str(error)}
        await _send(stream, reply)

    async def _follow(
        self,
        items: AsyncIterator[object],
        stream: trio.SocketStream,
        lines: _Lines,
        nursery: trio.Nursery,
    ) -> None:
        """Send the items; a follower says no more, so its connection ends with them or when it closes."""
        nursery.start_soon(_cancel_at_end, lines, nursery.cancel_scope)
        try:
            async with aclosing(items):  # type: ignore[type-var]
                async for item in items:
                    await _send(stream, {"item": item})
        except _Gone:
            raise
        except AgentError as error:
            await _send(stream, {"error": str(error)})
        nursery.cancel_scope.cancel()


class _Gone(PeerError):
    """The other side takes nothing any more."""


class _Lines:
    """Lines of bounded length from a stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def next(self, idle_s: float = IDLE_S) -> bytes | None:
        """The next line without its end, None when the other side is done or silent for too long."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > MAX_REQUEST_BYTES:
                raise PeerError("control: line too long")
            with trio.move_on_after(idle_s) as idle:
                try:
                    data = await self._stream.receive_some()
                except trio.BrokenResourceError:
                    return None
            if idle.cancelled_caught or not data:
                return None
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line


async def _cancel_at_end(lines: _Lines, scope: trio.CancelScope) -> None:
    while await lines.next(idle_s=float("inf")) is not None:
        pass
    scope.cancel()


async def _send(stream: trio.SocketStream, reply: dict[str, object]) -> None:
    try:
        with trio.fail_after(SEND_S):
            await stream.send_all(msgspec.json.encode(reply) + b"\n")
    except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError) as error:
        raise _Gone("control: peer gone") from error


def _account(stream: trio.SocketStream) -> str:
    """The local account at the other end, as `local:NAME`."""
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(credentials)
    try:
        return f"local:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"local:{uid}"
