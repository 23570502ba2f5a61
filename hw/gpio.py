"""GPIO lines through gpiozero, for which a pin factory is passed in and never made global.

`open_pins()` is the way in on a Pi. Tests pass gpiozero's MockFactory to `GpioPins`.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from gpiozero.exc import GPIOZeroError

from hw.chip import CHIP_LABELS, find_chip, outputs_persist
from hw.errors import HardwareError
from hw.pins import ButtonPins, InputPins, OutputPins
from hw.ports import Edge, EdgeCallback

log = logging.getLogger(__name__)

_PULLS = {"up": "up", "down": "down", "none": "floating"}


class GpioInput:
    """An `Input` on one pin."""

    def __init__(self, name: str, pins: InputPins, pin: Any, errors: tuple[type[Exception], ...]) -> None:
        self._name = name
        self._pin = pin
        self._errors = errors
        self._active_low = pins.active_low
        self._normally_closed = False if isinstance(pins, ButtonPins) else pins.normally_closed
        self._callback: EdgeCallback | None = None
        self._closed = False
        with _translated(name, errors):
            pin.input_with_pull(_PULLS[pins.pull])
            pin.bounce = pins.glitch_us / 1e6 if pins.glitch_us else None
            pin.edges = "both"

    @property
    def name(self) -> str:
        return self._name

    @property
    def active(self) -> bool:
        self._check_open()
        with _translated(self._name, self._errors):
            return self._logical(self._pin.state)

    def listen(self, callback: EdgeCallback) -> None:
        self._check_open()
        self._callback = callback
        with _translated(self._name, self._errors):
            self._pin.when_changed = self._changed

    def stop_listening(self) -> None:
        self._callback = None
        if not self._closed:
            self._forget()

    def close(self) -> None:
        if self._closed:
            return
        self._callback = None
        self._closed = True
        self._forget()
        try:
            self._pin.close()
        except self._errors:
            pass

    def _forget(self) -> None:
        try:
            self._pin.when_changed = None
        except self._errors:
            pass

    def _check_open(self) -> None:
        if self._closed:
            raise HardwareError(self._name, "is closed")

    def _logical(self, level: object) -> bool:
        operated = bool(level) != self._active_low
        return operated != self._normally_closed

    def _changed(self, ticks: float, level: object) -> None:
        """Runs in the factory's thread. The time is taken here: a factory's ticks are its own affair."""
        callback = self._callback
        if callback is not None:
            callback(Edge(self._logical(level), time.monotonic()))


class GpioLine:
    """An output `Line` on one pin."""

    def __init__(self, name: str, pins: OutputPins, pin: Any, errors: tuple[type[Exception], ...]) -> None:
        self._name = name
        self._pin = pin
        self._errors = errors
        self._active_low = pins.active_low
        self._closed = False
        with _translated(name, errors):
            pin.output_with_state(self._level(False))

    def drive(self, active: bool) -> None:
        self._check_open()
        with _translated(self._name, self._errors):
            self._pin.state = self._level(active)

    def read(self) -> bool:
        self._check_open()
        with _translated(self._name, self._errors):
            return bool(self._pin.state) != self._active_low

    def close(self) -> None:
        """The line becomes an input that the chip's resistor pulls to the level of rest."""
        if self._closed:
            return
        self._closed = True
        try:
            self._pin.input_with_pull("up" if self._active_low else "down")
        except self._errors:
            pass

    def _check_open(self) -> None:
        if self._closed:
            raise HardwareError(self._name, "is closed")

    def _level(self, active: bool) -> bool:
        return active != self._active_low


class GpioPins:
    """A pin source on a gpiozero pin factory, which it owns.

    errors: what the factory's pins raise besides gpiozero's own exceptions and OSError.
    """

    def __init__(self, factory: Any, *, errors: tuple[type[Exception], ...] = ()) -> None:
        self._factory = factory
        self._errors = (GPIOZeroError, OSError, *errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open_input(self, name: str, pins: InputPins) -> GpioInput:
        return GpioInput(name, pins, self._pin(name, pins.pin), self._errors)

    def open_line(self, name: str, pins: OutputPins) -> GpioLine:
        return GpioLine(name, pins, self._pin(name, pins.pin), self._errors)

    def close(self) -> None:
        """Give the chip back. Close the ports first: the board drives them to rest, this does not."""
        with _translated("board", self._errors):
            self._factory.close()

    def _pin(self, name: str, number: int) -> Any:
        with _translated(name, self._errors):
            return self._factory.pin(number)


def open_pins(label: str | None = None) -> GpioPins:
    """The pins of this machine. label: see `open_factory`. Raises: HardwareError."""
    factory = open_factory(label)
    from hw.lgpio_line import LGPIO_ERROR

    return GpioPins(factory, errors=(LGPIO_ERROR,))


def open_factory(label: str | None = None) -> Any:
    """A gpiozero pin factory on lgpio, for the chip with this label; None: the 40-pin header of any Pi.

    Chip numbers change between kernels and machines, labels do not. A simulated chip has the label it was
    given when it was made.
    Raises: HardwareError when lgpio is not installed, no chip has the label, or it cannot be opened.
    """
    import_lgpio()
    from hw.lgpio_line import LGPIO_ERROR, ChipFactory

    number = find_chip((label,) if label is not None else CHIP_LABELS)
    warn_of_persistence()
    with _translated("board", (GPIOZeroError, OSError, LGPIO_ERROR)):
        return ChipFactory(number)


def warn_of_persistence() -> None:
    """Tell the log when a killed process would leave its relays energised."""
    if outputs_persist():
        log.warning("this kernel keeps relays energised when the process is killed: see docs/wiring.md")


def import_lgpio() -> None:
    """Import lgpio where its side effects do no harm.

    At import it changes into $LG_WD (else stays where it is), makes a FIFO there and fails when it cannot.
    It is given the service's runtime directory, and the working directory is put back.
    Raises: HardwareError.
    """
    runtime = os.environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    os.environ.setdefault("LG_WD", runtime or tempfile.gettempdir())
    try:
        before = os.getcwd()
    except FileNotFoundError:
        before = "/"
    try:
        import hw.lgpio_line  # noqa: F401
    except ImportError as exc:
        raise HardwareError("board", "lgpio is not installed: pip install 'portero[pi]'") from exc
    except OSError as exc:
        where = os.environ["LG_WD"]
        raise HardwareError(
            "board", f"lgpio needs a writable directory, LG_WD={where}: {exc.strerror}"
        ) from exc
    finally:
        os.chdir(before)


@contextmanager
def _translated(endpoint: str, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except errors as exc:
        raise HardwareError(endpoint, str(exc) or type(exc).__name__) from exc
