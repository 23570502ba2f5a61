"""Debouncing on timestamps, pure: the first change counts at once, then the contact must come to rest."""

from __future__ import annotations

from hw.ports import Edge

CHATTER_AFTER_S = 1.0
"""Unrest longer than this is no longer a bounce but a fault: a loose wire, a bell on unrectified AC."""


class Debouncer:
    """The debounced level of one input.

    A change is reported immediately (latency is what a bell sells) and opens a window. Changes inside the
    window are only counted; it closes once the line has been quiet for debounce_s, and if the line then rests
    at the other level, that is reported as well: a press shorter than the window still ends. A contact that
    never rests gives one edge and raises `chattering`. With debounce_s = 0 every change counts.

    Not thread-safe; the owner holds a mutex.
    """

    def __init__(self, debounce_s: float, active: bool) -> None:
        self._debounce_s = debounce_s
        self._raw = Edge(active, float("-inf"))
        self._opened_at = 0.0
        self.active = active
        self.settling = False
        self.chattering = False
        self.changes = 0
        self.ignored = 0

    def change(self, raw: Edge) -> tuple[Edge, ...]:
        """Take a raw change; the debounced edges it reveals: none, one, or a belated one and a new one."""
        self.changes += 1
        late: tuple[Edge, ...] = ()
        if self.settling:
            if raw.at - self._raw.at < self._debounce_s:
                self._raw = raw
                self.ignored += 1
                self.chattering = raw.at - self._opened_at >= CHATTER_AFTER_S
                return ()
            late = self._rest()
        self._raw = raw
        if raw.active == self.active:
            self.ignored += 1
            return late
        self._report(raw)
        return (*late, raw)

    def settle(self, active: bool, at: float) -> Edge | None:
        """The line has been quiet for debounce_s and reads `active` now: the edge that was hidden, if any.

        A level that no raw change told of opens a new window: that change, with its bounces, is on its way.
        """
        if active != self._raw.active:
            self._raw = Edge(active, at)
            self.chattering = False
            if active != self.active:
                self._report(self._raw)
                return self._raw
            return None
        rest = self._rest()
        return rest[0] if rest else None

    def _rest(self) -> tuple[Edge, ...]:
        """Close the window at the level of the last raw change."""
        self.settling = False
        self.chattering = False
        if self._raw.active == self.active:
            return ()
        self.active = self._raw.active
        return (self._raw,)

    def _report(self, edge: Edge) -> None:
        self.active = edge.active
        self.settling = self._debounce_s > 0
        self._opened_at = edge.at
