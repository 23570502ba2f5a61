"""Refused log-ins, summed up: an attack is a few events and does not wash the bell out of the log. Pure."""

from __future__ import annotations

import math
from collections import OrderedDict

from msgspec import Struct

from agent.model.events import AccessDenied

PERIOD_S = 10.0
MAX_EVENTS_PER_PERIOD = 32
MANY = "(many)"
_ALL = (MANY, MANY, MANY)


class _Sum(Struct):
    reason: str
    closes_at: float
    count: int = 0


class Denials:
    """Tells the first refusal of a peer and account at once, and the rest of ten seconds as one event.

    At most 32 different ones at once and, in the long run, one per period; what is beyond is summed up for
    all peers and accounts together: an attack of days shall not push the history out of the journal.
    """

    def __init__(self) -> None:
        self._tokens = float(MAX_EVENTS_PER_PERIOD)
        self._filled_at = -math.inf
        self._sums: OrderedDict[tuple[str, str, str], _Sum] = OrderedDict()

    def add(self, *, worker: str, peer: str, account: str, reason: str, now: float) -> AccessDenied | None:
        """Count a refusal; the event to publish at once, if it is the first of its kind."""
        key = (worker, peer[:64], _printable(account))
        found = self._sums.get(key)
        if found is None and (len(self._sums) >= MAX_EVENTS_PER_PERIOD or not self._take(now)):
            key = _ALL
            found = self._sums.get(key)
        if found is None:
            self._sums[key] = _Sum(reason=reason, closes_at=now + PERIOD_S)
            return _event(key, reason, 1)
        found.reason = reason
        found.count += 1
        return None

    def due(self, now: float) -> list[AccessDenied]:
        """The events of the periods that are over."""
        events = []
        over = [key for key, found in self._sums.items() if found.closes_at <= now]
        # The sum of all comes last: it takes what the others may not tell.
        for key in sorted(over, key=_ALL.__eq__):
            found = self._sums.pop(key)
            if not found.count:
                continue
            if key != _ALL and not self._take(now):
                key, everybody = _ALL, self._sums.get(_ALL)
                if everybody is not None:
                    everybody.reason = found.reason
                    everybody.count += found.count
                    continue
            events.append(_event(key, found.reason, found.count))
            # The event begins a new period, or an attack would be told twice in each.
            self._sums[key] = _Sum(reason=found.reason, closes_at=now + PERIOD_S)
        return events

    def _take(self, now: float) -> bool:
        """True when one more event of a single peer and account may be told."""
        gained = max(0.0, now - self._filled_at) / PERIOD_S
        self._tokens = min(float(MAX_EVENTS_PER_PERIOD), self._tokens + gained)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def next_at(self) -> float | None:
        """When the next period is over; None when nothing is counted."""
        return next(iter(self._sums.values())).closes_at if self._sums else None


def _event(key: tuple[str, str, str], reason: str, count: int) -> AccessDenied:
    worker, peer, account = key
    return AccessDenied(worker=worker, peer=peer, account=account, reason=reason, count=count)


def _printable(account: str) -> str:
    """What a stranger typed as a name, short and without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in account[:64])
