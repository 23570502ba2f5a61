"""All endpoints of the door: built from the pin map, kept open, de-energised on every way out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import trio

from agent.bus import EventLog
from agent.endpoints.actuators import LightEndpoint, LockEndpoint, SirenEndpoint
from agent.endpoints.health import Health
from agent.endpoints.inputs import CHATTERS, ButtonEndpoint, ContactEndpoint, DoorEndpoint
from agent.endpoints.led import LedEndpoint
from agent.endpoints.remote import RemoteEndpoint
from agent.net.backoff import Backoff
from agent.runtime import EndpointInfo, EndpointState, Performer, RemoteConfig
from hw.board import Board
from hw.edges import Bridge
from hw.errors import HardwareError
from hw.pins import (
    ButtonPins,
    ContactPins,
    EndpointPins,
    LedPins,
    LightPins,
    LockPins,
    SirenPins,
    door_contact_name,
)

REOPEN_FIRST_S = 2.0
REOPEN_MAX_S = 60.0
ALL_DEAD_S = 120.0


class Unit(Protocol):
    """One thing on wires that owns its open port while it runs."""

    @property
    def health(self) -> Health: ...

    async def run(self, port: Any) -> None:
        """Until cancelled; tells its health as soon as the device works. Raises: HardwareError."""

    def state(self) -> str: ...


class House:
    """The endpoints by name; `performers` are those that can be told something."""

    def __init__(self, endpoints: Mapping[str, EndpointPins | RemoteConfig], *, log: EventLog) -> None:
        self._log = log
        self._units: dict[str, Unit] = {}
        self.remotes: dict[str, RemoteEndpoint] = {}
        self.performers: dict[str, Performer] = {}
        self._dead_since: float | None = None
        self._worked = False
        infos = []
        for name, pins in endpoints.items():
            add = self._add_remote if isinstance(pins, RemoteConfig) else self._add
            infos.append(add(name, pins))  # type: ignore[arg-type]
        self.infos: tuple[EndpointInfo, ...] = tuple(infos)

    def _add(self, name: str, pins: EndpointPins) -> EndpointInfo:
        """Build the unit of one endpoint (and of its door contact)."""
        health = Health(name, self._log)
        role = ""
        has_door_contact = False
        match pins:
            case ButtonPins():
                self._units[name] = self.performers[name] = ButtonEndpoint(
                    name, pins, log=self._log, health=health
                )
            case ContactPins(role=role):
                self._units[name] = ContactEndpoint(name, pins, log=self._log, health=health)
            case LockPins(door_contact=contact):
                lock = LockEndpoint(name, pins, log=self._log, health=health)
                self._units[name] = self.performers[name] = lock
                if contact is not None:
                    has_door_contact = True
                    wire = door_contact_name(name)
                    self._units[wire] = DoorEndpoint(
                        contact, lock=lock, log=self._log, health=Health(wire, self._log)
                    )
            case SirenPins():
                self._units[name] = self.performers[name] = SirenEndpoint(
                    name, pins, log=self._log, health=health
                )
            case LightPins():
                self._units[name] = self.performers[name] = LightEndpoint(
                    name, pins, log=self._log, health=health
                )
            case LedPins():
                self._units[name] = LedEndpoint(name, pins, log=self._log, health=health)
        kind = str(type(pins).__struct_config__.tag)
        hold_s, max_s = _times(pins)
        return EndpointInfo(
            name=name,
            label=pins.label or name,
            kind=kind,  # type: ignore[arg-type]
            role=role,
            has_door_contact=has_door_contact,
            hold_s=hold_s,
            max_s=max_s,
        )

    def _add_remote(self, name: str, config: RemoteConfig) -> EndpointInfo:
        """Build an endpoint that lives on a foreign system."""
        remote = RemoteEndpoint(name, config, log=self._log, health=Health(name, self._log))
        self.remotes[name] = self.performers[name] = remote
        return EndpointInfo(
            name=name,
            label=config.label or name,
            kind=config.acts_as,
            role=config.role if config.acts_as == "contact" else "",
            system=str(type(config).__struct_config__.tag),
            hold_s=remote.default_s,
            max_s=None if math.isinf(remote.max_s) else remote.max_s,
        )

    async def run(
        self, board: Board, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep every endpoint running on an open board until cancelled."""
        cutoffs: Bridge[str] = Bridge()
        board.listen_cutoff(cutoffs.post)
        try:
            async with trio.open_nursery() as nursery:
                for name, unit in self._units.items():
                    nursery.start_soon(self._keep, board, name, unit)
                nursery.start_soon(self._note_cutoffs, cutoffs)
                task_status.started()
        finally:
            board.listen_cutoff(None)
            cutoffs.close()

    async def _keep(self, board: Board, name: str, unit: Unit) -> None:
        """Run one unit; when its device fails, say so and open it again for as long as it takes."""
        backoff = Backoff(first_s=REOPEN_FIRST_S, max_s=REOPEN_MAX_S)
        while True:
            begun = trio.current_time()
            port = _port(board, name)
            try:
                if port is None:
                    raise board.failed.get(name) or HardwareError(name, "not open")
                await unit.run(port)
            except HardwareError as failure:
                unit.health.failed(failure.reason)
            if trio.current_time() - begun >= REOPEN_MAX_S:
                backoff.reset()
            await trio.sleep(backoff.next_s())
            try:
                board.reopen(name)
            except HardwareError as failure:
                unit.health.failed(failure.reason)

    async def _note_cutoffs(self, cutoffs: Bridge[str]) -> None:
        while True:
            unit = self._units.get(await cutoffs.receive())
            if isinstance(unit, LockEndpoint | SirenEndpoint | LightEndpoint):
                unit.output.cut_off()

    def states(self) -> list[dict[str, Any]]:
        """What `portero status` shows of each endpoint."""
        rows = []
        for info in self.infos:
            state = self.state_of(info.name)
            row = {
                "name": info.name,
                "label": info.label,
                "kind": info.kind,
                "role": info.role,
                "state": state.state,
                "problem": state.problem,
                "extra": {},
            }
            if state.door:
                row["extra"] = {"door": state.door, "door_problem": state.door_problem}
            if info.system:
                row["extra"] = {"system": info.system}
            rows.append(row)
        return rows

    def state_of(self, name: str) -> EndpointState:
        """How the endpoint of that name is now."""
        unit = self.remotes.get(name) or self._units[name]
        door = self._units.get(door_contact_name(name))
        return EndpointState(
            state=unit.state(),
            problem=unit.problem if isinstance(unit, RemoteEndpoint) else unit.health.problem,
            door=door.state() if door is not None else "",
            door_problem=door.health.problem if door is not None else "",
        )

    def problems(self) -> list[str]:
        """What does not work, in words."""
        found = {name: unit.health.problem for name, unit in self._units.items()}
        found |= {name: remote.problem for name, remote in self.remotes.items()}
        return [f"{name}: {problem}" for name, problem in found.items() if problem]

    def sick(self) -> str | None:
        """For the watchdog: None, or that every device of a board that once worked has been dead for two
        minutes, which a restart may mend. A single dead device is told, and no reason to stop the others."""
        dead = bool(self._units) and all(
            unit.health.problem and unit.health.problem != CHATTERS for unit in self._units.values()
        )
        if not dead:
            self._worked = True
            self._dead_since = None
            return None
        now = trio.current_time()
        self._dead_since = self._dead_since if self._dead_since is not None else now
        if self._worked and now - self._dead_since > ALL_DEAD_S:
            return "no device of the board works"
        return None


def _port(board: Board, name: str) -> object | None:
    for ports in (board.inputs, board.locks, board.sirens, board.lights, board.leds):
        port: object | None = ports.get(name)
        if port is not None:
            return port
    return None


def _times(pins: EndpointPins) -> tuple[float | None, float | None]:
    """How long an action lasts that does not say, and at most; None: without an end."""
    match pins:
        case LockPins():
            return pins.hold_s, pins.max_hold_s
        case SirenPins():
            return pins.default_s, pins.max_on_s
        case LightPins():
            return pins.default_s or None, pins.max_on_s
        case _:
            return None, None
