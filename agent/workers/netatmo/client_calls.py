"""Calls at the door: one ring for all that is told of a session, whichever comes first. Pure.

A door station's press comes as signalling (`rtc` offers, repeated for half a minute) and as `incoming_call`,
in any order, late, or only one of the two. Source: bodies of BTicino integrations; "9.6" of their captures:
offers about eight times in 30 s, `missed_call` after 26 to 30 s. Times are trio's, as arguments.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from msgspec import Struct

from agent.workers.netatmo.translate import Step

FORGET_S = 120.0
UNKNOWN_AFTER_S = 60.0
WITHOUT_ID_S = 30.0
OLD_S = 60.0
MAX_SESSIONS = 64
MAX_SEEN = 4096

Verdict = Literal["ring", "update", "end", "old", "late", "nothing"]
Outcome = Literal["", "answered", "missed", "over", "unknown outcome"]


class Call(Struct, kw_only=True):
    """One call. module, device: who rings, as far as anybody said. outcome: empty while it goes on."""

    key: str
    device: str = ""
    module: str = ""
    begun_at: float = 0.0
    heard_at: float = 0.0
    rang: bool = False
    outcome: Outcome = ""


class Calls:
    """The calls of the last minutes."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, Call] = OrderedDict()

    def take(
        self, step: Step, *, session_id: str, event_id: str, device: str, module: str, age_s: float,
        now_s: float,
    ) -> tuple[Verdict, Call | None]:  # fmt: skip
        """What is new in what was told of a call.

        age_s: how long ago it happened, by the cloud's own clock; an old one rings no bell.
        """
        self._forget(now_s)
        key = session_id or self._anonymous(event_id, device, module, now_s)
        call = self._calls.get(key)
        known = call is not None
        if call is None:
            if len(self._calls) >= MAX_SESSIONS:
                self._calls.popitem(last=False)
            call = self._calls[key] = Call(key=key, device=device, begun_at=now_s)
        call.heard_at = now_s
        call.device = call.device or device
        told_now = bool(module) and not call.module
        call.module = call.module or module
        if step == "ring":
            if call.outcome:
                return "late", call  # an offer that was overtaken by its own end
            if call.rang:
                return ("update" if told_now else "nothing"), call
            if age_s > OLD_S:
                return "old", call
            call.rang = True
            return "ring", call
        if call.outcome or not known:
            # Of a call that nobody heard ring there is nothing to end; the report tells of it.
            call.outcome = call.outcome or step
            return "nothing", call
        call.outcome = step
        return "end", call

    def knows(self, key: str, now_s: float) -> bool:
        """Whether this call is one of the last minutes."""
        self._forget(now_s)
        return key in self._calls

    def overdue(self, now_s: float) -> list[Call]:
        """Calls that nobody ended: they are over now, nobody knows how."""
        found = []
        for call in self._calls.values():
            if call.rang and not call.outcome and now_s - call.heard_at >= UNKNOWN_AFTER_S:
                call.outcome = "unknown outcome"
                found.append(call)
        return found

    def next_overdue(self) -> float | None:
        """When to look again; None while no call goes on."""
        times = [call.heard_at + UNKNOWN_AFTER_S for call in self._calls.values()
                 if call.rang and not call.outcome]  # fmt: skip
        return min(times, default=None)

    def _anonymous(self, event_id: str, device: str, module: str, now_s: float) -> str:
        """A key for what has no session."""
        if event_id:
            return f"event:{event_id}"
        key = f"device:{device}:{module}"
        call = self._calls.get(key)
        if call is not None and (call.outcome or now_s - call.begun_at >= WITHOUT_ID_S):
            del self._calls[key]
        return key

    def _forget(self, now_s: float) -> None:
        for key in [key for key, call in self._calls.items() if now_s - call.heard_at > FORGET_S]:
            del self._calls[key]


class Seen:
    """Ids that were told already, the last few thousand of them."""

    def __init__(self, most: int = MAX_SEEN) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._most = most

    def __contains__(self, one: str) -> bool:
        return one in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, one: str) -> bool:
        """Remember an id; False when it was known."""
        if one in self._ids:
            self._ids.move_to_end(one)
            return False
        self._ids[one] = None
        if len(self._ids) > self._most:
            self._ids.popitem(last=False)
        return True
