"""Ogg Opus files: what the door recorded, and what it may be given to say.

Source: RFC 3533 (pages), RFC 7845 (OpusHead, OpusTags, granule positions, pre-skip), RFC 6716 (packets).
"""

from __future__ import annotations

import secrets
import struct
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from msgspec import Struct

from agent.model.errors import LocalProtocolError, MalformedMessage
from agent.voice.codec import CodecError, packet_us

FILE_MAX_BYTES: Final = 16 * 1024 * 1024
SOUND_MAX_S: Final = 600
PACKETS_MAX: Final = 2 + SOUND_MAX_S * 400  # of 2.5 ms each
PACKET_MAX_BYTES: Final = 61_440
PAGE_S: Final = 1.0
PRE_SKIP_SAMPLES: Final = 312  # libopus at its defaults: 6.5 ms at 48 kHz

_GRANULE_HZ: Final = 48_000
_PAGE: Final = struct.Struct("<4sBBqIIIB")
_HEAD: Final = struct.Struct("<8sBBHIhB")
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_NO_GRANULE: Final = -1
_SEGMENTS_MAX: Final = 255
_VOICE_HEADER: Final = b"\x01" + bytes(8)  # packet_us wants a whole voice packet
_WHERE: Final = "ogg"

_MIRRORED: Final = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


def page_checksum(page: bytes) -> int:
    """Ogg's CRC of a page whose checksum is zero: polynomial 0x04c11db7, high bit first, beginning at zero.

    zlib has the same polynomial with all bits the other way round: mirrored bytes in, a mirrored result out.
    """
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")


def duration_us(payload: bytes) -> int:
    """Microseconds of sound in one Opus packet. Raises: CodecError."""
    length_us: int = packet_us(_VOICE_HEADER + payload)
    return length_us


class OggOpusWriter:
    """Writes Opus packets to an open binary file, a page about every second.

    The file is whole after every page, so that a power cut loses what the last second brought. It is the
    caller's and stays open; it is only written and flushed, never moved.

    sample_rate_hz: of the sound before it was encoded; for information, Opus plays at any.
    packet_us: when given, every packet must have this duration.
    pre_skip_samples: what a player drops of the beginning, at 48 kHz: the encoder's look-ahead.
    serial: of the stream, 32 bit; by default a random one.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        sample_rate_hz: int = 16_000,
        packet_us: int | None = None,
        pre_skip_samples: int = PRE_SKIP_SAMPLES,
        serial: int | None = None,
        vendor: str = "Portero",
        title: str = "",
    ) -> None:
        self._file = file
        self._packet_us = packet_us
        self._serial = secrets.randbits(32) if serial is None else serial
        self._sequence = 0
        self._granule = pre_skip_samples
        self._packets: list[bytes] = []
        self._segments = 0
        self._waiting_us = 0
        self._closed = False
        self.written_us = 0
        tags = [f"TITLE={title}"] if title else []
        self._write_page([_HEAD.pack(b"OpusHead", 1, 1, pre_skip_samples, sample_rate_hz, 0, 0)], 0, _FIRST)
        self._write_page([_tags(vendor, tags)], 0, 0)
        self._file.flush()

    def write(self, payload: bytes) -> None:
        """Add one Opus packet, without the header of a voice packet.

        Raises: LocalProtocolError for what is no Opus packet, or one of another duration than announced;
        OSError of the file, ValueError after `close`.
        """
        if self._closed:
            raise ValueError("the recording is closed")
        if len(payload) > PACKET_MAX_BYTES:
            raise LocalProtocolError(f"an Opus packet of {len(payload)} bytes")
        try:
            length_us = duration_us(payload)
        except CodecError as exc:
            raise LocalProtocolError(f"not an Opus packet: {exc}") from exc
        if self._packet_us is not None and length_us != self._packet_us:
            raise LocalProtocolError(f"an Opus packet of {length_us} us among those of {self._packet_us}")
        segments = len(payload) // 255 + 1
        # One packet always waits, so that `close` has one to put on the page that says "last".
        if self._waiting_us >= PAGE_S * 1_000_000 or self._segments + segments > _SEGMENTS_MAX:
            self._flush(0)
        self._packets.append(payload)
        self._segments += segments
        self._waiting_us += length_us
        self.written_us += length_us

    def close(self) -> None:
        """Write the last page. Idempotent. Raises: OSError of the file."""
        if not self._closed:
            self._closed = True
            self._flush(_LAST)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _flush(self, flags: int) -> None:
        self._granule += self._waiting_us * _GRANULE_HZ // 1_000_000
        packets, self._packets = self._packets, []
        self._segments = 0
        self._waiting_us = 0
        self._write_page(packets, self._granule, flags)
        self._file.flush()

    def _write_page(self, packets: list[bytes], granule: int, flags: int) -> None:
        lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,)) for packet in packets)
        header = _PAGE.pack(b"OggS", 0, flags, granule, self._serial, self._sequence, 0, len(lacing))
        page = bytearray(b"".join((header, lacing, *packets)))
        page[22:26] = page_checksum(bytes(page)).to_bytes(4, "little")
        self._sequence += 1
        self._file.write(page)


def _tags(vendor: str, comments: list[str]) -> bytes:
    texts = [vendor.encode(), *(comment.encode() for comment in comments)]
    fields = [len(text).to_bytes(4, "little") + text for text in texts]
    return b"".join((b"OpusTags", fields[0], len(comments).to_bytes(4, "little"), *fields[1:]))


class OpusRecording(Struct, frozen=True, kw_only=True):
    """What an Ogg Opus file holds; pre_skip_samples at 48 kHz, packets without a voice packet's header."""

    sample_rate_hz: int
    channels: int
    pre_skip_samples: int
    packets: tuple[bytes, ...]
    duration_us: int


