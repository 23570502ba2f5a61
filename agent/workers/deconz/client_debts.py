"""What an output owes to the house, on the disk: a killed agent locks what it had opened when it is back."""

from __future__ import annotations

import logging
from pathlib import Path

import trio

from agent.statefile import replace_file

logger = logging.getLogger(__name__)


class Debt:
    """An end that is owed to one output; a small file for as long as it is.

    path: None: kept in memory only. owed: also when an earlier run of the agent left it.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.owed = path is not None and path.exists()

    async def take(self) -> None:
        """Remember it, durably, before anything is opened. A disk that refuses keeps nobody out.

        Cancellation: it may have been remembered; an end too many does no harm.
        """
        if self.owed or self._path is None:
            await trio.lowlevel.checkpoint()
            return
        self.owed = True
        try:
            await trio.to_thread.run_sync(replace_file, self._path, b"")
        except OSError as error:
            logger.error("a killed agent will not know what it opened path=%s error=%s", self._path, error)

    def settle(self) -> None:
        """Nothing is owed any more. Not synced: what comes back with a power cut is an end too many."""
        if not self.owed or self._path is None:
            return
        self.owed = False
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            logger.error("not removed path=%s error=%s", self._path, error)
