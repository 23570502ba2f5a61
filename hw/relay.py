"""Relays on lines, with a maximum on-time that does not need the trio loop."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from hw.errors import HardwareError
from hw.ports import CutoffCallback

log = logging.getLogger(__name__)

CUTOFF_RETRY_S = 1.0
"""How soon a cut-off that could not drive the line tries again."""


class Line(Protocol):
    """One output line, opened at its inactive level. Polarity is its own matter: True is the active level."""

    def drive(self, active: bool) -> None:
        """Raises: HardwareError when the line cannot be driven."""

    def read(self) -> bool:
        """Raises: HardwareError when the line cannot be read."""

    def close(self) -> None:
        """Give the line back without driving it. Never raises."""


class Relay:
    """A `Lock` on a line: energise, release, and a cut-off nobody has to remember.

    max_on_s: the longest it stays energised after the last energise(); None: no limit. on_cutoff: called with
    the name, in the cut-off's thread, after it has acted.

    The cut-off is a daemon thread per energised relay, not a trio task, because it guards against the trio
    loop itself: a hung or starved loop must not leave a door open or a siren howling until the watchdog ends
    the process. It lives only while a relay is energised, waits on an event, and takes the relay's own mutex.
    C code that holds the GIL for ever stops it too; for that there is the watchdog.
    """

    def __init__(
        self, name: str, line: Line, *, max_on_s: float | None, on_cutoff: CutoffCallback | None = None
    ) -> None:
        self._name = name
        self._line = line
        self._max_on_s = max_on_s
        self._on_cutoff = on_cutoff
        self._mutex = threading.Lock()
        self._cancel_cutoff: threading.Event | None = None
        self._maybe_energised = False
        self._closed = False

    @property
    def name(self) -> str:
        return self._name

    def energise(self) -> None:
        with self._mutex:
            if self._closed:
                raise HardwareError(self._name, "is closed")
            self._start_cutoff()
            self._maybe_energised = True
            try:
                self._line.drive(True)
            except HardwareError:
                self._try_release()
                raise

    def release(self) -> None:
        with self._mutex:
            if self._closed:
                return
            failure = self._try_release()
            if failure is not None and self._maybe_energised:
                raise failure

    @property
    def energised(self) -> bool:
        with self._mutex:
            return not self._closed and self._line.read()

    def close(self) -> None:
        with self._mutex:
            if self._closed:
                return
            failure = self._try_release()
            self._stop_cutoff()
            self._closed = True
            self._line.close()
            if failure is not None:
                raise failure

    def _try_release(self) -> HardwareError | None:
        """De-energise under the mutex; the cut-off is disarmed only by success."""
        try:
            self._line.drive(False)
        except HardwareError as failure:
            return failure
        self._maybe_energised = False
        self._stop_cutoff()
        return None

    def _start_cutoff(self) -> None:
        """Arm a new maximum before dropping the old one: at no moment is there none."""
        if self._max_on_s is None:
            return
        cancel = threading.Event()
        thread = threading.Thread(
            target=self._cut_off, args=(cancel, self._max_on_s), name=f"cutoff {self._name}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as exc:
            raise HardwareError(self._name, "refused to energise: no thread for its maximum on-time") from exc
        self._stop_cutoff()
        self._cancel_cutoff = cancel

    def _stop_cutoff(self) -> None:
        if self._cancel_cutoff is not None:
            self._cancel_cutoff.set()
            self._cancel_cutoff = None

    def _cut_off(self, cancel: threading.Event, delay_s: float) -> None:
        while not cancel.wait(delay_s):
            with self._mutex:
                if cancel.is_set():
                    return
                failure = self._try_release()
            if failure is None:
                log.warning("relay cut off endpoint=%s max_on_s=%s", self._name, self._max_on_s)
                if self._on_cutoff is not None:
                    self._on_cutoff(self._name)
                return
            log.error("relay cut-off failed endpoint=%s reason=%s", self._name, failure.reason)
            delay_s = CUTOFF_RETRY_S


class Switch:
    """A `Siren` or `Light` on a line: a relay by other words."""

    def __init__(
        self, name: str, line: Line, *, max_on_s: float | None, on_cutoff: CutoffCallback | None = None
    ) -> None:
        self._relay = Relay(name, line, max_on_s=max_on_s, on_cutoff=on_cutoff)

    @property
    def name(self) -> str:
        return self._relay.name

    def on(self) -> None:
        self._relay.energise()

    def off(self) -> None:
        self._relay.release()

    @property
    def is_on(self) -> bool:
        return self._relay.energised

    def close(self) -> None:
        self._relay.close()
