"""The house's own small alarm system: what is watched in which mode, the delays, and when it is an alarm.

It moves nothing by itself: rules do, on `alarm_changed`. It knows endpoints only by their events.

    disarmed ─▶ arming ─exit delay─▶ armed ─a door─▶ entry_delay ─entry delay─▶ in_alarm ─trigger time─▶ armed
                                          └─ anything else ──────────────────▶ in_alarm

and from everywhere to disarmed.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import trio
from msgspec import Meta, Struct

from agent.bus import EventLog
from agent.model.actions import Action, AlarmMode, SetAlarm
from agent.model.errors import EndpointError
from agent.model.events import (
    AlarmChanged,
    AlarmState,
    ContactChanged,
    DoorChanged,
    HardwareFailed,
    HardwareRecovered,
)
from agent.model.principals import Principal
from agent.model.records import Entry, Gap
from agent.runtime import AlarmStatus, EndpointInfo, EndpointState

WatchMode = Literal["away", "stay", "night"]
Seconds = Annotated[int, Meta(ge=0, le=255)]

# Motion detectors warm up for up to a minute when the power comes back, and see what is not there.
SETTLE_S = 60.0
DOOR = "door"
_EVERY: tuple[WatchMode, ...] = ("away", "stay", "night")
_DEFAULT: dict[str, tuple[WatchMode, ...]] = {DOOR: _EVERY, "tamper": _EVERY, "motion": ("away",)}
_ON = "the alarm is on: disarm it first"

logger = logging.getLogger(__name__)


class AlarmConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """exit_delay_s: to leave the house after arming. entry_delay_s: to disarm after coming in. trigger_s: an
    alarm lasts so long, then the house is armed again. 255 s is the most that smart homes can be told.

    watch: the modes in which a contact, or the door contact of a lock, sets it off. A table here replaces the
    default: doors and tamper contacts in every mode, motion in `away`. A generic contact may be
    anything from a window to a letter box and counts only where it is named. Smoke and CO cannot be named:
    they do not wait for somebody to arm.
    delayed: what is watched and starts the entry delay instead of an alarm; by default the doors.
    """

    exit_delay_s: Seconds = 60
    entry_delay_s: Seconds = 30
    trigger_s: Annotated[int, Meta(ge=1, le=255)] = 180
    watch: dict[str, Annotated[tuple[WatchMode, ...], Meta(min_length=1)]] | None = None
    delayed: tuple[str, ...] | None = None

    def watched(self, sensors: Mapping[str, str]) -> dict[str, tuple[AlarmMode, ...]]:
        """The modes in which each endpoint counts. sensors: the role of each contact, `door` for a lock's."""
        if self.watch is None:
            return {name: _DEFAULT[what] for name, what in sensors.items() if what in _DEFAULT}
        return {
            name: tuple(mode for mode in _EVERY if mode in modes)
            for name, modes in self.watch.items()
            if name in sensors
        }


class _Stored(Struct, frozen=True, kw_only=True):
    """What outlives a power cut. ignored: was active when the house was armed, and has been since."""

    mode: AlarmMode
    ignored: tuple[str, ...] = ()


