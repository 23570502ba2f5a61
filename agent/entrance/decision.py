"""Whether somebody who shows a tag or a code at a reader is let in. Pure: same question, same answer."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Iterable
from functools import lru_cache

from msgspec import Struct

from agent.entrance import schedule
from agent.entrance.config import ReaderConfig
from agent.entrance.key import DIGEST_BYTES, Digester, Key
from agent.entrance.numbers import forms
from agent.entrance.panel import Presented

UNKNOWN = "not known"
MAX_INSIDE = 100_000
_NOTHING = bytes(DIGEST_BYTES)


class Admit(Struct, frozen=True, kw_only=True):
    """Open `endpoint` for the key. duress: with the code that calls for help."""

    key: Key
    endpoint: str
    duress: bool = False


class Refuse(Struct, frozen=True, kw_only=True):
    """Do not. key: where one was found. guess: it may have been one, and counts."""

    reason: str
    key: Key | None = None
    guess: bool = False


class Index:
    """The keys by what is shown; made anew when they change."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._tags: dict[bytes, list[Key]] = {}
        self._codes: dict[bytes, list[Key]] = {}
        for key in keys:
            if key.tag:
                self._tags.setdefault(key.tag, []).append(key)
                continue
            self._codes.setdefault(key.code, []).append(key)
            if key.duress:
                self._codes.setdefault(key.duress, []).append(key)

    def by_tag(self, digest: bytes) -> list[Key]:
        """The keys of a tag."""
        return self._tags.get(digest, [])

    def by_code(self, digest: bytes) -> list[Key]:
        """The keys that are that code alone, or have it as their duress code."""
        return self._codes.get(digest, [])


class Passback:
    """Who went in and has not come out, and the other way round; forgotten with the process."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, str] = OrderedDict()

    def refuses(self, key: Key, direction: str) -> bool:
        """Whether the last passage with this key had the same direction."""
        return bool(direction) and self._last.get(key.id) == direction

    def note(self, key: Key, direction: str) -> None:
        """It went through."""
        if not direction:
            return
        self._last[key.id] = direction
        self._last.move_to_end(key.id)
        if len(self._last) > MAX_INSIDE:
            self._last.popitem(last=False)


def decide(
    presented: Presented, reader: ReaderConfig, index: Index, digester: Digester, *, now_ns: int,
    passback: Passback | None = None,
) -> Admit | Refuse:  # fmt: skip
    """What becomes of what was shown. passback: None: going in twice is nothing strange.

    The hashes are made and compared whether or not anything is known of what was shown.
    """
    found: list[Key] = []
    for number in forms(presented.tag) if presented.tag else ("", ""):
        found += index.by_tag(digester.tag(number))
    code = digester.code(presented.code)
    if presented.given_up:
        return Refuse(reason="the code did not come", key=found[0] if found else None)
    if not presented.tag:
        found = index.by_code(code) if presented.method == "code" else []
    refusal = Refuse(reason=UNKNOWN, guess=True)
    for key in found:
        verdict = _look(key, presented, reader, code, now_ns, passback)
        if isinstance(verdict, Admit):
            return verdict
        refusal = verdict
    return refusal


def _look(
    key: Key, presented: Presented, reader: ReaderConfig, code: bytes, now_ns: int, passback: Passback | None
) -> Admit | Refuse:
    right = hmac.compare_digest(key.code or _NOTHING, code)
    duress = hmac.compare_digest(key.duress or _NOTHING, code)
    if presented.method == "tag+code" and not key.code:
        return Refuse(reason="this key has no code, and this reader wants one", key=key)
    if key.code and presented.method == "tag":
        return Refuse(reason="this key needs its code", key=key)
    if presented.method != "tag" and not (right or duress):
        return Refuse(reason="wrong code", key=key, guess=True)
    reason = _why_not(key, reader, now_ns)
    if reason is None and passback is not None and passback.refuses(key, reader.direction):
        reason = f"went {reader.direction} already"
    if reason is not None:
        return Refuse(reason=reason, key=key)
    return Admit(key=key, endpoint=reader.opens, duress=duress and not right)


def _why_not(key: Key, reader: ReaderConfig, now_ns: int) -> str | None:
    """Why a key that is right does not open this lock now."""
    if not key.enabled:
        return "disabled"
    if key.endpoints is not None and reader.opens not in key.endpoints:
        return f"not for {reader.opens}"
    if key.valid_from_ns is not None and now_ns < key.valid_from_ns:
        return "not yet valid"
    if key.valid_until_ns is not None and now_ns >= key.valid_until_ns:
        return "no longer valid"
    if key.uses_left is not None and key.uses_left < 1:
        return "used up"
    if key.schedule and not _in_hours(key.schedule, now_ns):
        return "not at this hour"
    return None


def _in_hours(text: str, now_ns: int) -> bool:
    """A schedule that cannot be read lets nobody in."""
    try:
        hours = _parsed(text)
    except ValueError:
        return False
    return hours is None or hours.contains(now_ns)


_parsed = lru_cache(maxsize=256)(schedule.parse)
