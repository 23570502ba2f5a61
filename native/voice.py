"""The codec that makes and reads voice packets: the wrapper of `native._voice`.

The manual of the C functions is include/dv_voice.h. Here are Python's types and the memory they need.
PCM is mono, signed 16 bit, in the byte order of the machine, as bytes.
"""

from __future__ import annotations

import enum
import functools
from typing import TYPE_CHECKING, Any, Final

import msgspec

from native._voice import ffi, lib
from native.packet import PacketHeader, unpack_ids
from native.sound import PCM_SAMPLE_BYTES, Level, level_of, tenths_of
from native.status import CodecError, Status, aligned_block, check, text_of

if TYPE_CHECKING:
    from _cffi_backend import FFI

_ENCODE_MAX_BYTES: Final = lib.DV_ENCODE_MAX_BYTES
_DECODE_MAX_SAMPLES: Final = lib.DV_DECODE_MAX_SAMPLES

# Bound once: an attribute of the library costs a dictionary look-up at every packet.
_encode_packet = lib.dv_codec_encode_packet
_decode_packet = lib.dv_codec_decode_packet
_memmove = ffi.memmove


class Signal(enum.IntEnum):
    """`enum dv_signal`: what the encoder may assume about the sound."""

    AUTO = lib.DV_SIGNAL_AUTO
    VOICE = lib.DV_SIGNAL_VOICE


class CodecSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to encode, and how loud; the ranges and the reasons for the defaults are in dv_voice.h.

    bitrate_bps: 6000..300000, or 0 to leave it to libopus.
    complexity: 0..10, processor time for quality.
    send_gain_db, receive_gain_db: -40..40 before encoding and after decoding, in steps of 0.1; a limiter
        keeps the sound below -1 dBFS.
    """

    bitrate_bps: int = 24_000
    complexity: int = 5
    signal: Signal = Signal.VOICE
    send_gain_db: float = 0.0
    receive_gain_db: float = 0.0


class Features(msgspec.Struct, frozen=True):
    """What the libopus in use can do; its version in its own words."""

    version: str
    in_band_fec: bool
    dtx: bool
    dred: bool
    deep_plc: bool


@functools.cache
def features() -> Features:
    """What the libopus in use can do, found out once by trying."""
    block, start = aligned_block(lib.dv_codec_size())
    found: Any = ffi.new("struct dv_features *")
    check(lib.dv_features_probe(start, lib.dv_codec_size(), found))
    del block
    return Features(
        version=text_of(found.version),
        in_band_fec=bool(found.in_band_fec),
        dtx=bool(found.dtx),
        dred=bool(found.dred),
        deep_plc=bool(found.deep_plc),
    )


def _c_settings(settings: CodecSettings) -> FFI.CData:
    """Raises: OverflowError when a number does not fit its type."""
    return ffi.new(
        "struct dv_codec_settings *",
        (
            settings.bitrate_bps,
            settings.complexity,
            settings.signal,
            tenths_of(settings.send_gain_db),
            tenths_of(settings.receive_gain_db),
        ),
    )


class Codec:
    """An encoder and a decoder of voice packets, with all the memory they will ever use.

    sample_rate_hz: of the PCM in both directions: 8000, 12000, 16000, 24000 or 48000.
    frame_us: microseconds of sound per encoded Opus frame: 2500, 5000, 10000, 20000, 40000 or 60000.
    frames_per_packet: Opus frames in each encoded packet, of 120 ms together at most.
    channels: of the PCM to encode; 2 are interleaved, and mixed into one. Decoded PCM is mono.
    packet_bytes, packet_samples: of the PCM of a packet, both channels; frame_bytes, frame_samples: a frame.

    Each direction belongs to one task: the C calls release the GIL, and two encodes, or two decodes,
    of one codec at the same time corrupt it. One encode beside one decode is safe, in two threads too.
    `conceal` and `reset_decoder` count as decoding; `configure` as both.

    Raises: CodecError for SAMPLE_RATE, FRAME_SIZE, or ARGUMENT when a setting is out of its range.
    """

    __slots__ = (
        "_block",
        "_codec",
        "_frame_out",
        "_header",
        "_heard",
        "_packet",
        "_packet_out",
        "_pcm_in",
        "_pcm_out",
        "_pcm_out_bytes",
        "_sent",
        "_usual_samples",
        "channels",
        "frame_bytes",
        "frame_samples",
        "frame_us",
        "frames_per_packet",
        "packet_bytes",
        "packet_samples",
        "sample_rate_hz",
    )

    def __init__(
        self,
        sample_rate_hz: int = 16_000,
        frame_us: int = 20_000,
        settings: CodecSettings = CodecSettings(),  # noqa: B008  frozen
        *,
        frames_per_packet: int = 1,
        channels: int = 1,
    ) -> None:
        size = lib.dv_codec_size()
        self._block, start = aligned_block(size)
        self._codec = ffi.cast("struct dv_codec *", start)
        try:
            status = lib.dv_codec_init(
                self._codec,
                size,
                sample_rate_hz,
                frame_us,
                frames_per_packet,
                channels,
                _c_settings(settings),
            )
        except OverflowError as exc:
            raise CodecError(Status.ARGUMENT) from exc
        check(status)
        self.sample_rate_hz: Final = sample_rate_hz
        self.frame_us: Final = frame_us
        self.frames_per_packet: Final = frames_per_packet
        self.channels: Final = channels
        self.frame_samples: Final = sample_rate_hz * frame_us // 1_000_000 * channels
        self.frame_bytes: Final = self.frame_samples * PCM_SAMPLE_BYTES
        self.packet_samples: Final = self.frame_samples * frames_per_packet
        self.packet_bytes: Final = self.packet_samples * PCM_SAMPLE_BYTES
        self._pcm_in = ffi.new("int16_t[]", self.packet_samples)
        self._packet = ffi.new("uint8_t[]", _ENCODE_MAX_BYTES)
        self._packet_out = ffi.buffer(self._packet)
        self._header = ffi.new("struct dv_packet_header *")
        self._sent = ffi.new("struct dv_level *")  # two, for the directions may be two threads
        self._heard = ffi.new("struct dv_level *")
        self._pcm_out = ffi.new("int16_t[]", _DECODE_MAX_SAMPLES)
        self._pcm_out_bytes = ffi.buffer(self._pcm_out)
        self._usual_samples: Final = self.packet_samples // channels
        self._frame_out = memoryview(self._pcm_out_bytes)[: self._usual_samples * PCM_SAMPLE_BYTES]

    def encode_packet(self, stream_id: int, packet_id: int, pcm: bytes) -> bytes:
        """One voice packet.

        pcm: exactly `packet_bytes` bytes.

        Raises: CodecError for FRAME_SIZE, or ARGUMENT when an id is not an unsigned 32-bit number.
        """
        # Another buffer may count its length in samples, and half of it would be taken for the frame.
        if not isinstance(pcm, bytes):
            raise TypeError(f"pcm must be bytes, not {type(pcm).__name__}")
        if len(pcm) != self.packet_bytes:
            raise CodecError(Status.FRAME_SIZE)
        # The copy costs less than a buffer object would, and gives C the alignment of its type.
        _memmove(self._pcm_in, pcm, self.packet_bytes)
        try:
            length = _encode_packet(
                self._codec,
                stream_id,
                packet_id,
                self._pcm_in,
                self.packet_samples,
                self._packet,
                _ENCODE_MAX_BYTES,
            )
        except OverflowError as exc:
            raise CodecError(Status.ARGUMENT) from exc
        if length < 0:
            raise CodecError(Status(length))
        packet: bytes = self._packet_out[:length]
        return packet

    def decode_packet(self, packet: bytes) -> tuple[PacketHeader, bytes]:
        """The header and the sound of a voice packet, from 2.5 to 120 ms of it, as the packet itself says.

        packet: any bytes at all; an Opus payload of any sender, rate, duration and number of channels.

        Raises: CodecError for TOO_SHORT, TOO_LONG, TYPE, PAYLOAD, or OPUS when libopus itself failed.
        """
        samples = _decode_packet(
            self._codec, packet, len(packet), self._header, self._pcm_out, _DECODE_MAX_SAMPLES
        )
        if samples == self._usual_samples:
            pcm = self._frame_out.tobytes()  # the usual length: a view made once is cheaper than a slice
        elif samples > 0:
            pcm = self._pcm_out_bytes[: samples * PCM_SAMPLE_BYTES]
        else:
            raise CodecError(Status(samples))
        # C has checked type and length. It has filled the header too, but reading its two fields costs
        # more than unpacking them here.
        stream_id, packet_id = unpack_ids(packet)
        return PacketHeader(stream_id, packet_id), pcm

    def conceal(self, duration_us: int) -> bytes:
        """Sound in place of a packet that did not come, made up from those that did; it fades to silence.

        duration_us: 2500..120000, a multiple of 2500.

        Raises: CodecError for FRAME_SIZE, or OPUS when libopus itself failed.
        """
        try:
            samples = lib.dv_codec_conceal(self._codec, duration_us, self._pcm_out, _DECODE_MAX_SAMPLES)
        except OverflowError as exc:
            raise CodecError(Status.FRAME_SIZE) from exc
        check(samples)
        pcm: bytes = self._pcm_out_bytes[: samples * PCM_SAMPLE_BYTES]
        return pcm

    def reset_decoder(self) -> None:
        """Forget what was heard, before the first packet of another stream."""
        check(lib.dv_codec_reset_decoder(self._codec))

    def configure(self, settings: CodecSettings) -> None:
        """Change the settings, from the next packet on; a change of gain makes no click.

        Raises: CodecError for ARGUMENT, and then nothing has changed.
        """
        try:
            status = lib.dv_codec_configure(self._codec, _c_settings(settings))
        except OverflowError as exc:
            raise CodecError(Status.ARGUMENT) from exc
        check(status)

    @property
    def sent_level(self) -> Level:
        """Of the sound of the last encoded packet, after its gain; silence before the first."""
        check(lib.dv_codec_sent_level(self._codec, self._sent))
        return level_of(self._sent)

    @property
    def heard_level(self) -> Level:
        """Of the last decoded or concealed sound, after its gain; silence before the first."""
        check(lib.dv_codec_heard_level(self._codec, self._heard))
        return level_of(self._heard)
