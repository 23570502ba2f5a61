"""What waits to be stored: bounded, in order, the oldest giving way as a gap. Pure."""

from __future__ import annotations

from collections import deque

from agent.model.records import Entry, Gap

MAX_PENDING = 4096


class Backlog:
    """Entries read from the log and not stored yet, at most `bound` items.

    Beyond the bound the oldest become one `Gap` at the front: what happens now matters more than what
    happened before, and a single range says all that is lost.
    """

    def __init__(self, bound: int = MAX_PENDING) -> None:
        self._items: deque[Entry | Gap] = deque()
        self._bound = bound

    def __len__(self) -> int:
        return len(self._items)

    @property
    def overflowed(self) -> bool:
        """True when a gap comes next."""
        return bool(self._items) and isinstance(self._items[0], Gap)

    def append(self, item: Entry | Gap) -> None:
        """Add what comes after everything that was ever added."""
        self._items.append(item)
        self._keep_bound()

    def take(self, count: int) -> list[Entry | Gap]:
        """Remove and return the `count` oldest items, or fewer."""
        return [self._items.popleft() for _ in range(min(count, len(self._items)))]

    def put_back(self, batch: list[Entry | Gap]) -> None:
        """Return what `take` gave, if nothing was put back in between."""
        self._items.extendleft(reversed(batch))
        self._keep_bound()

    def _keep_bound(self) -> None:
        items = self._items
        if len(items) <= self._bound:
            return
        first = first_seq(items[0])
        last = first
        while len(items) >= self._bound:
            last = last_seq(items.popleft())
        items.appendleft(Gap(first=first, last=last))


def first_seq(item: Entry | Gap) -> int:
    """The number of an entry, or the first one of a gap."""
    return item.seq if isinstance(item, Entry) else item.first


def last_seq(item: Entry | Gap) -> int:
    """The number of an entry, or the last one of a gap."""
    return item.seq if isinstance(item, Entry) else item.last
