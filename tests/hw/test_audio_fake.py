"""hw/audio_fake.py: a card that keeps trio's time, whatever clock that is."""

from __future__ import annotations

from array import array

import pytest
import trio
from trio.testing import MockClock

from hw.audio import open_sink, open_source
from hw.audio_fake import HEARD_BOUND_S, SAID_BOUND_S, SimulatedCard
from hw.errors import HardwareError
from hw.ports import AudioFormat

PERIOD = array("h", range(320)).tobytes()
SILENCE = bytes(640)


async def test_the_microphone_hears_what_is_said_then_silence(autojump_clock: MockClock) -> None:
    card = SimulatedCard()
    source = await open_source("sim", card=card)
    card.say(PERIOD + PERIOD[:100])
    assert card.said_s == pytest.approx(0.023125)
    began = trio.current_time()
    assert [await source.read() for _ in range(3)] == [PERIOD, PERIOD[:100] + bytes(540), SILENCE]
    assert trio.current_time() - began == pytest.approx(0.06)
    assert card.said_s == 0


async def test_sound_is_heard_when_it_is_due_not_when_it_is_written(autojump_clock: MockClock) -> None:
    card = SimulatedCard()
    sink = await open_sink("sim", card=card, periods=3)
    assert sink.delay_s == 0
    await sink.write(PERIOD)
    assert sink.delay_s == pytest.approx(0.06)
    assert card.heard() == b""
    await trio.sleep(0.05)
    assert card.heard() == PERIOD[:320]
    await trio.sleep(0.01)
    assert card.heard() == PERIOD
    card.forget()
    assert card.heard() == b""


async def test_both_directions_keep_time(autojump_clock: MockClock) -> None:
    card = SimulatedCard(drift_ppm=1000)
    source, sink = await open_source("sim", card=card), await open_sink("sim", card=card)
    began = trio.current_time()

    async def listen() -> None:
        for _ in range(5000):
            await source.read()
        assert trio.current_time() - began == pytest.approx(100 / 1.001)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        for _ in range(5000):
            await sink.write(PERIOD)
            assert sink.delay_s < 0.0601
    assert (source.xruns, sink.xruns) == (0, 0)
    assert len(card.heard()) <= HEARD_BOUND_S * 32000


async def test_late_calls_cost_an_xrun_each_and_no_latency(autojump_clock: MockClock) -> None:
    card = SimulatedCard()
    source, sink = await open_source("sim", card=card), await open_sink("sim", card=card)
    await source.read()
    await sink.write(PERIOD)
    await trio.sleep(0.055)
    await source.read()
    await sink.write(PERIOD)
    assert (source.xruns, sink.xruns) == (0, 0)
    await trio.sleep(10)
    began = trio.current_time()
    await source.read()
    await sink.write(PERIOD)
    assert (source.xruns, sink.xruns) == (1, 1)
    assert trio.current_time() == began
    await source.read()
    assert trio.current_time() - began == pytest.approx(0.02)
    assert sink.delay_s == pytest.approx(0.04)


async def test_a_card_that_is_pulled_out_ends_what_is_open_for_good(autojump_clock: MockClock) -> None:
    card = SimulatedCard()
    source, sink = await open_source("sim", card=card), await open_sink("sim", card=card)
    await sink.write(PERIOD)
    began = trio.current_time()

    async def hear() -> None:
        with pytest.raises(HardwareError, match="sim: No such device"):
            await source.read()

    async def speak() -> None:
        with pytest.raises(HardwareError, match="sim: No such device"):
            await sink.write(PERIOD)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        nursery.start_soon(speak)
        await trio.sleep(0.005)
        card.fail()
    assert trio.current_time() - began == pytest.approx(0.005)
    with pytest.raises(HardwareError):
        await open_source("sim", card=card)
    with pytest.raises(HardwareError):
        await open_sink("sim", card=card)
    card.heal()
    await hear()
    await speak()
    for port in (source, sink):
        port.close()
    source, sink = await open_source("sim", card=card), await open_sink("sim", card=card)
    await source.read()
    await sink.write(PERIOD)
    assert card.opened == 4


async def test_a_stalled_card_is_given_up_after_200_ms(autojump_clock: MockClock) -> None:
    card = SimulatedCard()
    source, sink = await open_source("sim", card=card), await open_sink("sim", card=card)
    card.stall()
    began = trio.current_time()
    with pytest.raises(HardwareError, match="gave nothing for 200 ms"):
        await source.read()
    assert trio.current_time() - began == pytest.approx(0.2)
    with pytest.raises(HardwareError, match="took nothing for 200 ms"):
        await sink.write(PERIOD)
    assert trio.current_time() - began == pytest.approx(0.4)


async def test_a_short_stall_is_survived(autojump_clock: MockClock) -> None:
    card = SimulatedCard()
    source = await open_source("sim", card=card)
    card.stall()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.read)
        await trio.sleep(0.15)
        card.heal()
    assert source.xruns == 1


async def test_a_card_may_have_a_rate_and_period_of_its_own(autojump_clock: MockClock) -> None:
    card = SimulatedCard(sample_rate_hz=48000, period_ms=10)
    source, sink = await open_source("sim", card=card), await open_sink("sim", card=card)
    assert source.format == sink.format == AudioFormat(48000, 480)
    assert len(await source.read()) == 960
    with pytest.raises(ValueError, match="not one period"):
        await sink.write(PERIOD)


async def test_closing_ends_a_read_under_way(autojump_clock: MockClock) -> None:
    card = SimulatedCard()
    source, sink = await open_source("sim", card=card), await open_sink("sim", card=card)
    card.stall()

    async def hear() -> None:
        with pytest.raises(HardwareError, match="is closed"):
            await source.read()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hear)
        await trio.sleep(0.01)
        source.close()
        source.close()
    sink.close()
    with pytest.raises(HardwareError, match="is closed"):
        await sink.write(PERIOD)
    assert sink.delay_s == 0


async def test_what_waits_to_be_said_is_bounded(autojump_clock: MockClock) -> None:
    card = SimulatedCard()
    card.say(bytes(int(SAID_BOUND_S * 32000)))
    with pytest.raises(HardwareError, match="waiting to be said"):
        card.say(b"\0\0")


async def test_without_a_card_it_is_a_quiet_room(autojump_clock: MockClock) -> None:
    source, sink = await open_source("sim"), await open_sink("sim")
    assert await source.read() == SILENCE
    await sink.write(PERIOD)
