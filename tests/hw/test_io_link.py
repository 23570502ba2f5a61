"""Host and device of Portero IO, over real pseudo-terminals and in real time."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from hw.errors import HardwareError
from hw.io_device import IoDevice
from hw.io_firmware import Firmware
from hw.io_frame import decode_frame, encode_frame
from hw.io_link import ENDED, LOST, MAX_WAITING, NOISE, SILENT, STOPPED, UNCONFIRMED, IoLink
from hw.io_wire import InputChanged, Kind, SetOutput, Welcome, decode_device, decode_host, encode
from hw.serial import SerialPort

RELAY, OTHER, BELL, DOOR, LAMP = range(5)
SAFE_S = 1.0
RANDOM_BYTES = 41_472_000  # an hour of 115200 baud


class Ear:
    """What the link tells, with the time."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.at: list[float] = []

    def _tell(self, what: str, value: object) -> None:
        self.told.append((what, value))
        self.at.append(trio.current_time())

    def up(self, device: Welcome) -> None:
        self._tell("up", device.session)

    def lost(self, reason: str) -> None:
        self._tell("lost", reason)

    def input_changed(self, channel: int, active: bool) -> None:
        self._tell("input", (channel, active))

    def output_changed(self, channel: int, on: bool) -> None:
        self._tell("output", (channel, on))

    def all(self, what: str) -> list[object]:
        return [value for kind, value in self.told if kind == what]


async def until(true: Callable[[], bool], within_s: float = 3.0) -> float:
    """Wait for it; how long that took."""
    began = trio.current_time()
    with trio.fail_after(within_s):
        while not true():
            await trio.sleep(0.005)
    return trio.current_time() - began


class House:
    """A device, a link, and whoever listens."""

    def __init__(self, device: IoDevice, baud_hz: int = 115200) -> None:
        self.device = device
        self.firmware = device.firmware
        self.ear = Ear()
        self.link = IoLink("io", lambda: SerialPort.open("io", device.device, baud_hz), self.ear)

    def sent(self, kind: type) -> list[bytes]:
        """The frames of this type that the host sent."""
        frames = [frame for frame in self.device.to_device.seen if len(frame) > 8]
        return [frame for frame in frames if isinstance(decode_host(_payload(frame)), kind)]


def _payload(frame: bytes) -> bytes:
    return decode_frame(frame.strip(b"\0"))


@asynccontextmanager
async def house(*, wait_up: bool = True, firmware: Firmware | None = None) -> AsyncIterator[House]:
    device = IoDevice(firmware)
    one = House(device)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(device.run)
        nursery.start_soon(one.link.run)
        if wait_up:
            await until(lambda: one.link.up)
        yield one
        nursery.cancel_scope.cancel()


async def test_a_session_and_an_order() -> None:
    async with house() as h:
        assert h.link.device is not None
        assert h.link.device.kinds == (Kind.RELAY, Kind.RELAY, Kind.INPUT, Kind.INPUT, Kind.LAMP)
        assert h.link.problem == ""
        began = trio.current_time()
        await h.link.set_output(RELAY, True, 5000)
        assert trio.current_time() - began < 0.25
        assert h.firmware.is_on(RELAY)
        await until(lambda: h.link.is_on(RELAY))
        await h.link.set_output(RELAY, False)
        await until(lambda: not h.link.is_on(RELAY))
        assert h.ear.all("output") == [(RELAY, True), (RELAY, False)]


async def test_the_device_ends_it_and_tells() -> None:
    async with house() as h:
        await h.link.set_output(RELAY, True, 200)
        await until(lambda: h.ear.all("output") == [(RELAY, True), (RELAY, False)])
        (on_at, _, _), (off_at, _, _) = h.firmware.switched
        assert 0.19 <= off_at - on_at <= 0.25


@pytest.mark.parametrize(
    ("channel", "for_ms", "words"),
    [
        (9, 100, "no such channel"), (BELL, 100, "is an input"), (RELAY, 60_000, "for so long"),
        (RELAY, 0, "so long"), (OTHER, 100, "cannot switch"), (32, 100, "no such"), (-1, 100, "no such"),
        (RELAY, 2**32, "no such"),
    ],
)  # fmt: skip
async def test_what_is_refused(channel: int, for_ms: int, words: str) -> None:
    async with house() as h:
        h.firmware.broken.add(OTHER)
        with pytest.raises(HardwareError, match=words):
            await h.link.set_output(channel, True, for_ms)
        assert h.link.up
        await h.link.set_output(RELAY, True, 100)


