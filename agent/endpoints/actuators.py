"""Lock, siren and light: which action means what, and which event tells its state."""

from __future__ import annotations

import math

from agent.bus import EventLog
from agent.endpoints.health import Health
from agent.endpoints.output import TimedOutput
from agent.model.actions import Action, Lock, SoundSiren, StopSiren, SwitchLight, Unlock
from agent.model.events import LightChanged, LockChanged, SirenChanged
from agent.model.principals import Principal
from hw import ports
from hw.pins import LightPins, LockPins, SirenPins


class LockEndpoint:
    """A door's lock. fail_secure: energised is unlocked; fail_safe: energised is locked."""

    def __init__(self, name: str, pins: LockPins, *, log: EventLog, health: Health) -> None:
        self.name = name
        self.pins = pins
        self.health = health
        self._log = log
        # A fail_safe lock may be released for as long as its hold says: there the maximum is only ours.
        self.output = TimedOutput(
            name,
            max_s=pins.max_hold_s,
            tell=self._tell,
            health=health,
            dead_is_on=pins.mode == "fail_safe",
        )

    def _tell(self, on: bool, *, by: str, action_id: str, duration_s: float | None, reason: str) -> None:
        self._log.publish(
            LockChanged(
                endpoint=self.name,
                state="unlocked" if on else "locked",
                by=by,
                action_id=action_id,
                hold_s=duration_s,
                reason=reason,
            )
        )

    async def run(self, port: ports.Lock) -> None:
        """Own the open port until cancelled. Raises: HardwareError."""
        await self.output.run(_LockRelay(port, self.pins.mode == "fail_safe"), port.release)

    def refuse(self, action: Action) -> str | None:
        """Only Unlock and Lock are for a lock."""
        return None if isinstance(action, Unlock | Lock) else f"{self.name} is a lock"

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        """Locking always; unlocking for a credential proven at this door, unless configured `refuse`."""
        if isinstance(action, Lock):
            return True
        return self.pins.without_journal == "local" and principal.proven_locally

    def perform(self, action: Action, *, by: str, action_id: str) -> None:
        """Raises: EndpointError."""
        if isinstance(action, Unlock):
            hold_s = self.pins.hold_s if action.hold_s is None else action.hold_s
            self.output.turn_on(hold_s, by=by, action_id=action_id)
        else:
            self.output.turn_off(by=by, action_id=action_id)

    def state(self) -> str:
        """locked or unlocked, as the relay was told."""
        return "unlocked" if self.output.is_on else "locked"


class _LockRelay:
    """A lock port as unlocked = on."""

    def __init__(self, port: ports.Lock, fail_safe: bool) -> None:
        self._port = port
        self._fail_safe = fail_safe

    def on(self) -> None:
        if self._fail_safe:
            self._port.release()
        else:
            self._port.energise()

    def off(self) -> None:
        if self._fail_safe:
            self._port.energise()
        else:
            self._port.release()

    @property
    def is_on(self) -> bool:
        return self._port.energised != self._fail_safe


class SirenEndpoint:
    """A sounder; always for a bounded time."""

    def __init__(self, name: str, pins: SirenPins, *, log: EventLog, health: Health) -> None:
        self.name = name
        self.pins = pins
        self.health = health
        self._log = log
        self.output = TimedOutput(name, max_s=pins.max_on_s, tell=self._tell, health=health)

    def _tell(self, on: bool, *, by: str, action_id: str, duration_s: float | None, reason: str) -> None:
        self._log.publish(
            SirenChanged(
                endpoint=self.name, on=on, by=by, action_id=action_id, duration_s=duration_s, reason=reason
            )
        )

    async def run(self, port: ports.Siren) -> None:
        """Own the open port until cancelled. Raises: HardwareError."""
        await self.output.run(port, port.off)

    def refuse(self, action: Action) -> str | None:
        """Only SoundSiren and StopSiren are for a siren."""
        return None if isinstance(action, SoundSiren | StopSiren) else f"{self.name} is a siren"

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        """An alarm sounds whoever asks, unless configured `refuse`; silence always works."""
        return isinstance(action, StopSiren) or self.pins.without_journal == "local"

    def perform(self, action: Action, *, by: str, action_id: str) -> None:
        """Raises: EndpointError."""
        if isinstance(action, SoundSiren):
            duration_s = self.pins.default_s if action.duration_s is None else action.duration_s
            self.output.turn_on(duration_s, by=by, action_id=action_id)
        else:
            self.output.turn_off(by=by, action_id=action_id)

    def state(self) -> str:
        """on or off, as the relay was told."""
        return "on" if self.output.is_on else "off"


class LightEndpoint:
    """A lamp, usually for a while."""

    def __init__(self, name: str, pins: LightPins, *, log: EventLog, health: Health) -> None:
        self.name = name
        self.pins = pins
        self.health = health
        self._log = log
        max_s = math.inf if pins.max_on_s is None else pins.max_on_s
        self.output = TimedOutput(name, max_s=max_s, tell=self._tell, health=health)

    def _tell(self, on: bool, *, by: str, action_id: str, duration_s: float | None, reason: str) -> None:
        self._log.publish(
            LightChanged(
                endpoint=self.name, on=on, by=by, action_id=action_id, duration_s=duration_s, reason=reason
            )
        )

    async def run(self, port: ports.Light) -> None:
        """Own the open port until cancelled. Raises: HardwareError."""
        await self.output.run(port, port.off)

    def refuse(self, action: Action) -> str | None:
        """Only SwitchLight is for a light."""
        return None if isinstance(action, SwitchLight) else f"{self.name} is a light"

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        """A light needs no witness, unless configured `refuse`."""
        return self.pins.without_journal == "local"

    def perform(self, action: Action, *, by: str, action_id: str) -> None:
        """Raises: EndpointError."""
        assert isinstance(action, SwitchLight)
        if not action.on:
            self.output.turn_off(by=by, action_id=action_id)
            return
        default_s = self.pins.default_s or math.inf
        duration_s = default_s if action.duration_s is None else action.duration_s
        self.output.turn_on(duration_s, by=by, action_id=action_id)

    def state(self) -> str:
        """on or off, as the relay was told."""
        return "on" if self.output.is_on else "off"


Actuator = LockEndpoint | SirenEndpoint | LightEndpoint
