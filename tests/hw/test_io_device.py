"""The device on a pseudo-terminal: its faults, and its life as a program."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio

from hw.io_device import MAX_PIECE, MAX_SEEN, Fault, IoDevice
from hw.io_frame import Deframer, encode_frame
from hw.io_wire import DeviceMessage, Hello, SetOutput, State, Welcome, decode_device, encode
from hw.serial import SerialPort

HELLO = encode_frame(encode(Hello(1, 5)))


def test_faults() -> None:
    fault = Fault()
    assert fault.through(HELLO) == [HELLO]
    fault.drop, fault.corrupt, fault.twice = 1, 1, 1
    assert fault.through(HELLO) == []
    (broken,) = fault.through(HELLO)
    assert broken != HELLO
    assert Deframer().feed(broken) == []
    assert fault.through(HELLO) == [HELLO, HELLO]
    fault.cut = True
    assert fault.through(HELLO) == []
    for _ in range(MAX_SEEN + 1):
        fault.through(HELLO)
    assert len(fault.seen) == MAX_SEEN


async def test_it_answers_on_its_port_and_after_too_long_noise() -> None:
    device = IoDevice()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(device.run)
        port = SerialPort.open("io", device.device, 115200)
        device._split(b"x" * 10 * MAX_PIECE)
        assert len(device._piece) == MAX_PIECE
        port.send_nowait(HELLO)
        deframer, told = Deframer(), list[DeviceMessage]()
        with trio.fail_after(2):
            while len(told) < 2:
                told += map(decode_device, deframer.feed(await port.receive_some()))
        assert isinstance(told[0], Welcome)
        assert isinstance(told[1], State)
        port.close()
        nursery.cancel_scope.cancel()
    assert device._ours == -1


async def test_a_link_leads_to_it_while_it_is_plugged_in(tmp_path: Path) -> None:
    device = IoDevice(link=tmp_path / "io")
    assert str((tmp_path / "io").readlink()) == device.device
    device.unplug()
    device.unplug()
    assert not (tmp_path / "io").is_symlink()
    assert device.say(b"x") == 0
    device.plug()
    assert str((tmp_path / "io").readlink()) == device.device
    device.close()


@pytest.mark.slow
async def test_as_a_program() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hw.io_device"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    with process:
        try:
            port = SerialPort.open("io", process.stdout.readline().strip(), 115200)
            port.send_nowait(HELLO)
            deframer, told = Deframer(), list[DeviceMessage]()
            with trio.fail_after(5):
                while not told:
                    told += map(decode_device, deframer.feed(await port.receive_some()))
            (welcome,) = told[:1]
            assert isinstance(welcome, Welcome)
            port.send_nowait(encode_frame(encode(SetOutput(welcome.session, 1, 0, True, 100))))
            assert process.stdout.readline() == "channel 0 on\n"
            assert process.stdout.readline() == "channel 0 off\n"
            for line in ("0 on", "nonsense"):
                process.stdin.write(line + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "channel 0 is no input\n"
            assert process.stdout.readline().startswith("expected: 2 on")
            port.close()
        finally:
            process.kill()
