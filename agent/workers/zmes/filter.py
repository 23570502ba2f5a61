"""Which monitors a client wants to hear of, and how often."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any

from msgspec import Struct

from agent.workers.zmes.wire import MAX_MONITORS

MAX_INTERVAL_S = 31_536_000.0
MAX_KEYS = 1024
_ALL = frozenset({"", "-1", "0"})
_NS_PER_S = 1_000_000_000


class MonitorFilter(Struct, frozen=True, kw_only=True):
    """monitors: None for all. intervals: seconds, by the position of the monitor; a missing entry is 0.

    Without a list of monitors there are no positions, so there are no intervals either.
    """

    monitors: tuple[str, ...] | None = None
    intervals: tuple[float, ...] = ()

    @classmethod
    def parse(cls, monlist: str, intlist: str) -> MonitorFilter:
        """The filter of two comma separated lists; an empty one, `-1` or `0` as monlist means all.

        Never fails: what is no interval is 0, and entries beyond MAX_MONITORS are not looked at.
        """
        if monlist.strip() in _ALL:
            return cls()
        monitors = tuple(part.strip() for part in monlist.split(",", MAX_MONITORS)[:MAX_MONITORS])
        intervals = tuple(_interval_s(part) for part in intlist.split(",", MAX_MONITORS)[:MAX_MONITORS])
        return cls(monitors=monitors, intervals=intervals)

    def wants(self, monitor_id: str) -> bool:
        """True when this monitor is on the list."""
        return self.monitors is None or monitor_id in self.monitors

    def interval_s(self, monitor_id: str) -> float:
        """Least time between two alarms of this monitor; its first place on the list decides."""
        if self.monitors is None or monitor_id not in self.monitors:
            return 0.0
        position = self.monitors.index(monitor_id)
        return self.intervals[position] if position < len(self.intervals) else 0.0


class LastSent:
    """When each receiver was last told of each monitor, in UTC nanoseconds.

    Keys are push tokens (str, kept over restarts) or connection numbers (int, gone with the connection).
    At most MAX_KEYS receivers: the one that was told longest ago is forgotten first, and told once more.
    """

    def __init__(self) -> None:
        self._times: dict[str | int, dict[str, int]] = {}

    def due(self, key: str | int, monitor_id: str, interval_s: float, at_ns: int) -> bool:
        """True when never told, or at least `interval_s` ago, or when the clock was set back since."""
        last_ns = self._times.get(key, {}).get(monitor_id)
        return last_ns is None or at_ns < last_ns or at_ns - last_ns >= interval_s * _NS_PER_S

    def stamp(self, key: str | int, monitor_id: str, at_ns: int) -> None:
        """Remember that `key` was told."""
        times = self._times.pop(key, {})
        times[monitor_id] = at_ns
        self._times[key] = times
        if len(self._times) > MAX_KEYS:
            del self._times[next(iter(self._times))]

    def forget(self, key: str | int) -> None:
        """The receiver is gone."""
        self._times.pop(key, None)

    def to_plain(self) -> dict[str, dict[str, float]]:
        """The times of tokens in seconds, for the file."""
        return {
            key: {monitor_id: at_ns / _NS_PER_S for monitor_id, at_ns in times.items()}
            for key, times in self._times.items()
            if isinstance(key, str)
        }

    def restore(self, plain: Any, tokens: Container[str]) -> None:
        """Take the times of known tokens from a file; what does not fit is left out."""
        if not isinstance(plain, dict):
            return
        for key, times in list(plain.items())[:MAX_KEYS]:
            if key in tokens and isinstance(times, dict):
                kept = {
                    monitor_id: int(at_s * _NS_PER_S)
                    for monitor_id, at_s in list(times.items())[:MAX_MONITORS]
                    if isinstance(at_s, int | float) and 0 <= at_s < 1e11
                }
                self._times[key] = kept


def _interval_s(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return min(seconds, MAX_INTERVAL_S) if math.isfinite(seconds) and seconds > 0 else 0.0
