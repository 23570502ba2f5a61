"""WAV files: read any plain PCM one as the door's own sound, write what the door heard.

Source: Microsoft, "Multimedia Programming Interface and Data Specifications 1.0" (RIFF, fmt, data), and
"Multiple channel audio data and WAVE files" (WAVE_FORMAT_EXTENSIBLE).
"""

from __future__ import annotations

import struct
import sys
from array import array
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from msgspec import Struct

from agent.model.errors import LocalProtocolError, MalformedMessage
from agent.voice.codec import Resampler

FILE_MAX_BYTES: Final = 64 * 1024 * 1024
SOUND_MAX_S: Final = 600
RATE_MIN_HZ: Final = 8_000
RATE_MAX_HZ: Final = 192_000
WRITTEN_MAX_BYTES: Final = 2_000_000_000
HEADER_EVERY_BYTES: Final = 64_000

_WHERE: Final = "wav"
_FORMAT: Final = struct.Struct("<HHIIHH")
_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# The tail that every sub-format of WAVE_FORMAT_EXTENSIBLE shares, after its two bytes of old format code.
_SUBFORMAT_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")
_CHUNK_FRAMES: Final = 16_384
_CHUNKS_MAX: Final = 1_000
_BIG_ENDIAN: Final = sys.byteorder == "big"
_FLIPPED: Final = bytes(value ^ 0x80 for value in range(256))


class WavFormat(Struct, frozen=True, kw_only=True):
    """The sound of a file as it lies there; sample_bytes per channel."""

    sample_rate_hz: int
    channels: int
    sample_bytes: int
    is_float: bool

    @property
    def frame_bytes(self) -> int:
        return self.channels * self.sample_bytes


