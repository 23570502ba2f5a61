"""How often somebody may do something: so many at once, then so many a second."""

from __future__ import annotations

from collections import OrderedDict

MAX_ACCOUNTS = 256


class Quota:
    """A bucket that starts full. burst: what it holds; rate_hz: how fast it fills again."""

    __slots__ = ("_at", "_burst", "_left", "_rate_hz")

    def __init__(self, burst: float, rate_hz: float, now: float) -> None:
        self._burst = burst
        self._rate_hz = rate_hz
        self._left = burst
        self._at = now

    def take(self, now: float) -> bool:
        """Take one, or False when there is none."""
        self._left = min(self._burst, self._left + max(0.0, now - self._at) * self._rate_hz)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class AccountQuotas:
    """A bucket for each account: whoever hangs up and comes again, or comes ten times, finds it as it was.

    Of the last MAX_ACCOUNTS that asked.
    """

    def __init__(self, burst: float, rate_hz: float) -> None:
        self._burst = burst
        self._rate_hz = rate_hz
        self._quotas: OrderedDict[str, Quota] = OrderedDict()

    def take(self, account: str, now: float) -> bool:
        """Take one of this account's, or False when there is none."""
        quota = self._quotas.setdefault(account, Quota(self._burst, self._rate_hz, now))
        self._quotas.move_to_end(account)
        if len(self._quotas) > MAX_ACCOUNTS:
            self._quotas.popitem(last=False)
        return quota.take(now)
