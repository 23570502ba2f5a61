"""A stand-in for the module lgpio: a chip of lines that obey the rules of lg 0.2.2 and remember every level.

The rules that matter here: claiming a line anew frees it first, except that claiming an output that is one
already changes nothing; a freed line is an input; a claimed output has its level from the first instant.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

FLAG_OUT = 1 << 1
FLAG_UP, FLAG_DOWN, FLAG_NONE = 1 << 5, 1 << 6, 1 << 7
MODE_INPUT, MODE_OUTPUT, MODE_ALERT = 1 << 8, 1 << 9, 1 << 10


class Line:
    """One line. driven: every level it was driven to as an output, None while it was not an output."""

    def __init__(self) -> None:
        self.mode = 0
        self.bias = 0
        self.level = 0
        self.driven: list[int | None] = [None]
        self.debounce_us = 0

    def become(self, mode: int, bias: int, level: int | None = None) -> None:
        self.mode, self.bias = mode, bias
        self.record(level)

    def record(self, level: int | None) -> None:
        if level is not None:
            self.level = level
        if self.driven[-1] != level:
            self.driven.append(level)


class Callback:
    def __init__(self, lgpio: FakeLgpio, gpio: int, func: Callable[[int, int, int, int], None]) -> None:
        self._lgpio = lgpio
        self.gpio = gpio
        self.func = func

    def cancel(self) -> None:
        if self in self._lgpio.callbacks:
            self._lgpio.callbacks.remove(self)


class FakeLgpio(ModuleType):
    """What gpiozero uses of lgpio, for one chip."""

    SET_PULL_UP, SET_PULL_DOWN, SET_PULL_NONE = FLAG_UP, FLAG_DOWN, FLAG_NONE
    RISING_EDGE, FALLING_EDGE, BOTH_EDGES = 1, 2, 3

    class error(Exception):
        pass

    def __init__(self) -> None:
        super().__init__("lgpio")
        self.lines: dict[int, Line] = {}
        self.chips: list[int] = []
        self.broken: set[int] = set()
        self.callbacks: list[Callback] = []

    def line(self, gpio: int) -> Line:
        if gpio in self.broken:
            raise self.error("GPIO busy")
        return self.lines.setdefault(gpio, Line())

    def gpiochip_open(self, chip: int) -> int:
        if chip < 0 or chip > 99:
            raise self.error("can not open gpiochip")
        self.chips.append(chip)
        return chip << 16

    def gpiochip_close(self, handle: int) -> None:
        self.chips.remove(handle >> 16)
        for line in self.lines.values():
            line.become(0, line.bias)

    def gpio_claim_input(self, handle: int, gpio: int, flags: int = 0) -> None:
        line = self.line(gpio)
        if not line.mode & MODE_INPUT:
            line.become(MODE_INPUT, flags)

    def gpio_claim_output(self, handle: int, gpio: int, level: int = 0, flags: int = 0) -> None:
        line = self.line(gpio)
        if not line.mode & MODE_OUTPUT:
            line.become(MODE_OUTPUT, flags, level)

    def gpio_claim_alert(self, handle: int, gpio: int, edges: int, flags: int = 0) -> None:
        self.line(gpio).become(MODE_ALERT, flags)

    def gpio_free(self, handle: int, gpio: int) -> None:
        line = self.line(gpio)
        line.become(0, line.bias)

    def gpio_get_mode(self, handle: int, gpio: int) -> int:
        line = self.line(gpio)
        return line.mode | line.bias | (FLAG_OUT if line.mode & MODE_OUTPUT else 0)

    def gpio_read(self, handle: int, gpio: int) -> int:
        return self.line(gpio).level

    def gpio_write(self, handle: int, gpio: int, level: int) -> None:
        line = self.line(gpio)
        assert line.mode & MODE_OUTPUT
        line.record(int(level))

    def gpio_set_debounce_micros(self, handle: int, gpio: int, debounce_us: int) -> None:
        self.line(gpio).debounce_us = debounce_us

    def callback(
        self, handle: int, gpio: int, edge: int, func: Callable[[int, int, int, int], None]
    ) -> Callback:
        made = Callback(self, gpio, func)
        self.callbacks.append(made)
        return made

    def move(self, gpio: int, level: int, tick_ns: int = 0) -> None:
        """The outside changes an input; runs the callbacks of a line that is watched."""
        self.lines[gpio].level = level
        for callback in list(self.callbacks):
            if callback.gpio == gpio:
                callback.func(0, gpio, level, tick_ns)