def read_wav(path: Path, sample_rate_hz: int = 16_000) -> bytes:
    """The sound of a WAV file as mono PCM of 16 bit at `sample_rate_hz`.

    Takes 8, 16, 24 and 32 bit integers and 32 bit floats, mono or stereo, 8 to 192 kHz, up to 64 MB and ten
    minutes. A file that was cut off gives what there is. A large one is seconds of work: call it in a thread.

    Raises: MalformedMessage; OSError when it cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(FILE_MAX_BYTES + 1)
    return parse_wav(data, sample_rate_hz)


def parse_wav(data: bytes, sample_rate_hz: int = 16_000) -> bytes:
    """As `read_wav`, from memory. Raises: MalformedMessage."""
    if len(data) > FILE_MAX_BYTES:
        raise MalformedMessage(_WHERE, f"larger than {FILE_MAX_BYTES} bytes")
    form, sound = find_sound(data)
    frames = len(sound) // form.frame_bytes
    if frames > SOUND_MAX_S * form.sample_rate_hz:
        raise MalformedMessage(_WHERE, f"longer than {SOUND_MAX_S} s")
    resampler = None
    pieces: list[bytes] = []
    if form.sample_rate_hz != sample_rate_hz:
        resampler = Resampler(form.sample_rate_hz, sample_rate_hz)
    step = _CHUNK_FRAMES * form.frame_bytes
    for at in range(0, frames * form.frame_bytes, step):
        piece = _mono16(bytes(sound[at : min(at + step, frames * form.frame_bytes)]), form)
        pieces.append(resampler.process(piece) if resampler is not None else piece)
    if resampler is None:
        return b"".join(pieces)
    # The filter holds the end back: push it out, and give neither more nor less than the file lasts.
    samples = frames * sample_rate_hz // form.sample_rate_hz
    delay = round(resampler.delay_samples)
    flush = (delay + 1) * form.sample_rate_hz // sample_rate_hz + 1
    pieces.append(resampler.process(bytes(2 * flush)))
    return b"".join(pieces)[2 * delay : 2 * (delay + samples)]


def find_sound(data: bytes) -> tuple[WavFormat, memoryview]:
    """The format and the samples of a WAV file in memory, a view into it. Raises: MalformedMessage."""
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise MalformedMessage(_WHERE, "not a RIFF WAVE file")
    form: WavFormat | None = None
    at = 12
    for _ in range(_CHUNKS_MAX):
        if at + 8 > len(data):
            break
        name = data[at : at + 4]
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        body = at + 8
        if name == b"fmt ":
            form = _read_format(data[body : body + min(size, 64)])
        elif name == b"data":
            if form is None:
                raise MalformedMessage(_WHERE, "sound before its format")
            # Whoever wrote to a pipe or lost power left 0 or the greatest number: then it is all the rest.
            end = body + size if 0 < size <= len(data) - body else len(data)
            return form, memoryview(data)[body:end]
        at = body + size + (size & 1)
    raise MalformedMessage(_WHERE, "no sound in it")


def _read_format(chunk: bytes) -> WavFormat:
    if len(chunk) < _FORMAT.size:
        raise MalformedMessage(_WHERE, "the format chunk is too short")
    code, channels, rate_hz, _, frame_bytes, bits = _FORMAT.unpack_from(chunk)
    if code == _EXTENSIBLE:
        if len(chunk) < 40 or chunk[26:40] != _SUBFORMAT_TAIL:
            raise MalformedMessage(_WHERE, "an extensible format without a known sub-format")
        code = int.from_bytes(chunk[24:26], "little")
    if (code, bits) not in ((_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32)):
        raise MalformedMessage(_WHERE, f"format {code} with {bits} bit: expected plain PCM")
    if channels not in (1, 2) or frame_bytes != channels * bits // 8:
        raise MalformedMessage(_WHERE, f"{channels} channels in {frame_bytes} bytes")
    if not RATE_MIN_HZ <= rate_hz <= RATE_MAX_HZ:
        raise MalformedMessage(_WHERE, f"{rate_hz} Hz: expected {RATE_MIN_HZ} to {RATE_MAX_HZ}")
    return WavFormat(
        sample_rate_hz=rate_hz, channels=channels, sample_bytes=bits // 8, is_float=code == _FLOAT
    )


def _mono16(raw: bytes, form: WavFormat) -> bytes:
    """Whole frames of a file as mono PCM; integers keep their upper 16 bits."""
    if form.is_float:
        samples = _from_float(raw)
    else:
        samples = array("h")
        samples.frombytes(_upper16(raw, form.sample_bytes))
        if _BIG_ENDIAN:
            samples.byteswap()
    if form.channels == 2:
        pairs = zip(samples[0::2], samples[1::2], strict=True)
        samples = array("h", [(left + right) >> 1 for left, right in pairs])
    return samples.tobytes()


def _upper16(raw: bytes, sample_bytes: int) -> bytes:
    """The two most significant bytes of each little-endian sample; 8 bit is unsigned, the rest signed."""
    if sample_bytes == 2:
        return raw
    upper = bytearray(len(raw) // sample_bytes * 2)
    if sample_bytes == 1:
        upper[1::2] = raw.translate(_FLIPPED)
    else:
        upper[0::2] = raw[sample_bytes - 2 :: sample_bytes]
        upper[1::2] = raw[sample_bytes - 1 :: sample_bytes]
    return bytes(upper)


def _from_float(raw: bytes) -> array[int]:
    floats = array("f")
    floats.frombytes(raw)
    if _BIG_ENDIAN:
        floats.byteswap()
    # What is no number compares with nothing, and becomes silence.
    return array(
        "h",
        [
            int(value * 32767)
            if -1.0 < value < 1.0
            else 32767
            if value >= 1.0
            else -32767
            if value <= -1.0
            else 0
            for value in floats
        ],
    )


class WavWriter:
    """Writes mono PCM of 16 bit to a new WAV file; its header is made true now and then and at the end."""

    def __init__(self, path: Path, sample_rate_hz: int = 16_000) -> None:
        self._rate_hz = sample_rate_hz
        self._bytes = 0
        self._told_bytes = 0
        self._file: BinaryIO = path.open("wb")
        self._write_header()

    @property
    def seconds(self) -> float:
        """What was written, in time."""
        return self._bytes / 2 / self._rate_hz

    def write(self, pcm: bytes) -> None:
        """Append whole samples in the machine's byte order.

        Raises: LocalProtocolError beyond 2 GB, or for half a sample; OSError; ValueError after `close`.
        """
        if len(pcm) % 2 or self._bytes + len(pcm) > WRITTEN_MAX_BYTES:
            raise LocalProtocolError(f"{len(pcm)} bytes of sound after {self._bytes}")
        if _BIG_ENDIAN:
            samples = array("h", pcm)
            samples.byteswap()
            pcm = samples.tobytes()
        self._file.write(pcm)
        self._bytes += len(pcm)
        if self._bytes - self._told_bytes >= HEADER_EVERY_BYTES:
            self._write_header()

    def close(self) -> None:
        """Make the header true and close the file. Idempotent. Raises: OSError."""
        if not self._file.closed:
            try:
                self._write_header()
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_header(self) -> None:
        rate, size = self._rate_hz, self._bytes
        fields = (b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, _PCM, 1, rate, rate * 2, 2, 16, b"data", size)
        self._file.seek(0)
        self._file.write(_HEADER.pack(*fields))
        self._file.seek(0, 2)
        self._file.flush()
        self._told_bytes = size
