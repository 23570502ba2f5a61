"""The pins of this machine, opened when the first endpoint asks for them."""

from __future__ import annotations

from hw.board import PinSource
from hw.errors import HardwareError
from hw.pins import InputPins, OutputPins
from hw.ports import Input
from hw.relay import Line


class GpioOnDemand:
    """The pins of this machine, opened with the first endpoint and tried again with the next: without a
    chip every endpoint fails by itself, is told, and the rest of the door works."""

    def __init__(self, label: str | None) -> None:
        self._label = label
        self._pins: PinSource | None = None

    def _open(self, name: str) -> PinSource:
        if self._pins is None:
            from hw.gpio import open_pins

            try:
                self._pins = open_pins(self._label)
            except HardwareError as error:
                raise HardwareError(name, error.reason) from error
        return self._pins

    def open_input(self, name: str, pins: InputPins) -> Input:
        return self._open(name).open_input(name, pins)

    def open_line(self, name: str, pins: OutputPins) -> Line:
        return self._open(name).open_line(name, pins)

    def close(self) -> None:
        if self._pins is not None:
            self._pins.close()
