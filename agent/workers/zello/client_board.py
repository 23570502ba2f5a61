"""What `portero status` shows of one server elsewhere: why it is offline, who is there, what was counted."""

from __future__ import annotations

import logging
import math
from collections import Counter

import trio

from agent.quota import Quota
from agent.runtime import Context

COMPLAIN_EVERY_S = 60.0
LINES = (30, 0.1)  # so many changes of state in the log, then so many a second
_TEXT_CHARS = 200

logger = logging.getLogger(__name__)


class Board:
    """The values of one cloud on the page, and its complaints in the log; lasts over connections.

    Keys are `cloud.<name>.<what>`; a channel's are `cloud.<name>.channel.<channel>` and `.users.<channel>`.
    """

    def __init__(self, name: str, context: Context) -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self._context = context
        self._complained_at: dict[str, float] = {}
        self._shown: dict[str, str | int | float | bool] = {}
        self._lines = Quota(*LINES, trio.current_time())

    def show(self, key: str, value: str | int | float | bool) -> None:
        """Set a value, if it is another than before: the cloud repeats itself often."""
        if isinstance(value, str):
            value = value[:_TEXT_CHARS]
        if self._shown.get(key) != value:
            self._shown[key] = value
            self._context.page(f"cloud.{self.name}.{key}", value)

    def count(self, what: str, more: int = 1) -> None:
        """One more of something."""
        self.counts[what] += more
        self.show(what, self.counts[what])

    def state(self, state: str, reason: str = "") -> None:
        """Where the connection stands; a change is logged."""
        told = f"{state}: {reason}" if reason else state
        if self._shown.get("state") != told[:_TEXT_CHARS]:
            # A server that comes and goes all the time would fill the log of the machine.
            level = logging.INFO if self._lines.take(trio.current_time()) else logging.DEBUG
            logger.log(
                level, "cloud=%s state=%s reason=%s", self.name, state, ascii(reason[:_TEXT_CHARS])[1:-1]
            )
        self.show("state", told)

    def complain(self, what: str, detail: str = "") -> None:
        """A warning in the log, each `what` not more often than once a minute."""
        now = trio.current_time()
        if now - self._complained_at.get(what, -math.inf) >= COMPLAIN_EVERY_S:
            self._complained_at[what] = now
            logger.warning(
                "cloud=%s complaint=%s detail=%s", self.name, what, ascii(detail[:_TEXT_CHARS])[1:-1]
            )
