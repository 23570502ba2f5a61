"""A ring of the bell on its way to a channel: which ones are told, and in which words."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime

from msgspec import Struct

from agent.model.events import CallChanged
from agent.model.records import Entry
from agent.runtime import EndpointInfo, Notifications
from agent.workers.zello.config import RingConfig
from agent.workers.zello.translate import ring_text

MAX_AGE_S = 30.0
MAX_CALLS = 64
_NS = 1_000_000_000


class RingMessage(Struct, frozen=True, kw_only=True):
    """What one channel is told of one call. text: empty when none is wanted."""

    call_id: str
    endpoint: str
    text: str


class RingMessages:
    """Follows the calls for one channel. Each call is told once, and nobody wants to run to an old one.

    lock: the endpoint that {door} means; empty for the first lock.
    """

    def __init__(
        self,
        config: RingConfig,
        *,
        endpoints: tuple[EndpointInfo, ...],
        notifications: Notifications,
        lock: str = "",
    ) -> None:
        self._config = config
        self._labels = {info.name: info.label for info in endpoints}
        self._door = door_label(endpoints, lock)
        self._notifications = notifications
        self._told: OrderedDict[str, None] = OrderedDict()

    def message(self, entry: Entry, now_ns: int) -> RingMessage | None:
        """What is to be told because of this entry; None for nothing. now_ns: UTC, as the entries have it."""
        event = entry.event
        if not isinstance(event, CallChanged) or event.state != "ringing" or event.call_id in self._told:
            return None
        self._told[event.call_id] = None
        if len(self._told) > MAX_CALLS:
            self._told.popitem(last=False)
        # A clock that was set back makes an entry seem to come: it is fresh then.
        if now_ns - entry.at_ns > MAX_AGE_S * _NS or self._notifications.suppressed(event.endpoint):
            return None
        text = ring_text(
            self._config,
            door=self._door,
            bell=self._labels.get(event.endpoint, event.endpoint),
            clock=clock_text(entry.at_ns),
        )
        return RingMessage(call_id=event.call_id, endpoint=event.endpoint, text=text)


def door_label(endpoints: tuple[EndpointInfo, ...], lock: str = "") -> str:
    """What the door is called: the label of a lock, or plainly the door."""
    return next((info.label for info in endpoints if info.kind == "lock" and lock in ("", info.name)), "door")


def clock_text(at_ns: int) -> str:
    """A time of day as the household's clock shows it."""
    return datetime.fromtimestamp(at_ns // _NS).astimezone().strftime("%H:%M")
