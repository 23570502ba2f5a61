"""One bench for both kinds of pins: drives the physical side of an endpoint and looks at it.

`FakeBench` stands on hw.fake, `MockBench` on gpiozero's mock pins, whose lines can be made to fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from gpiozero.pins.mock import MockFactory, MockPin

from hw.board import PinSource
from hw.fake import FakePins
from hw.gpio import GpioPins
from hw.pins import ButtonPins, ContactPins, DoorContactPins, EndpointPins, wires


class Bench(Protocol):
    """pins: what open_board takes. The other methods are the electrician's."""

    @property
    def pins(self) -> PinSource: ...

    def set(self, name: str, active: bool) -> None: ...
    def level(self, name: str) -> bool: ...
    def levels(self, name: str) -> list[bool]: ...
    def break_wire(self, name: str) -> None: ...
    def mend_wire(self, name: str) -> None: ...


class FakeBench:
    def __init__(self, pins: FakePins) -> None:
        self.pins = pins

    def set(self, name: str, active: bool) -> None:
        self.pins.set(name, active)

    def level(self, name: str) -> bool:
        return self.pins.level(name)

    def levels(self, name: str) -> list[bool]:
        return [change.active for change in self.pins.history(name)]

    def break_wire(self, name: str) -> None:
        self.pins.fail(name, "broken on the bench")

    def mend_wire(self, name: str) -> None:
        self.pins.heal(name)


class BreakablePin(MockPin):  # type: ignore[misc]
    """A mock pin that fails as a vanished chip does, while its number is in the factory's `broken`."""

    def _check(self) -> None:
        if self._number in getattr(self._factory, "broken", ()):
            raise OSError("broken on the bench")

    def _set_function(self, value: str) -> None:
        self._check()
        super()._set_function(value)

    def _get_state(self) -> bool:
        self._check()
        return bool(super()._get_state())

    def _set_state(self, value: bool) -> None:
        self._check()
        super()._set_state(value)


class MockBench:
    def __init__(self, endpoints: Mapping[str, EndpointPins]) -> None:
        self.factory: Any = MockFactory(pin_class=BreakablePin)
        self.factory.broken = set()
        self.pins = GpioPins(self.factory)
        self._wires = wires(endpoints)

    def set(self, name: str, active: bool) -> None:
        wire = self._wires[name]
        assert isinstance(wire, ButtonPins | ContactPins | DoorContactPins)
        closed = active if isinstance(wire, ButtonPins) else active != wire.normally_closed
        pin = self.pin(name)
        if closed == wire.active_low:
            pin.drive_low()
        else:
            pin.drive_high()

    def level(self, name: str) -> bool:
        return bool(self.pin(name)._state) != self._wires[name].active_low

    def levels(self, name: str) -> list[bool]:
        """Logical levels in order; the first is that of the bare pin before anything claimed it."""
        return [bool(state.state) != self._wires[name].active_low for state in self.pin(name).states]

    def break_wire(self, name: str) -> None:
        self.factory.broken.add(self._wires[name].pin)

    def mend_wire(self, name: str) -> None:
        self.factory.broken.discard(self._wires[name].pin)

    def pin(self, name: str) -> Any:
        return self.factory.pin(self._wires[name].pin)