async def test_a_lost_acknowledgement_and_a_lost_order_are_repeated_and_carried_out_once() -> None:
    async with house() as h:
        await trio.sleep(0.05)
        h.device.to_host.cut = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_mend_soon, h)
            await h.link.set_output(RELAY, True, 5000)
        assert h.firmware.executed == 1
        first, second = h.sent(SetOutput)
        assert first == second
        h.device.to_device.corrupt = 1
        await h.link.set_output(OTHER, True, 5000)
        assert h.firmware.executed == 2
        assert h.firmware._deframer.refused == 1


async def _mend_soon(h: House) -> None:
    await until(lambda: h.firmware.executed == 1)
    await trio.sleep(0.03)
    h.device.to_host.cut = False


async def test_an_order_that_is_never_confirmed_ends_everything() -> None:
    async with house() as h:
        await h.link.set_output(OTHER, True, 5000)
        h.device.to_host.cut = True
        began = trio.current_time()
        with pytest.raises(HardwareError, match="did not confirm"):
            await h.link.set_output(RELAY, True, 5000)
        assert trio.current_time() - began < 0.5
        assert not h.link.up
        assert h.link.problem == UNCONFIRMED
        took = await until(lambda: h.firmware.levels == 0)
        assert took < 0.1, "a new hello has dropped it"
        assert len(h.sent(SetOutput)) == 1 + 3


async def test_orders_without_a_session_are_refused_at_once() -> None:
    async with house(wait_up=False) as h:
        h.device.to_host.cut = True
        with pytest.raises(HardwareError, match="not connected yet"):
            await h.link.set_output(RELAY, True, 100)


async def test_orders_wait_for_one_another_and_not_too_many() -> None:
    async with house() as h:
        refused: list[str] = []

        async def order(channel: int) -> None:
            try:
                await h.link.set_output(channel, True, 1000)
            except HardwareError as error:
                refused.append(error.reason)

        async with trio.open_nursery() as nursery:
            for n in range(MAX_WAITING + 3):
                nursery.start_soon(order, n % 2)
        assert h.firmware.executed == MAX_WAITING
        assert refused == ["too many orders wait for it"] * 3
        assert h.link._waiting == 0


async def test_an_order_that_waits_does_not_outlive_its_session() -> None:
    async with house() as h:
        h.device.to_device.cut = True
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(_refused, h)
        assert len(h.sent(SetOutput)) == 3, "of the first one"


async def _refused(h: House) -> None:
    with pytest.raises(HardwareError, match="outputs are off"):
        await h.link.set_output(RELAY, True, 100)


async def test_inputs() -> None:
    async with house() as h:
        for n in range(6):
            h.device.move(BELL, n % 2 == 0)
        h.device.move(DOOR, True)
        await until(lambda: len(h.ear.all("input")) == 7)
        assert h.ear.all("input") == [(BELL, True), (BELL, False)] * 3 + [(DOOR, True)]
        assert h.link.is_on(DOOR)
        assert not h.link.is_on(BELL)


async def test_a_change_is_told_once_though_it_or_its_acknowledgement_was_lost_or_doubled() -> None:
    async with house() as h:
        h.device.to_host.cut = True
        h.device.move(BELL, True)
        h.device.to_host.cut = False
        await until(lambda: bool(h.ear.all("input")))
        h.device.to_device.cut = True
        h.device.move(BELL, False)
        await trio.sleep(0.25)
        h.device.to_device.cut = False
        h.device.to_host.twice = 20
        h.device.move(DOOR, True)
        await until(lambda: len(h.ear.all("input")) == 3)
        await trio.sleep(0.3)
        assert h.ear.all("input") == [(BELL, True), (BELL, False), (DOOR, True)]
        frames = [_payload(frame) for frame in h.device.to_host.seen]
        assert sum(isinstance(decode_device(one), InputChanged) for one in frames) > 3


async def test_the_device_restarts_in_the_middle_of_a_hold() -> None:
    async with house() as h:
        await h.link.set_output(RELAY, True, 5000)
        h.device.reboot()
        assert not h.firmware.is_on(RELAY)
        assert await until(lambda: bool(h.ear.all("lost"))) < 0.5
        assert h.ear.all("lost") == [ENDED]
        assert await until(lambda: h.link.up) < 1
        first, second = h.ear.all("up")
        assert first != second
        assert not h.link.is_on(RELAY)
        await h.link.set_output(RELAY, True, 100)


