"""How often a token may ask, and how often an address may be wrong."""

from __future__ import annotations

from collections import OrderedDict, deque

from agent.quota import Quota

SHORT_S = 10.0
LONG_S = 3600.0
MAX_KNOWN = 256
WRONG_AT_ONCE = 10.0
WRONG_HZ = 1 / 6


class Usage:
    """Requests of each token within the last ten seconds and the last hour; refused ones do not count.

    Of the last MAX_KNOWN tokens that asked; a door has a few.
    """

    def __init__(self, per_10_s: int, per_hour: int) -> None:
        self._per_10_s = per_10_s
        self._per_hour = per_hour
        self._asked: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, token: str, now: float) -> bool:
        """Count one request, or False when it is one too many."""
        asked = self._asked.setdefault(token, deque())
        self._asked.move_to_end(token)
        if len(self._asked) > MAX_KNOWN:
            self._asked.popitem(last=False)
        while asked and asked[0] <= now - LONG_S:
            asked.popleft()
        if len(asked) >= self._per_hour:
            return False
        if len(asked) >= self._per_10_s and asked[-self._per_10_s] > now - SHORT_S:
            return False
        asked.append(now)
        return True


class Guesses:
    """Wrong tokens, codes and secrets of each address: ten at once, then one in six seconds.

    Of the last MAX_KNOWN addresses that were wrong.
    """

    def __init__(self) -> None:
        self._left: OrderedDict[str, Quota] = OrderedDict()
        self._blocked: dict[str, float] = {}

    def wrong(self, address: str, now: float) -> bool:
        """Count a mistake; False when it is one too many."""
        quota = self._left.setdefault(address, Quota(WRONG_AT_ONCE, WRONG_HZ, now))
        self._left.move_to_end(address)
        if len(self._left) > MAX_KNOWN:
            gone, _ = self._left.popitem(last=False)
            self._blocked.pop(gone, None)
        if quota.take(now):
            self._blocked.pop(address, None)
            return True
        self._blocked[address] = now + 1 / WRONG_HZ
        return False

    def blocked(self, address: str, now: float) -> bool:
        """True while nothing that this address says is looked at."""
        return self._blocked.get(address, now) > now
