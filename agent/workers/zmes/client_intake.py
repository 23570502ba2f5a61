"""What of an upstream's alarms enters the house: each once, and no faster than a house can use them.

Pure; time is an argument. An intake lives as long as its upstream is configured: it outlasts reconnections.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

from msgspec import Struct

from agent.model.events import CameraAlarm

REMEMBERED = 256
RATE_HZ = 1.0
BURST = 50

Verdict = Literal["report", "duplicate", "flood"]


class Counts(Struct, kw_only=True):
    """What became of everything one upstream sent since the agent started.

    alarms: reported. dropped: over the rate. duplicates: seen before. malformed: frames or alarms
    that could not be read. ignored: messages that mean nothing to us.
    """

    alarms: int = 0
    dropped: int = 0
    duplicates: int = 0
    malformed: int = 0
    ignored: int = 0


class Intake:
    """Collapses repeated alarms and limits their rate.

    Remembers the last 256 (monitor, event, ended). A token bucket of 50, refilled with one per second,
    guards the event log and the journal: a mad upstream must neither lap the door's own bell nor push its
    history out.
    """

    def __init__(self, *, rate_hz: float = RATE_HZ, burst: int = BURST, remembered: int = REMEMBERED) -> None:
        self.counts = Counts()
        self._rate_hz = rate_hz
        self._burst = burst
        self._remembered = remembered
        self._seen: OrderedDict[tuple[str, str, bool], None] = OrderedDict()
        self._tokens = float(burst)
        self._filled_at: float | None = None

    def judge(self, alarm: CameraAlarm, now_s: float) -> Verdict:
        """What to do with an alarm that came at `now_s` (monotonic); counts it.

        An alarm over the rate is not remembered: should it be repeated in calmer times, it gets through.
        """
        key = (alarm.monitor_id, alarm.event_id, alarm.ended)
        if key in self._seen:
            self._seen.move_to_end(key)
            self.counts.duplicates += 1
            return "duplicate"
        if not self._take(now_s):
            self.counts.dropped += 1
            return "flood"
        self._seen[key] = None
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
        self.counts.alarms += 1
        return "report"

    def _take(self, now_s: float) -> bool:
        if self._filled_at is not None:
            gained = max(0.0, now_s - self._filled_at) * self._rate_hz
            self._tokens = min(float(self._burst), self._tokens + gained)
        self._filled_at = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