async def test_an_order_under_way_when_the_device_restarts() -> None:
    async with house() as h:
        h.device.to_device.cut = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_reboot_soon, h)
            with pytest.raises(HardwareError, match="outputs are off"):
                await h.link.set_output(RELAY, True, 5000)
        assert h.firmware.executed == 0


async def _reboot_soon(h: House) -> None:
    await trio.sleep(0.02)
    h.device.reboot()
    h.device.to_device.cut = False


@pytest.mark.parametrize("direction", ["both", "to_host", "to_device"])
async def test_a_cut_is_safe_on_both_sides_within_a_second(direction: str) -> None:
    async with house() as h:
        await h.link.set_output(RELAY, True, 30_000)
        await trio.sleep(0.3)
        for fault in (h.device.to_host, h.device.to_device):
            fault.cut = direction == "both" or fault is getattr(h.device, direction)
        began = trio.current_time()
        await until(lambda: not h.firmware.is_on(RELAY) and not h.link.up, SAFE_S)
        assert h.ear.told[-1][1] in (LOST, ENDED)
        assert h.firmware.switched[-1][0] - began < SAFE_S
        h.device.to_host.cut = h.device.to_device.cut = False
        await until(lambda: h.link.up)
        assert h.firmware.levels == 0


async def test_a_device_that_does_not_hear_and_does_not_know_it() -> None:
    async with house() as h:
        await trio.sleep(0.3)
        h.device.to_device.cut = True
        h.firmware._alive_until = math.inf
        await until(lambda: not h.link.up, SAFE_S)
        assert h.ear.told[-1] == ("lost", LOST)


async def test_pulled_out_and_put_back_under_another_name(tmp_path: Path) -> None:
    device = IoDevice(link=tmp_path / "usb-portero-io")
    ear = Ear()
    link = IoLink("io", lambda: SerialPort.open("io", str(tmp_path / "usb-portero-io"), 115200), ear)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(device.run)
        nursery.start_soon(link.run)
        await until(lambda: link.up)
        await link.set_output(RELAY, True, 30_000)
        device.unplug()
        began = trio.current_time()
        assert await until(lambda: not link.up) < 0.2
        assert "unplugged" in link.problem
        with pytest.raises(HardwareError, match="unplugged"):
            await link.set_output(RELAY, True, 100)
        await until(lambda: not device.firmware.is_on(RELAY))
        assert device.firmware.switched[-1][0] - began < SAFE_S
        device.plug()
        await until(lambda: link.up)
        await link.set_output(RELAY, True, 100)
        assert len(set(ear.all("up"))) == 2
        nursery.cancel_scope.cancel()


async def test_replayed_frames_do_nothing() -> None:
    async with house() as h:
        await h.link.set_output(RELAY, True, 100)
        h.device.move(BELL, True)
        await until(lambda: not h.firmware.is_on(RELAY) and bool(h.ear.all("input")))
        (order,) = h.sent(SetOutput)
        from_device = list(h.device.to_host.seen)
        h.device.hear(order)
        assert (h.firmware.executed, h.firmware.levels) == (1, 1 << BELL), "it was done already"
        h.device.reboot()
        await until(lambda: len(h.ear.all("up")) == 2)
        for frame in (order, *list(h.device.to_device.seen)[-40:]):
            if isinstance(decode_host(_payload(frame)), SetOutput):
                h.device.hear(frame)
        assert h.firmware.executed == 1
        for frame in from_device:
            h.device.say(frame)
            await trio.sleep(0.002)
        await trio.sleep(0.05)
        assert h.ear.all("input") == [(BELL, True)]
        assert h.link.up
        assert h.link.stale >= len(from_device)


async def test_states_of_the_past_change_nothing() -> None:
    async with house() as h:
        await h.link.set_output(RELAY, True, 5000)
        await h.link.set_output(RELAY, False)
        await until(lambda: h.ear.all("output") == [(RELAY, True), (RELAY, False)])
        frames = list(h.device.to_host.seen)
        for frame in frames:
            h.device.say(frame)
        await until(lambda: h.link.stale > 0)
        await trio.sleep(0.05)
        assert h.ear.all("output") == [(RELAY, True), (RELAY, False)]


