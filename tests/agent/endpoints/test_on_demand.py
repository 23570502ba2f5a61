"""A machine without pins: each endpoint fails by itself."""

from __future__ import annotations

import pytest

from agent.endpoints.on_demand import GpioOnDemand
from hw.errors import HardwareError
from hw.pins import ButtonPins, LockPins


def test_without_a_chip_each_endpoint_fails_in_its_own_name() -> None:
    pins = GpioOnDemand("no such chip")
    for _ in range(2):
        with pytest.raises(HardwareError, match="bell"):
            pins.open_input("bell", ButtonPins(pin=17))
        with pytest.raises(HardwareError, match="strike"):
            pins.open_line("strike", LockPins(pin=27))
    pins.close()
