"""PINs: rules, and how many wrong ones an account takes. Pure but for `generate_pin`.

A PIN has so few values that slowing guesses down is not enough: ten wrong ones within a day lock it, until
it is set anew. Nothing else unlocks it; phones log in by password all day, so that would only give guesses
back. Nobody but who can present a PIN for that very account can bring this about.
"""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict, deque
from itertools import pairwise

from agent.access.users import MAX_USERS, AccessError

MIN_DIGITS = 4
MAX_DIGITS = 12
GENERATED_DIGITS = 6
MAX_WRONG = 10
WRONG_WITHIN_S = 86_400.0
_FORM = re.compile(rf"[0-9]{{{MIN_DIGITS},{MAX_DIGITS}}}", re.ASCII)
# Lines on a keypad and the like, which the rules below do not find.
_USUAL = frozenset({"2580", "0852", "1122", "112233", "147258", "159753", "789456", "123321"})


def is_pin(text: str) -> bool:
    """True for what could be somebody's PIN; anything else is no guess."""
    return _FORM.fullmatch(text) is not None


def check_pin(pin: str) -> None:
    """Raises: AccessError for a PIN that is none, or one of the first that anybody tries."""
    if not is_pin(pin):
        raise AccessError(f"a PIN has {MIN_DIGITS} to {MAX_DIGITS} digits")
    if _is_weak(pin):
        raise AccessError(
            "that PIN is among the first that anybody tries: no row such as 1234, no repetition such as 1212"
        )


def generate_pin() -> str:
    """A PIN of six digits that is not a weak one."""
    while True:
        pin = f"{secrets.randbelow(10**GENERATED_DIGITS):0{GENERATED_DIGITS}}"
        if not _is_weak(pin):
            return pin


def _is_weak(pin: str) -> bool:
    digits = [int(digit) for digit in pin]
    steps = {(after - before) % 10 for before, after in pairwise(digits)}
    repeated = any(
        len(pin) % length == 0 and pin == pin[:length] * (len(pin) // length)
        for length in range(1, len(pin) // 2 + 1)
    )
    return len(steps) == 1 or repeated or pin in _USUAL


class WrongPins:
    """Wrong PINs by account, for as long as the account's PIN hash stays the same.

    At most ten times for each of MAX_USERS accounts; the one not counted for longest gives way.
    """

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, tuple[str, deque[float]]] = OrderedDict()

    def failed(self, account: str, pin_hash: str, now: float) -> bool:
        """Count one; True when it is the one that locks the PIN."""
        if self.locked(account, pin_hash):
            return False
        known = self._wrong.get(account)
        times = known[1] if known is not None and known[0] == pin_hash else deque[float]()
        while times and now - times[0] >= WRONG_WITHIN_S:
            times.popleft()
        times.append(now)
        self._wrong[account] = pin_hash, times
        self._wrong.move_to_end(account)
        if len(self._wrong) > MAX_USERS:
            self._wrong.popitem(last=False)
        return self.locked(account, pin_hash)

    def locked(self, account: str, pin_hash: str) -> bool:
        """True once ten were counted, however long ago."""
        known = self._wrong.get(account)
        return known is not None and known[0] == pin_hash and len(known[1]) >= MAX_WRONG
