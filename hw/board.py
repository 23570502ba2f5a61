"""The pin map made real: opened ports by name, and every output at rest when it is closed.

The structs of the map are declared in hw/pins.py and may be imported from here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from hw.errors import HardwareError, PinConflict
from hw.lamp import Lamp
from hw.pins import (
    ButtonPins,
    ContactPins,
    DoorContactPins,
    EndpointName,
    EndpointPins,
    InputPins,
    LedPins,
    LightPins,
    LockPins,
    OutputPins,
    SirenPins,
    check_conflicts,
    door_contact_name,
    find_conflicts,
    sim_endpoints,
    wires,
)
from hw.ports import CutoffCallback, Input, Light, Lock, Output, Siren, StatusLed
from hw.relay import Line, Relay, Switch

__all__ = [
    "Board",
    "ButtonPins",
    "ContactPins",
    "DoorContactPins",
    "EndpointName",
    "EndpointPins",
    "InputPins",
    "LedPins",
    "LightPins",
    "LockPins",
    "OutputPins",
    "PinSource",
    "SirenPins",
    "check_conflicts",
    "door_contact_name",
    "find_conflicts",
    "open_board",
    "sim_endpoints",
    "wires",
]

log = logging.getLogger(__name__)

CUTOFF_GRACE_S = 0.25
"""How much later than the configured maximum the cut-off strikes, so that the program's own timer ends a hold
of the full length and only a program that has failed to is cut off."""


class PinSource(Protocol):
    """Where lines come from: `hw.gpio.GpioPins` or `hw.fake.FakePins`. Whoever made it closes it."""

    def open_input(self, name: str, pins: InputPins) -> Input:
        """Raises: HardwareError."""

    def open_line(self, name: str, pins: OutputPins) -> Line:
        """A line claimed at its inactive level, without a pulse. Raises: HardwareError."""

    def close(self) -> None: ...


class Board:
    """Opened ports by endpoint name. A lock's door contact is the input `door_contact_name(lock)`.

    A port that could not be opened is missing from its dict and stands in `failed`; the others work.
    """

    def __init__(self, endpoints: Mapping[str, EndpointPins], pins: PinSource) -> None:
        self._wires = wires(endpoints)
        self._conflicts = find_conflicts(endpoints)
        self._pins = pins
        self._cutoff_callback: CutoffCallback | None = None
        self.inputs: dict[str, Input] = {}
        self.locks: dict[str, Lock] = {}
        self.sirens: dict[str, Siren] = {}
        self.lights: dict[str, Light] = {}
        self.leds: dict[str, StatusLed] = {}
        self.failed: dict[str, HardwareError] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def listen_cutoff(self, callback: CutoffCallback | None) -> None:
        """Learn of outputs that their hardware maximum has de-energised. Called in a timer thread."""
        self._cutoff_callback = callback

    def reopen(self, name: str) -> None:
        """Close this port if it is open and open it again; the new one takes its place in the dicts.

        name: as in `failed`: an endpoint, or a lock's door contact.
        Raises: HardwareError when it still fails (also noted in `failed`); KeyError for a name not mapped.
        """
        wire = self._wires[name]
        self._close_port(name)
        try:
            self._open_port(name, wire)
        except HardwareError as failure:
            self.failed[name] = failure
            raise
        self.failed.pop(name, None)

    def close(self) -> None:
        """Drive every output to its inactive level, give all lines back. Idempotent; failures are logged."""
        outputs = [*self.sirens, *self.locks, *self.lights, *self.leds]
        for name in [*outputs, *self.inputs]:
            self._close_port(name)

    def _open_all(self) -> None:
        for name, wire in self._wires.items():
            try:
                self._open_port(name, wire)
            except HardwareError as failure:
                log.error("endpoint not opened endpoint=%s reason=%s", name, failure.reason)
                self.failed[name] = failure

    def _open_port(self, name: str, wire: InputPins | OutputPins) -> None:
        if name in self._conflicts:
            raise PinConflict(name, self._conflicts[name])
        match wire:
            case ButtonPins() | ContactPins() | DoorContactPins():
                self.inputs[name] = self._pins.open_input(name, wire)
            case LockPins():
                line = self._pins.open_line(name, wire)
                self.locks[name] = Relay(name, line, max_on_s=_late(wire.cutoff_s), on_cutoff=self._cutoff)
            case SirenPins():
                line = self._pins.open_line(name, wire)
                self.sirens[name] = Switch(name, line, max_on_s=_late(wire.max_on_s), on_cutoff=self._cutoff)
            case LightPins():
                line = self._pins.open_line(name, wire)
                self.lights[name] = Switch(name, line, max_on_s=_late(wire.max_on_s), on_cutoff=self._cutoff)
            case LedPins():
                self.leds[name] = Lamp(name, self._pins.open_line(name, wire))

    def _close_port(self, name: str) -> None:
        port: Input | Output | None = self.inputs.pop(name, None)
        for ports in (self.locks, self.sirens, self.lights, self.leds):
            port = port or ports.pop(name, None)
        if port is None:
            return
        try:
            port.close()
        except HardwareError as failure:
            log.error("output not de-energised at close endpoint=%s reason=%s", name, failure.reason)

    def _cutoff(self, name: str) -> None:
        callback = self._cutoff_callback
        if callback is not None:
            callback(name)


def open_board(endpoints: Mapping[str, EndpointPins], *, pins: PinSource) -> Board:
    """Open every endpoint of the map; use it as a context manager.

    One endpoint that fails does not keep the bell from ringing: see `Board.failed`. Any exception but
    HardwareError closes what was opened, outputs at rest, and goes on to the caller.
    """
    board = Board(endpoints, pins)
    try:
        board._open_all()
    except BaseException:
        board.close()
        raise
    return board


def _late(max_on_s: float | None) -> float | None:
    return None if max_on_s is None else max_on_s + CUTOFF_GRACE_S