class Alarm:
    """The alarm system: told by dispatch, set off by the log.

    What is active when the house becomes armed is ignored until it has been calm once: a window left open
    keeps nobody from arming. While an entry delay runs, motion is expected, and shortens it no more than a
    second door; anything else is an alarm at once.

    After a power cut it is armed as before, whatever it was about to do: cutting the power must not end an
    alarm, and whoever was leaving or coming in has the entry delay. With a file that cannot be read it is
    disarmed and says so loudly: armed in a mode that nobody chose it would sound at those who sleep here, and
    an alarm that is known to cry wolf is soon switched off for good.
    """

    def __init__(
        self,
        config: AlarmConfig,
        endpoints: Iterable[EndpointInfo],
        *,
        log: EventLog,
        path: Path,
        state_of: Callable[[str], EndpointState],
    ) -> None:
        self._config = config
        self._log = log
        self._path = path
        self._state_of = state_of
        sensors = {info.name: what for info in endpoints if (what := _senses(info))}
        self._watched = config.watched(sensors)
        doors = [name for name in self._watched if sensors[name] == DOOR]
        self._delayed = frozenset(doors if config.delayed is None else config.delayed)
        self._motion = frozenset(name for name in self._watched if sensors[name] == "motion")
        self._state: AlarmState = "disarmed"
        self._mode: AlarmMode = "disarmed"
        self._endpoint = ""  # what set it off
        self._ignored: set[str] = set()
        self._ends_at = math.inf  # of this state; trio time
        self._armed_seq = 0  # what happened up to here, happened before the house was armed
        self.problem = ""

    # ----- to dispatch -----

    def refuse(self, action: Action) -> str | None:
        """Arming ends no alarm; and a mode in which nothing is watched would promise what nobody keeps."""
        assert isinstance(action, SetAlarm)
        if action.mode == "disarmed":
            return None
        if self._state in ("entry_delay", "in_alarm"):
            return _ON
        if not any(action.mode in modes for modes in self._watched.values()):
            return f"nothing is watched in mode {action.mode}"
        return None

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        """Always: nobody is locked out of their own alarm by a full disk."""
        return True

    def perform(self, action: Action, *, by: str, action_id: str) -> None:
        """Arm or disarm; what is so already is not told again, and its exit delay goes on.

        Done also when it cannot be stored, which `problem` tells. Raises: EndpointError.
        """
        assert isinstance(action, SetAlarm)
        if action.mode != "disarmed" and self._state in ("entry_delay", "in_alarm"):
            raise EndpointError("alarm", _ON)  # since it was asked to refuse
        if action.mode == self._mode:
            if self.problem:
                self._store()
            return
        self._mode, self._endpoint, self._ignored = action.mode, "", set()
        if action.mode == "disarmed":
            self._become("disarmed", by=by, action_id=action_id)
        elif self._config.exit_delay_s:
            self._become("arming", self._config.exit_delay_s, by=by, action_id=action_id)
        else:
            self._arm(by=by, action_id=action_id)
        self._store()

    def status(self) -> AlarmStatus:
        """How it is now."""
        waits = self._state in ("arming", "entry_delay")
        return AlarmStatus(
            state=self._state,
            mode=self._mode,
            seconds_left=max(0, math.ceil(self._ends_at - trio.current_time())) if waits else 0,
            exit_delay_s=self._config.exit_delay_s,
            entry_delay_s=self._config.entry_delay_s,
            trigger_s=self._config.trigger_s,
            watched=dict(self._watched),
        )

    # ----- what happens -----

    async def run(self, *, after: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the log for ever; every change of state wakes it, and so it needs no other timer."""
        reader = self._log.follow(after=after)
        self._resume()
        task_status.started()
        while True:
            item = None
            with trio.move_on_at(self._ends_at):
                item = await anext(reader)
            if item is not None:
                self._note(item)
            if trio.current_time() >= self._ends_at:
                self._time_over()

    def _note(self, item: Entry | Gap) -> None:
        if isinstance(item, Gap):
            logger.error("alarm missed entries first=%d last=%d", item.first, item.last)
            if item.last > self._armed_seq:
                for name in self._watched:
                    self._seen(name, self._is_active(name))
            return
        if item.seq <= self._armed_seq:
            return
        match item.event:
            case ContactChanged(endpoint=name, active=active):
                self._seen(name, active)
            case DoorChanged(endpoint=name, state="open" | "forced"):
                self._seen(name, True)
            case DoorChanged(endpoint=name, state="closed"):
                self._seen(name, False)

    def _seen(self, name: str, active: bool) -> None:
        if self._mode not in self._watched.get(name, ()):
            return
        if name in self._ignored:
            # While it settles after a start, being calm proves nothing.
            if not active and not self._settles():
                self._ignored.discard(name)
                self._store()
            return
        if not active:
            return
        delayed = name in self._delayed
        if self._state == "armed" and delayed and self._config.entry_delay_s:
            self._endpoint = name
            self._become("entry_delay", self._config.entry_delay_s)
        elif self._state == "armed" or (
            self._state == "entry_delay" and not delayed and name not in self._motion
        ):
            self._endpoint = name
            self._alarm()

    def _time_over(self) -> None:
        match self._state:
            case "entry_delay":
                self._alarm()
            case "armed":
                self._ends_at = math.inf
                self._ignored = {name for name in self._ignored if self._is_active(name)}
                self._store()
            case _:
                self._endpoint = ""
                self._arm()
                self._store()

    def _arm(self, *, by: str = "", action_id: str = "") -> None:
        self._ignored = {
            name for name, modes in self._watched.items() if self._mode in modes and self._is_active(name)
        }
        if self._ignored:
            logger.warning("alarm armed although active=%s", ",".join(sorted(self._ignored)))
        self._armed_seq = self._log.last_seq
        self._become("armed", by=by, action_id=action_id)

    def _alarm(self) -> None:
        self._become("in_alarm")
        self._ends_at = trio.current_time() + self._config.trigger_s

    def _become(self, state: AlarmState, delay_s: int = 0, *, by: str = "", action_id: str = "") -> None:
        """A new state, told to everybody, which lasts for its delay or until something happens."""
        self._state = state
        self._ends_at = trio.current_time() + delay_s if delay_s else math.inf
        logger.info("alarm state=%s mode=%s endpoint=%s", state, self._mode, self._endpoint)
        self._log.publish(
            AlarmChanged(
                state=state,
                mode=self._mode,
                seconds=delay_s,
                endpoint=self._endpoint,
                by=by,
                action_id=action_id,
            )
        )

    def _settles(self) -> bool:
        """Just started, and armed: what detectors see is not believed yet."""
        return self._state == "armed" and not math.isinf(self._ends_at)

    def _is_active(self, name: str) -> bool:
        state = self._state_of(name)
        return state.state == "active" or state.door not in ("", "closed")

    # ----- over a restart -----

    def _resume(self) -> None:
        stored = self._load()
        if stored is None or stored.mode == "disarmed":
            if self.problem:
                self._become("disarmed")
            return
        self._mode = stored.mode
        if self.refuse(SetAlarm(mode=stored.mode)) is not None:
            self._mode = "disarmed"
            self._trouble(f"disarmed, since nothing is watched any more in mode {stored.mode}")
            self._become("disarmed")
            return
        self._ignored = {name for name in stored.ignored if name in self._watched} | self._motion
        self._become("armed")
        self._ends_at = trio.current_time() + SETTLE_S

    def _load(self) -> _Stored | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Stored)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._trouble(f"disarmed, since what it was cannot be read: {error}")
            return None

    def _store(self) -> None:
        """Without a sync, which would hold the bell up: the kernel writes it within half a minute."""
        stored = _Stored(mode=self._mode, ignored=tuple(sorted(self._ignored)))
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_bytes(msgspec.json.encode(stored))
            os.replace(temporary, self._path)
        except OSError as error:
            reason = error.strerror or error
            self._trouble(f"a restart will not know that it is set to {self._mode}: {reason}")
            return
        if self.problem:
            self.problem = ""
            self._log.publish(HardwareRecovered(endpoint=self._path.name))

    def _trouble(self, reason: str) -> None:
        if not self.problem:
            logger.error("alarm problem=%s", reason)
            self._log.publish(HardwareFailed(endpoint=self._path.name, reason=reason))
        self.problem = reason


def _senses(info: EndpointInfo) -> str:
    """The role of a contact, `door` for a lock that has a door contact, else empty."""
    if info.kind == "contact":
        return info.role
    return DOOR if info.has_door_contact else ""
