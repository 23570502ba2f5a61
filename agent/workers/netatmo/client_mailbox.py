"""From the webhook's receiver to its worker: bounded, and a ring is the last to give way."""

from __future__ import annotations

from collections import deque

import trio

from agent.workers.netatmo.push_wire import looks_like_call

MAX_WAITING = 128


class Mailbox:
    """Bodies of webhooks whose signature was right. dropped: those that gave way to newer ones."""

    def __init__(self, most: int = MAX_WAITING) -> None:
        self.dropped = 0
        self._most = most
        self._waiting: deque[tuple[bytes, bool]] = deque()
        self._arrived = trio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, body: bytes) -> None:
        """Take one in; never waits. When it is full the oldest that is no call gives way, else the oldest."""
        if len(self._waiting) >= self._most:
            victim = next((number for number, (_, call) in enumerate(self._waiting) if not call), 0)
            del self._waiting[victim]
            self.dropped += 1
        self._waiting.append((body, looks_like_call(body)))
        self._arrived.set()

    async def take(self) -> bytes:
        """The oldest, waiting for it if need be."""
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._waiting.popleft()[0]
