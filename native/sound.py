"""Sound by itself, whatever codec it meets: how loud it is, louder without clipping, at another sample rate.

The manual of the C functions is include/dv_voice.h. PCM is mono, signed 16 bit, in the byte order of the
machine, as bytes. An object belongs to one task.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from native._voice import ffi, lib
from native.status import CodecError, Status, aligned_block, check

if TYPE_CHECKING:
    from _cffi_backend import FFI

PCM_SAMPLE_BYTES: Final = 2
PCM_CEILING: Final = lib.DV_CEILING

_PCM_MAX_SAMPLES: Final = lib.DV_PCM_MAX_SAMPLES
_RESAMPLED_SAMPLES: Final = 4096  # of the input, in one call: a buffer for it is made once
_DRIFT_MAX_PPM: Final = lib.DV_DRIFT_MAX_PPB / 1000


class Level(msgspec.Struct, frozen=True, gc=False):
    """How loud a stretch of sound was, and whether somebody spoke.

    rms_dbfs, peak_dbfs: from -96, which is silence, to 0, which is a full-scale square.
    """

    rms_dbfs: float
    peak_dbfs: float
    voice: bool


def tenths_of(gain_db: float) -> int:
    """Raises: CodecError for ARGUMENT when it is no number; its range is checked in C."""
    if not math.isfinite(gain_db):
        raise CodecError(Status.ARGUMENT)
    return round(gain_db * 10)


def level_of(measured: Any) -> Level:
    return Level(lib.dv_level_rms_dbfs(measured), lib.dv_level_peak_dbfs(measured), bool(measured.voice))


def _samples_of(pcm: bytes) -> int:
    """How many samples it is.

    Raises: CodecError for FRAME_SIZE when it ends in half a sample.
    """
    # Another buffer may count its length in samples.
    if not isinstance(pcm, bytes):
        raise TypeError(f"pcm must be bytes, not {type(pcm).__name__}")
    samples, rest = divmod(len(pcm), PCM_SAMPLE_BYTES)
    if rest:
        raise CodecError(Status.FRAME_SIZE)
    return samples


def _runs(pcm: bytes) -> Iterator[tuple[FFI.CData, int]]:
    """The sound in pieces that one call into C takes, as pointers into `pcm`, with their samples."""
    left = _samples_of(pcm)
    start = ffi.from_buffer("int16_t[]", pcm)
    at = 0
    while left > 0:
        samples = min(left, _PCM_MAX_SAMPLES)
        yield start + at, samples
        at += samples
        left -= samples


class Meter:
    """How loud a sound is and whether somebody speaks, call by call; it remembers the background.

    sample_rate_hz: 8000..192000.

    Raises: CodecError for SAMPLE_RATE.
    """

    __slots__ = ("_level", "_meter")

    def __init__(self, sample_rate_hz: int = 16_000) -> None:
        self._meter = ffi.new("struct dv_meter *")
        self._level: Any = ffi.new("struct dv_level *")
        try:
            check(lib.dv_meter_init(self._meter, sample_rate_hz))
        except OverflowError as exc:
            raise CodecError(Status.SAMPLE_RATE) from exc

    def measure(self, pcm: bytes) -> Level:
        """The level of this stretch; `voice` if somebody spoke in any part of it.

        pcm: one sample or more, 2 MiB at most.

        Raises: CodecError for ARGUMENT when it is empty, FRAME_SIZE when it ends in half a sample, TOO_LONG.
        """
        samples = _samples_of(pcm)
        check(lib.dv_meter_measure(self._meter, ffi.from_buffer("int16_t[]", pcm), samples, self._level))
        return level_of(self._level)


class Gain:
    """Amplification that never clips: a limiter keeps the sound below -1 dBFS.

    sample_rate_hz: 8000..192000. gain_db: -40..40, in steps of 0.1. At 0, sound below it is not changed.

    Raises: CodecError for SAMPLE_RATE or ARGUMENT.
    """

    __slots__ = ("_gain",)

    def __init__(self, sample_rate_hz: int = 16_000, gain_db: float = 0.0) -> None:
        self._gain = ffi.new("struct dv_gain *")
        try:
            check(lib.dv_gain_init(self._gain, sample_rate_hz, tenths_of(gain_db)))
        except OverflowError as exc:
            raise CodecError(Status.ARGUMENT) from exc

    def set_gain_db(self, gain_db: float) -> None:
        """Change the gain, without a click.

        Raises: CodecError for ARGUMENT.
        """
        try:
            check(lib.dv_gain_set(self._gain, tenths_of(gain_db)))
        except OverflowError as exc:
            raise CodecError(Status.ARGUMENT) from exc

    def apply(self, pcm: bytes) -> bytes:
        """The sound amplified, as long as it was.

        Raises: CodecError for FRAME_SIZE when it ends in half a sample.
        """
        out = bytearray(len(pcm))
        target = ffi.from_buffer("int16_t[]", out)
        at = 0
        for start, samples in _runs(pcm):
            check(lib.dv_gain_apply(self._gain, start, target + at, samples))
            at += samples
        return bytes(out)


class Resampler:
    """A stream of sound at another sample rate, and on demand a little faster or slower.

    rate_in_hz, rate_out_hz: 8000..192000; they may be equal, for the drift.
    delay_samples: how late the sound comes out, in samples of the output.

    Raises: CodecError for SAMPLE_RATE.
    """

    __slots__ = ("_block", "_out", "_out_bytes", "_resampler", "delay_samples", "rate_in_hz", "rate_out_hz")

    def __init__(self, rate_in_hz: int, rate_out_hz: int) -> None:
        try:
            size = lib.dv_resampler_size(rate_in_hz, rate_out_hz)
            self._block, start = aligned_block(size)
            self._resampler = ffi.cast("struct dv_resampler *", start)
            check(lib.dv_resampler_init(self._resampler, size, rate_in_hz, rate_out_hz))
        except OverflowError as exc:
            raise CodecError(Status.SAMPLE_RATE) from exc
        self.rate_in_hz: Final = rate_in_hz
        self.rate_out_hz: Final = rate_out_hz
        self.delay_samples: Final = lib.dv_resampler_delay_samples(self._resampler)
        self._out = ffi.new("int16_t[]", lib.dv_resampler_output_max(self._resampler, _RESAMPLED_SAMPLES))
        self._out_bytes = ffi.buffer(self._out)

    def process(self, pcm: bytes) -> bytes:
        """The next stretch of the sound. Over all calls, as many samples come out as the ratio says.

        pcm: of any length, none included.

        Raises: CodecError for FRAME_SIZE when it ends in half a sample.
        """
        left = _samples_of(pcm)
        start = ffi.from_buffer("int16_t[]", pcm)
        at = 0
        pieces = []
        while left > 0:
            samples = min(left, _RESAMPLED_SAMPLES)
            written = lib.dv_resampler_process(
                self._resampler, start + at, samples, self._out, len(self._out)
            )
            check(written)
            pieces.append(self._out_bytes[: written * PCM_SAMPLE_BYTES])
            at += samples
            left -= samples
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def set_drift_ppm(self, ppm: float) -> None:
        """Play that much faster (fewer samples come out) or, below zero, slower; the change glides.

        ppm: -10000..10000.

        Raises: CodecError for ARGUMENT.
        """
        if not -_DRIFT_MAX_PPM <= ppm <= _DRIFT_MAX_PPM:
            raise CodecError(Status.ARGUMENT)
        check(lib.dv_resampler_set_drift(self._resampler, round(ppm * 1000)))
