"""What is to be done at a given time: one task for every timer of the server."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

import trio


class Appointment:
    """Something to be done once; `cancel` when it need not be any more."""

    __slots__ = ("_action",)

    def __init__(self, action: Callable[[], None]) -> None:
        self._action: Callable[[], None] | None = action

    @property
    def pending(self) -> bool:
        """True until it was done or cancelled."""
        return self._action is not None

    def cancel(self) -> None:
        """Do nothing then; idempotent."""
        self._action = None

    def keep(self) -> None:
        """Do it now, unless it was cancelled."""
        action, self._action = self._action, None
        if action is not None:
            action()


class Agenda:
    """Short, synchronous actions at times of trio's clock. Its bound is its users': a few per connection."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Appointment]] = []
        self._numbers = itertools.count()
        self._sooner = trio.Event()

    def at(self, when: float, action: Callable[[], None]) -> Appointment:
        """Do `action` at `when`, never before this call has returned."""
        appointment = Appointment(action)
        heapq.heappush(self._due, (when, next(self._numbers), appointment))
        if self._due[0][2] is appointment:
            self._sooner.set()
        return appointment

    def after(self, delay_s: float, action: Callable[[], None]) -> Appointment:
        """Do it in so many seconds."""
        return self.at(trio.current_time() + delay_s, action)

    async def run(self) -> None:
        """Keep every appointment, for ever."""
        while True:
            self._sooner = trio.Event()
            with trio.move_on_at(self._due[0][0] if self._due else trio.current_time() + 3600):
                await self._sooner.wait()
            now = trio.current_time()
            while self._due and (self._due[0][0] <= now or not self._due[0][2].pending):
                heapq.heappop(self._due)[2].keep()
