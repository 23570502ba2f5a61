"""The control channel: one password, a handful of commands, and nothing that could open the door.

Whoever has the password may mute, force and reset notifications, edit a few harmless settings and restart
this service. The principal it acts as may do nothing else in this house.
"""

from __future__ import annotations

import hmac
import logging
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import trio

from agent.model.actions import NOTIFY_TARGET, SetNotify
from agent.model.outcomes import Done
from agent.model.principals import Grant, Principal
from agent.net.addresses import network_of
from agent.workers.zmes.state import ServerState
from agent.workers.zmes.wire import (
    MAX_SECRET_CHARS,
    EsControl,
    encode_escontrol_failure,
    encode_escontrol_success,
)

MAX_FAILURES = 5
MAX_NETWORK_FAILURES = 20
FAILURE_WINDOW_S = 60.0
MAX_FAILING_PEERS = 256

logger = logging.getLogger(__name__)


class EsControlDesk:
    """Checks the password and carries commands out.

    After MAX_FAILURES wrong passwords from one address within FAILURE_WINDOW_S, or MAX_NETWORK_FAILURES from
    one IPv6 /64, further ones from there are refused unseen. Of addresses and networks that failed, the
    MAX_FAILING_PEERS latest are remembered.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._failures: dict[str, deque[float]] = {}

    async def authenticate(self, password: str, peer: str) -> bool:
        """True for the configured password; an empty one is never right."""
        path = self._state.config.escontrol_password_file
        assert path is not None
        now = trio.current_time()
        limits = self._limits(peer)
        if any(self._failed(key, now) >= most for key, most in limits.items()):
            await trio.lowlevel.checkpoint()
            return False
        # Counted before the wait: many at once are no more guesses than one after the other.
        for key in limits:
            self._count(key, now)
        try:
            expected = await trio.to_thread.run_sync(_read_password, path)
        except OSError as error:
            logger.error("escontrol password not readable path=%s error=%s", path, error.strerror)
            self._forgive(limits, now)
            return False
        if expected and hmac.compare_digest(password.encode(), expected):
            self._forgive(limits, now)
            self._failures.pop(peer, None)
            return True
        logger.warning("escontrol wrong password peer=%s", peer)
        if any(self._failed(key, now) >= most for key, most in limits.items()):
            logger.warning("escontrol refuses unseen for up to %g s peer=%s", FAILURE_WINDOW_S, peer)
        return False

    @staticmethod
    def _limits(peer: str) -> dict[str, int]:
        """Where the failures of a peer are counted, and how many may be there."""
        return {network_of(peer): MAX_NETWORK_FAILURES, peer: MAX_FAILURES}

    def _failed(self, key: str, now: float) -> int:
        """How often it failed lately."""
        failures = self._failures.get(key)
        while failures and now - failures[0] > FAILURE_WINDOW_S:
            failures.popleft()
        return len(failures) if failures else 0

    def _forgive(self, keys: Iterable[str], at: float) -> None:
        """What was counted at that time was no wrong password."""
        for key in keys:
            failures = self._failures.get(key)
            if failures is not None and at in failures:
                failures.remove(at)

    def _count(self, key: str, now: float) -> None:
        failures = self._failures.pop(key, None)
        self._failures[key] = failures = deque(maxlen=MAX_NETWORK_FAILURES) if failures is None else failures
        failures.append(now)
        if len(self._failures) > MAX_FAILING_PEERS:
            del self._failures[next(iter(self._failures))]

    async def answer(self, message: EsControl, peer: str) -> str:
        """Carry out a command and give its answer; for `reset` and `restart` the answer goes out first.

        The caller sends the answer and then calls `finish`.
        """
        state = self._state
        match message.command:
            case "get":
                table = state.settings.table(state.monitors, state.context.notifications.mode)
                return encode_escontrol_success("get", message.request, table)
            case "mute":
                done = await self._set(message.monitors, "mute", peer)
            case "unmute":
                # Not back to default: the protocol's unmute forces, and only `reset` leads back.
                done = await self._set(message.monitors, "force", peer)
            case "edit":
                done = state.settings.edit(message.key or "", message.val)
            case "reset" | "restart":
                done = True
            case _:
                done = False
        if not done:
            return encode_escontrol_failure("NOTSUPPORTED", message.request)
        assert message.command is not None
        logger.info("escontrol command=%s peer=%s", message.command, peer)
        return encode_escontrol_success(message.command, message.request)

    async def finish(self, message: EsControl, peer: str) -> None:
        """What a command does after its answer was sent."""
        match message.command:
            case "reset":
                self._state.settings.reset()
                await self._submit([monitor.endpoint for monitor in self._state.monitors], "default", peer)
            case "restart":
                self._state.restart.set()

    async def _set(
        self, monitor_ids: tuple[str, ...] | None, mode: Literal["mute", "force"], peer: str
    ) -> bool:
        monitors = self._state.monitors
        if monitor_ids is None:
            known = list(monitors)
        else:
            known = [monitor for one in monitor_ids if (monitor := monitors.of_id(one)) is not None]
            self._state.settings.mark([one for one in monitor_ids if monitors.of_id(one) is None], mode)
        # Nobody sleeps through a fire alarm: detectors keep their 0, whatever is asked.
        endpoints = [monitor.endpoint for monitor in known if not monitor.never_muted]
        return await self._submit(list(dict.fromkeys(endpoints)), mode, peer)

    async def _submit(
        self, endpoints: list[str], mode: Literal["default", "mute", "force"], peer: str
    ) -> bool:
        if not endpoints:
            # An empty tuple would mean all of them.
            return True
        principal = Principal(
            name="escontrol",
            role="resident",
            via=self._state.context.name,
            peer=peer,
            proven_locally=True,
            grant=Grant(endpoints=(NOTIFY_TARGET,)),
        )
        outcome = await self._state.context.submit(
            SetNotify(mode=mode, endpoints=tuple(endpoints)), principal
        )
        if not isinstance(outcome, Done):
            logger.warning("escontrol mode=%s not set outcome=%s", mode, outcome)
            return False
        return True


def _read_password(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(MAX_SECRET_CHARS).strip()
