"""Wiegand readers behind a converter that sends what it saw as lines of text; pure.

A line is one frame of the reader: `W`, the number of bits, `:`, and the bits as `0` and `1`, most significant
first, ended by LF or CR LF: `W26:10111101110110010011011101`. Any microcontroller with two inputs can do it.
The same in hexadecimal, zeros in front: `26,2F764DD` is taken, too; keys are `4,5` or `8,A5`.

Formats: 26 bits (H10301: even parity of the first 12, facility 8, card 16, odd parity of the last 12), 34
(even of 16, facility 16, card 16, odd of 16), 37 (H10304: even of the first 18, facility 16, card 19, odd of
the last 18; H10302 is the same without facility, and gives the same number). Keypads send a key as 4 bits, or
as 8: the complement first. Source: SIA AC-01, HID's description of its formats.
"""

from __future__ import annotations

from hw.readings import KeyPress, Presence, Reading, TagRead

BAUD = 9600
AWAY_S = 1.0
MAX_LINE = 64
KEYS = "0123456789*#"
_ESC, _ENT = 10, 11
# bits: (covered by the even parity, covered by the odd one)
FORMATS: dict[int, tuple[int, int]] = {26: (12, 12), 34: (16, 16), 37: (18, 18)}


class Wiegand:
    """See readings.Framer. away_s: how long a tag has to be away to be read anew."""

    def __init__(self, away_s: float = AWAY_S) -> None:
        self.noise = 0
        self.refused = 0
        self._presence = Presence(away_s)
        self._line = bytearray()
        self._skipping = False

    def feed(self, data: bytes, now_s: float) -> list[Reading]:
        """See readings.Framer."""
        told: list[Reading] = []
        for byte in data:
            if byte != 0x0A:
                self._line.append(byte)
                if len(self._line) > MAX_LINE:
                    self._skipping = True  # the rest of the line is part of it
                    self.noise += len(self._line)
                    self._line.clear()
                continue
            line, skipped = bytes(self._line), self._skipping
            self._line.clear()
            self._skipping = False
            if skipped or not line.strip():
                self.noise += len(line)
                continue
            reading = decode(line)
            if reading is None:
                self.refused += 1
            elif not isinstance(reading, TagRead) or self._presence.is_new(reading.number, now_s):
                told.append(reading)
        return told


def decode(line: bytes) -> Reading | None:
    """The reading of one line without its LF; None when length, form or parity is wrong."""
    values = _bits(line.removesuffix(b"\r"))
    if len(values) == 4:
        return _key(_whole(values))
    if len(values) == 8:
        high, low = _whole(values[:4]), _whole(values[4:])
        return _key(low) if high == low ^ 0xF else None
    covered = FORMATS.get(len(values))
    if covered is None:
        return None
    even, odd = covered
    if sum(values[: even + 1]) % 2 or not sum(values[-odd - 1 :]) % 2:
        return None
    number = _whole(values[1:-1])
    return TagRead(f"{number:06X}", "wiegand", len(values)) if number else None


def _bits(line: bytes) -> list[int]:
    """The bits that a line tells, most significant first; none when it has no form of ours."""
    if line[:1] == b"W":
        head, _, bits = line[1:].partition(b":")
        if head.isdigit() and len(head) <= 2 and len(bits) == int(head) and not bits.strip(b"01"):
            return [byte - 0x30 for byte in bits]
        return []
    head, _, digits = line.partition(b",")
    if not head.isdigit() or len(head) > 2 or digits.strip(b"0123456789ABCDEFabcdef"):
        return []
    count = int(head)
    if len(digits) != (count + 3) // 4 or not digits or int(digits, 16) >> count:
        return []
    number = int(digits, 16)
    return [number >> place & 1 for place in range(count - 1, -1, -1)]


def line(number: int, bits: int) -> bytes:
    """The line of a tag's number in a format (for the simulated reader)."""
    even, odd = FORMATS[bits]
    inner = [number >> place & 1 for place in range(bits - 3, -1, -1)]
    values = [sum(inner[:even]) % 2, *inner, 1 - sum(inner[len(inner) - odd :]) % 2]
    return f"W{bits}:{''.join(map(str, values))}\r\n".encode()


def _key(code: int) -> KeyPress | None:
    return KeyPress(KEYS[code]) if code < len(KEYS) else None


def _whole(values: list[int]) -> int:
    number = 0
    for value in values:
        number = number << 1 | value
    return number
