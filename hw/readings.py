"""What a reader at the door gives: tags and keys, in one form whatever the wire; pure.

A tag's number is text: upper-case hexadecimal digits. EM4100 has ten of them (version byte and four bytes).
A Wiegand tag has facility and card as the format packs them, as few digits as they need, at least six.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

Technology = Literal["em4100", "wiegand"]


class TagRead(msgspec.Struct, frozen=True, gc=False):
    """A tag was held to the reader; once per presentation. bits: of the number on the wire."""

    number: str
    technology: Technology
    bits: int

    def __repr__(self) -> str:
        return f"TagRead({self.technology}, {self.bits} bits)"


class KeyPress(msgspec.Struct, frozen=True, gc=False):
    """A key of a keypad: `0`..`9`, `*`, `#`, `A`..`D`."""

    key: str

    def __repr__(self) -> str:
        return "KeyPress()"


class KeypadStuck(msgspec.Struct, frozen=True, gc=False):
    """A key is held down, or repeats faster than fingers do (stuck), or no longer."""

    stuck: bool


Reading = TagRead | KeyPress | KeypadStuck


class Framer(Protocol):
    """Bytes of one wire to readings. Any bytes at any time; never raises.

    noise: bytes that were part of nothing. refused: frames whose checksum, parity or form is wrong.
    """

    noise: int
    refused: int

    def feed(self, data: bytes, now_s: float) -> list[Reading]:
        """What is complete now. now_s: monotonic seconds, never going back."""


class Presence:
    """Tells once of a tag that lies on the reader: these readers repeat it, or are shown it twice."""

    def __init__(self, away_s: float) -> None:
        self._away_s = away_s
        self._number = ""
        self._seen_at = float("-inf")

    def is_new(self, number: str, now_s: float) -> bool:
        """Whether it was away, or is another one."""
        new = number != self._number or now_s - self._seen_at >= self._away_s
        self._number, self._seen_at = number, now_s
        return new
