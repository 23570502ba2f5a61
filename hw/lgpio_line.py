"""The lgpio side of gpiozero, mended where a relay would notice. Imported by hw/gpio.py alone, on demand.

Importing lgpio has side effects, which `hw.gpio.open_factory` arranges: it changes the working directory to
$LG_WD, leaves a FIFO `.lgd-nfy0` there and starts a thread.
"""

from __future__ import annotations

from collections import defaultdict
from threading import Lock
from typing import Any

import lgpio
from gpiozero.exc import PinUnknownPi
from gpiozero.pins.lgpio import LGPIOFactory, LGPIOPin

LGPIO_ERROR: type[Exception] = lgpio.error

PI_3B_REVISION = 0xA02082
"""Any board with the 40-pin header will do: gpiozero asks only which pins there are."""


class LevelPin(LGPIOPin):  # type: ignore[misc]
    """An lgpio pin that becomes an output at its level, and whose callbacks cannot end lgpio's thread."""

    def output_with_state(self, state: bool) -> None:
        """Claim the line as an output that has this level from the first instant, and lean on it afterwards.

        gpiozero's own pin claims the line low and sets the level later, a pulse for an active-low relay. The
        bias is for the end: when the process dies and the kernel makes the line an input, the chip's weak
        resistor pulls towards `state`, the level of rest. The write matters only for a line that is an output
        already: lgpio then leaves it as it is.
        Source: lg 0.2.2, lgGpio.c (xSetAsOutput), and the Linux GPIO character device API.
        """
        level = int(bool(state))
        bias = lgpio.SET_PULL_UP if level else lgpio.SET_PULL_DOWN
        callback: Any = self._callback
        if callback is not None:
            callback.cancel()
            self._callback: Any = None
        lgpio.gpio_claim_output(self.factory._handle, self._number, level, bias)
        lgpio.gpio_write(self.factory._handle, self._number, level)

    def _call_when_changed(self, chip: int, gpio: int, level: int, ticks: int) -> None:
        """Runs in lgpio's only thread: an exception here would deafen every input.

        gpiozero's version calls a reference that stop_listening() may have cleared a moment ago.
        """
        reference = self._when_changed
        handler = reference() if reference is not None else None
        if handler is not None:
            handler(ticks / 1e9, level)


class ChipFactory(LGPIOFactory):  # type: ignore[misc]
    """An lgpio factory for one chip by number, which need not be on a Raspberry Pi."""

    def __init__(self, chip: int) -> None:
        super().__init__(chip=chip)
        self.pin_class = LevelPin
        # gpiozero shares these between all local factories of the process, open or closed.
        self.pins: dict[Any, LevelPin] = {}
        self._reservations: defaultdict[Any, list[Any]] = defaultdict(list)
        self._res_lock = Lock()

    def close(self) -> None:
        """Close the chip, which frees every line.

        The pins are not asked first, as gpiozero does: one that fails would keep the chip open. Their ports
        have been closed by then, and their lines are inputs.
        """
        self.pins.clear()
        super().close()

    def _get_revision(self) -> int:
        """The board's revision code; where no Pi is (gpio-sim, QEMU), one with the same header."""
        try:
            revision: int = super()._get_revision()
        except PinUnknownPi:
            return PI_3B_REVISION
        return revision
