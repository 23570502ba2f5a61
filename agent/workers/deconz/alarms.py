"""The house's alarm system as clients see it: `/alarmsystems/1`, with a keypad that stands for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agent.model.events import AlarmChanged
from agent.runtime import AlarmStatus
from agent.workers.deconz.resources import Resource
from agent.workers.deconz.translate import TRIGGERS, Shown, arm_mask, arm_mode, arm_state
from agent.workers.deconz.wire import Changed, Json

ID = "1"
NAME = "default"
_NONE = AlarmStatus(state="disarmed", mode="disarmed")
_WATCHES = ("away", "stay", "night")


class AlarmSystem:
    """keypad: Home Assistant makes its panel of it, where the alarm system's `devices` name it.

    status: how the alarm system is at this moment; what is told of changes is what events say.
    """

    def __init__(
        self,
        status: Callable[[], AlarmStatus | None],
        keypad: Resource,
        sensors: Iterable[Resource],
    ) -> None:
        self.keypad = keypad
        self._status = status
        now = status() or _NONE
        self._armmode = arm_mode(now.mode)
        self._armstate = arm_state(now.state, now.mode)
        self._seconds = now.seconds_left
        keypad.begin(
            Shown(
                config={"on": True, "reachable": True, "enrolled": 1, "pending": []},
                state=self._panel(),
            )
        )
        self._devices: Json = {keypad.uniqueid: {"armmask": "none"}}
        for sensor in sensors:
            modes = now.watched.get(sensor.endpoint, ())
            if modes and sensor.kind in TRIGGERS:
                self._devices[sensor.uniqueid] = {
                    "armmask": arm_mask(modes),
                    "trigger": TRIGGERS[sensor.kind],
                }

    @property
    def seconds_left(self) -> int:
        """Of the delay that runs, by now."""
        status = self._status()
        return status.seconds_left if status is not None and self._seconds else 0

    def note(self, event: AlarmChanged, at_ns: int, *, notify_all: bool) -> list[Changed]:
        """It has moved on."""
        mode, state = arm_mode(event.mode), arm_state(event.state, event.mode)
        return self._become(mode, state, event.seconds, at_ns, notify_all=notify_all)

    def reread(self, at_ns: int, *, notify_all: bool) -> list[Changed]:
        """As it is now, where events were missed."""
        status = self._status()
        if status is None:
            return []
        mode, state = arm_mode(status.mode), arm_state(status.state, status.mode)
        return self._become(mode, state, status.seconds_left, at_ns, notify_all=notify_all)

    def now(self) -> list[Changed]:
        """What a client that has just connected is told, beside the keypad."""
        return [
            Changed(r="alarmsystems", id=ID, config={"armmode": self._armmode}),
            Changed(r="alarmsystems", id=ID, state=self._state()),
        ]

    def body(self) -> Json:
        """The whole resource. Nobody reads codes here, nor sets delays: both are the door's own."""
        status = self._status() or _NONE
        config: Json = {
            "armmode": self._armmode,
            "configured": True,
            "disarmed_entry_delay": 0,
            "disarmed_exit_delay": 0,
        }
        for watch in _WATCHES:
            config[f"armed_{watch}_entry_delay"] = status.entry_delay_s
            config[f"armed_{watch}_exit_delay"] = status.exit_delay_s
            config[f"armed_{watch}_trigger_duration"] = status.trigger_s
        return {"name": NAME, "config": config, "state": self._state(), "devices": dict(self._devices)}

    def _become(self, mode: str, state: str, seconds: int, at_ns: int, *, notify_all: bool) -> list[Changed]:
        changed = []
        if mode != self._armmode:
            self._armmode = mode
            changed.append(Changed(r="alarmsystems", id=ID, config={"armmode": mode}))
        if (state, seconds) != (self._armstate, self._seconds):
            self._armstate, self._seconds = state, seconds
            told = {"armstate": state, "seconds_remaining": seconds}
            changed.append(Changed(r="alarmsystems", id=ID, state=told))
        return changed + self.keypad.set_state(self._panel(), at_ns, notify_all=notify_all)

    def _panel(self) -> Json:
        return {"action": self._armmode, "panel": self._armstate, "seconds_remaining": self._seconds}

    def _state(self) -> Json:
        return {"armstate": self._armstate, "seconds_remaining": self.seconds_left}
