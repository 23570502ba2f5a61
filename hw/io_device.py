"""A Portero IO device on a pseudo-terminal, for tests, for `--sim`, and for whoever tries the protocol.

`python -m hw.io_device` prints the name of its port, then each output that is switched. On its standard input
it takes `2 on`, `2 off` (an input), `reboot`, `plug` and `unplug`.
"""

from __future__ import annotations

import os
import sys
import tty
from collections import deque
from collections.abc import Callable
from pathlib import Path

import trio

from hw.io_firmware import Firmware

READ_BYTES = 4096
POLL_S = 0.02
MAX_PIECE = 4096
MAX_DELAYED = 1024
MAX_SEEN = 256


class Fault:
    """What happens to the frames of one direction; nothing, unless it is told to.

    drop, corrupt, twice: so many of the next frames are lost, have a bit flipped, come twice. delay_s: how
    late they come. cut: none comes. seen: the last 256 that came, before anything happened to them.
    """

    def __init__(self) -> None:
        self.drop = 0
        self.corrupt = 0
        self.twice = 0
        self.delay_s = 0.0
        self.cut = False
        self.seen: deque[bytes] = deque(maxlen=MAX_SEEN)

    def through(self, frame: bytes) -> list[bytes]:
        """What is left of a frame."""
        self.seen.append(frame)
        if self.cut:
            return []
        if self.drop:
            self.drop -= 1
            return []
        if self.corrupt:
            self.corrupt -= 1
            middle = len(frame) // 2
            return [frame[:middle] + bytes((frame[middle] ^ 0x10,)) + frame[middle + 1 :]]
        if self.twice:
            self.twice -= 1
            return [frame, frame]
        return [frame]


class IoDevice:
    """See hw/io_firmware.py for the device itself. `run` is its owner; everything else in the same trio run.

    device: the name of its port until `unplug`; `plug` makes a new one. link: a symlink that always leads to
    it, as those of /dev/serial/by-id do.
    """

    def __init__(self, firmware: Firmware | None = None, *, link: Path | None = None) -> None:
        self.firmware = firmware or Firmware()
        self.to_host = Fault()
        self.to_device = Fault()
        self.device = ""
        self._link = link
        self._ours = -1
        self._theirs = -1
        self._piece = bytearray()
        self._delayed: deque[tuple[float, Callable[[bytes], object], bytes]] = deque(maxlen=MAX_DELAYED)
        self.plug()

    def plug(self) -> None:
        """Plug it in again; the device has another name then."""
        self.unplug()
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.device = os.ttyname(self._theirs)
        if self._link is not None:
            self._link.symlink_to(self.device)

    def unplug(self) -> None:
        """Pull it out; it keeps its supply, and misses the host."""
        if self._ours >= 0:
            trio.lowlevel.notify_closing(self._ours)
            os.close(self._ours)
            os.close(self._theirs)
        self._ours = self._theirs = -1
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    close = unplug

    def move(self, channel: int, active: bool) -> None:
        """Make an input so. Raises: ValueError when it is no input."""
        self._answer(self.firmware.move(channel, active, trio.current_time()))

    def reboot(self) -> None:
        """Take its supply away for a moment; the port stays, as with a converter of its own."""
        self.firmware.reboot(trio.current_time())
        self._piece.clear()

    def say(self, data: bytes) -> int:
        """Send anything to the host, which has room for so many bytes of it; the rest is lost."""
        try:
            return os.write(self._ours, data) if self._ours >= 0 else 0
        except OSError:  # full, or gone
            return 0

    def hear(self, data: bytes) -> None:
        """Let the device hear anything, as if it came from the host."""
        self._answer(self.firmware.receive(data, trio.current_time()))

    async def run(self) -> None:
        """Live, for ever. The port is closed at the end."""
        try:
            while True:
                self._split(await self._read())
                now = trio.current_time()
                while self._delayed and self._delayed[0][0] <= now:
                    _, deliver, frame = self._delayed.popleft()
                    deliver(frame)
                self._answer(self.firmware.tick(now))
        finally:
            self.unplug()

    async def _read(self) -> bytes:
        """What the host sends within POLL_S; a hand may have moved something meanwhile."""
        with trio.move_on_at(min(trio.current_time() + POLL_S, self.firmware.next_due_s())):
            if self._ours < 0:
                await trio.sleep(POLL_S)
                return b""
            try:
                await trio.lowlevel.wait_readable(self._ours)
                return os.read(self._ours, READ_BYTES)
            except (trio.ClosedResourceError, OSError):
                await trio.lowlevel.checkpoint()
        return b""

    def _split(self, data: bytes) -> None:
        """Bytes of the host to frames, so that something can happen to each."""
        *ended, rest = data.split(b"\0")
        for piece in ended:
            self._piece += piece
            if self._piece:
                frame = b"\0" + bytes(self._piece) + b"\0"
                self._piece.clear()
                self._pass(self.to_device, frame, self.hear)
        self._piece += rest
        del self._piece[MAX_PIECE:]  # no frame is so long

    def _answer(self, frames: list[bytes]) -> None:
        for frame in frames:
            self._pass(self.to_host, frame, self.say)

    def _pass(self, fault: Fault, frame: bytes, deliver: Callable[[bytes], object]) -> None:
        for left in fault.through(frame):
            if fault.delay_s:
                self._delayed.append((trio.current_time() + fault.delay_s, deliver, left))
            else:
                deliver(left)


async def _obey(device: IoDevice) -> None:
    """Lines of the standard input."""
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as stream:
        buffer = b""
        async for data in stream:
            *lines, buffer = (buffer + data)[-4096:].split(b"\n")
            for line in lines:
                match line.decode(errors="replace").split():
                    case ["reboot"]:
                        device.reboot()
                    case ["unplug"]:
                        device.unplug()
                    case ["plug"]:
                        device.plug()
                        print(device.device, flush=True)
                    case [channel, ("on" | "off") as word] if channel.isdecimal():
                        try:
                            device.move(int(channel), word == "on")
                        except ValueError as error:
                            print(error, flush=True)
                    case []:
                        pass
                    case _:
                        print("expected: 2 on, 2 off, reboot, plug or unplug", flush=True)


async def _main() -> None:
    device = IoDevice()
    print(device.device, flush=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(device.run)
        nursery.start_soon(_obey, device)
        while True:
            for _, channel, on in [*device.firmware.switched]:
                print(f"channel {channel} {'on' if on else 'off'}", flush=True)
            device.firmware.switched.clear()
            await trio.sleep(POLL_S)


if __name__ == "__main__":
    try:
        trio.run(_main)
    except KeyboardInterrupt:
        pass
