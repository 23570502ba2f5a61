"""A small door for tests: an event log that remembers, a journal that obeys, ids that count."""

from __future__ import annotations

import itertools

import trio

from agent.bus import EventLog
from agent.model.errors import JournalError
from agent.model.events import AnyEvent
from agent.model.principals import Grant, Principal, Role
from agent.model.records import Entry


class Recorded(EventLog):
    """An EventLog that keeps everything it was told."""

    def __init__(self) -> None:
        super().__init__(boot_id="boot")
        self.entries: list[Entry] = []

    def publish(self, event: AnyEvent) -> Entry:
        entry = super().publish(event)
        self.entries.append(entry)
        return entry

    def events(self, *kinds: type) -> list[AnyEvent]:
        """All events so far, or those of some kinds."""
        return [entry.event for entry in self.entries if not kinds or isinstance(entry.event, kinds)]


class ObedientJournal:
    """A durability barrier that takes `delay_s`, fails with `problem`, or never answers (`delay_s = inf`)."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.problem = ""
        self.flushed_seqs: list[int] = []

    async def flushed(self, seq: int) -> None:
        await trio.sleep(self.delay_s)
        if self.problem:
            raise JournalError(self.problem)
        self.flushed_seqs.append(seq)


class Counting:
    """Ids that can be foretold."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._next = itertools.count(1)

    def __call__(self) -> str:
        return f"{self._prefix}{next(self._next)}"


def who(
    role: Role = "resident", name: str = "ana", *, local: bool = True, grant: Grant | None = None
) -> Principal:
    grant = grant or Grant()
    return Principal(name=name, role=role, via="test", proven_locally=local, grant=grant)
