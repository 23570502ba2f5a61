"""Endpoints of this house that live on a foreign system: told through its worker, known by its reports."""

from __future__ import annotations

import math
from collections import deque

import trio

from agent.bus import EventLog
from agent.endpoints.health import Health
from agent.model.actions import Action, Lock, Ring, SoundSiren, StopSiren, SwitchLight, Unlock
from agent.model.errors import EndpointError
from agent.model.events import (
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    ContactChanged,
    LightChanged,
    LockChanged,
    SirenChanged,
)
from agent.model.principals import Principal
from agent.runtime import Command, Pending, RemoteConfig

MAX_WAITING = 4
BEGIN_WITHIN_S = 2.0
EXPIRED = f"not begun within {BEGIN_WITHIN_S:g} s"
NOT_CONNECTED = "not connected yet"
ENDED = "the protocol that reaches it has stopped"
_UNDERSTOOD: dict[str, tuple[type, ...]] = {
    "lock": (Unlock, Lock),
    "siren": (SoundSiren, StopSiren),
    "light": (SwitchLight,),
    "button": (Ring,),
    "contact": (),
}
_DEFAULT_S = {"lock": 5.0, "siren": 60.0, "light": 120.0}
_MAX_S = {"lock": 30.0, "siren": 180.0, "light": math.inf}


class RemoteCommand:
    """See runtime.Command; the Pending of who asked for it. begun: its worker has it."""

    def __init__(self, *, on: bool, duration_s: float | None, by: str, action_id: str) -> None:
        self.on = on
        self.duration_s = duration_s
        self.by = by
        self.action_id = action_id
        self.expires_at = trio.current_time() + BEGIN_WITHIN_S
        self.begun = False
        self._settled = trio.Event()
        self._reason: str | None = None

    def done(self) -> None:
        """See runtime.Command."""
        self._settled.set()

    def failed(self, reason: str) -> None:
        """See runtime.Command."""
        if not self._settled.is_set():
            self._reason = reason
            self._settled.set()

    async def failure(self) -> str | None:
        """See runtime.Pending. What nobody takes up in time is over then, and whoever asked knows."""
        with trio.move_on_at(self.expires_at):
            await self._settled.wait()
        if not self.begun:
            self.failed(EXPIRED)
        await self._settled.wait()
        return self._reason


