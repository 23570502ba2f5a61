"""The durability barrier: who waits for an entry to be on the disk, and what to tell them."""

from __future__ import annotations

from collections import deque

import trio

from agent.model.errors import JournalError
from agent.model.records import Gap

REMEMBERED_GAPS = 64


class Barrier:
    """How far the journal has come, and what it lost on the way.

    committed_seq: everything up to it is stored or known to be lost.
    problem: why nothing can be stored now, or None.
    """

    def __init__(self, problem: str | None) -> None:
        self.committed_seq = 0
        self.problem = problem
        self._ended = False
        self._gaps: deque[Gap] = deque()
        self._untold_seq = 0
        self._moved = trio.Event()
        self._waiting = 0
        self._asked = trio.Event()

    def advance(self, seq: int, gaps: list[Gap]) -> None:
        """Everything up to `seq` is settled; what lies in `gaps` (in order) is lost."""
        for gap in gaps:
            self._gaps.append(gap)
            if len(self._gaps) > REMEMBERED_GAPS:
                self._untold_seq = self._gaps.popleft().last
        self.committed_seq = seq
        self._wake()

    def fail(self, problem: str) -> None:
        """Nothing can be stored from now on."""
        self.problem = problem
        self._wake()

    def heal(self) -> None:
        """Entries are stored again."""
        self.problem = None

    def end(self) -> None:
        """Nobody will store anything any more."""
        self._ended = True
        self._wake()

    async def wait(self, seq: int) -> None:
        """Return when entry `seq` is stored.

        Raises: JournalError at once when that cannot be promised.
        """
        await trio.lowlevel.checkpoint()
        while not self._is_stored(seq):
            if self.problem is not None:
                raise JournalError(self.problem)
            if self._ended:
                raise JournalError("the journal has stopped")
            self._waiting += 1
            self._asked.set()
            try:
                await self._moved.wait()
            finally:
                self._waiting -= 1

    async def asked(self) -> None:
        """Return as soon as somebody waits for an entry."""
        while not self._waiting:
            self._asked = trio.Event()
            await self._asked.wait()

    def _is_stored(self, seq: int) -> bool:
        if seq > self.committed_seq:
            return False
        if seq <= self._untold_seq:
            raise JournalError(f"entry {seq} is too old to tell")
        if any(gap.first <= seq <= gap.last for gap in self._gaps):
            raise JournalError(f"entry {seq} was lost")
        return True

    def _wake(self) -> None:
        self._moved.set()
        self._moved = trio.Event()
