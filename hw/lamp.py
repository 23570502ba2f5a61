"""A status lamp that blinks by itself."""

from __future__ import annotations

import logging
import threading

from hw.errors import HardwareError
from hw.ports import LedPattern
from hw.relay import Line

log = logging.getLogger(__name__)

HALF_PERIODS_S = {LedPattern.BLINK_SLOW: 1.0, LedPattern.BLINK_FAST: 0.2}


class Lamp:
    """A `StatusLed` on a line.

    While it blinks it has one daemon thread, which ends with the pattern: a lamp that says "the program is in
    trouble" must keep blinking when the trio loop is what is in trouble.
    """

    def __init__(self, name: str, line: Line) -> None:
        self._name = name
        self._line = line
        self._mutex = threading.Lock()
        self._pattern = LedPattern.OFF
        self._stop: threading.Event | None = None
        self._closed = False

    @property
    def name(self) -> str:
        return self._name

    @property
    def pattern(self) -> LedPattern:
        """What it was last told to show."""
        return self._pattern

    def show(self, pattern: LedPattern) -> None:
        with self._mutex:
            if self._closed:
                raise HardwareError(self._name, "is closed")
            if pattern is self._pattern and self._stop is not None:
                return
            self._stop_blinking()
            self._line.drive(pattern is not LedPattern.OFF)
            self._pattern = pattern
            half_period_s = HALF_PERIODS_S.get(pattern)
            if half_period_s is not None:
                self._start_blinking(half_period_s)

    def close(self) -> None:
        with self._mutex:
            if self._closed:
                return
            self._closed = True
            self._stop_blinking()
            try:
                self._line.drive(False)
            finally:
                self._pattern = LedPattern.OFF
                self._line.close()

    def _start_blinking(self, half_period_s: float) -> None:
        stop = threading.Event()
        thread = threading.Thread(
            target=self._blink, args=(stop, half_period_s), name=f"blink {self._name}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as exc:
            raise HardwareError(self._name, "no thread to blink with") from exc
        self._stop = stop

    def _stop_blinking(self) -> None:
        if self._stop is not None:
            self._stop.set()
            self._stop = None

    def _blink(self, stop: threading.Event, half_period_s: float) -> None:
        lit = True
        while not stop.wait(half_period_s):
            with self._mutex:
                if stop.is_set():
                    return
                lit = not lit
                try:
                    self._line.drive(lit)
                except HardwareError as failure:
                    log.error("lamp stopped blinking endpoint=%s reason=%s", self._name, failure.reason)
                    self._stop_blinking()
                    return
