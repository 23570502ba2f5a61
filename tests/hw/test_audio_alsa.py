"""hw/audio_alsa.py on cards that fail: what a sound server cannot be made to do."""

from __future__ import annotations

import sys
import threading
import time
from array import array
from collections.abc import Iterator

import pytest
import trio
from harness.alsa_fake import PCM_FORMAT_S16_BE, FakeAlsa, FakePcm

from hw import audio_alsa
from hw.audio import open_sink, open_source
from hw.errors import HardwareError
from hw.ports import AudioFormat, AudioSink, AudioSource

PERIOD = array("h", range(320)).tobytes()
SILENCE = bytes(640)


@pytest.fixture
def alsa(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAlsa]:
    fake = FakeAlsa()
    monkeypatch.setitem(sys.modules, "alsaaudio", fake)
    yield fake
    fake.let_go.set()
    for pcm in fake.opened:
        pcm.close()


async def microphone(alsa: FakeAlsa) -> tuple[AudioSource, FakePcm]:
    source = await open_source("card")
    return source, alsa.opened[-1]


async def speaker(alsa: FakeAlsa) -> tuple[AudioSink, FakePcm]:
    sink = await open_sink("card")
    return sink, alsa.opened[-1]


async def test_pieces_of_any_size_become_periods(alsa: FakeAlsa) -> None:
    source, pcm = await microphone(alsa)
    pcm.give(PERIOD[:100])
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def give_the_rest() -> None:
            for start in range(100, 640, 90):
                await trio.sleep(0.003)
                pcm.give(PERIOD[start : start + 90])

        assert await source.read() == PERIOD
    source.close()


async def test_a_cancelled_read_loses_nothing(alsa: FakeAlsa) -> None:
    source, pcm = await microphone(alsa)
    pcm.give(PERIOD[:100])
    with trio.move_on_after(0.02) as scope:
        await source.read()
    assert scope.cancelled_caught
    pcm.give(PERIOD[100:])
    assert await source.read() == PERIOD
    source.close()


async def test_a_stereo_microphone_is_mixed_and_a_stereo_speaker_gets_both_sides(alsa: FakeAlsa) -> None:
    alsa.channels = 2
    source, pcm = await microphone(alsa)
    pcm.give(array("h", [100, 300, -32768, -32768, 32767, 32767, 1, 0] * 80).tobytes())
    assert array("h", await source.read()).tolist() == [200, -32768, 32767, 0] * 80
    sink, pcm = await speaker(alsa)
    await sink.write(PERIOD)
    played = array("h", bytes(pcm.played[-1280:]))
    assert played[::2].tobytes() == PERIOD
    assert played[1::2].tobytes() == PERIOD
    source.close()
    sink.close()


async def test_the_first_of_more_than_two_channels_counts(alsa: FakeAlsa) -> None:
    alsa.channels = 4
    source, pcm = await microphone(alsa)
    pcm.give(array("h", [7, 1, 2, 3] * 320).tobytes())
    assert array("h", await source.read()).tolist() == [7] * 320
    source.close()


async def test_a_card_with_another_rate_is_asked_again_for_the_same_period_in_time(alsa: FakeAlsa) -> None:
    alsa.rate_hz = 48000
    source, _ = await microphone(alsa)
    assert source.format == AudioFormat(48000, 960)
    assert [pcm.closed for pcm in alsa.opened] == [True, False]
    source.close()


async def test_a_card_without_our_samples_is_refused_and_closed(alsa: FakeAlsa) -> None:
    alsa.format = PCM_FORMAT_S16_BE
    with pytest.raises(HardwareError, match="16-bit"):
        await open_source("card")
    assert alsa.opened[0].closed


async def test_a_refusal_tells_the_reason_once(alsa: FakeAlsa) -> None:
    alsa.refusal = "Device or resource busy"
    with pytest.raises(HardwareError) as caught:
        await open_sink("card")
    assert str(caught.value) == "card: Device or resource busy"


async def test_without_pyalsaaudio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alsaaudio", None)
    with pytest.raises(HardwareError, match="install pyalsaaudio"):
        await open_source("card")


async def test_a_card_that_opens_too_late_is_closed(alsa: FakeAlsa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_alsa, "OPEN_S", 0.05)
    alsa.hang = True
    with pytest.raises(HardwareError, match="did not open"):
        await open_source("card")
    assert alsa.opened == []
    alsa.let_go.set()
    with trio.fail_after(5):
        while not (alsa.opened and alsa.opened[0].closed):
            await trio.sleep(0.005)


async def test_cancelled_while_it_opens_the_card_is_closed(alsa: FakeAlsa) -> None:
    alsa.hang = True
    with trio.move_on_after(0.02):
        await open_sink("card")
    alsa.let_go.set()
    with trio.fail_after(5):
        while not (alsa.opened and alsa.opened[0].closed):
            await trio.sleep(0.005)


async def test_a_card_that_hangs_does_not_stop_the_loop(alsa: FakeAlsa) -> None:
    alsa.hang = True
    threading.Timer(0.1, alsa.let_go.set).start()
    ticks = 0
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def tick() -> None:
            nonlocal ticks
            while True:
                await trio.sleep(0.005)
                ticks += 1

        source = await open_source("card")
        nursery.cancel_scope.cancel()
    assert ticks >= 5
    source.close()


