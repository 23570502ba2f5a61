from __future__ import annotations

import os
import random
import time
from array import array
from collections.abc import Iterable, Iterator
from functools import cache

import pytest
import trio
from harness.sound import align, follow, largest_step, noise, peak_dbfs, rms_dbfs, samples_of, speech
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from agent.voice.codec import Codec, CodecError, Level, PacketHeader, Resampler, Status
from agent.voice.playout import Playout

PERIOD_S = 0.02
ARRIVES_S = 100.0  # when the first packet of a stream does


@cache
def payloads(frame_us: int = 20_000, seed: int = 1, duration_s: float = 6.0) -> list[bytes]:
    codec = Codec(16_000, frame_us)
    said = speech(duration_s, seed=seed)
    ends = range(codec.frame_bytes, len(said) + 1, codec.frame_bytes)
    return [codec.encode_packet(0, 0, said[end - codec.frame_bytes : end])[9:] for end in ends]


def packet(packet_id: int, payload: bytes) -> bytes:
    return b"\x01\x00\x00\x00\x07" + packet_id.to_bytes(4, "big") + payload


def stream(count: int, *, frame_us: int = 20_000, seed: int = 1) -> list[bytes]:
    said = payloads(frame_us, seed)
    return [packet(n, said[n % len(said)]) for n in range(count)]


def paced(
    packets: Iterable[bytes], step_s: float = PERIOD_S, start_s: float = ARRIVES_S
) -> list[tuple[float, bytes]]:
    return [(start_s + n * step_s, item) for n, item in enumerate(packets)]


class Ear:
    """A loudspeaker with a clock of its own that pulls a period every 20 ms, of simulated time."""

    def __init__(
        self, *, fast_ppm: float = 0.0, start_s: float = ARRIVES_S, decoder: Stub | None = None
    ) -> None:
        self.now_s = start_s
        self.playout = Playout(clock=lambda: self.now_s, decoder=decoder)
        self.heard: list[bytes | None] = []
        self._start_s = start_s
        self._step_s = PERIOD_S / (1 + fast_ppm / 1e6)
        self._pulls = 0

    def run(self, arrivals: Iterable[tuple[float, bytes]], *, keep: bool = True) -> Iterator[bytes | None]:
        """Take each packet when it comes; yields each period."""
        waiting = iter(arrivals)
        coming = next(waiting, None)
        while coming is not None:
            due_s = self._start_s + self._pulls * self._step_s
            while coming is not None and coming[0] <= due_s:
                self.now_s = coming[0]
                self.playout.push(coming[1])
                coming = next(waiting, None)
            self.now_s = due_s
            period = self.playout.pull()
            self._pulls += 1
            if keep:
                self.heard.append(period)
            yield period

    def listen(self, arrivals: Iterable[tuple[float, bytes]], *, after_s: float = 0.0) -> bytes:
        """All of it, and so many seconds more; silence where there was nothing."""
        arrivals = list(arrivals)
        end = (arrivals[-1][0] + after_s, b"")
        for _ in self.run([*arrivals, end] if after_s else arrivals):
            pass
        return self.sound()

    def drain(self) -> bytes:
        """What is left after the last packet."""
        self.playout.finish()
        first = len(self.heard)
        for _ in range(600):
            if self.playout.drained:
                break
            if (period := self.playout.pull()) is not None:
                self.heard.append(period)
        assert self.playout.drained
        return b"".join(period or bytes(640) for period in self.heard[first:])

    def sound(self) -> bytes:
        return b"".join(period or bytes(640) for period in self.heard)

    @property
    def silent(self) -> int:
        """Periods without sound after the first with it."""
        first = next((n for n, period in enumerate(self.heard) if period is not None), 0)
        return sum(period is None for period in self.heard[first:])


