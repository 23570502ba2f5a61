"""Serial ports under trio: driven by the readiness of their file descriptor, no thread on the way of a byte.

Devices are best named by what they are (`/dev/serial/by-id/...`): the name is looked up at each opening, so
that a reader that comes back as another ttyUSB is found.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import termios
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from hw.errors import HardwareError

if TYPE_CHECKING:
    import serial

BY_ID = Path("/dev/serial/by-id")
READ_BYTES = 4096
MAX_PENDING_BYTES = 4096
REOPEN_FIRST_S = 0.5
REOPEN_MAX_S = 10.0
REOPEN_JITTER = 0.25
_GONE = frozenset({errno.EIO, errno.ENXIO, errno.ENODEV, errno.EBADF})


class SerialPort:
    """An open port, raw, 8N1, ours alone. One task reads; any may send.

    Sending never waits: what the driver does not take waits in up to MAX_PENDING_BYTES for `drain`, which a
    task of the owner runs; beyond that the device does not listen, and that is a HardwareError.
    """

    def __init__(self, name: str, port: serial.Serial) -> None:
        self._name = name
        self._port = port
        self._fd = int(port.fileno())
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0
        self._waiting = trio.Event()
        self._closed = False

    @classmethod
    def open(cls, name: str, device: str, baud_hz: int) -> SerialPort:
        """Open it. name: the endpoint, for errors. Blocks for a moment only. Raises: HardwareError."""
        import serial  # a door without serial devices does not load it

        port = None
        try:
            port = serial.Serial(device, baud_hz, timeout=0, write_timeout=0, exclusive=True)
            _let_reads_fail_when_there_is_nothing(port.fileno())
            fcntl.ioctl(port.fileno(), termios.TIOCEXCL)  # the lock of `exclusive` binds only who asks for it
            port.reset_input_buffer()
        except (OSError, ValueError, termios.error) as error:  # a SerialException is an OSError
            if port is not None:
                with contextlib.suppress(OSError):
                    port.close()
            raise HardwareError(name, _why(device, error)) from error
        return cls(name, port)

    async def receive_some(self) -> bytes:
        """What has come, at least one byte. Raises: HardwareError when the device is gone, or closed."""
        await trio.lowlevel.checkpoint()
        while True:
            self._check()
            try:
                data = os.read(self._fd, READ_BYTES)
            except BlockingIOError:
                await self._ready(trio.lowlevel.wait_readable)
            except OSError as error:
                raise self._lost(error) from error
            else:
                if data:
                    return data
                raise HardwareError(self._name, "unplugged, or its driver has hung up")

    def send_nowait(self, data: bytes) -> None:
        """Send, in order. Raises: HardwareError when the device is gone, closed, or does not take more."""
        self._check()
        if not self._pending:
            data = data[self._write(data) :]
        if not data:
            return
        if self._pending_bytes + len(data) > MAX_PENDING_BYTES:
            raise HardwareError(self._name, f"takes nothing: {self._pending_bytes} bytes wait for it")
        self._pending.append(data)
        self._pending_bytes += len(data)
        self._waiting.set()

    async def drain(self) -> None:
        """Send what waits, for ever. Raises: HardwareError when the device is gone, or closed."""
        while True:
            await self._waiting.wait()
            self._check()
            while self._pending:
                self._check()
                await self._ready(trio.lowlevel.wait_writable)
                data = self._pending.popleft()
                rest = data[self._write(data) :]
                self._pending_bytes -= len(data) - len(rest)
                if rest:
                    self._pending.appendleft(rest)
            self._waiting = trio.Event()

    def close(self) -> None:
        """Give it back; whoever reads or drains hears of it. Idempotent, never raises."""
        if self._closed:
            return
        self._closed = True
        self._waiting.set()
        trio.lowlevel.notify_closing(self._fd)
        # The kernel would wait up to 30 s for a device that takes nothing.
        with contextlib.suppress(OSError, termios.error):
            termios.tcflush(self._fd, termios.TCOFLUSH)
            fcntl.ioctl(self._fd, termios.TIOCNXCL)
        try:
            self._port.close()
        except OSError:
            pass  # it is gone, which is what was wanted

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self._lost(error) from error

    async def _ready(self, wait: object) -> None:
        try:
            await wait(self._fd)  # type: ignore[operator]
        except (trio.ClosedResourceError, OSError) as error:
            raise HardwareError(self._name, "is closed") from error

    def _check(self) -> None:
        if self._closed:
            raise HardwareError(self._name, "is closed")

    def _lost(self, error: OSError) -> HardwareError:
        if error.errno in _GONE:
            return HardwareError(self._name, "unplugged, or its driver has hung up")
        return HardwareError(self._name, f"failed: {error.strerror or error}")


async def keep_open(
    open_port: Callable[[], SerialPort],
    serve: Callable[[SerialPort], Awaitable[None]],
    failed: Callable[[str], None],
    *,
    rng: Callable[[], float] = random.random,
) -> None:
    """Open a port, let `serve` use it, close it, and so on for ever, with 0.5 to 10 s between.

    serve: runs until the device is gone, which it says by a HardwareError; `failed` is told its reason. A
    port that was good for ten seconds is opened again quickly. rng: gives numbers in [0, 1).
    """
    delay_s = REOPEN_FIRST_S
    while True:
        began_at = trio.current_time()
        try:
            port = open_port()
            try:
                await serve(port)
            finally:
                port.close()
        except HardwareError as error:
            failed(error.reason)
        if trio.current_time() - began_at >= REOPEN_MAX_S:
            delay_s = REOPEN_FIRST_S
        await trio.sleep(delay_s * (1 - REOPEN_JITTER * rng()))
        delay_s = min(delay_s * 2, REOPEN_MAX_S)


def list_ports() -> list[str]:
    """The names by which the serial devices of this machine stay known, sorted."""
    try:
        return sorted(str(path) for path in BY_ID.iterdir())
    except OSError:
        return []


def _let_reads_fail_when_there_is_nothing(fd: int) -> None:
    """pyserial has them give nothing, as does a device that is gone. Raises: termios.error."""
    attributes = termios.tcgetattr(fd)
    attributes[6][termios.VMIN] = 1
    attributes[6][termios.VTIME] = 0
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _why(device: str, error: Exception) -> str:
    """What to do about a port that cannot be opened."""
    number = getattr(error, "errno", None)
    if isinstance(error, termios.error):
        number = error.args[0]
    if number == errno.ENOENT or not os.path.lexists(device):
        there = ", ".join(list_ports()) or "none"
        return f"{device} is not there: is it plugged in? Serial devices of this machine: {there}"
    if number == errno.EACCES:
        return f"{device} may not be used: add the door's user to the group dialout"
    if number in (errno.EBUSY, errno.EWOULDBLOCK, errno.EAGAIN):
        return f"{device} is in use by another program"
    if number is not None:
        return f"{device} cannot be opened: {os.strerror(number)}"
    return f"{device} cannot be opened: {str(error)[:160]}"