@pytest.mark.parametrize("reason", ["No such device", "Input/output error", "Streams pipe error"])
async def test_a_card_that_is_pulled_out_is_an_error_at_once(alsa: FakeAlsa, reason: str) -> None:
    source, recording = await microphone(alsa)
    recording.give(PERIOD)
    await source.read()
    sink, playing = await speaker(alsa)
    await sink.write(PERIOD)

    async def pull() -> None:
        await trio.sleep(0.01)
        recording.vanish(reason)
        playing.vanish(reason)

    async def hear() -> None:
        with pytest.raises(HardwareError, match=reason):
            await source.read()

    async def speak() -> None:
        with pytest.raises(HardwareError, match=reason):
            await sink.write(PERIOD)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pull)
        nursery.start_soon(hear)
        nursery.start_soon(speak)
    assert trio.current_time() - began < 0.1
    for port in (source, sink):
        port.close()
        port.close()
    assert recording.closed
    assert playing.closed


@pytest.mark.parametrize("noisy", [False, True])
async def test_silence_for_200_ms_is_an_error(alsa: FakeAlsa, noisy: bool) -> None:
    source, pcm = await microphone(alsa)
    pcm.give(PERIOD)
    await source.read()
    pcm.noisy = noisy
    pcm.wake()
    reads = pcm.reads
    began, cpu = trio.current_time(), time.process_time()
    with pytest.raises(HardwareError, match="gave nothing for 200 ms"):
        await source.read()
    assert 0.19 < trio.current_time() - began < 0.4
    # A descriptor that is always ready makes nobody run in circles.
    assert pcm.reads - reads < 120
    assert time.process_time() - cpu < 0.15
    source.close()


async def test_no_room_for_200_ms_is_an_error(alsa: FakeAlsa) -> None:
    sink, pcm = await speaker(alsa)
    await sink.write(PERIOD)
    assert pcm.space == 0
    began = trio.current_time()
    with pytest.raises(HardwareError, match="took nothing for 200 ms"):
        await sink.write(PERIOD)
    assert 0.19 < trio.current_time() - began < 0.4
    sink.close()


async def test_a_card_has_longer_for_its_first_sound(alsa: FakeAlsa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_alsa, "FIRST_PERIOD_S", 0.4)
    source, pcm = await microphone(alsa)
    with pytest.raises(HardwareError, match="gave nothing"):
        await source.read()
    source.close()
    source, pcm = await microphone(alsa)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def late() -> None:
            await trio.sleep(0.3)
            pcm.give(PERIOD)

        assert await source.read() == PERIOD
    source.close()


async def test_an_overrun_is_counted_and_recording_goes_on(alsa: FakeAlsa) -> None:
    source, pcm = await microphone(alsa)
    pcm.give(PERIOD[:100])
    with trio.move_on_after(0.01):
        await source.read()
    pcm.overrun()
    pcm.give(PERIOD)
    assert await source.read() == PERIOD  # without the piece from before
    assert source.xruns == 1
    source.close()


async def test_what_a_server_kept_too_long_is_dropped(alsa: FakeAlsa) -> None:
    source, pcm = await microphone(alsa)
    pcm.give(SILENCE * 2)
    assert await source.read() == SILENCE
    assert await source.read() == SILENCE
    assert source.xruns == 0
    pcm.give(SILENCE * 50)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def later() -> None:
            await trio.sleep(0.01)
            pcm.give(PERIOD)

        assert await source.read() == PERIOD
    assert source.xruns == 1
    source.close()


async def test_a_speaker_starts_full_and_after_an_underrun_again(alsa: FakeAlsa) -> None:
    sink, pcm = await speaker(alsa)
    await sink.write(PERIOD)
    assert bytes(pcm.played) == SILENCE * 2 + PERIOD
    assert sink.delay_s == pytest.approx(0.06)
    pcm.room(320)
    assert sink.delay_s == pytest.approx(0.04)
    await sink.write(PERIOD)
    pcm.played.clear()
    pcm.overrun()
    await sink.write(PERIOD)
    assert bytes(pcm.played) == SILENCE * 2 + PERIOD
    assert sink.xruns == 1
    sink.close()
    assert sink.delay_s == 0


async def test_a_period_goes_in_as_room_appears(alsa: FakeAlsa) -> None:
    sink, pcm = await speaker(alsa)
    await sink.write(SILENCE)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def play() -> None:
            for count in (100, 1, 219):
                await trio.sleep(0.005)
                pcm.room(count)

        await sink.write(PERIOD)
    assert bytes(pcm.played[-640:]) == PERIOD
    sink.close()


async def test_only_whole_periods_are_written(alsa: FakeAlsa) -> None:
    sink, _ = await speaker(alsa)
    for wrong in (b"", PERIOD[:-2], PERIOD * 2):
        with pytest.raises(ValueError, match="not one period"):
            await sink.write(wrong)
    sink.close()


async def test_closing_ends_a_read_and_a_write_under_way(alsa: FakeAlsa) -> None:
    source, recording = await microphone(alsa)
    sink, playing = await speaker(alsa)
    await sink.write(PERIOD)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            with pytest.raises(HardwareError, match="is closed"):
                await source.read()

        @nursery.start_soon
        async def write() -> None:
            with pytest.raises(HardwareError, match="is closed"):
                await sink.write(PERIOD)

        await trio.sleep(0.01)
        closed = trio.current_time()
        source.close()
        sink.close()
    assert trio.current_time() - closed < 0.1
    assert recording.closed
    assert playing.closed


async def test_a_closed_port_says_so(alsa: FakeAlsa) -> None:
    source, _ = await microphone(alsa)
    sink, _ = await speaker(alsa)
    for port in (source, sink):
        port.close()
        port.close()
    with pytest.raises(HardwareError, match="is closed"):
        await source.read()
    with pytest.raises(HardwareError, match="is closed"):
        await sink.write(PERIOD)


def test_a_port_can_be_closed_after_the_loop_has_ended(alsa: FakeAlsa) -> None:
    source, pcm = trio.run(microphone, alsa)
    source.close()
    assert pcm.closed
