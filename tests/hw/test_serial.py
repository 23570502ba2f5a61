"""Serial ports, on real pseudo-terminals."""

from __future__ import annotations

import os
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from hw import serial
from hw.errors import HardwareError
from hw.serial import MAX_PENDING_BYTES, SerialPort


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
    port.close()


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
