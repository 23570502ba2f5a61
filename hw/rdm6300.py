"""125 kHz readers RDM6300 and their kin (ID-12, ID-20): EM4100 tags as ASCII frames; pure.

Frame: 02, ten hexadecimal digits (version, four bytes of number), two of checksum, 03; kin put CR LF before
the 03. Checksum: the exclusive or of the five bytes. 9600 baud, 8N1, every 65 ms while a tag is there.
Source: data sheets of RDM6300 and ID-12LA.
"""

from __future__ import annotations

from hw.readings import Presence, Reading, TagRead

BAUD = 9600
AWAY_S = 1.0
START, END = 0x02, 0x03
DIGITS = 12
MAX_FRAME = DIGITS + 2  # CR LF
_HEX = frozenset(b"0123456789ABCDEFabcdef")


class Rdm6300:
    """See readings.Framer. away_s: how long a tag has to be away to be read anew."""

    def __init__(self, away_s: float = AWAY_S) -> None:
        self.noise = 0
        self.refused = 0
        self._presence = Presence(away_s)
        self._frame: bytearray | None = None

    def feed(self, data: bytes, now_s: float) -> list[Reading]:
        """See readings.Framer."""
        told: list[Reading] = []
        for byte in data:
            if byte == START:
                self._drop()
                self._frame = bytearray()
            elif self._frame is None:
                self.noise += 1
            elif byte == END:
                number = _number(bytes(self._frame))
                self._frame = None
                if number is None:
                    self.refused += 1
                elif self._presence.is_new(number, now_s):
                    told.append(TagRead(number, "em4100", 40))
            else:
                self._frame.append(byte)
                if len(self._frame) > MAX_FRAME:
                    self._drop()
        return told

    def _drop(self) -> None:
        if self._frame is not None:
            self.noise += 1 + len(self._frame)
            self._frame = None


def _number(frame: bytes) -> str | None:
    """The ten digits, if the checksum is right."""
    digits = frame.removesuffix(b"\r\n")
    if len(digits) != DIGITS or not _HEX.issuperset(digits):
        return None
    *number, told = bytes.fromhex(digits.decode())
    checksum = 0
    for byte in number:
        checksum ^= byte
    # 00 in all places has a right checksum, and is what a shorted line gives.
    return bytes(number).hex().upper() if checksum == told and any(number) else None


def frame(number: str) -> bytes:
    """The frame of a number of ten digits, as a reader sends it (for the simulated one)."""
    data = bytes.fromhex(number) if len(number) == 10 and _HEX.issuperset(number.encode()) else b""
    if len(data) != 5:
        raise ValueError(f"expected ten hexadecimal digits, got {number!r}")
    checksum = 0
    for byte in data:
        checksum ^= byte
    return bytes((START,)) + (data + bytes((checksum,))).hex().upper().encode() + bytes((END,))
