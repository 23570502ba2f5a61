"""The blinking lamp under failure; patterns are in test_ports.py."""

from __future__ import annotations

import threading
import time

import pytest

from hw.errors import HardwareError
from hw.fake import FakePins
from hw.lamp import HALF_PERIODS_S, Lamp
from hw.pins import LedPins
from hw.ports import LedPattern

WAIT_S = 5.0


def blinkers() -> int:
    return sum(thread.name == "blink lamp" for thread in threading.enumerate())


def wait_for_blinkers(count: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while blinkers() != count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> FakePins:
    monkeypatch.setitem(HALF_PERIODS_S, LedPattern.BLINK_FAST, 0.01)
    monkeypatch.setitem(HALF_PERIODS_S, LedPattern.BLINK_SLOW, 0.02)
    return FakePins()


def test_one_thread_while_it_blinks(pins: FakePins) -> None:
    lamp = Lamp("lamp", pins.open_line("lamp", LedPins(pin=25)))
    assert blinkers() == 0
    lamp.show(LedPattern.BLINK_SLOW)
    blinker = [thread for thread in threading.enumerate() if thread.name == "blink lamp"]
    lamp.show(LedPattern.BLINK_SLOW)
    assert [thread for thread in threading.enumerate() if thread.name == "blink lamp"] == blinker
    lamp.show(LedPattern.BLINK_FAST)
    assert lamp.pattern is LedPattern.BLINK_FAST
    wait_for_blinkers(1)
    lamp.show(LedPattern.ON)
    wait_for_blinkers(0)
    assert pins.level("lamp")
    lamp.close()
    assert str(lamp.pattern) == "off"


def test_a_failing_line_ends_the_blinking_and_may_heal(pins: FakePins) -> None:
    lamp = Lamp("lamp", pins.open_line("lamp", LedPins(pin=25)))
    lamp.show(LedPattern.BLINK_FAST)
    pins.fail("lamp", "burnt", "drive")
    wait_for_blinkers(0)
    with pytest.raises(HardwareError, match="lamp: burnt"):
        lamp.show(LedPattern.BLINK_FAST)
    pins.heal("lamp")
    lamp.show(LedPattern.BLINK_FAST)
    wait_for_blinkers(1)
    lamp.close()
    wait_for_blinkers(0)
