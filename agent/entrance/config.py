"""What an operator may say about readers of tags and codes, and about who is let in by them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from agent.entrance.panel import Accepts

ReaderKind = Literal["rdm6300", "wiegand", "keypad"]
Direction = Literal["", "in", "out"]
SIMULATED = "sim"
"""The device of a reader that is only played, where the board is (`portero run --sim`)."""


class ReaderConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reader or keypad on a serial port, beside a lock.

    device: best as /dev/serial/by-id/...: such a name stays with the device. opens: the lock's name.
    accepts: a tag or a code, whichever comes (`either`), both of a person (`both`), or one of them only.
    code_digits: codes of this length need no `#` at their end. direction: for anti-passback.
    hold_s: absent: the lock's own hold time.
    """

    device: Annotated[str, Meta(min_length=1, max_length=256)]
    kind: ReaderKind
    opens: Annotated[str, Meta(min_length=1, max_length=64)]
    accepts: Accepts = "either"
    code_digits: Annotated[int, Meta(ge=4, le=8)] | None = None
    direction: Direction = ""
    baud_hz: Annotated[int, Meta(ge=300, le=4_000_000)] = 9600
    hold_s: Annotated[float, Meta(gt=0, le=60)] | None = None

    def __post_init__(self) -> None:
        if self.kind == "rdm6300" and self.accepts in ("code", "both"):
            raise ValueError('an rdm6300 has no keys: accepts = "tag"')
        if self.kind == "keypad" and self.accepts in ("tag", "both"):
            raise ValueError('a keypad reads no tags: accepts = "code"')


class EntranceConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How patiently wrong codes and unknown tags are taken.

    free_attempts: within `within_s` at one reader; then its codes are closed for `closed_s`, and twice as
    long each further time, up to 15 minutes. Tags that are good open all the while.
    anti_passback: a key that went in has to come out before it goes in again.
    """

    free_attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    within_s: Annotated[float, Meta(ge=1, le=3600)] = 60.0
    closed_s: Annotated[float, Meta(ge=1, le=900)] = 60.0
    anti_passback: bool = False
