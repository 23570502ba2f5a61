"""An orderly stop, and the guarantee that it does not last."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import trio

FORCED_AFTER_S = 4.5
DROP_S = 1.0
EXIT_FORCED = 70
logger = logging.getLogger(__name__)


class StopRequest:
    """Waits for SIGTERM or SIGINT. After the first one a stop that takes too long is cut short: the relays
    are dropped and the process leaves, whatever hangs."""

    def __init__(self, drop: Callable[[], object]) -> None:
        self._drop = drop
        self._asked = trio.Event()
        self._forced: threading.Timer | None = None
        self.reason = ""

    def ask(self, reason: str) -> None:
        """Request the stop from inside; trio thread only."""
        self.reason = self.reason or reason
        if self._forced is None:
            self._forced = threading.Timer(FORCED_AFTER_S, self._force)
            self._forced.daemon = True
            self._forced.start()
        self._asked.set()

    async def wait(self) -> None:
        """Return when a stop was asked for."""
        await self._asked.wait()

    async def watch_signals(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Turn signals into the request, for ever."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                self.ask(signal.Signals(number).name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._forced is not None:
            self._forced.cancel()

    def _force(self) -> None:
        """Leave. What hangs may hold the lock of a relay or of the log, so neither is waited for for long;
        the lines of a process that is gone fall to rest by themselves."""
        try:
            last = threading.Thread(target=self._let_go, name="let go", daemon=True)
            last.start()
            last.join(DROP_S)
        finally:
            os._exit(EXIT_FORCED)

    def _let_go(self) -> None:
        try:
            self._drop()
        finally:
            logger.critical("stop took longer than %g s: leaving now", FORCED_AFTER_S)
