"""What is shown at one reader, put together: digits become a code, and a tag may wait for its code. Pure."""

from __future__ import annotations

import math
from typing import Literal

from msgspec import Struct

from agent.model.events import KeyMethod

Accepts = Literal["tag", "code", "either", "both"]

END = "#"
CLEAR = "*"
MAX_DIGITS = 8
DIGIT_S = 6.0
"""How long the next digit may take; then the code is forgotten and counts as nothing."""
CODE_S = 20.0
"""How long a tag waits for the first digit of its code."""


class Presented(Struct, frozen=True, kw_only=True):
    """Something complete that somebody wants to be let in with; what is missing is empty.

    tag: the canonical number. code: digits. given_up: the tag was shown and its code did not come.
    """

    method: KeyMethod
    tag: str = ""
    code: str = ""
    given_up: bool = False

    def __repr__(self) -> str:
        return f"Presented(method={self.method!r}, given_up={self.given_up})"


class Panel:
    """The memory of one reader between one reading and the next; times are monotonic seconds.

    code_digits: a code of so many digits is complete without END; None: END completes it.
    """

    def __init__(self, accepts: Accepts, *, code_digits: int | None = None) -> None:
        self._accepts = accepts
        self._code_digits = code_digits
        self._tag = ""
        self._digits = ""
        self._until = math.inf

    @property
    def deadline(self) -> float:
        """When `expire` has something to do; inf: nothing has begun."""
        return self._until

    def tag(self, number: str, now: float) -> Presented | None:
        """A tag was held to the reader; digits that were typed before it are forgotten."""
        self.expire(now)
        self._forget()
        if self._accepts == "code":
            return None
        if self._accepts != "both":
            return Presented(method="tag", tag=number)
        self._tag, self._until = number, now + CODE_S
        return None

    def key(self, key: str, now: float) -> Presented | None:
        """A key was pressed; keys other than digits, END and CLEAR mean nothing."""
        self.expire(now)
        if self._accepts == "tag":
            return None
        if key == CLEAR:
            self._forget()
            return None
        if key == END:
            return self._complete() if self._digits else None
        if len(key) != 1 or key not in "0123456789":
            return None
        if len(self._digits) < MAX_DIGITS + 1:  # one more than any code has: it will match none
            self._digits += key
        self._until = now + DIGIT_S
        return self._complete() if len(self._digits) == self._code_digits else None

    def expire(self, now: float) -> Presented | None:
        """Forget what waited too long; a tag whose code did not come is told, as it may have been stolen."""
        if now < self._until:
            return None
        tag = self._tag
        self._forget()
        return Presented(method="tag+code", tag=tag, given_up=True) if tag else None

    def _complete(self) -> Presented | None:
        tag, code = self._tag, self._digits
        self._forget()
        if self._accepts == "both":
            return Presented(method="tag+code", tag=tag, code=code)
        return Presented(method="code", code=code)

    def _forget(self) -> None:
        self._tag, self._digits, self._until = "", "", math.inf
