"""The numbers of tags as people type and print them, in the one form that readers give; pure.

Canonical: upper-case hexadecimal digits as `hw.readings` has them. Typed: hexadecimal with or without
separators (`62:E3:08:6C:ED`), `facility,card` as printed on Wiegand cards (`123,45678`), or the eight to ten
decimal digits on the back of an EM4100 tag, which are its lower four bytes and so do not tell the version
byte: such a number matches by those four bytes (`tail`).
"""

from __future__ import annotations

import re

MAX_TYPED_CHARS = 64
_SEPARATED = re.compile(r"[0-9A-F]{2}([:\- ][0-9A-F]{2})+", re.ASCII)
_HEX = re.compile(r"[0-9A-F]{6,16}", re.ASCII)
_PAIR = re.compile(r"(\d{1,5})\s*[,/]\s*(\d{1,6})", re.ASCII)
_DECIMAL = re.compile(r"\d{8,10}", re.ASCII)
TAIL_DIGITS = 8


def canonical(typed: str) -> str:
    """The number of a tag. Raises: ValueError, which says the forms."""
    text = typed.strip().upper() if len(typed) <= MAX_TYPED_CHARS else ""
    if pair := _PAIR.fullmatch(text):
        facility, card = int(pair[1]), int(pair[2])
        if facility <= 0xFF and card <= 0xFFFF:
            return f"{facility << 16 | card:06X}"
        if facility <= 0xFFFF and card <= 0xFFFF:
            return f"{facility << 16 | card:06X}"
    elif _SEPARATED.fullmatch(text):
        joined = re.sub(r"[:\- ]", "", text)
        if _HEX.fullmatch(joined):
            return joined
    elif _DECIMAL.fullmatch(text) and int(text) <= 0xFFFF_FFFF and (len(text) != 10 or text[0] in "01234"):
        return f"{int(text):08X}"
    elif _HEX.fullmatch(text):
        return text
    raise ValueError("expected a tag's number such as 62E3086CED, 62:E3:08:6C:ED, 0012345678 or 123,45678")


def forms(number: str) -> tuple[str, ...]:
    """The canonical numbers under which a tag that was read may be known: its own, and without the version
    byte of an EM4100 tag, for those that were typed from their backs."""
    return (number, number[-TAIL_DIGITS:]) if len(number) == TAIL_DIGITS + 2 else (number,)
