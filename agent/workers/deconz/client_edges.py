"""Which reports of a button or keypad are new: a ring is never invented, and never rung twice. Pure.

Gateways send an old `buttonevent` again whenever something else of the sensor's state changes, after a
restart, and in every read. Only an event counts, and only when its `lastupdated` has moved since the last
that is known of this sensor. Source: deconz-rest-plugin issues 4232, 4507, 178.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from agent.workers.deconz.client_device import Device, Scalar
from agent.workers.deconz.client_translate import stamp_ms

ECHO_S = 0.2
SETTLED_MS = (
    10_000  # a read that is older than its gateway's clock by this tells nothing that is still on its way
)
CLOCK_SLACK_MS = 5_000
MAX_SENSORS = 4000

Verdict = Literal["edge", "old", "clock"]
# What changes with a press; anything else that changed is why an old code came along.
_OF_THE_PRESS = frozenset(
    {
        "buttonevent", "action", "lastupdated", "eventduration", "expectedeventduration", "rotaryevent",
        "expectedrotation", "angle", "gesture", "x", "y", "xy",
    }
)  # fmt: skip


class _Known(Struct):
    """The last of one sensor. stamp: ms, None while never. at: when it came as an event, trio time.
    timeless: it came without its time."""

    stamp: int | None = None
    value: Scalar = None
    at: float = float("-inf")
    timeless: bool = False


class Edges:
    """The last known report of every button and keypad; lives as long as its gateway is configured."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def baseline(self, devices: Iterable[Device], utc_ms: int | None, *, live: bool) -> None:
        """Learn from a read what is old.

        utc_ms: the gateway's clock as it was read. live: events are flowing meanwhile, so that what was read
        may be a press whose event is still on its way.
        """
        for device in devices:
            field = edge_field(device)
            if field is None:
                continue
            stamp = stamp_ms(device.state.get("lastupdated"))
            known = self._known.get(device.identity)
            if known is None:
                self._remember(device.identity, _Known(stamp=stamp, value=device.state.get(field)))
                continue
            if utc_ms is not None and known.stamp is not None and known.stamp > utc_ms + CLOCK_SLACK_MS:
                known.stamp = utc_ms  # its clock went back: with the old time the bell would be mute
            if stamp is None or (known.stamp is not None and stamp <= known.stamp):
                continue
            if live and (utc_ms is None or stamp > utc_ms - SETTLED_MS):
                continue
            known.stamp, known.value = stamp, device.state.get(field)

    def judge(
        self, device: Device, told: Mapping[str, Scalar], before: Mapping[str, Scalar], now_s: float
    ) -> Verdict:
        """What an event's state says. `clock`: older than what is known, look at the gateway's clock."""
        field = edge_field(device)
        value = told.get(field) if field is not None else None
        if field is None or value is None:
            return "old"
        known = self._known.get(device.identity)
        if known is None:
            known = self._remember(device.identity, _Known())
        repeated = value == known.value
        if "lastupdated" not in told:
            if set(told) != {field} or (repeated and now_s - known.at < ECHO_S):
                return "old"
            known.value, known.at, known.timeless = value, now_s, True
            return "edge"
        stamp = stamp_ms(told["lastupdated"])
        if stamp is None:
            return "old"
        if known.stamp is not None and stamp < known.stamp:
            return "clock"
        if stamp == known.stamp and repeated:
            return "old"
        just_told = known.timeless and now_s - known.at < ECHO_S
        other = any(
            key not in _OF_THE_PRESS and is_now is not None and before.get(key) != is_now
            for key, is_now in told.items()
        )
        known.stamp, known.value, known.timeless = stamp, value, False
        if repeated and (just_told or other):
            return "old"
        known.at = now_s
        return "edge"

    def _remember(self, identity: str, known: _Known) -> _Known:
        if len(self._known) >= MAX_SENSORS:
            del self._known[next(iter(self._known))]
        self._known[identity] = known
        return known


def edge_field(device: Device) -> str | None:
    """The key that tells presses; None for a device that has no such."""
    if device.resource != "sensors":
        return None
    if "buttonevent" in device.state:
        return "buttonevent"
    return "action" if "action" in device.state else None
