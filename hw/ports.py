"""The shapes the rest of the program sees: small, synchronous, the same for metal and for the fake.

Switching never awaits, so `finally: lock.release()` is safe under cancellation. Every method may be called
from any thread; callbacks may run in any thread and must neither block nor raise (see hw/edges.py).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

import msgspec


class Edge(msgspec.Struct, frozen=True, gc=False):
    """One change of an input's logical level.

    at: time.monotonic() seconds, taken in the callback: as close to the wire as this process gets.
    """

    active: bool
    at: float


EdgeCallback = Callable[[Edge], None]

CutoffCallback = Callable[[str], None]
"""Called with the endpoint's name after its hardware maximum has de-energised it; runs in a timer thread."""


class LedPattern(enum.StrEnum):
    """What a status lamp can say."""

    OFF = "off"
    ON = "on"
    BLINK_SLOW = "blink_slow"
    BLINK_FAST = "blink_fast"


class Input(Protocol):
    """One wire that is watched."""

    @property
    def name(self) -> str: ...

    @property
    def active(self) -> bool:
        """The logical level now, not debounced. Raises: HardwareError when it cannot be read."""

    def listen(self, callback: EdgeCallback) -> None:
        """Send every raw change to `callback`, which replaces an earlier one. Raises: HardwareError."""

    def stop_listening(self) -> None:
        """No callback begins after this returns, save one already under way. Never raises."""

    def close(self) -> None:
        """Stop listening and give the line back. Idempotent; never raises."""


class Button(Input, Protocol):
    """A push button: active while it is pressed."""


class Contact(Input, Protocol):
    """A contact or detector: active while the thing it watches for is so (door open, lid off, smoke)."""


class Output(Protocol):
    """What relays and lamps share. Opened at the inactive level, left at the inactive level."""

    @property
    def name(self) -> str: ...

    def close(self) -> None:
        """De-energise, then give the line back. Idempotent.

        Raises: HardwareError when it could not de-energise; the line has been given back all the same.
        """


class Lock(Output, Protocol):
    """The relay of a lock. Whether energised means locked or unlocked depends on the lock's mode."""

    def energise(self) -> None:
        """Close the relay and, if the lock has a hardware maximum, start it anew.

        Raises: HardwareError; the relay has then been told to release, and if that failed too, the maximum
        still stands and will try again.
        """

    def release(self) -> None:
        """De-energise. Does nothing to a released relay.

        Raises: HardwareError when an energised line cannot be driven; the hardware maximum then still stands.
        """

    @property
    def energised(self) -> bool:
        """The level of the line. Raises: HardwareError when it cannot be read."""


class Siren(Output, Protocol):
    """A sounder. The errors and the maximum are those of Lock."""

    def on(self) -> None: ...
    def off(self) -> None: ...
    @property
    def is_on(self) -> bool: ...


class Light(Output, Protocol):
    """A lamp behind a relay. The errors and the maximum are those of Lock."""

    def on(self) -> None: ...
    def off(self) -> None: ...
    @property
    def is_on(self) -> bool: ...


class StatusLed(Output, Protocol):
    """A lamp that tells the household how the door is."""

    def show(self, pattern: LedPattern) -> None:
        """Show this pattern until told otherwise. Raises: HardwareError."""


class AudioFormat(msgspec.Struct, frozen=True, gc=False):
    """What a sound card agreed to. Always mono, signed 16 bit, machine byte order."""

    sample_rate_hz: int
    period_samples: int

    @property
    def period_bytes(self) -> int:
        return self.period_samples * 2

    @property
    def period_s(self) -> float:
        return self.period_samples / self.sample_rate_hz


class AudioSource(Protocol):
    """A microphone. One task reads at a time; time is the card's, so reading paces the reader."""

    @property
    def name(self) -> str: ...

    @property
    def format(self) -> AudioFormat:
        """What was negotiated; another rate or period than wanted is for the caller to convert."""

    @property
    def xruns(self) -> int:
        """How often sound was lost because nobody read in time."""

    async def read(self) -> bytes:
        """Exactly one period, at most a few periods old.

        Raises: HardwareError when the device is gone, closed, or gave nothing for 200 ms; close it then.
        Cancellation: nothing that was recorded is lost.
        """

    def close(self) -> None:
        """Give the card back; a read under way raises HardwareError. Idempotent, never raises."""


class AudioSink(Protocol):
    """A speaker. One task writes at a time, one period per period; who stops writing causes an xrun."""

    @property
    def name(self) -> str: ...

    @property
    def format(self) -> AudioFormat:
        """What was negotiated; another rate or period than wanted is for the caller to convert."""

    @property
    def xruns(self) -> int:
        """How often the card had nothing to play; it was then given silence to start from."""

    @property
    def delay_s(self) -> float:
        """Sound written and not yet audible, as far as the card tells."""

    async def write(self, pcm: bytes) -> None:
        """Queue exactly one period; waits for room, and so paces the writer.

        Raises: HardwareError when the device is gone, closed, or took nothing for 200 ms; close it then.
        ValueError when `pcm` is not one period.
        Cancellation: a part of the period may have been queued.
        """

    def close(self) -> None:
        """Give the card back at once; what is queued is not played. Idempotent, never raises."""
