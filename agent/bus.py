"""The event log: a bounded, numbered ring that every part of the door reads at its own pace."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

import trio

from agent.model.events import AnyEvent
from agent.model.records import Entry, Gap

RING_SIZE = 1024


class EventLog:
    """Gives events their place in history and lets any number of readers follow.

    Publishing is synchronous, never blocks and never fails; when the ring is full the oldest entry is
    overwritten and a reader that had not seen it gets a `Gap`. A slow reader costs nobody but itself.
    Only the trio thread may touch it.
    """

    def __init__(
        self,
        *,
        boot_id: str,
        next_seq: int = 1,
        size: int = RING_SIZE,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.boot_id = boot_id
        self._ring: list[Entry | None] = [None] * size
        self._first = next_seq
        self._next = next_seq
        self._clock_ns = clock_ns
        self._readers = trio.lowlevel.ParkingLot()

    @property
    def last_seq(self) -> int:
        """The number of the newest entry; one less than the first number when nothing was published."""
        return self._next - 1

    def publish(self, event: AnyEvent) -> Entry:
        """Append an event and wake every reader."""
        entry = Entry(boot_id=self.boot_id, seq=self._next, at_ns=self._clock_ns(), event=event)
        self._ring[entry.seq % len(self._ring)] = entry
        self._next += 1
        self._readers.unpark_all()
        return entry

    def follow(self, after: int | None = None) -> Reader:
        """Every entry after `after` (default: from this moment on), in order, for ever.

        The reader yields a `Gap` in place of entries that it was too slow for.
        """
        cursor = self.last_seq if after is None else max(after, self._first - 1)
        return Reader(self, cursor)

    def _after(self, cursor: int) -> Entry | Gap:
        """What a reader at `cursor` sees next; there is something."""
        oldest = max(self._first, self._next - len(self._ring))
        if cursor + 1 < oldest:
            return Gap(first=cursor + 1, last=oldest - 1)
        entry = self._ring[(cursor + 1) % len(self._ring)]
        assert entry is not None
        return entry

    async def _more_than(self, cursor: int) -> None:
        while cursor >= self.last_seq:
            await self._readers.park()


class Reader:
    """One place in the log, moving on with `async for`. Cheap to make, nothing to close."""

    def __init__(self, log: EventLog, cursor: int) -> None:
        self._log = log
        self._burst = cursor
        self.cursor = cursor

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Entry | Gap:
        """The next entry or gap. Cancellation: nothing is lost, the next call gives the same item.

        A burst is handed out without a checkpoint each, but never more than was there at its start.
        """
        if self.cursor >= self._burst:
            await trio.lowlevel.checkpoint()
            await self._log._more_than(self.cursor)
            self._burst = self._log.last_seq
        item = self._log._after(self.cursor)
        self.cursor = item.last if isinstance(item, Gap) else item.seq
        return item
