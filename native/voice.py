"""Voice packets and the codec that makes and reads them: the wrapper of `native._voice`.

The manual of the C functions is include/dv_voice.h. Here are Python's types, the memory they need, and
a status as an exception. PCM is mono, signed 16 bit, in the byte order of the machine, as bytes.

Source: Zello Channel API, "Stream data", for the header; RFC 6716 for the Opus payload.
"""

from __future__ import annotations

import enum
import struct
from typing import Final

import msgspec

from native._voice import ffi, lib

PACKET_MAX_BYTES: Final = lib.DV_PACKET_MAX_BYTES
PCM_SAMPLE_BYTES: Final = 2

_HEADER_BYTES: Final = lib.DV_HEADER_BYTES
_PACKET_MIN_BYTES: Final = lib.DV_PACKET_MIN_BYTES
_ENCODE_MAX_BYTES: Final = lib.DV_ENCODE_MAX_BYTES
_DECODE_MAX_SAMPLES: Final = lib.DV_DECODE_MAX_SAMPLES
_TYPE_AUDIO: Final = 1
_IDS: Final = struct.Struct(">xII")  # the type byte is looked at by itself

# Bound once: an attribute of the library costs a dictionary look-up at every packet.
_encode_packet = lib.dv_codec_encode_packet
_decode_packet = lib.dv_codec_decode_packet
_memmove = ffi.memmove
_unpack_ids = _IDS.unpack_from


class Status(enum.IntEnum):
    """`enum dv_status`: why the C library refused."""

    OK = lib.DV_OK
    ARGUMENT = lib.DV_ERR_ARGUMENT
    SAMPLE_RATE = lib.DV_ERR_SAMPLE_RATE
    FRAME_SIZE = lib.DV_ERR_FRAME_SIZE
    ALIGNMENT = lib.DV_ERR_ALIGNMENT
    CAPACITY = lib.DV_ERR_CAPACITY
    UNINITIALISED = lib.DV_ERR_UNINITIALISED
    TOO_SHORT = lib.DV_ERR_TOO_SHORT
    TOO_LONG = lib.DV_ERR_TOO_LONG
    TYPE = lib.DV_ERR_TYPE
    PAYLOAD = lib.DV_ERR_PAYLOAD
    OPUS = lib.DV_ERR_OPUS

    @property
    def text(self) -> str:
        """The library's words for it, in English, for a log."""
        text = ffi.string(lib.dv_status_name(self))
        assert isinstance(text, bytes)
        return text.decode("ascii")


class Signal(enum.IntEnum):
    """`enum dv_signal`: what the encoder may assume about the sound."""

    AUTO = lib.DV_SIGNAL_AUTO
    VOICE = lib.DV_SIGNAL_VOICE


class CodecError(Exception):
    """A `dv_status` other than OK, in `status`. The codec stays usable, except after `Status.OPUS`."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status = status

    def __str__(self) -> str:
        return self.status.text


class CodecSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to encode; the ranges and the reasons for the defaults are in dv_voice.h.

    bitrate_bps: 6000..300000, or 0 to leave it to libopus.
    complexity: 0..10, processor time for quality.
    """

    bitrate_bps: int = 24_000
    complexity: int = 5
    signal: Signal = Signal.VOICE


class PacketHeader(msgspec.Struct, frozen=True, gc=False):
    """Whose sound it is and where in the stream it belongs; both 32 bit, unsigned."""

    stream_id: int
    packet_id: int


def parse_packet(packet: bytes) -> tuple[PacketHeader, bytes]:
    """The header of a voice packet and a copy of its Opus payload, which is not looked at.

    In Python on purpose: nine bytes are unpacked here in half the time of a call into C.

    Raises: CodecError for TOO_SHORT, TOO_LONG or TYPE, as `dv_packet_parse` would.
    """
    if len(packet) < _PACKET_MIN_BYTES:
        raise CodecError(Status.TOO_SHORT)
    if len(packet) > PACKET_MAX_BYTES:
        raise CodecError(Status.TOO_LONG)
    if packet[0] != _TYPE_AUDIO:
        raise CodecError(Status.TYPE)
    stream_id, packet_id = _unpack_ids(packet)
    return PacketHeader(stream_id, packet_id), packet[_HEADER_BYTES:]