async def test_a_welcome_for_somebody_else() -> None:
    async with house(wait_up=False) as h:
        h.device.to_host.cut = True
        await until(lambda: h.link._nonce != 0)
        h.device.say(encode_frame(encode(Welcome(1, h.link._nonce ^ 1, 5, "x", "y", 1, (), 0, 0))))
        await until(lambda: h.link.stale == 1)
        assert not h.link.up


async def test_an_old_hello_ends_the_session_and_opens_nothing() -> None:
    async with house() as h:
        await h.link.set_output(RELAY, True, 5000)
        h.device.reboot()
        await until(lambda: len(h.ear.all("up")) == 2)
        await h.link.set_output(RELAY, True, 5000)
        for frame in [*h.device.to_device.seen]:
            h.device.hear(frame)
        assert h.firmware.levels == 0
        assert h.firmware.executed == 2
        await until(lambda: len(h.ear.all("up")) == 3)


async def test_a_late_frame_is_of_no_session() -> None:
    async with house() as h:
        h.device.to_device.delay_s = 0.5
        with pytest.raises(HardwareError, match="outputs are off"):
            await h.link.set_output(RELAY, True, 5000)
        h.device.to_device.delay_s = 0.0
        await until(lambda: h.link.up)
        await trio.sleep(0.6)
        assert not h.firmware.is_on(RELAY)


@pytest.mark.slow
async def test_beats_go_on_under_load() -> None:
    async with house() as h:
        with trio.move_on_after(2.5):
            while True:
                await h.link.set_output(RELAY, True, 1000)
                h.device.move(BELL, not h.firmware.is_on(BELL))
        assert h.ear.all("lost") == []
        assert h.firmware.is_on(RELAY)
        assert h.firmware.executed > 50


async def test_many_flipped_bits() -> None:
    async with house() as h:
        for n in range(8):
            h.device.to_device.corrupt = n % 2
            h.device.to_host.corrupt = (n + 1) % 2
            await h.link.set_output(n % 2, True, 1000)
        assert h.firmware.executed == 8


@pytest.mark.slow
async def test_garbage_is_called_garbage_and_silence_silence() -> None:
    async with house(wait_up=False) as h:
        h.device.to_host.cut = True
        rng = random.Random(1)
        await until(lambda: SILENT in h.ear.all("lost"))
        for _ in range(30):
            h.device.say(rng.randbytes(300))
            await trio.sleep(0.05)
        assert NOISE in h.ear.all("lost")
        h.device.to_host.cut = False
        await until(lambda: h.link.up)


async def test_another_version() -> None:
    async with house(wait_up=False) as h:
        h.device.to_host.cut = True
        await until(lambda: h.link._nonce != 0)
        answer = Welcome(2, h.link._nonce, 0, "x", "y", 1, (), 0, 0)
        h.device.say(encode_frame(encode(answer)))
        await until(lambda: "speaks version 2 of the protocol, this door speaks 1" in h.ear.all("lost"))
        assert not h.link.up


async def test_the_host_stops() -> None:
    device = IoDevice()
    h = House(device)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(device.run)
        async with trio.open_nursery() as inner:
            inner.start_soon(h.link.run)
            await until(lambda: h.link.up)
            await h.link.set_output(RELAY, True, 30_000)
            inner.cancel_scope.cancel()
        assert h.ear.told[-1] == ("lost", STOPPED)
        assert await until(lambda: not h.firmware.is_on(RELAY)) < 0.2
        assert not h.firmware.in_session
        nursery.cancel_scope.cancel()


async def test_a_device_that_takes_nothing_is_lost() -> None:
    async with house() as h:
        h.device.to_device.cut = h.device.to_host.cut = True
        await until(lambda: not h.link.up, SAFE_S)


@pytest.mark.slow
async def test_an_hour_of_random_bytes_says_nothing() -> None:
    """The session may not outlive it."""
    async with house() as h:
        rng = random.Random(9)
        sent = 0
        while sent < RANDOM_BYTES:
            sent += h.device.say(rng.randbytes(4000))
            await trio.sleep(0)
        await until(lambda: h.link.noise > sent * 0.99)
        assert h.ear.all("input") == []
        assert h.ear.all("output") == []
        assert h.link.malformed == 0
        await until(lambda: h.link.up)
        await h.link.set_output(RELAY, True, 100)


async def test_nothing_of_a_told_frame_is_older_than_its_session() -> None:
    async with house() as h:
        frame = encode_frame(encode(InputChanged(1, 1, BELL, True)))
        h.device.say(frame)
        await trio.sleep(0.05)
        assert h.ear.all("input") == []
        assert h.link.stale == 1
