"""What locks, sirens and lights share: something that is on for a while and then off by itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import trio

from agent.endpoints.health import Health
from agent.endpoints.hold import Hold
from agent.model.errors import EndpointError
from hw.errors import HardwareError

RETRY_OFF_S = 1.0
OFF_TRIES = 3


class Relay(Protocol):
    """A port seen as on (unlocked, sounding, shining) and off (locked, silent, dark)."""

    def on(self) -> None: ...
    def off(self) -> None: ...

    @property
    def is_on(self) -> bool:
        """As the line reads now. Raises: HardwareError."""


class Tell(Protocol):
    """Publishes the state event of one kind of endpoint."""

    def __call__(
        self, on: bool, *, by: str, action_id: str, duration_s: float | None, reason: str
    ) -> object: ...


class TimedOutput:
    """Switches a relay on for a bounded time. Its state is what the relay was told last; changes are told.

    The hardware has a maximum of its own below this (hw): `cut_off` tells that it struck.

    dead_is_on: what a relay without power means (a fail_safe lock is then unlocked), and so the state for as
    long as nobody owns the port.
    """

    def __init__(
        self, name: str, *, max_s: float, tell: Tell, health: Health, dead_is_on: bool = False
    ) -> None:
        self.name = name
        self.is_on = dead_is_on
        self.off_at = -math.inf  # trio time of the last change to off
        self._max_s = max_s
        self._tell = tell
        self._health = health
        self._dead_is_on = dead_is_on
        self._off_failures = 0  # in a row
        self._hold = Hold()
        self._relay: Relay | None = None

    def turn_on(self, duration_s: float, *, by: str, action_id: str) -> None:
        """On for `duration_s` from now (`inf`: until told), at most the maximum, at least what is left.

        Raises: EndpointError.
        """
        relay = self._require()
        if not duration_s > 0:  # NaN too, which no limit would stop
            raise EndpointError(self.name, f"expected a duration above 0 s, got {duration_s:g}")
        duration_s = min(duration_s, self._max_s)
        until = trio.current_time() + duration_s
        if self.is_on and self._hold.until > until:
            until = self._hold.until
            duration_s = until - trio.current_time()
        try:
            relay.on()
        except HardwareError as error:
            self._hold.set(trio.current_time())  # whatever state it is in, the task drives it off
            self._health.failed(error.reason)
            raise EndpointError(self.name, error.reason) from error
        self.is_on = True
        self._hold.set(until)
        self._health.works()
        told_s = None if math.isinf(duration_s) else round(duration_s, 3)
        self._tell(True, by=by, action_id=action_id, duration_s=told_s, reason="")

    def turn_off(self, *, by: str = "", action_id: str = "", reason: str = "") -> None:
        """Off now. Raises: EndpointError; the task then goes on trying."""
        relay = self._require()
        try:
            relay.off()
        except HardwareError as error:
            self._off_failures += 1
            self._hold.set(min(self._hold.until, trio.current_time() + RETRY_OFF_S))
            self._health.failed(error.reason)
            raise EndpointError(self.name, error.reason) from error
        self._off_failures = 0
        self._hold.clear()
        self._health.works()
        if self.is_on or by:
            self._is_off()
            self._tell(False, by=by, action_id=action_id, duration_s=None, reason=reason)

    def cut_off(self) -> None:
        """The hardware maximum has dropped the relay; this comes late, by then it may be on again."""
        if not self.is_on:
            return
        try:
            if self._relay is not None and self._relay.is_on:
                return  # by a later command, whose own limits stand
        except HardwareError as error:
            self._hold.set(trio.current_time())  # nobody knows: the task drives it off
            self._health.failed(error.reason)
            return
        self._is_off()
        self._hold.clear()
        self._tell(False, by="", action_id="", duration_s=None, reason="hardware maximum")

    async def run(self, relay: Relay, drop: Callable[[], None]) -> None:
        """Own an open relay: rest at off, end every hold, de-energise (`drop`) on every way out.

        Raises: HardwareError when the relay cannot be put to rest, at the start or three times in a row
        later; opening the port anew is then worth a try. The hardware maximum stands all the while.
        """
        relay.off()
        self._relay = relay
        self._off_failures = 0
        self._health.works()
        self._settle(False, "started")
        why = "stopped"
        try:
            while True:
                await self._hold.expired()
                try:
                    self.turn_off(reason="time over")
                except EndpointError as error:
                    # Told by health; the hold has been set to try again.
                    if self._off_failures >= OFF_TRIES:
                        why = "device failed"
                        raise HardwareError(self.name, error.reason) from error
        finally:
            self._relay = None
            self._hold.clear()
            try:
                drop()
            except HardwareError as error:
                self._health.failed(error.reason)  # and the state stays what it was: nothing has moved
            else:
                self._settle(self._dead_is_on, why)

    def _settle(self, on: bool, reason: str) -> None:
        """The relay is known to be so, though nobody asked for it."""
        if self.is_on == on:
            return
        if on:
            self.is_on = True
        else:
            self._is_off()
        self._tell(on, by="", action_id="", duration_s=None, reason=reason)

    def _is_off(self) -> None:
        if self.is_on:
            self.is_on = False
            self.off_at = trio.current_time()

    def _require(self) -> Relay:
        if self._relay is None:
            raise EndpointError(self.name, self._health.problem or "not open")
        return self._relay
