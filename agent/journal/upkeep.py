"""When the journal empties its write-ahead log and forgets old entries: in small steps, between commits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from agent.journal.config import JournalConfig
from agent.journal.database import PRUNE_ROWS, Database
from agent.journal.failures import is_busy
from agent.journal.retention import age_cutoff_ns

CHECKPOINT_COMMITS = 32
PRUNE_EVERY_S = 600.0
PRUNE_BY_AGE_EVERY_S = 3600.0
PRUNE_PAUSE_S = 0.1
FIRST_PRUNE_S = 60.0


class Upkeep:
    """The plan of the small steps; times are `trio.current_time`, `clock_ns` is the door's own UTC clock.

    known_ns: the time of the newest entry from before this run, None when there is none.
    """

    def __init__(self, config: JournalConfig, clock_ns: Callable[[], int], known_ns: int | None) -> None:
        self._config = config
        self._clock_ns = clock_ns
        self._known_ns = known_ns
        self._known_at = 0.0
        self._commits = 0
        self._rows = 0
        self._prune_at = 0.0
        self._prune_by_age_at = 0.0

    def begin(self, now: float) -> None:
        """The run starts at `now`."""
        self._known_at = now
        self._prune_at = now + FIRST_PRUNE_S

    def committed(self, rows: int, first_at_ns: int | None, now: float) -> None:
        """A batch was stored; its first entry has the time `first_at_ns`."""
        self._commits += 1
        self._rows += rows
        if self._known_ns is None and first_at_ns is not None:
            self._known_ns, self._known_at = first_at_ns, now

    @property
    def next_at(self) -> float:
        """When a step is due although nothing is stored in the meantime."""
        return self._prune_at

    def due(self, now: float, *, idle: bool) -> bool:
        """True when a step should be made; while entries wait, only when it cannot wait as well."""
        if self._rows >= PRUNE_ROWS or now >= self._prune_at:
            return True
        return idle and self._commits >= CHECKPOINT_COMMITS

    def step(self, database: Database, now: float) -> int:
        """Make one step, blocking; returns how many entries it deleted.

        Raises: FILE_ERRORS; a file that another process holds is left for the next time.
        """
        try:
            if self._rows < PRUNE_ROWS and now < self._prune_at:
                self._commits = 0
                database.checkpoint()
                return 0
            return self._prune(database, now)
        except sqlite3.Error as error:
            if not is_busy(error):
                raise
            return 0

    def _prune(self, database: Database, now: float) -> int:
        self._rows = 0
        self._prune_at = now + PRUNE_EVERY_S
        now_ns = self._clock_ns()
        cutoff_ns = None
        if self._known_ns is not None and now >= self._prune_by_age_at:
            expected_ns = self._known_ns + int((now - self._known_at) * 1e9)
            cutoff_ns = age_cutoff_ns(
                now_ns=now_ns, expected_ns=expected_ns, max_age_days=self._config.max_age_days
            )
        deleted = database.prune(
            keep_newest=self._config.keep_newest,
            max_bytes=self._config.max_mb << 20,
            cutoff_ns=cutoff_ns,
            now_ns=now_ns,
        )
        database.keep_reserve()
        if deleted and cutoff_ns is not None:
            self._prune_by_age_at = now + PRUNE_BY_AGE_EVERY_S
        if deleted == PRUNE_ROWS:
            self._prune_at = now + PRUNE_PAUSE_S
        return deleted
