"""The service manager's side: READY=1, STOPPING=1, and the watchdog that proves the door alive.

Source: sd_notify(3): one datagram per message to the unix socket named by NOTIFY_SOCKET; WATCHDOG_USEC.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Mapping

import trio

logger = logging.getLogger(__name__)


class ServiceManager:
    """Speaks to systemd when it listens, and is silent when the agent was started by hand."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        pid = environ.get("WATCHDOG_PID", "")
        mine = not pid or pid == str(os.getpid())
        usec = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s: float | None = (
            int(usec) / 1e6 if mine and usec.isdecimal() and int(usec) > 0 else None
        )

    def tell(self, message: str) -> None:
        """Send one state line; a manager that went away is no reason to stop a door."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto(message.encode(), self._address)
        except OSError as error:
            logger.warning("service manager unreachable error=%s", error)

    async def feed(self, sick: Callable[[], str | None]) -> None:
        """Feed the watchdog three times per period for as long as `sick()` finds nothing.

        sick: None when ring, journal and board are alive, else what is not; the manager then restarts us.
        """
        if self.watchdog_s is None:
            return
        while True:
            problem = sick()
            if problem is None:
                self.tell("WATCHDOG=1")
            else:
                logger.critical("watchdog not fed reason=%s", problem)
                self.tell(f"STATUS={problem}")
            await trio.sleep(self.watchdog_s / 3)


class RingProof:
    """Proves that the event log moves: every reader that counts has reached, by the next look, what was
    published at this one."""

    def __init__(self, published: Callable[[], int], reached: Mapping[str, Callable[[], int]]) -> None:
        self._published = published
        self._reached = reached
        self._expected = 0

    def __call__(self) -> str | None:
        """None, or which reader stands still."""
        for name, position in self._reached.items():
            if position() < self._expected:
                return f"{name} stands still at {position()}, expected {self._expected}"
        self._expected = self._published()
        return None