class RemoteEndpoint:
    """One of them: a `runtime.Remote` to its worker, a `runtime.Performer` to dispatch.

    At most four commands wait; the next is refused. Nothing that waited for two seconds is begun.
    """

    def __init__(self, name: str, config: RemoteConfig, *, log: EventLog, health: Health) -> None:
        self.name = name
        self.config = config
        self.health = health
        self._log = log
        self._kind = config.acts_as
        self._reason = NOT_CONNECTED
        self._on = False  # unlocked, sounding, shining; down; active
        self._waiting: deque[RemoteCommand] = deque()
        self._arrived = trio.Event()

    @property
    def default_s(self) -> float | None:
        """How long an action lasts that does not say; None: without an end, or there is none."""
        default_s = _DEFAULT_S.get(self._kind) if self.config.default_s is None else self.config.default_s
        return min(default_s, self.max_s) if default_s else None

    @property
    def max_s(self) -> float:
        """The longest that an action lasts."""
        return self.config.max_on_s or _MAX_S.get(self._kind, math.inf)

    @property
    def problem(self) -> str:
        """Why it cannot be reached; also before it ever was, of which nothing is told as an event."""
        return self.health.problem or self._reason

    # ----- to dispatch -----

    def refuse(self, action: Action) -> str | None:
        """Only what its kind understands."""
        return None if isinstance(action, _UNDERSTOOD[self._kind]) else f"{self.name} is a {self._kind}"

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        """As the door's own: what makes safe always; unlocking for a credential proven at this door."""
        if isinstance(action, Lock | StopSiren | Ring):
            return True
        if isinstance(action, Unlock) and not principal.proven_locally:
            return False
        return self.config.without_journal == "local"

    def perform(self, action: Action, *, by: str, action_id: str) -> Pending | None:
        """Hand it to the worker. Raises: EndpointError when that cannot reach the device now."""
        if isinstance(action, Ring):
            self._log.publish(ButtonPressed(endpoint=self.name, by=by))
            return None
        if self._reason:
            raise EndpointError(self.name, self._reason)
        self._drop_expired()
        if len(self._waiting) >= MAX_WAITING:
            raise EndpointError(self.name, "too many commands wait for it")
        command = RemoteCommand(
            on=self._means_on(action), duration_s=self._duration_s(action), by=by, action_id=action_id
        )
        self._waiting.append(command)
        self._arrived.set()
        return command

    def _means_on(self, action: Action) -> bool:
        return isinstance(action, Unlock | SoundSiren) or (isinstance(action, SwitchLight) and action.on)

    def _duration_s(self, action: Action) -> float | None:
        """Seconds until it ends by itself; None: it does not. Raises: EndpointError."""
        match action:
            case Unlock(hold_s=wanted_s):
                pass
            case SoundSiren(duration_s=wanted_s):
                pass
            case SwitchLight(on=True, duration_s=wanted_s):
                pass
            case _:
                return None
        duration_s = self.default_s if wanted_s is None else wanted_s
        duration_s = math.inf if duration_s is None else duration_s
        if not duration_s > 0:  # NaN too, which no limit would stop
            raise EndpointError(self.name, f"expected a duration above 0 s, got {duration_s:g}")
        duration_s = min(duration_s, self.max_s)
        return None if math.isinf(duration_s) else duration_s

    # ----- to its worker -----

    async def command(self) -> RemoteCommand:
        """See runtime.Remote."""
        await trio.lowlevel.checkpoint()
        while True:
            self._drop_expired()
            if self._waiting:
                command = self._waiting.popleft()
                command.begun = True
                return command
            self._arrived = trio.Event()
            await self._arrived.wait()

    def works(self) -> None:
        """See runtime.Remote."""
        self._reason = ""
        self.health.works()

    def failed(self, reason: str) -> None:
        """See runtime.Remote."""
        self._reason = reason or ENDED
        self.health.failed(self._reason)
        while self._waiting:
            self._waiting.popleft().failed(self._reason)

    def switched(self, on: bool, *, command: Command | None = None, reason: str = "") -> None:
        """See runtime.Remote."""
        if on == self._on and command is None:
            return
        self._on = on
        by, action_id = (command.by, command.action_id) if command is not None else ("", "")
        duration_s = command.duration_s if command is not None and on else None
        match self._kind:
            case "lock":
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
            case "siren" | "light":
                kind = SirenChanged if self._kind == "siren" else LightChanged
                self._log.publish(
                    kind(
                        endpoint=self.name,
                        on=on,
                        by=by,
                        action_id=action_id,
                        duration_s=duration_s,
                        reason=reason,
                    )
                )

    def pressed(self) -> None:
        """See runtime.Remote."""
        self._on = True
        self._log.publish(ButtonPressed(endpoint=self.name))

    def held(self, held_ms: int) -> None:
        """See runtime.Remote."""
        self._log.publish(ButtonHeld(endpoint=self.name, held_ms=held_ms))

    def released(self, held_ms: int) -> None:
        """See runtime.Remote."""
        self._on = False
        self._log.publish(ButtonReleased(endpoint=self.name, held_ms=held_ms))

    def contact(self, active: bool) -> None:
        """See runtime.Remote."""
        if active != self._on:
            self._on = active
            self._log.publish(ContactChanged(endpoint=self.name, role=self.config.role, active=active))

    def state(self) -> str:
        """As the foreign system told it last; before that: at rest."""
        words = {
            "lock": ("locked", "unlocked"),
            "button": ("released", "pressed"),
            "contact": ("calm", "active"),
        }
        return words.get(self._kind, ("off", "on"))[self._on]

    def _drop_expired(self) -> None:
        now = trio.current_time()
        while self._waiting and self._waiting[0].expires_at <= now:
            self._waiting.popleft().failed(EXPIRED)
