"""Our lgpio pins on a stand-in for lgpio that keeps its rules (see harness/lgpio_fake.py)."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from harness.lgpio_fake import FLAG_DOWN, FLAG_UP, MODE_ALERT, MODE_INPUT, FakeLgpio

from hw.board import open_board, sim_endpoints
from hw.errors import HardwareError
from hw.gpio import GpioPins
from hw.pins import ButtonPins, LockPins
from hw.ports import Edge

MODULES = ("lgpio", "gpiozero.pins.lgpio", "hw.lgpio_line")


@pytest.fixture
def lgpio(monkeypatch: pytest.MonkeyPatch) -> FakeLgpio:
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    fake = FakeLgpio()
    monkeypatch.setitem(sys.modules, "lgpio", fake)
    return fake


@pytest.fixture
def module(lgpio: FakeLgpio) -> Iterator[ModuleType]:
    yield importlib.import_module("hw.lgpio_line")
    for name in MODULES[1:]:
        sys.modules.pop(name, None)


@pytest.fixture
def pins(module: ModuleType) -> Iterator[GpioPins]:
    with GpioPins(module.ChipFactory(3), errors=(module.LGPIO_ERROR,)) as made:
        yield made


@pytest.mark.parametrize("active_low", [False, True])
def test_an_output_has_its_level_from_the_first_instant(
    lgpio: FakeLgpio, pins: GpioPins, active_low: bool
) -> None:
    rest = int(active_low)
    line = pins.open_line("front", LockPins(pin=27, active_low=active_low))
    assert lgpio.lines[27].driven == [None, rest]
    assert lgpio.lines[27].bias == (FLAG_UP if active_low else FLAG_DOWN)
    line.drive(True)
    assert line.read()
    line.drive(False)
    assert not line.read()
    line.close()
    assert lgpio.lines[27].driven == [None, rest, 1 - rest, rest, None]
    assert lgpio.lines[27].mode == MODE_INPUT
    assert lgpio.lines[27].bias == (FLAG_UP if active_low else FLAG_DOWN)


def test_the_stand_in_shows_the_pulse_of_claiming_low(lgpio: FakeLgpio, module: ModuleType) -> None:
    """The two steps we replace, on the same stand-in: the test above can fail."""
    pin = module.ChipFactory(3).pin(27)
    pin.function = "output"
    pin.state = True
    assert lgpio.lines[27].driven == [None, 0, 1]


def test_a_line_that_is_an_output_already_gets_its_level(lgpio: FakeLgpio, module: ModuleType) -> None:
    pin = module.ChipFactory(3).pin(27)
    pin.output_with_state(False)
    pin.state = True
    pin.output_with_state(False)
    assert lgpio.lines[27].driven == [None, 0, 1, 0]


def test_a_watched_pin_may_become_an_output(lgpio: FakeLgpio, module: ModuleType) -> None:
    pin = module.ChipFactory(3).pin(17)
    calls: list[object] = []

    def handler(ticks: float, state: int) -> None:
        calls.append((ticks, state))

    pin.when_changed = handler
    assert lgpio.lines[17].mode == MODE_ALERT
    pin.output_with_state(True)
    assert lgpio.callbacks == []
    assert lgpio.lines[17].driven[-1] == 1


def test_edges_arrive_and_stop(lgpio: FakeLgpio, pins: GpioPins) -> None:
    port = pins.open_input("bell", ButtonPins(pin=17, glitch_us=1500))
    assert lgpio.lines[17].bias == FLAG_UP
    assert lgpio.lines[17].debounce_us == 1500
    lgpio.move(17, 1)
    edges: list[Edge] = []
    port.listen(edges.append)
    assert lgpio.lines[17].mode == MODE_ALERT
    before = time.monotonic()
    lgpio.move(17, 0, tick_ns=123)
    assert port.active
    lgpio.move(17, 1)
    assert [edge.active for edge in edges] == [True, False]
    assert before <= edges[0].at <= time.monotonic()
    port.stop_listening()
    lgpio.move(17, 0)
    assert len(edges) == 2
    port.close()
    assert lgpio.callbacks == []


def test_a_callback_that_comes_too_late_is_harmless(lgpio: FakeLgpio, pins: GpioPins) -> None:
    """lgpio's thread may be on its way when the listener goes; an exception there deafens every input."""
    port = pins.open_input("bell", ButtonPins(pin=17))
    edges: list[Edge] = []
    port.listen(edges.append)
    late = lgpio.callbacks[0].func
    port.stop_listening()
    late(0, 17, 0, 0)
    port.close()
    late(0, 17, 0, 0)
    assert edges == []


def test_a_callback_of_a_forgotten_port_is_harmless(lgpio: FakeLgpio, module: ModuleType) -> None:
    class Owner:
        def changed(self, ticks: float, state: int) -> None:
            raise AssertionError("called")

    pin = module.ChipFactory(3).pin(17)
    pin.when_changed = Owner().changed
    lgpio.callbacks[0].func(0, 17, 0, 0)


def test_errors_of_lgpio_are_hardware_errors(lgpio: FakeLgpio, pins: GpioPins) -> None:
    lgpio.broken.add(27)
    with pytest.raises(HardwareError, match="front: GPIO busy"):
        pins.open_line("front", LockPins(pin=27))
    lgpio.broken.clear()
    line = pins.open_line("front", LockPins(pin=27))
    lgpio.broken.add(27)
    with pytest.raises(HardwareError, match="front: GPIO busy"):
        line.drive(True)
    line.close()


def test_a_failing_pin_does_not_keep_the_chip_open(lgpio: FakeLgpio, module: ModuleType) -> None:
    factory: Any = module.ChipFactory(3)
    pins = GpioPins(factory, errors=(module.LGPIO_ERROR,))
    pins.open_line("front", LockPins(pin=27))
    lgpio.broken.add(27)
    pins.close()
    assert lgpio.chips == []
    assert factory.pins == {}


def test_factories_share_nothing(lgpio: FakeLgpio, module: ModuleType) -> None:
    first, second = module.ChipFactory(3), module.ChipFactory(4)
    assert first.pin(17) is not second.pin(17)
    assert second.chip == 4
    assert lgpio.chips == [3, 4]


def test_away_from_a_pi(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_pi(factory: object) -> int:
        raise module.PinUnknownPi("no revision")

    monkeypatch.setattr(module.LGPIOFactory, "_get_revision", no_pi)
    assert "GPIO27" in repr(module.ChipFactory(1).pin(27))
    monkeypatch.setattr(module.LGPIOFactory, "_get_revision", lambda factory: 0xC03111)
    assert module.ChipFactory(1).board_info.model == "4B"


def test_a_whole_door(lgpio: FakeLgpio, pins: GpioPins) -> None:
    with open_board(sim_endpoints(), pins=pins) as board:
        assert board.failed == {}
        assert lgpio.lines[27].driven == [None, 0]
        board.locks["strike"].energise()
        board.sirens["siren"].on()
        lgpio.move(17, 0)
        assert board.inputs["doorbell"].active
    assert lgpio.lines[27].driven == [None, 0, 1, 0, None]
    assert lgpio.lines[23].driven == [None, 0, 1, 0, None]
