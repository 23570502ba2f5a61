"""Takes pushes to one URL over one kept connection.

Not `HttpClient`: that resolves a host by itself, and here the connection has to go to the very address that
was looked at. Nothing follows a redirect: it is a status like any other.
"""

from __future__ import annotations

import select
import ssl
from collections.abc import Sequence

import h11
import trio

from agent.model.errors import PeerError
from agent.workers.netatmo.destination import Destination, Rule, addresses_of

CONNECT_S = 4.0
RECEIVE_BYTES = 4096
MAX_ANSWER_BYTES = 65_536

_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError, OSError)


class Courier:
    """Belongs to one task. tls: how certificates are checked, for https."""

    def __init__(self, destination: Destination, rule: Rule, tls: ssl.SSLContext | None) -> None:
        self._destination = destination
        self._rule = rule
        self._tls = tls
        self._line: _Line | None = None

    async def post(self, body: bytes, headers: Sequence[tuple[str, str]]) -> int:
        """The status of the answer. Its deadline is the caller's.

        Raises: PeerError. Cancellation: the connection is closed; the push may have arrived.
        """
        request = h11.Request(
            method="POST",
            target=self._destination.target,
            headers=[
                ("Host", self._destination.authority),
                ("User-Agent", "portero"),
                ("Accept", "*/*"),
                ("Content-Type", "application/json"),
                ("Content-Length", str(len(body))),
                *headers,
            ],
        )
        line, self._line = self._line, None
        if line is not None and not line.is_quiet():
            line.close()
            line = None
        if line is not None:
            try:
                return await self._ask(line, request, body)
            except _BROKEN:
                if line.answered:
                    raise PeerError(f"{self._destination.where}: the answer breaks off") from None
                # Closed between two pushes: nobody has heard this one.
        line = await self._connect()
        try:
            return await self._ask(line, request, body)
        except _BROKEN as error:
            raise PeerError(f"{self._destination.where}: connection lost, or no HTTP") from error

    def close(self) -> None:
        """Close the connection."""
        if self._line is not None:
            self._line.close()
            self._line = None

    async def _ask(self, line: _Line, request: h11.Request, body: bytes) -> int:
        keep = False
        try:
            status, keep = await line.ask(request, body)
        finally:
            if keep:
                self._line = line
            else:
                line.close()
        return status

    async def _connect(self) -> _Line:
        """A connection to one of the addresses that were looked at. Raises: PeerError."""
        destination = self._destination
        addresses = await addresses_of(destination, self._rule)
        reason: Exception | None = None
        for family, address in addresses:
            sock = trio.socket.socket(family, trio.socket.SOCK_STREAM)
            try:
                with trio.fail_after(CONNECT_S / len(addresses)):
                    await sock.connect(address)
                    return await self._greet(trio.SocketStream(sock))
            except (trio.TooSlowError, *_BROKEN) as error:
                reason = error
                sock.close()
            except BaseException:
                sock.close()
                raise
        raise PeerError(f"{destination.where}: not reached") from reason

    async def _greet(self, stream: trio.SocketStream) -> _Line:
        if self._destination.scheme == "http":
            return _Line(stream, stream)
        tls = trio.SSLStream(
            stream, self._tls or ssl.create_default_context(), server_hostname=self._destination.host
        )
        await tls.do_handshake()
        return _Line(stream, tls)


class _Line:
    """One connection. answered: something of the answer to the last request came."""

    def __init__(self, raw: trio.SocketStream, stream: trio.abc.Stream) -> None:
        self._raw = raw
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)
        self.answered = False

    def is_quiet(self) -> bool:
        """Whether it can still be used: whoever speaks, or hangs up, between two pushes is not to be kept."""
        number = self._raw.socket.fileno()
        if number < 0:
            return False
        poll = select.poll()
        poll.register(number, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)

    def close(self) -> None:
        """Close without a word."""
        self._raw.socket.close()

    async def ask(self, request: h11.Request, body: bytes) -> tuple[int, bool]:
        """The status, and whether the connection can be kept."""
        self.answered = False
        http = self._http
        head = http.send(request) or b""
        content = http.send(h11.Data(data=body)) or b""
        await self._stream.send_all(head + content + (http.send(h11.EndOfMessage()) or b""))
        status = 0
        size = 0
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                data = bytes(await self._stream.receive_some(RECEIVE_BYTES))
                self.answered = self.answered or bool(data)
                http.receive_data(data)
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                size += len(event.data)
                if size > MAX_ANSWER_BYTES:
                    return status, False
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise h11.RemoteProtocolError("closed without an answer")
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
            return status, False
        http.start_next_cycle()
        return status, True
