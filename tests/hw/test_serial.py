"""Serial ports, on real pseudo-terminals."""

from __future__ import annotations

import fcntl
import os
import termios
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from hw import serial
from hw.errors import HardwareError
from hw.serial import MAX_PENDING_BYTES, REOPEN_MAX_S, SerialPort, keep_open


class Wire:
    """The other end of a port, and the device's name."""

    def __init__(self) -> None:
        self.fd, other = os.openpty()
        tty.setraw(other)
        self.device = os.ttyname(other)
        self._other: int | None = other

    def only(self) -> None:
        """Let the port be the only one that holds the device open."""
        if self._other is not None:
            os.close(self._other)
            self._other = None

    def unplug(self) -> None:
        self.only()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.unplug()


async def test_bytes_both_ways(wire: Wire) -> None:
    port = SerialPort.open("front", wire.device, 9600)
    wire.only()
    os.write(wire.fd, b"\x02hello\x03")
    with trio.fail_after(2):
        assert await port.receive_some() == b"\x02hello\x03"
    port.send_nowait(b"\x00\x11\x13\r\n")
    assert os.read(wire.fd, 100) == b"\x00\x11\x13\r\n"
    port.close()
    port.close()


async def test_whoever_reads_waits_for_bytes(wire: Wire) -> None:
    port = SerialPort.open("front", wire.device, 9600)
    got: list[bytes] = []

    async def read() -> None:
        got.append(await port.receive_some())

    with trio.fail_after(2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            assert got == []
            os.write(wire.fd, b"x")
    assert got == [b"x"]
    port.close()


async def test_unplugged_while_somebody_reads(wire: Wire) -> None:
    port = SerialPort.open("front", wire.device, 9600)
    with trio.fail_after(2):
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                with pytest.raises(HardwareError, match="front: unplugged"):
                    await port.receive_some()

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            wire.unplug()
    port.close()


async def test_closed_while_somebody_reads(wire: Wire) -> None:
    port = SerialPort.open("front", wire.device, 9600)
    with trio.fail_after(2):
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                with pytest.raises(HardwareError, match="is closed"):
                    await port.receive_some()

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            port.close()
    with pytest.raises(HardwareError, match="is closed"):
        port.send_nowait(b"x")


async def test_closed_while_somebody_drains(wire: Wire) -> None:
    port = SerialPort.open("front", wire.device, 9600)
    with trio.fail_after(2):
        async with trio.open_nursery() as nursery:

            async def drain() -> None:
                with pytest.raises(HardwareError, match="is closed"):
                    await port.drain()

            nursery.start_soon(drain)
            await trio.testing.wait_all_tasks_blocked()
            port.close()


async def test_it_comes_back_under_another_name(wire: Wire, tmp_path: Path) -> None:
    by_id = tmp_path / "usb-reader"
    by_id.symlink_to(wire.device)
    SerialPort.open("front", str(by_id), 9600).close()
    wire.unplug()
    by_id.unlink()
    with pytest.raises(HardwareError, match="is not there: is it plugged in"):
        SerialPort.open("front", str(by_id), 9600)
    other = Wire()
    by_id.symlink_to(other.device)
    port = SerialPort.open("front", str(by_id), 9600)
    os.write(other.fd, b"again")
    with trio.fail_after(2):
        assert await port.receive_some() == b"again"
    port.close()
    other.unplug()


async def test_a_device_that_takes_nothing(wire: Wire) -> None:
    port = SerialPort.open("front", wire.device, 9600)
    sent = 0
    while port._pending_bytes + 512 <= MAX_PENDING_BYTES:
        port.send_nowait(bytes(512))
        sent += 512
        assert sent < 10**6
    with pytest.raises(HardwareError, match="takes nothing"):
        port.send_nowait(bytes(512))
    assert port._pending_bytes <= MAX_PENDING_BYTES
    read = 0
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(port.drain)
            while read < sent:
                await trio.lowlevel.wait_readable(wire.fd)
                read += len(os.read(wire.fd, 65536))
            nursery.cancel_scope.cancel()
    assert read == sent
    port.close()


async def test_one_program_at_a_time(wire: Wire) -> None:
    port = SerialPort.open("front", wire.device, 9600)
    with pytest.raises(HardwareError, match="in use by another program"):
        SerialPort.open("back", wire.device, 9600)
    assert _exclusive(port), "for programs that ask for no lock"
    port.close()
    port = SerialPort.open("back", wire.device, 9600)
    port.close()


def _exclusive(port: SerialPort) -> bool:
    mode = bytearray(4)
    fcntl.ioctl(port._fd, 0x80045440, mode)  # TIOCGEXCL
    return any(mode)


async def test_closing_does_not_wait_for_a_device_that_takes_nothing(wire: Wire) -> None:
    port = SerialPort.open("front", wire.device, 9600)
    for _ in range(8):
        port.send_nowait(bytes(512))
    began = trio.current_time()
    port.close()
    assert trio.current_time() - began < 0.5


class Port:
    """A port of which only the end matters."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


async def kept_open(lives_s: list[float], wait_s: float) -> tuple[list[float], list[str], list[Port]]:
    """When a port that fails after these times was opened, why it failed, and the ports."""
    opened: list[float] = []
    failed: list[str] = []
    ports: list[Port] = []
    began = trio.current_time()

    def open_port() -> SerialPort:
        opened.append(round(trio.current_time() - began, 3))
        if len(opened) > len(lives_s):
            raise HardwareError("front", "is not there")
        ports.append(Port())
        return ports[-1]  # type: ignore[return-value]

    async def serve(port: SerialPort) -> None:
        await trio.sleep(lives_s[len(opened) - 1])
        raise HardwareError("front", "unplugged")

    with trio.move_on_after(wait_s):
        await keep_open(open_port, serve, failed.append, rng=lambda: 0.0)
    return opened, failed, ports


async def test_it_is_opened_again_and_again_ever_slower(autojump_clock: trio.testing.MockClock) -> None:
    opened, failed, _ = await kept_open([], 40)
    assert opened == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 25.5, 35.5]
    assert set(failed) == {"is not there"}


async def test_what_was_good_for_long_is_opened_quickly(autojump_clock: trio.testing.MockClock) -> None:
    opened, failed, ports = await kept_open([1, 1, REOPEN_MAX_S, 1000], 40)
    assert opened == [0, 1.5, 3.5, 14]
    assert failed == ["unplugged"] * 3
    assert [port.closed for port in ports] == [True] * 4


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (13, "add the door's user to the group dialout"),
        (16, "in use"),
        (2, "is it plugged in"),
        (5, "cannot be"),
    ],
)
def test_why_a_port_cannot_be_opened(number: int, words: str, wire: Wire) -> None:
    for kind in (OSError, termios.error):
        assert words in serial._why(wire.device, kind(number, os.strerror(number)))


def test_a_device_that_goes_while_it_is_opened(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(fd: int) -> None:
        raise termios.error(5, "Input/output error")

    monkeypatch.setattr(serial, "_let_reads_fail_when_there_is_nothing", gone)
    with pytest.raises(HardwareError, match="cannot be opened: Input/output error"):
        SerialPort.open("front", wire.device, 9600)
    monkeypatch.undo()


async def test_what_failed_half_way_is_given_back(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "ioctl", _refuse)
    with pytest.raises(HardwareError, match="cannot be opened"):
        SerialPort.open("front", wire.device, 9600)
    monkeypatch.undo()
    SerialPort.open("front", wire.device, 9600).close()


def _refuse(*_: object) -> None:
    raise OSError(5, "Input/output error")


@pytest.mark.parametrize("device", ["/dev/null", "/tmp", "/etc/hostname", ""])
def test_what_is_no_port(device: str) -> None:
    with pytest.raises(HardwareError):
        SerialPort.open("front", device, 9600)


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial, "BY_ID", tmp_path / "none")
    assert serial.list_ports() == []
    monkeypatch.setattr(serial, "BY_ID", tmp_path)
    (tmp_path / "usb-b").touch()
    (tmp_path / "usb-a").touch()
    assert [Path(name).name for name in serial.list_ports()] == ["usb-a", "usb-b"]
