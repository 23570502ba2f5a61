"""The one bridge from foreign threads into trio, and on it the debounced edges of an input.

gpiozero calls back in its own thread (its mock pins on the caller's, which may be trio's).
`TrioToken.run_sync_soon` works from all of them; what it runs only does `send_nowait` into a bounded channel
and never raises.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

import trio

from hw.debounce import Debouncer
from hw.ports import Edge, Input

T = TypeVar("T")

EDGE_BOUND = 16
MIN_QUIET_S = 0.005
"""How long nothing must come before the level is made good after a loss, also without debouncing."""


class Bridge(Generic[T]):
    """A mailbox that any thread may post to and one trio task reads.

    At most `bound` items wait on each side of the thread border; newer ones are dropped and counted. Made
    inside a trio run; posts after that run has ended vanish.
    """

    def __init__(self, bound: int = EDGE_BOUND) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._bound = bound
        self._mutex = threading.Lock()
        self._in_flight = 0
        self._send, self._receive = trio.open_memory_channel[T](bound)
        self.dropped = 0

    def post(self, item: T) -> None:
        """Never blocks, never raises."""
        with self._mutex:
            if self._in_flight >= self._bound:
                self.dropped += 1
                return
            self._in_flight += 1
        try:
            self._token.run_sync_soon(self._deliver, item)
        except trio.RunFinishedError:
            pass

    async def receive(self) -> T:
        """The next item. Raises: trio.ClosedResourceError or trio.EndOfChannel after close()."""
        return await self._receive.receive()

    def close(self) -> None:
        self._send.close()
        self._receive.close()

    def _deliver(self, item: T) -> None:
        with self._mutex:
            self._in_flight -= 1
        try:
            self._send.send_nowait(item)
        except trio.WouldBlock:
            with self._mutex:
                self.dropped += 1
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            pass


class EdgeFeed:
    """The debounced edges of one input: `async with EdgeFeed(...) as feed: async for edge in feed`.

    Edges alternate: one that says active is followed by one that says inactive. The first change is delivered
    at once; see `Debouncer` for what follows. The callback debounces already, so a chattering contact wakes
    trio once per debounce_s and not per change. For one reader task.

    on_chatter: called in trio with True when a contact does not come to rest for CHATTER_AFTER_S, with False
    when it has.
    """

    def __init__(
        self, source: Input, debounce_s: float, *, on_chatter: Callable[[bool], None] | None = None
    ) -> None:
        self._source = source
        self._debounce_s = debounce_s
        self._on_chatter = on_chatter
        self._mutex = threading.Lock()
        self._debouncer = Debouncer(debounce_s, False)
        self._bridge: Bridge[Edge] = Bridge()
        self._told = False
        self._told_chattering = False
        self._healed_drops = 0

    @property
    def active(self) -> bool:
        """The level last delivered; before the first edge, the level at the start."""
        return self._told

    @property
    def dropped(self) -> int:
        """Edges lost because the reader was away; the level is made good at its next receive()."""
        return self._bridge.dropped

    @property
    def changes(self) -> int:
        """Raw changes seen."""
        return self._debouncer.changes

    @property
    def ignored(self) -> int:
        """Raw changes that were bounces."""
        return self._debouncer.ignored

    @property
    def chattering(self) -> bool:
        """The contact has not come to rest for CHATTER_AFTER_S: the wiring wants a look."""
        return self._debouncer.chattering

    async def __aenter__(self) -> Self:
        """Start listening. Raises: HardwareError when the input cannot be read."""
        first = self._source.active
        self._debouncer = Debouncer(self._debounce_s, first)
        self._told = first
        self._source.listen(self._on_change)
        try:
            self._catch_up(first)
            await trio.lowlevel.checkpoint()
        except BaseException:
            self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Edge:
        return await self.receive()

    async def receive(self) -> Edge:
        """Wait for the next edge.

        Raises: HardwareError when the level cannot be read after a change; the feed stays usable and the next
        receive() tries again after debounce_s. Cancellation: loses no edge.
        """
        while True:
            with self._mutex:
                unsettled = self._debouncer.settling or self._bridge.dropped != self._healed_drops
                changes = self._debouncer.changes
            edge: Edge | None = None
            if unsettled:
                with trio.move_on_after(max(self._debounce_s, MIN_QUIET_S)):
                    edge = await self._bridge.receive()
                if edge is None:
                    edge = self._settle(changes)
                    self._tell_chatter()
            else:
                edge = await self._bridge.receive()
            if edge is not None and edge.active != self._told:
                self._told = edge.active
                return edge

    def _on_change(self, raw: Edge) -> None:
        """Runs in the input's thread."""
        with self._mutex:
            for edge in self._debouncer.change(raw):
                self._bridge.post(edge)

    def _catch_up(self, first: bool) -> None:
        """A change between the first reading and listen() called nobody back."""
        now_active = self._source.active
        with self._mutex:
            if self._debouncer.changes == 0 and now_active != first:
                edge = self._debouncer.settle(now_active, time.monotonic())
                if edge is not None:
                    self._bridge.post(edge)

    def _settle(self, changes: int) -> Edge | None:
        """Nothing came for debounce_s: if nothing moved either, read the level and make the reader's good."""
        active = self._source.active
        with self._mutex:
            if self._debouncer.changes != changes:
                return None
            self._healed_drops = self._bridge.dropped
            at = time.monotonic()
            edge = self._debouncer.settle(active, at)
            return edge or Edge(self._debouncer.active, at)

    def _tell_chatter(self) -> None:
        chattering = self._debouncer.chattering
        if chattering != self._told_chattering:
            self._told_chattering = chattering
            if self._on_chatter is not None:
                self._on_chatter(chattering)

    def _close(self) -> None:
        self._source.stop_listening()
        self._bridge.close()
