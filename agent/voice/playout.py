"""One stream of somebody's voice, from packets to periods of sound for the loudspeaker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import trio
from msgspec import Struct

from agent.voice.codec import Codec, CodecError, CodecSettings, Level, PacketHeader, Resampler, packet_us
from agent.voice.jitter import JitterBuffer
from agent.voice.splice import JOINT_S, cross_fade, fade_out, shorten

OPUS_RATES_HZ: Final = (8_000, 12_000, 16_000, 24_000, 48_000)
CONCEAL_PIECE_US: Final = 20_000
CONCEAL_MAX_US: Final = 60_000  # of what did not come in time; then it is silent until there is enough again
CONCEAL_LONGEST_US: Final = 120_000
DRIFT_MAX_PPM: Final = 5_000.0
DRIFT_PPM_PER_S: Final = 20_000.0  # of a buffer that is a second too deep: a time constant of 50 s
DRIFT_PPM_PER_S2: Final = 100.0  # of the same, for each second that it lasts
CLOCKS_WITHIN_S: Final = 0.1
CLOCKS_MAX_PPM: Final = 1_000.0  # crystals differ by far less
SMOOTH_S: Final = 8.0
STEER_S: Final = 1.0
HURRY_ABOVE_US: Final = 40_000  # over the target, for a second or two without a break
HURRY_UNTIL_US: Final = 10_000
HURRY_EVERY_US: Final = 80_000  # a pitch period goes out of so much sound: about a tenth faster
FAR_BEHIND_US: Final = 1_000_000
FAR_EVERY_US: Final = 40_000
QUIET_DBFS: Final = -50.0
QUIET_CUT_MAX: Final = 4  # packets out of one period, for each has to be decoded
_HEADER_BYTES: Final = 9
_AUDIO: Final = 1


class Decoder(Protocol):
    """The half of `Codec` that hears."""

    @property
    def heard_level(self) -> Level: ...
    def decode_packet(self, packet: bytes) -> tuple[PacketHeader, bytes]: ...
    def conceal(self, duration_us: int) -> bytes: ...
    def reset_decoder(self) -> None: ...


class PlayoutMetrics(Struct, frozen=True, kw_only=True):
    """How a stream fares.

    depth_ms: sound that waits. end_to_end_ms: from a packet's arrival to the ear: what waits, the resampler,
    `sink_delay_s`. concealed_pct: of what was played. late: came after their turn. dropped: gave way to newer
    ones. broken: were no voice packets, or could not be decoded. shortened_ms: left out to catch up.
    """

    packets: int
    jitter_ms: float
    target_ms: float
    depth_ms: float
    concealed_pct: float
    late: int
    dropped: int
    broken: int
    shortened_ms: float
    drift_ppm: float
    end_to_end_ms: float


class Playout:
    """Plays one stream: orders and decodes packets, conceals what is lost, keeps the delay where it belongs.

    Belongs to one task. The sender's clock and ours are not the same: a slow loop plays up to 0.5 % faster or
    slower, by how much sound waits. What a burst left over goes where it is quiet, else by pitch periods.

    period_samples, sample_rate_hz: of the sound that `pull` gives.
    receive_gain_db: louder or softer, through a limiter.
    clock: seconds, for the arrival of packets.
    decoder: gives PCM at `decode_rate_hz`; for tests.

    sink_delay_s: set by whoever owns the loudspeaker: what was written to it and is not heard yet.
    """

    def __init__(
        self,
        *,
        period_samples: int = 320,
        sample_rate_hz: int = 16_000,
        receive_gain_db: float = 0.0,
        clock: Callable[[], float] = trio.current_time,
        decoder: Decoder | None = None,
    ) -> None:
        self._clock = clock
        self._rate_hz = sample_rate_hz
        self._period_bytes = 2 * period_samples
        self._period_us = period_samples * 1_000_000 // sample_rate_hz
        self.decode_rate_hz = min(
            (rate for rate in OPUS_RATES_HZ if rate >= sample_rate_hz), default=OPUS_RATES_HZ[-1]
        )
        settings = CodecSettings(receive_gain_db=receive_gain_db)
        self._decoder = Codec(self.decode_rate_hz, settings=settings) if decoder is None else decoder
        self._resampler = Resampler(self.decode_rate_hz, sample_rate_hz)
        self._jitter = JitterBuffer(period_us=self._period_us)
        self._joint_bytes = 2 * round(JOINT_S * self.decode_rate_hz)
        self._joint = b""  # what the next sound comes out of
        self._pending = bytearray()  # decoded and resampled, not pulled yet
        self._playing = False
        self._finishing = False
        self._drained = False
        self._missed_us = 0  # concealed in one go because nothing came
        self._smooth_us = 0.0
        self._smoothing = self._period_us / 1e6 / SMOOTH_S
        self._low_us = self._low_before_us = 0
        self._steer_pulls = max(round(STEER_S * 1e6 / self._period_us), 1)
        self._until_steer = self._steer_pulls
        self._drift_ppm = 0.0
        self._clocks_ppm = 0.0  # of that, what the clocks differ by
        self._hurry_every_us = 0
        self._since_cut_us = 0
        self._quiet_left = QUIET_CUT_MAX
        self._packets = self._broken = 0
        self._played_us = self._concealed_us = self._shortened_us = 0
        self.sink_delay_s = 0.0

    # ----- in -----

    def push(self, packet: bytes) -> None:
        """Take a voice packet, header included: any bytes, at any time. Never waits, never raises."""
        if self._finishing:
            return
        self._packets += 1
        sound: bytes | None = packet
        try:
            duration_us = packet_us(packet)
        except CodecError:
            self._broken += 1
            if len(packet) < _HEADER_BYTES or packet[0] != _AUDIO:
                return
            sound, duration_us = None, self._jitter.last_us
        self._jitter.put(int.from_bytes(packet[5:9], "big"), sound, duration_us, self._clock())

    def finish(self) -> None:
        """No more will come: what is there is played, then the stream is `drained`."""
        self._finishing = True

    # ----- out -----

    @property
    def drained(self) -> bool:
        """It was finished, and all of it has been pulled."""
        return self._drained

    def pull(self) -> bytes | None:
        """The next period of sound, or None while there is nothing to be heard: it fills, or has drained."""
        if not self._playing and not self._begin():
            return None
        self._steer()
        self._quiet_left = QUIET_CUT_MAX
        pending = self._pending
        while len(pending) < self._period_bytes:
            if not self._fetch():
                self._playing = False
                if not pending:
                    self._drained = self._finishing
                    return None
                pending.extend(bytes(self._period_bytes - len(pending)))
        period = bytes(pending[: self._period_bytes])
        del pending[: self._period_bytes]
        self._played_us += self._period_us
        return period

    @property
    def metrics(self) -> PlayoutMetrics:
        depth_us = self._depth_us()
        resampler_us = self._resampler.delay_samples * 1e6 / self._rate_hz
        return PlayoutMetrics(
            packets=self._packets,
            jitter_ms=self._jitter.jitter_s * 1e3,
            target_ms=self._jitter.target_us / 1e3,
            depth_ms=depth_us / 1e3,
            concealed_pct=100 * self._concealed_us / self._played_us if self._played_us else 0.0,
            late=self._jitter.late,
            dropped=self._jitter.dropped,
            broken=self._broken,
            shortened_ms=self._shortened_us / 1e3,
            drift_ppm=self._drift_ppm,
            end_to_end_ms=(depth_us + resampler_us) / 1e3 + self.sink_delay_s * 1e3,
        )

    # ----- between -----

    def _depth_us(self) -> int:
        return self._jitter.depth_us + len(self._pending) * 500_000 // self._rate_hz

    def _begin(self) -> bool:
        if self._drained:
            return False
        if self._finishing and not self._jitter.depth_us:
            self._drained = True
            return False
        if not self._finishing and not self._jitter.ready(self._clock()):
            return False
        self._playing = True
        self._missed_us = 0
        self._joint = bytes(self._joint_bytes)
        depth_us = self._depth_us()
        self._smooth_us = float(depth_us)
        self._low_us = self._low_before_us = depth_us
        self._until_steer = self._steer_pulls
        self._hurry_every_us = 0
        return True

    def _steer(self) -> None:
        """Watch the depth; once a second set the speed by it."""
        depth_us = self._jitter.depth_us + len(self._pending) * 500_000 // self._rate_hz
        self._smooth_us += (depth_us - self._smooth_us) * self._smoothing
        if depth_us < self._low_us:
            self._low_us = depth_us
        if self._hurry_every_us and depth_us - self._jitter.target_us < HURRY_UNTIL_US:
            self._hurry_every_us = 0
            self._smooth_us = float(depth_us)
        self._until_steer -= 1
        if self._until_steer > 0:
            return
        self._until_steer = self._steer_pulls
        target_us = self._jitter.target_us
        excess_s = (self._smooth_us - target_us) / 1e6
        if abs(excess_s) < CLOCKS_WITHIN_S:  # more is a burst or a stall
            clocks_ppm = self._clocks_ppm + excess_s * STEER_S * DRIFT_PPM_PER_S2
            self._clocks_ppm = min(max(clocks_ppm, -CLOCKS_MAX_PPM), CLOCKS_MAX_PPM)
        drift_ppm = excess_s * DRIFT_PPM_PER_S + self._clocks_ppm
        self._drift_ppm = min(max(drift_ppm, -DRIFT_MAX_PPM), DRIFT_MAX_PPM)
        self._resampler.set_drift_ppm(self._drift_ppm)
        # What was never needed for two seconds is delay and nothing else.
        excess_us = min(self._low_us, self._low_before_us) - target_us
        self._low_before_us, self._low_us = self._low_us, depth_us
        if excess_us > HURRY_ABOVE_US or (self._hurry_every_us and excess_us > HURRY_UNTIL_US):
            self._hurry_every_us = FAR_EVERY_US if excess_us > FAR_BEHIND_US else HURRY_EVERY_US

    def _fetch(self) -> bool:
        """Append the sound of one turn to what is pending; False when nothing is left to play."""
        turn = self._jitter.take()
        if turn is None:
            return self._bridge()
        self._missed_us = 0
        if turn.jumped and not self._joint:
            self._joint = self._concealment(CONCEAL_PIECE_US)[: self._joint_bytes]
        if turn.packet is None:
            self._append(self._conceal(turn.duration_us))
            return True
        try:
            _, pcm = self._decoder.decode_packet(turn.packet)
        except CodecError:
            self._broken += 1
            self._append(self._conceal(turn.duration_us))
            return True
        if self._hurry_every_us:
            pcm = self._hurry(pcm, turn.duration_us)
        self._append(pcm)
        return True

    def _bridge(self) -> bool:
        """Nothing came in time: a little is made up and dies away, and so does the end of a stream."""
        if self._missed_us >= CONCEAL_MAX_US or (self._finishing and self._missed_us):
            return False
        self._missed_us += CONCEAL_PIECE_US
        pcm = self._conceal(CONCEAL_PIECE_US)
        if self._finishing or self._missed_us >= CONCEAL_MAX_US:
            # The silence pushes the end of it out of the resampler.
            pcm = fade_out(pcm) + bytes(self._joint_bytes)
        self._append(pcm)
        return True

    def _append(self, pcm: bytes) -> None:
        if self._joint and pcm:
            pcm = cross_fade(self._joint, pcm)
            self._joint = b""
        self._pending += self._resampler.process(pcm)

    def _conceal(self, duration_us: int) -> bytes:
        self._concealed_us += duration_us
        return self._concealment(duration_us)

    def _concealment(self, duration_us: int) -> bytes:
        try:
            return self._decoder.conceal(min(duration_us, CONCEAL_LONGEST_US))
        except CodecError:
            self._decoder.reset_decoder()
            return bytes(2 * (duration_us * self.decode_rate_hz // 1_000_000))

    def _hurry(self, pcm: bytes, duration_us: int) -> bytes:
        """What is left of a packet while the stream catches up; all of it, most of the time."""
        behind = self._jitter.depth_us - self._jitter.target_us > HURRY_UNTIL_US
        if self._quiet_left and behind and self._decoder.heard_level.rms_dbfs < QUIET_DBFS:
            self._quiet_left -= 1
            # The next sound comes out of this one's beginning, which is where the last one led to.
            self._joint = cross_fade(self._joint, pcm)[: self._joint_bytes]
            self._shortened_us += duration_us
            return b""
        self._since_cut_us += duration_us
        if self._since_cut_us < self._hurry_every_us:
            return pcm
        self._since_cut_us = 0
        shorter = shorten(pcm, self.decode_rate_hz)
        self._shortened_us += (len(pcm) - len(shorter)) * 500_000 // self.decode_rate_hz
        return shorter
