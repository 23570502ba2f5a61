"""Whether a device works, told once per change."""

from __future__ import annotations

import logging

from agent.bus import EventLog
from agent.model.events import HardwareFailed, HardwareRecovered

logger = logging.getLogger(__name__)


class Health:
    """The state of one device; `problem` is empty while it works."""

    def __init__(self, endpoint: str, log: EventLog) -> None:
        self._endpoint = endpoint
        self._log = log
        self.problem = ""

    def failed(self, reason: str) -> None:
        """It does not work."""
        if self.problem:
            self.problem = reason
            return
        self.problem = reason
        logger.error("endpoint=%s failed reason=%s", self._endpoint, reason)
        self._log.publish(HardwareFailed(endpoint=self._endpoint, reason=reason))

    def works(self) -> None:
        """It works (again)."""
        if self.problem:
            self.problem = ""
            logger.warning("endpoint=%s works again", self._endpoint)
            self._log.publish(HardwareRecovered(endpoint=self._endpoint))