class Stub:
    """A decoder that costs nothing: 20 ms of a loud constant, whatever the packet."""

    heard_level = Level(-10.0, -10.0, True)

    def decode_packet(self, packet: bytes) -> tuple[PacketHeader, bytes]:
        return PacketHeader(1, 1), b"\x00\x10" * 320

    def conceal(self, duration_us: int) -> bytes:
        return bytes(duration_us * 32 // 1000)

    def reset_decoder(self) -> None:
        pass


# ----- a good line -----


@pytest.mark.parametrize(("frame_us", "delay_s"), [(20_000, 0.06), (40_000, 0.1), (60_000, 0.13)])
def test_plays_what_was_said(frame_us: int, delay_s: float) -> None:
    ear = Ear()
    ear.listen(paced(stream(6_000_000 // frame_us, frame_us=frame_us), frame_us / 1e6))
    ear.drain()
    match = follow(speech(6.0), ear.sound())
    assert match.correlation > 0.9
    assert abs(match.gain_db) < 1
    assert match.lag_s < delay_s
    assert ear.silent == 0
    metrics = ear.playout.metrics
    assert (metrics.late, metrics.dropped, metrics.broken) == (0, 0, 0)
    assert metrics.concealed_pct < 1


def test_gives_exact_periods_of_any_size_at_any_rate() -> None:
    for rate_hz in (8_000, 11_025, 16_000, 44_100, 48_000):
        playout = Playout(period_samples=rate_hz // 100, sample_rate_hz=rate_hz, clock=lambda: 1.0)
        for item in stream(40):
            playout.push(item)
        playout.finish()
        periods = []
        while not playout.drained:
            period = playout.pull()
            if period is not None:
                periods.append(period)
        assert {len(period) for period in periods} == {rate_hz // 100 * 2}
        assert len(periods) / 100 == pytest.approx(0.8, abs=0.04)
        ours = Resampler(rate_hz, 16_000).process(b"".join(periods))
        assert align(speech(6.0)[:25_600], ours, max_lag_s=0.1).correlation > 0.9


def test_waits_for_three_packets_of_20_ms_or_two_of_60() -> None:
    for frame_us, packets in ((20_000, 3), (60_000, 2)):
        playout = Playout(clock=lambda: 1.0)
        for item in stream(packets - 1, frame_us=frame_us):
            playout.push(item)
        assert playout.pull() is None
        playout.push(stream(packets, frame_us=frame_us)[-1])
        assert playout.pull() is not None


def test_a_single_packet_is_heard_after_a_while() -> None:
    ear = Ear()
    ear.listen(paced(stream(1)), after_s=0.5)
    assert 1 <= sum(period is not None for period in ear.heard) <= 5


def test_is_louder_on_demand_and_never_clips() -> None:
    loud = Playout(clock=lambda: 1.0, receive_gain_db=30.0)
    for item in stream(100):
        loud.push(item)
    heard = b"".join(loud.pull() or b"" for _ in range(95))
    assert rms_dbfs(heard) > rms_dbfs(speech(6.0)[:64_000]) + 6
    assert peak_dbfs(heard) < -0.5


def test_end_to_end_counts_what_waits_and_the_loudspeaker() -> None:
    ear = Ear()
    ear.listen(paced(stream(200)))
    ear.playout.sink_delay_s = 0.06
    metrics = ear.playout.metrics
    assert 20 <= metrics.depth_ms <= 60
    assert metrics.end_to_end_ms == pytest.approx(metrics.depth_ms + 60, abs=3)


# ----- the end -----


def test_finish_plays_what_is_there_and_then_it_is_drained() -> None:
    playout = Playout(clock=lambda: 1.0)
    for item in stream(50):
        playout.push(item)
    assert not playout.drained
    playout.finish()
    heard = []
    while (period := playout.pull()) is not None:
        assert not playout.drained
        heard.append(period)
    assert playout.drained
    assert playout.pull() is None
    assert 50 <= len(heard) <= 53
    # It dies away instead of breaking off.
    assert rms_dbfs(heard[-1][-160:]) < -50
    assert follow(speech(6.0)[:32_000], b"".join(heard), max_lag_s=0.1).correlation > 0.9


def test_a_stream_without_a_packet_drains_at_once() -> None:
    playout = Playout(clock=lambda: 1.0)
    assert playout.pull() is None
    playout.finish()
    assert playout.pull() is None
    assert playout.drained
    playout.push(stream(1)[0])
    assert playout.pull() is None


# ----- bad lines -----


def test_gaps_are_concealed_and_counted() -> None:
    ear = Ear()
    sent = [item for n, item in enumerate(paced(stream(300))) if n % 10 != 5]
    ear.listen(sent)
    ear.drain()
    match = follow(speech(6.0), ear.sound())
    assert match.correlation > 0.75
    assert ear.silent == 0
    assert 9 < ear.playout.metrics.concealed_pct < 12


def test_a_long_gap_is_skipped_without_a_click() -> None:
    ear = Ear()
    packets = stream(300)
    ear.listen(paced(packets[:100] + packets[150:]))
    heard = ear.sound()
    assert largest_step(heard) < 1.3 * largest_step(speech(6.0))
    assert len(ear.heard) == pytest.approx(250, abs=2)
    assert ear.silent == 0
    late = follow(speech(6.0)[150 * 640 :], heard[95 * 640 :], max_lag_s=0.5)
    assert late.correlation > 0.9


def test_a_sender_that_begins_to_count_anew_goes_on() -> None:
    ear = Ear()
    said = payloads()
    restarted = [packet(4_000 + n if n < 150 else n - 150, said[n]) for n in range(300)]
    ear.listen(paced(restarted))
    ear.drain()
    assert follow(speech(6.0), ear.sound()).correlation > 0.9
    assert ear.silent == 0


@pytest.mark.parametrize("packet_id", [0, 77])
def test_a_sender_that_does_not_count_is_heard(packet_id: int) -> None:
    ear = Ear()
    ear.listen(paced(packet(packet_id, payload) for payload in payloads()))
    ear.drain()
    assert follow(speech(6.0), ear.sound()).correlation > 0.9
    assert ear.playout.metrics.late == 0


@pytest.mark.parametrize("in_order", [True, False], ids=["held up", "overtaken"])
def test_a_third_of_the_packets_300_ms_late(in_order: bool) -> None:
    rng = random.Random(4)
    arrivals = [
        (at_s + (0.3 if 50 < n < 1050 and rng.random() < 0.3 else 0.0), item)
        for n, (at_s, item) in enumerate(paced(stream(2_000)))
    ]
    if in_order:  # as TCP does it: what comes after a late one comes after it
        latest_s = 0.0
        for n, (at_s, item) in enumerate(arrivals):
            latest_s = max(latest_s, at_s)
            arrivals[n] = (latest_s, item)
    ear = Ear()
    worst_ms = 0.0
    for _ in ear.run(sorted(arrivals)):
        worst_ms = max(worst_ms, ear.playout.metrics.end_to_end_ms)
    assert worst_ms < 600
    metrics = ear.playout.metrics
    assert metrics.dropped == 0
    assert metrics.end_to_end_ms < 120
    # The last ten seconds were on a good line again, and sound like it.
    last = ear.sound()[-10 * 32_000 :]
    assert ear.heard[-450:].count(None) == 0
    assert follow(speech(6.0), last, max_lag_s=0.5, min_lag_s=-0.3).correlation > 0.85
    if not in_order:
        assert 200 < metrics.late < 400
        assert ear.silent == 0


def test_a_stall_of_a_second_loses_no_word_and_is_made_up_for() -> None:
    arrivals = [
        (max(at_s, ARRIVES_S + 4.0) if at_s > ARRIVES_S + 3.0 else at_s, item)
        for at_s, item in paced(stream(1_500))
    ]
    ear = Ear()
    depths = [ear.playout.metrics.depth_ms for _ in ear.run(arrivals)]
    metrics = ear.playout.metrics
    assert max(depths) > 900
    assert (metrics.dropped, metrics.late) == (0, 0)
    assert metrics.depth_ms < 150
    assert 700 < metrics.shortened_ms < 1_200
    # Ten seconds are enough for one of delay.
    assert depths[round(15 / PERIOD_S)] < 300
    assert largest_step(ear.sound()) < 1.6 * largest_step(speech(6.0))


def test_silence_is_left_out_first() -> None:
    codec = Codec()
    room, said = noise(1.0, level_dbfs=-65.0), speech(1.0)
    sound = (said + room) * 8
    packets = [codec.encode_packet(1, n, sound[n * 640 : n * 640 + 640]) for n in range(800)]
    ear = Ear()
    arrivals = [(ARRIVES_S, item) for item in packets[:150]] + paced(packets[150:])
    for _ in ear.run(arrivals):
        pass
    metrics = ear.playout.metrics
    assert metrics.shortened_ms > 2_500
    assert len(ear.heard) / 50 == pytest.approx(13.0, abs=0.1)
    # Two seconds of quiet went, faster than a tenth of the voice would have.
    assert metrics.depth_ms < 400


def test_a_sender_three_times_too_fast_is_played_whole() -> None:
    # The examples that declare 20 ms and send 60: six seconds in two.
    ear = Ear()
    ear.listen(paced(stream(100, frame_us=60_000), 0.02))
    assert ear.playout.metrics.dropped == 0
    assert ear.playout.metrics.depth_ms > 3_000
    ear.drain()
    metrics = ear.playout.metrics
    played_s = sum(period is not None for period in ear.heard) * PERIOD_S
    assert played_s + metrics.shortened_ms / 1e3 == pytest.approx(6.0, abs=0.2)
    assert played_s > 4.5
    assert metrics.late == 0


def test_a_flood_is_bounded_at_ten_seconds() -> None:
    ear = Ear()
    for item in stream(5_000):
        ear.playout.push(item)
    metrics = ear.playout.metrics
    assert 9_000 <= metrics.depth_ms <= 10_000
    assert metrics.dropped == pytest.approx(4_500, abs=51)
    ear.drain()


def test_a_pause_of_the_talker_is_silence_and_what_follows_is_whole() -> None:
    arrivals = paced(stream(150)) + paced(stream(300)[150:], start_s=ARRIVES_S + 8.0)
    ear = Ear()
    ear.listen(arrivals)
    ear.drain()
    sound = ear.sound()
    second = follow(speech(6.0)[150 * 640 :], sound[7 * 32_000 :], max_lag_s=1.5)
    assert second.correlation > 0.85
    assert rms_dbfs(sound[4 * 32_000 : 7 * 32_000]) < -90
    assert largest_step(sound) < 1.3 * largest_step(speech(6.0))


class Steps(Stub):
    """A decoder whose sound is a constant, as high as the payload says; made up, it stays."""

    level = 0

    def decode_packet(self, packet: bytes) -> tuple[PacketHeader, bytes]:
        self.level = 100 * (packet[10] - 128)
        return PacketHeader(1, 1), self.conceal(20_000)

    def conceal(self, duration_us: int) -> bytes:
        return array("h", [self.level] * (duration_us * 16 // 1000)).tobytes()


def step(packet_id: int, level: int) -> bytes:
    return packet(packet_id, bytes((0x48, level // 100 + 128)))


def test_where_sound_begins_ends_and_jumps_there_is_no_step() -> None:
    ear = Ear(decoder=Steps())
    ear.listen(
        paced([step(n, 10_000) for n in range(20)] + [step(n, -10_000) for n in range(50, 70)])  # skipped
        + paced([step(n, 5_000) for n in range(70, 90)], start_s=ARRIVES_S + 3.0)  # run dry
        + paced([step(n, 12_000) for n in range(5_000, 5_020)], start_s=ARRIVES_S + 6.0)  # counted anew
        + paced([step(n, -12_000) for n in range(20)], start_s=ARRIVES_S + 6.4)
    )
    ear.drain()
    sound = ear.sound()
    assert {10_000, -10_000, 5_000, 12_000, -12_000} < set(samples_of(sound))
    # From one end of the scale to the other takes five milliseconds.
    assert largest_step(sound) < 1.1 * 24_000 / 80
    assert max(map(abs, samples_of(sound[:10] + sound[-10:]))) < 50


# ----- broken packets -----


def test_broken_packets_are_concealed_and_counted() -> None:
    packets = stream(300)
    for n in range(5, 300, 10):
        packets[n] = packets[n][:9] + b"\xff"  # a code 3 packet without its count
    ear = Ear()
    ear.listen(paced(packets))
    metrics = ear.playout.metrics
    assert metrics.broken == 30
    assert 9 < metrics.concealed_pct < 12
    assert ear.silent == 0
    ear.drain()
    assert follow(speech(6.0), ear.sound()).correlation > 0.75


class Refusing(Stub):
    """A decoder that takes no packet, nor makes anything up."""

    resets = 0

    def decode_packet(self, packet: bytes) -> tuple[PacketHeader, bytes]:
        raise CodecError(Status.PAYLOAD)

    def conceal(self, duration_us: int) -> bytes:
        raise CodecError(Status.OPUS)

    def reset_decoder(self) -> None:
        self.resets += 1


def test_a_decoder_that_refuses_everything_gives_silence() -> None:
    decoder = Refusing()
    ear = Ear(decoder=decoder)
    assert set(ear.listen(paced(stream(50)))) == {0}
    assert ear.playout.metrics.broken >= 45
    assert decoder.resets >= 45


PACKETS = st.one_of(
    st.binary(max_size=40),
    st.builds(packet, st.integers(0, 2**32 - 1), st.binary(max_size=30)),
    st.builds(packet, st.integers(0, 30), st.sampled_from(payloads(duration_s=1.0))),
)


@limits(max_examples=60)
@given(st.lists(st.tuples(PACKETS, st.integers(0, 4), st.sampled_from([0.0, 0.02, 0.5]))), st.booleans())
def test_any_packets_at_any_time(steps: list[tuple[bytes, int, float]], finish: bool) -> None:
    now_s = 5.0
    playout = Playout(clock=lambda: now_s)
    for item, pulls, later_s in steps:
        playout.push(item)
        now_s += later_s
        for _ in range(pulls):
            period = playout.pull()
            assert period is None or len(period) == 640
    _ = playout.metrics
    if finish:
        playout.finish()
    # Whatever it is, it comes to an end: six times what was given at most, and the longest fill.
    pulled = 0
    now_s += 1.0
    while playout.pull() is not None:
        pulled += 1
        assert pulled <= 6 * 6 * len(steps) + 10
    assert not finish or playout.drained


# ----- an hour -----


@pytest.mark.slow
@pytest.mark.parametrize("fast_ppm", [-200.0, 200.0])
@pytest.mark.parametrize("frame_us", [20_000, 60_000])
def test_an_hour_with_clocks_that_differ(fast_ppm: float, frame_us: int) -> None:
    class Frames(Stub):
        def decode_packet(self, packet: bytes) -> tuple[PacketHeader, bytes]:
            return PacketHeader(1, 1), sound

    sound = b"\x00\x10" * (frame_us * 16 // 1_000)
    step_s = frame_us / 1e6
    payload = payloads(frame_us)[0]
    rng = random.Random(3)

    def arrivals() -> Iterator[tuple[float, bytes]]:
        latest_s = 0.0
        for n in range(round(3_600 / step_s)):
            latest_s = max(latest_s, ARRIVES_S + n * step_s + rng.expovariate(1 / 0.004))
            yield latest_s, packet(n, payload)

    ear = Ear(fast_ppm=fast_ppm, decoder=Frames())
    silent = 0
    latencies, drifts = [], []
    for pulls, period in enumerate(ear.run(arrivals(), keep=False)):
        silent += period is None and pulls > 50
        if pulls % 7 == 0 and pulls > 50:
            latencies.append(ear.playout.metrics.end_to_end_ms)
            drifts.append(ear.playout.metrics.drift_ppm)
    # A packet comes and goes in one piece: means over five seconds tell.
    means = [sum(latencies[at : at + 36]) / 36 for at in range(0, len(latencies) - 36, 36)]
    assert max(abs(mean - means[0]) for mean in means) < 40
    assert max(abs(latency - means[0]) for latency in latencies) < 100
    metrics = ear.playout.metrics
    assert silent == 0
    assert (metrics.late, metrics.dropped) == (0, 0)
    assert metrics.concealed_pct < 0.02
    assert metrics.shortened_ms < 500
    assert sum(drifts) / len(drifts) == pytest.approx(-fast_ppm, abs=60)


# ----- in real time -----


async def in_real_time(duration_s: float) -> None:
    """A sender and a loudspeaker as tasks of their own, each by its own deadlines."""
    codec, said = Codec(), speech(6.0)
    playout = Playout()
    heard: list[bytes | None] = []
    latencies: list[float] = []
    begin_s = trio.current_time() + 0.1

    async def send() -> None:
        for n in range(round(duration_s / PERIOD_S)):
            await trio.sleep_until(begin_s + n * PERIOD_S)
            at = n % 300 * 640
            playout.push(codec.encode_packet(1, n, said[at : at + 640]))
        playout.finish()

    async def play() -> None:
        n = 0
        while not playout.drained:
            await trio.sleep_until(begin_s + n * PERIOD_S * (1 - 200e-6))
            n += 1
            heard.append(playout.pull())
            if n % 50 == 0:
                latencies.append(playout.metrics.end_to_end_ms)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        nursery.start_soon(play)
    sound = b"".join(period or b"" for period in heard)
    assert len(sound) / 32_000 == pytest.approx(duration_s, abs=0.5)
    assert max(latencies) < 320
    assert sorted(latencies)[len(latencies) // 2] < 150
    last = sound[-round(duration_s % 6 * 32_000) - 9 * 32_000 :]
    assert follow(said[:96_000], last, max_lag_s=6.0).correlation > 0.8


@pytest.mark.slow
async def test_half_a_minute_in_real_time() -> None:
    await in_real_time(30.0)


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("PORTERO_LONG") != "1", reason="takes three minutes: PORTERO_LONG=1")
async def test_three_minutes_in_real_time() -> None:
    await in_real_time(180.0)


# ----- what it costs -----


def test_a_packet_costs_microseconds_beyond_the_codec() -> None:
    packets = stream(3_000)

    def cost_us(run: str) -> float:
        now_s = 1.0
        playout, codec = Playout(clock=lambda: now_s), Codec()
        began = time.process_time()
        for item in packets:
            now_s += PERIOD_S
            if run == "playout":
                playout.push(item)
                playout.pull()
            else:
                codec.decode_packet(item)
        return (time.process_time() - began) / len(packets) * 1e6

    best = min(cost_us("playout") for _ in range(3)) - min(cost_us("codec") for _ in range(3))
    assert best < 80, "the budget is 40 us on a quiet machine"