class Codec:
    """An encoder and a decoder of voice packets, with all the memory they will ever use.

    sample_rate_hz: of the PCM in both directions: 8000, 12000, 16000, 24000 or 48000.
    frame_us: microseconds of sound per encoded packet: 2500, 5000, 10000, 20000, 40000 or 60000.

    Each direction belongs to one task: the C calls release the GIL, and two encodes, or two decodes,
    of one codec at the same time corrupt it. One encode beside one decode is safe, in two threads too.

    Raises: CodecError for SAMPLE_RATE, FRAME_SIZE, or ARGUMENT when a setting is out of its range.
    """

    __slots__ = (
        "_block",
        "_codec",
        "_frame_out",
        "_header",
        "_packet",
        "_packet_bytes",
        "_pcm_in",
        "_pcm_out",
        "_pcm_out_bytes",
        "frame_bytes",
        "frame_samples",
        "frame_us",
        "sample_rate_hz",
    )

    def __init__(
        self,
        sample_rate_hz: int = 16_000,
        frame_us: int = 20_000,
        settings: CodecSettings = CodecSettings(),  # noqa: B008  frozen
    ) -> None:
        size = lib.dv_codec_size()
        # cffi aligns like malloc, on some machines to 8 bytes: begin at the first boundary inside.
        self._block = ffi.new("unsigned char[]", size + lib.DV_CODEC_ALIGN)
        start = -int(ffi.cast("uintptr_t", self._block)) % lib.DV_CODEC_ALIGN
        self._codec = ffi.cast("struct dv_codec *", self._block + start)
        try:
            c_settings = ffi.new(
                "struct dv_codec_settings *",
                (settings.bitrate_bps, settings.complexity, settings.signal),
            )
            status = lib.dv_codec_init(self._codec, size, sample_rate_hz, frame_us, c_settings)
        except OverflowError as exc:
            raise CodecError(Status.ARGUMENT) from exc
        if status != Status.OK:
            raise CodecError(Status(status))
        self.sample_rate_hz: Final = sample_rate_hz
        self.frame_us: Final = frame_us
        self.frame_samples: Final = sample_rate_hz * frame_us // 1_000_000
        self.frame_bytes: Final = self.frame_samples * PCM_SAMPLE_BYTES
        self._pcm_in = ffi.new("int16_t[]", self.frame_samples)
        self._packet = ffi.new("uint8_t[]", _ENCODE_MAX_BYTES)
        self._packet_bytes = ffi.buffer(self._packet)
        self._header = ffi.new("struct dv_packet_header *")
        self._pcm_out = ffi.new("int16_t[]", _DECODE_MAX_SAMPLES)
        self._pcm_out_bytes = ffi.buffer(self._pcm_out)
        self._frame_out = memoryview(self._pcm_out_bytes)[: self.frame_bytes]

    def encode_packet(self, stream_id: int, packet_id: int, pcm: bytes) -> bytes:
        """One voice packet of one frame.

        pcm: exactly `frame_bytes` bytes.

        Raises: CodecError for FRAME_SIZE, or ARGUMENT when an id is not an unsigned 32-bit number.
        """
        # Another buffer may count its length in samples, and half of it would be taken for the frame.
        if not isinstance(pcm, bytes):
            raise TypeError(f"pcm must be bytes, not {type(pcm).__name__}")
        if len(pcm) != self.frame_bytes:
            raise CodecError(Status.FRAME_SIZE)
        # The copy costs less than a buffer object would, and gives C the alignment of its type.
        _memmove(self._pcm_in, pcm, self.frame_bytes)
        try:
            length = _encode_packet(
                self._codec,
                stream_id,
                packet_id,
                self._pcm_in,
                self.frame_samples,
                self._packet,
                _ENCODE_MAX_BYTES,
            )
        except OverflowError as exc:
            raise CodecError(Status.ARGUMENT) from exc
        if length < 0:
            raise CodecError(Status(length))
        packet: bytes = self._packet_bytes[:length]
        return packet

    def decode_packet(self, packet: bytes) -> tuple[PacketHeader, bytes]:
        """The header and the sound of a voice packet, from 2.5 to 120 ms of it, as the packet itself says.

        packet: any bytes at all; an Opus payload of any sender, rate, duration and number of channels.

        Raises: CodecError for TOO_SHORT, TOO_LONG, TYPE, PAYLOAD, or OPUS when libopus itself failed.
        """
        samples = _decode_packet(
            self._codec, packet, len(packet), self._header, self._pcm_out, _DECODE_MAX_SAMPLES
        )
        if samples == self.frame_samples:
            pcm = self._frame_out.tobytes()  # the usual length: a view made once is cheaper than a slice
        elif samples > 0:
            pcm = self._pcm_out_bytes[: samples * PCM_SAMPLE_BYTES]
        else:
            raise CodecError(Status(samples))
        # C has checked type and length. It has filled the header too, but reading its two fields costs
        # more than unpacking them here.
        stream_id, packet_id = _unpack_ids(packet)
        return PacketHeader(stream_id, packet_id), pcm