def read_ogg_opus(path: Path) -> OpusRecording:
    """The packets of an Ogg Opus file of at most 16 MB and ten minutes.

    Raises: MalformedMessage; OSError when it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(FILE_MAX_BYTES + 1)
    return parse_ogg_opus(data)


def parse_ogg_opus(data: bytes) -> OpusRecording:
    """As `read_ogg_opus`, from memory. A page that the end of the file cut off is left out.

    One stream with one or two channels; others beside it are passed over, and what follows its end.

    Raises: MalformedMessage.
    """
    if len(data) > FILE_MAX_BYTES:
        raise MalformedMessage(_WHERE, f"larger than {FILE_MAX_BYTES} bytes")
    packets = _packets(data)
    if not packets:
        raise MalformedMessage(_WHERE, "no stream in it")
    channels, pre_skip, rate_hz = _read_head(packets[0])
    if len(packets) < 2 or not packets[1].startswith(b"OpusTags"):
        raise MalformedMessage(_WHERE, "no OpusTags where the second packet should be")
    total_us = 0
    for number, packet in enumerate(packets[2:]):
        try:
            total_us += duration_us(packet)
        except CodecError as exc:
            raise MalformedMessage(_WHERE, f"packet {number} is not Opus: {exc}") from exc
        if total_us > SOUND_MAX_S * 1_000_000:
            raise MalformedMessage(_WHERE, f"longer than {SOUND_MAX_S} s")
    return OpusRecording(
        sample_rate_hz=rate_hz,
        channels=channels,
        pre_skip_samples=pre_skip,
        packets=tuple(packets[2:]),
        duration_us=total_us,
    )


def _read_head(packet: bytes) -> tuple[int, int, int]:
    if len(packet) < _HEAD.size or not packet.startswith(b"OpusHead"):
        raise MalformedMessage(_WHERE, "the stream is not Opus")
    _, version, channels, pre_skip, rate_hz, _gain, family = _HEAD.unpack_from(packet)
    if version >> 4:
        raise MalformedMessage(_WHERE, f"OpusHead of version {version}")
    if channels not in (1, 2) or family != 0:
        raise MalformedMessage(_WHERE, f"{channels} channels, mapping family {family}")
    return channels, pre_skip, rate_hz


def _packets(data: bytes) -> list[bytes]:
    """The packets of the first stream in the file, up to the end of it or of the file."""
    packets: list[bytes] = []
    partial = b""
    unfinished = False
    serial = None
    sequence = 0
    at = 0
    while len(data) - at >= _PAGE.size:
        magic, version, flags, _granule, of, number, checksum, segments = _PAGE.unpack_from(data, at)
        if magic != b"OggS" or version != 0:
            raise MalformedMessage(_WHERE, f"no page at byte {at}")
        body = at + _PAGE.size + segments
        lacing = data[at + _PAGE.size : body]
        end = body + sum(lacing)
        if end > len(data):
            break
        page = data[at : at + 22] + bytes(4) + data[at + 26 : end]
        if page_checksum(page) != checksum:
            raise MalformedMessage(_WHERE, f"the page at byte {at} is damaged")
        at = end
        if serial is None:
            if not flags & _FIRST:
                raise MalformedMessage(_WHERE, "the stream has no beginning")
            serial, sequence = of, number
        if of != serial:
            continue
        if number != sequence:
            raise MalformedMessage(_WHERE, f"page {number} where {sequence} should be")
        sequence = (sequence + 1) & 0xFFFFFFFF
        if bool(flags & _CONTINUED) != unfinished:
            raise MalformedMessage(_WHERE, f"page {number} does not continue the one before")
        length = 0
        for lace in lacing:
            length += lace
            if len(partial) + length > PACKET_MAX_BYTES:
                raise MalformedMessage(_WHERE, f"a packet of more than {PACKET_MAX_BYTES} bytes")
            if lace < 255:
                if len(packets) == PACKETS_MAX:
                    raise MalformedMessage(_WHERE, f"more than {PACKETS_MAX} packets")
                packets.append(partial + data[body : body + length])
                partial = b""
                body += length
                length = 0
        if lacing:
            unfinished = lacing[-1] == 255
        partial += data[body : body + length]
        if flags & _LAST:
            break
    return packets
