"""Bell buttons, contacts and the door leaf: debounced edges become events."""

from __future__ import annotations

import trio

from agent.bus import EventLog
from agent.endpoints.actuators import LockEndpoint
from agent.endpoints.health import Health
from agent.model.actions import Action, Ring
from agent.model.events import (
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    ContactChanged,
    DoorChanged,
    DoorState,
)
from agent.model.principals import Principal
from hw import ports
from hw.edges import EdgeFeed
from hw.pins import ButtonPins, ContactPins, DoorContactPins

FORCED_GRACE_S = 3.0
CHATTERS = "the contact chatters, check its wiring"


def _feed(port: ports.Input, debounce_ms: int, health: Health) -> EdgeFeed:
    def on_chatter(chatters: bool) -> None:
        if chatters:
            health.failed(CHATTERS)
        elif health.problem == CHATTERS:
            health.works()

    return EdgeFeed(port, debounce_ms / 1000, on_chatter=on_chatter)


class ButtonEndpoint:
    """A bell button."""

    def __init__(self, name: str, pins: ButtonPins, *, log: EventLog, health: Health) -> None:
        self.name = name
        self.pins = pins
        self.health = health
        self._log = log
        self._down = False

    async def run(self, port: ports.Input) -> None:
        """Publish presses, long presses and releases until cancelled. Raises: HardwareError."""
        try:
            async with _feed(port, self.pins.debounce_ms, self.health) as feed:
                self.health.works()
                while True:
                    edge = await feed.receive()
                    if edge.active:
                        await self._press(feed, edge.at)
        finally:
            self._down = False

    async def _press(self, feed: EdgeFeed, at: float) -> None:
        self._down = True
        self._log.publish(ButtonPressed(endpoint=self.name))
        edge = None
        if self.pins.hold_ms:
            with trio.move_on_after(self.pins.hold_ms / 1000):
                edge = await feed.receive()
            if edge is None:
                self._log.publish(ButtonHeld(endpoint=self.name, held_ms=self.pins.hold_ms))
        if edge is None:
            edge = await feed.receive()
        self._down = False
        held_ms = max(0, round((edge.at - at) * 1000))
        self._log.publish(ButtonReleased(endpoint=self.name, held_ms=held_ms))

    def refuse(self, action: Action) -> str | None:
        """Only Ring is for a button."""
        return None if isinstance(action, Ring) else f"{self.name} is a button"

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        """A bell rings always."""
        return True

    def perform(self, action: Action, *, by: str, action_id: str) -> None:
        """Ring as if pressed."""
        self._log.publish(ButtonPressed(endpoint=self.name, by=by))

    def state(self) -> str:
        """pressed or released."""
        return "pressed" if self._down else "released"


class ContactEndpoint:
    """A detector or a dry contact. What is already active at the start is told at once."""

    def __init__(self, name: str, pins: ContactPins, *, log: EventLog, health: Health) -> None:
        self.name = name
        self.pins = pins
        self.health = health
        self._log = log
        self._active = False

    async def run(self, port: ports.Input) -> None:
        """Publish changes until cancelled. Raises: HardwareError."""
        async with _feed(port, self.pins.debounce_ms, self.health) as feed:
            self.health.works()
            self._tell(feed.active)
            while True:
                self._tell((await feed.receive()).active)

    def _tell(self, active: bool) -> None:
        if active != self._active:
            self._active = active
            self._log.publish(ContactChanged(endpoint=self.name, role=self.pins.role, active=active))

    def state(self) -> str:
        """active or calm."""
        return "active" if self._active else "calm"


class DoorEndpoint:
    """The door leaf of a lock, by its contact: opened, closed, left open, forced."""

    def __init__(self, pins: DoorContactPins, *, lock: LockEndpoint, log: EventLog, health: Health) -> None:
        self.name = lock.name
        self.pins = pins
        self.health = health
        self._lock = lock
        self._log = log
        self._state: DoorState = "closed"

    async def run(self, port: ports.Input) -> None:
        """Publish changes until cancelled. Raises: HardwareError."""
        async with _feed(port, self.pins.debounce_ms, self.health) as feed:
            self.health.works()
            if feed.active and self._state == "closed":
                self._tell("open")  # nobody knows how it came to be open: not called forced
            elif not feed.active and self._state != "closed":
                self._tell("closed")
            while True:
                edge = None
                with trio.move_on_after(self._patience_s()):
                    edge = await feed.receive()
                if edge is None:
                    self._tell("left_open")
                elif not edge.active:
                    self._tell("closed")
                else:
                    self._tell("forced" if self._is_forced() else "open")

    def _patience_s(self) -> float:
        """Seconds until an open door counts as left open."""
        limit_s = self._lock.pins.left_open_after_s
        return limit_s if limit_s and self._state in ("open", "forced") else float("inf")

    def _is_forced(self) -> bool:
        output = self._lock.output
        recently = trio.current_time() - output.off_at < FORCED_GRACE_S
        return self._lock.pins.forced_detection and not output.is_on and not recently

    def _tell(self, state: DoorState) -> None:
        self._state = state
        self._log.publish(DoorChanged(endpoint=self.name, state=state))

    def state(self) -> DoorState:
        """open, closed, left_open or forced."""
        return self._state
