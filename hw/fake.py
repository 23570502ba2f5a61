"""A whole board in memory that behaves: contacts bounce, wires break, relays leave a history.

`FakePins` is a pin source for `open_board`, and the hand of whoever stands at the simulated door.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import trio

from hw.errors import HardwareError
from hw.mirror import Mirror
from hw.pins import InputPins, OutputPins
from hw.ports import Edge, EdgeCallback

HISTORY_BOUND = 1024
Operation = Literal["open", "read", "drive"]
OPERATIONS: tuple[Operation, ...] = ("open", "read", "drive")

BOUNCE_5_MS = (0.0004, 0.0003, 0.0009, 0.0002, 0.0012, 0.0005, 0.0007, 0.0008)
"""The gaps of a poor push button: eight changes after the first within 5 ms, ending at the new level."""


def stable_changes(changes: Sequence[Edge], glitch_s: float) -> list[Edge]:
    """What a glitch filter lets through: levels that last glitch_s, reported that much later.

    changes: alternating levels in order of time; the last one lasts for ever.
    """
    stable: list[Edge] = []
    level = not changes[0].active if changes else False
    for index, change in enumerate(changes):
        lasts = index + 1 == len(changes) or changes[index + 1].at - change.at >= glitch_s
        if lasts and change.active != level:
            level = change.active
            stable.append(Edge(level, change.at + glitch_s))
    return stable


class _Wire:
    """One wire of the simulated house: it is there whether or not a port is open on it."""

    def __init__(self) -> None:
        self.active = False
        self.at = float("-inf")
        self.broken: dict[Operation, str] = {}
        self.unplugged = False
        self.history: deque[Edge] = deque(maxlen=HISTORY_BOUND)


class FakeInput:
    """An input port on a simulated wire."""

    def __init__(self, name: str, glitch_s: float, pins: FakePins) -> None:
        self.name = name
        self.glitch_s = glitch_s
        self._pins = pins
        self._callback: EdgeCallback | None = None
        self._closed = False

    @property
    def active(self) -> bool:
        if self._closed:
            raise HardwareError(self.name, "is closed")
        return self._pins.read(self.name)

    def listen(self, callback: EdgeCallback) -> None:
        if self._closed:
            raise HardwareError(self.name, "is closed")
        self._callback = callback

    def stop_listening(self) -> None:
        self._callback = None

    def close(self) -> None:
        self._callback = None
        self._closed = True

    def call_back(self, edge: Edge) -> None:
        callback = self._callback
        if callback is not None:
            callback(edge)


class FakeLine:
    """An output line on a simulated wire: a `Line`."""

    def __init__(self, name: str, pins: FakePins) -> None:
        self._name = name
        self._pins = pins

    def drive(self, active: bool) -> None:
        self._pins.drive(self._name, active)

    def read(self) -> bool:
        return self._pins.read(self._name)

    def close(self) -> None:
        self._pins.let_go(self._name)


class FakePins:
    """A pin source in memory.

    callbacks: "caller" runs them on the thread that presses (as gpiozero's mock does; it may be trio's own),
    "thread" on another one (as lgpio does), which has ended when press() returns.
    mirror: a file that shows output levels to other processes, see hw/mirror.py.

    Every method may be called from any thread. Names are port names: "doorbell", "strike", "strike.contact".
    Raises: HardwareError when an input is to be moved that has never been opened.
    """

    def __init__(
        self, *, callbacks: Literal["caller", "thread"] = "caller", mirror: Path | None = None
    ) -> None:
        self._threaded = callbacks == "thread"
        self._mutex = threading.Lock()
        self._wires: dict[str, _Wire] = {}
        self._inputs: dict[str, FakeInput] = {}
        self._outputs: set[str] = set()
        self._mirror = None if mirror is None else Mirror(mirror)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The pin source.

    def open_input(self, name: str, pins: InputPins) -> FakeInput:
        self._check(name, "open")
        port = FakeInput(name, pins.glitch_us / 1e6, self)
        with self._mutex:
            self._inputs[name] = port
        return port

    def open_line(self, name: str, pins: OutputPins) -> FakeLine:
        self._check(name, "open")
        with self._mutex:
            self._outputs.add(name)
        self._switch(name, False)
        if self._mirror is not None:
            self._mirror.write(name, False, time.monotonic())
        return FakeLine(name, self)

    def close(self) -> None:
        """Every line falls to its rest, as when the process ends."""
        for name in sorted(self._outputs):
            self._switch(name, False)
        if self._mirror is not None:
            self._mirror.close()
            self._mirror = None

    # The hand at the door.

    @property
    def input_names(self) -> list[str]:
        return sorted(self._inputs)

    @property
    def output_names(self) -> list[str]:
        return sorted(self._outputs)

    def set(self, name: str, active: bool) -> None:
        """Make this input so, cleanly; nothing happens when it is so already."""
        self._input(name)
        if self._wire(name).active != active:
            self.bounce(name, ())

    def press(self, name: str) -> None:
        self.set(name, True)

    def release(self, name: str) -> None:
        self.set(name, False)

    async def hold(self, name: str, hold_s: float) -> None:
        """Press, wait on trio's clock, release. Cancellation: releases."""
        self.press(name)
        try:
            await trio.sleep(hold_s)
        finally:
            self.release(name)

    def bounce(self, name: str, gaps_s: Sequence[float] = BOUNCE_5_MS) -> None:
        """Change the level now and once more after each gap; nobody sleeps, the edges carry the times.

        An even number of gaps ends at the new level. The port's glitch filter applies.
        """
        port = self._input(name)
        with self._mutex:
            wire = self._wires[name]
            at = max(time.monotonic() - sum(gaps_s), wire.at)
            active = wire.active
            changes: list[Edge] = []
            for gap_s in (0.0, *gaps_s):
                at += gap_s
                active = not active
                changes.append(Edge(active, at))
            wire.active, wire.at = active, at
            wire.history.extend(changes)
            if port.glitch_s > 0:
                changes = stable_changes(changes, port.glitch_s)
            deaf = wire.unplugged
        if not deaf:
            self._call_back(port, changes)

    def level(self, name: str) -> bool:
        """What an onlooker sees: the input's true level, the relay's true state. Never fails."""
        return self._wire(name).active

    def history(self, name: str) -> tuple[Edge, ...]:
        """The changes of this wire, oldest first, the last 1024 of them."""
        with self._mutex:
            wire = self._wires.get(name)
            return () if wire is None else tuple(wire.history)

    def fail(self, name: str, reason: str = "simulated failure", *operations: Operation) -> None:
        """Let these operations (none given: all) raise HardwareError until heal(). A relay stays as it is."""
        wire = self._wire(name)
        with self._mutex:
            wire.broken.update(dict.fromkeys(operations or OPERATIONS, reason))

    def unplug(self, name: str) -> None:
        """Every operation fails and edges reach nobody, until heal()."""
        self.fail(name, "is unplugged")
        self._wire(name).unplugged = True

    def heal(self, name: str) -> None:
        wire = self._wire(name)
        with self._mutex:
            wire.broken.clear()
            wire.unplugged = False

    # For the ports.

    def read(self, name: str) -> bool:
        self._check(name, "read")
        return self._wire(name).active

    def drive(self, name: str, active: bool) -> None:
        self._check(name, "drive")
        self._switch(name, active)

    def let_go(self, name: str) -> None:
        """A closed line floats, and its resistor brings it to rest even when it could not be driven."""
        self._switch(name, False)

    def _switch(self, name: str, active: bool) -> None:
        with self._mutex:
            wire = self._wires[name]
            if wire.active == active:
                return
            wire.active, wire.at = active, time.monotonic()
            wire.history.append(Edge(active, wire.at))
            if self._mirror is not None:
                self._mirror.write(name, active, wire.at)

    def _wire(self, name: str) -> _Wire:
        with self._mutex:
            return self._wires.setdefault(name, _Wire())

    def _input(self, name: str) -> FakeInput:
        port = self._inputs.get(name)
        if port is None:
            raise HardwareError(name, "is not an open input of the simulated board")
        return port

    def _check(self, name: str, operation: Operation) -> None:
        reason = self._wire(name).broken.get(operation)
        if reason is not None:
            raise HardwareError(name, reason)

    def _call_back(self, port: FakeInput, changes: Sequence[Edge]) -> None:
        def call_back_all() -> None:
            for change in changes:
                port.call_back(change)

        if self._threaded:
            thread = threading.Thread(target=call_back_all, name=f"edges {port.name}", daemon=True)
            thread.start()
            thread.join()
        else:
            call_back_all()
