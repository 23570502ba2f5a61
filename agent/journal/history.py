"""Past events for the parts of a running agent: pages of the journal, read in a thread."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from agent.journal import query
from agent.model.records import Entry, Gap, Unknown

MAX_READERS = 1


class JournalHistory:
    """See runtime.History. One page is read at a time, so that askers cannot take all threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = trio.CapacityLimiter(MAX_READERS)

    async def page(self, *, before_seq: int | None, types: Sequence[str], limit: int) -> Sequence[Entry]:
        """See runtime.History. Raises: JournalError."""
        read = partial(query.before, self._path, before_seq, limit, types=types)
        page = await trio.to_thread.run_sync(read, limiter=self._reading)
        return [
            Entry(boot_id=entry.boot_id, seq=entry.seq, at_ns=entry.at_ns, event=entry.event)
            for entry in page.entries
            if not isinstance(entry.event, Gap | Unknown)
        ]
