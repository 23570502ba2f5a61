"""A byte stream over a kept stdlib socket, plain or TLS, that can also be written to without waiting.

trio's own streams make every send a checkpoint; one frame for a hundred clients then costs a hundred
scheduler rounds. Here a send is one system call, and only what the kernel does not take waits, in a bounded
outbox.
"""

from __future__ import annotations

import functools
import socket
import ssl
import struct
from collections import deque

import trio

RECEIVE_BYTES = 4096
SEND_BUFFER_BYTES = 64 * 1024
USER_TIMEOUT_MS = 20_000
LINGER_S = 1.0
LINGER_BYTES = 1024 * 1024

_WANTS_READ = (BlockingIOError, ssl.SSLWantReadError)
_WANTS_WRITE = (BlockingIOError, ssl.SSLWantWriteError)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class SocketStream(trio.abc.Stream):
    """Owns a connected socket; any number of tasks may write, one may read, one runs `write_pending`.

    outbox_messages, outbox_bytes: what may wait; a single write may exceed the bytes when nothing waits.
    outbox_age_s: how long the oldest may wait. Over any of the three the connection is aborted.
    Writes never raise: a failed one closes, `closed` and `reason` tell, and a reader gets the error.
    aborted: it was us who gave the peer up.
    """

    __slots__ = (
        "_changed",
        "_outbox",
        "_outbox_age_s",
        "_outbox_bytes",
        "_outbox_messages",
        "_queued_bytes",
        "_read_waiting",
        "_send",
        "_sock",
        "_tls",
        "_write_waiting",
        "_write_wants_read",
        "aborted",
        "closed",
        "closed_at",
        "last_received",
        "reason",
    )

    def __init__(
        self, sock: socket.socket, *, outbox_messages: int, outbox_bytes: int, outbox_age_s: float
    ) -> None:
        self._sock = sock
        self._send = sock.send
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._outbox_messages = outbox_messages
        self._outbox_bytes = outbox_bytes
        self._outbox_age_s = outbox_age_s
        self._outbox: deque[tuple[bytes, float]] = deque()
        self._queued_bytes = 0
        self._read_waiting = False
        self._write_waiting = False
        self._write_wants_read = False
        # One place to park for everything: whoever is woken looks again whether its own condition holds.
        self._changed = trio.lowlevel.ParkingLot()
        self.aborted = False
        self.closed = False
        self.closed_at = 0.0
        self.reason = ""
        self.last_received = trio.current_time()

    @property
    def pending_messages(self) -> int:
        """How many writes wait in the outbox."""
        return len(self._outbox)

    @property
    def pending_bytes(self) -> int:
        """How many bytes wait in the outbox."""
        return self._queued_bytes

    @property
    def pending_s(self) -> float:
        """For how long the oldest write has been waiting; 0 when none does."""
        return trio.current_time() - self._outbox[0][1] if self._outbox else 0.0

    async def do_handshake(self) -> None:
        """Shake hands for TLS; cancelled and called again it goes on where it was. Nothing when plain.

        Raises: trio.BrokenResourceError, trio.ClosedResourceError.
        """
        if self._tls is None:
            await trio.lowlevel.checkpoint()
            return
        while True:
            self._check_open()
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.wait_readable()
            except ssl.SSLWantWriteError:
                await self._wait_writable()
            except (OSError, ValueError) as error:
                self._forget_errors()
                raise trio.BrokenResourceError(f"TLS handshake failed: {_words(error)}") from error
            else:
                await trio.lowlevel.checkpoint()
                return

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Some bytes, or b"" at the end of the stream.

        Raises: trio.BrokenResourceError, trio.ClosedResourceError.
        """
        self._check_open()
        if self._tls is not None and self._tls.pending():
            await trio.lowlevel.checkpoint()
        else:
            await self.wait_readable()
        while True:
            self._check_open()
            try:
                data = self._sock.recv(max_bytes or RECEIVE_BYTES)
            except _WANTS_READ:
                await self.wait_readable()
            except ssl.SSLWantWriteError:
                # Only a TLS key update does this; the peer waits for our half of it.
                await self._wait_writable()
            except OSError as error:
                self._forget_errors()
                self.reason = self.reason or _words(error)
                raise trio.BrokenResourceError(self.reason) from error
            else:
                self.last_received = trio.current_time()
                return data

    def write(self, data: bytes) -> None:
        """Send without waiting; what the kernel does not take joins the outbox, in order. Never raises."""
        if self.closed or not data:
            return
        if not self._outbox:
            try:
                sent = self._send(data)
            except _WANTS_WRITE:
                sent = 0
            except ssl.SSLWantReadError:
                sent = 0
                self._write_wants_read = True
            except OSError as error:
                self._forget_errors()
                self._close(_words(error))
                return
            if sent == len(data):
                return
            # OpenSSL takes all or nothing, and must be offered the same bytes again: the head of the outbox
            # is never joined or split, except by what a plain socket has really taken.
            data = data[sent:] if sent else data
        elif (
            len(self._outbox) >= self._outbox_messages or self._queued_bytes + len(data) > self._outbox_bytes
        ):
            self.abort(f"does not read: {len(self._outbox)} messages, {self._queued_bytes} bytes waiting")
            return
        self._outbox.append((data, trio.current_time()))
        self._queued_bytes += len(data)
        if len(self._outbox) == 1:
            self._changed.unpark_all()

    async def write_pending(self) -> None:
        """Send what waits, oldest first, until closed: the one writer task of this connection."""
        while not self.closed:
            if not self._outbox:
                await self._changed.park()
                continue
            with trio.move_on_at(self._outbox[0][1] + self._outbox_age_s) as patience:
                try:
                    await (self.wait_readable() if self._write_wants_read else self._wait_writable())
                except (trio.ClosedResourceError, trio.BrokenResourceError):
                    return
            if patience.cancelled_caught:
                self.abort(f"does not read: a message waited {self._outbox_age_s:g} s")
                return
            self._flush()
        await trio.lowlevel.checkpoint()

    async def drain(self) -> None:
        """Wait until nothing waits in the outbox, or the stream is closed."""
        await trio.lowlevel.checkpoint()
        while self._outbox and not self.closed:
            await self._changed.park()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As `write`, with a checkpoint: a task that must not run ahead of the peer adds `drain`."""
        self.write(bytes(data))
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until nothing waits in the outbox."""
        await self.drain()

    async def wait_readable(self) -> None:
        """Wait until the peer has sent something, an end included.

        Raises: trio.ClosedResourceError.
        """
        # trio allows one waiter for each direction of a descriptor; with TLS, reader and writer may want one.
        if self._read_waiting:
            await self._changed.park()
            return
        self._check_open()
        self._read_waiting = True
        try:
            await trio.lowlevel.wait_readable(self._sock)
        finally:
            self._read_waiting = False
            if self._changed:
                self._changed.unpark_all()

    async def finish(self, linger_s: float = LINGER_S) -> None:
        """Send what waits, tell the end, swallow what still comes for a moment, and close.

        Closing over unread bytes makes the kernel send a reset, which can cost the peer our last frame.
        Cancellation: the socket is closed at once.
        """
        try:
            with trio.move_on_after(max(linger_s, self._outbox_age_s if self._outbox else 0)):
                await self.drain()
            if linger_s and not self.closed:
                self._say_goodbye()
                # From here on ssl is out of the way; what is swallowed may be ciphertext.
                self._sock.shutdown(socket.SHUT_WR)
                with trio.move_on_after(linger_s):
                    swallowed = 0
                    while swallowed < LINGER_BYTES and (data := await self.receive_some(65536)):
                        swallowed += len(data)
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            # There is nobody left to be polite to.
            pass
        finally:
            self.close_now()

    async def aclose(self) -> None:
        """Close at once."""
        self.close_now()
        await trio.lowlevel.checkpoint()

    def close_now(self) -> None:
        """Close without waiting; idempotent. TLS peers are told the end when nothing is in the way."""
        if self.closed:
            return
        self._say_goodbye()
        self._close("closed")

    def abort(self, reason: str) -> None:
        """Close with a reset, which also frees what the kernel still holds for the peer; idempotent."""
        if self.closed:
            return
        try:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        except OSError:
            # The descriptor goes anyway.
            pass
        self.aborted = True
        self._close(reason)

    def _say_goodbye(self) -> None:
        if self._tls is None or self._outbox:
            return
        try:
            self._tls.unwrap()
        except (OSError, ValueError):
            # The other side need not confirm, and need not be there.
            self._forget_errors()

    def _forget_errors(self) -> None:
        if self._tls is not None:
            clear_error_queue()

    def _close(self, reason: str) -> None:
        self.closed = True
        self.closed_at = trio.current_time()
        self.reason = self.reason or reason
        self._outbox.clear()
        self._queued_bytes = 0
        if self._sock.fileno() >= 0:
            trio.lowlevel.notify_closing(self._sock)
        self._sock.close()
        self._changed.unpark_all()

    def _flush(self) -> None:
        outbox = self._outbox
        while outbox and not self.closed:
            data, since = outbox[0]
            self._write_wants_read = False
            try:
                sent = self._send(data)
            except _WANTS_WRITE:
                return
            except ssl.SSLWantReadError:
                self._write_wants_read = True
                return
            except OSError as error:
                self._forget_errors()
                self._close(_words(error))
                return
            self._queued_bytes -= sent
            if sent < len(data):
                outbox[0] = (data[sent:], since)
                return
            outbox.popleft()
        self._changed.unpark_all()

    async def _wait_writable(self) -> None:
        if self._write_waiting:
            await self._changed.park()
            return
        self._check_open()
        self._write_waiting = True
        try:
            await trio.lowlevel.wait_writable(self._sock)
        finally:
            self._write_waiting = False
            if self._changed:
                self._changed.unpark_all()

    def _check_open(self) -> None:
        if self.closed:
            raise trio.ClosedResourceError(self.reason)


def clear_error_queue() -> None:
    """Empty OpenSSL's error queue, which all connections of a thread share.

    Newer CPythons (seen with 3.13) raise a system error of one connection, such as a reset, and leave it in
    the queue. The next call for any other connection then fails with it, and an innocent peer is dropped.
    """
    try:
        _spare_context().set_ciphers("NONE-OF-THEM")  # it clears the queue before it complains
    except ssl.SSLError:
        pass


@functools.cache
def _spare_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def prepare(sock: socket.socket) -> None:
    """Set what every connection of ours wants: no Nagle, a small send buffer, dead peers noticed early.

    Raises: OSError when the peer is gone already.
    """
    # A socket that was reset in the backlog makes ssl lose a descriptor when it is wrapped.
    sock.getpeername()
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


def wrap_tls(
    sock: socket.socket, context: ssl.SSLContext, *, server_hostname: str | None = None
) -> ssl.SSLSocket:
    """The same socket with TLS, the handshake still to come; takes the socket over, also when it fails.

    server_hostname: the name to verify; None makes us the server.
    Raises: OSError.
    """
    try:
        return context.wrap_socket(
            sock,
            server_side=server_hostname is None,
            server_hostname=server_hostname,
            do_handshake_on_connect=False,
        )
    except BaseException:
        sock.close()
        raise


def _words(error: Exception) -> str:
    """What went wrong, short enough for one line of a log."""
    # Errors that a context's own checks raise lack the fields that OpenSSL's have.
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {getattr(error, 'verify_message', '') or error}"[:200]
    if isinstance(error, ssl.SSLError):
        return (
            (getattr(error, "reason", "") or str(error) or type(error).__name__)
            .lower()
            .replace("_", " ")[:200]
        )
    if isinstance(error, OSError):
        return (error.strerror or str(error) or type(error).__name__).lower()[:200]
    return str(error)[:200]
