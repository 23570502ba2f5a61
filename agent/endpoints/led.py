"""The status lamp: steady when all is well, slow blinking when something is wrong, fast while it rings."""

from __future__ import annotations

from agent.bus import EventLog
from agent.endpoints.health import Health
from agent.model.events import (
    CallChanged,
    HardwareFailed,
    HardwareRecovered,
    JournalFailed,
    JournalRecovered,
)
from agent.model.records import Gap
from hw.pins import LedPins
from hw.ports import LedPattern, StatusLed


class LedEndpoint:
    """Follows the event log and shows the most urgent thing."""

    def __init__(self, name: str, pins: LedPins, *, log: EventLog, health: Health) -> None:
        self.name = name
        self.pins = pins
        self.health = health
        # From here on, not from the first show: what fails at the start fails before this lamp is open.
        self._reader = log.follow()
        self._wrong: set[str] = set()
        self._ringing: set[str] = set()

    async def run(self, port: StatusLed) -> None:
        """Show until cancelled; dark afterwards. Raises: HardwareError."""
        try:
            port.show(self._pattern())
            self.health.works()
            async for item in self._reader:
                before = self._pattern()
                if isinstance(item, Gap):
                    self._ringing.clear()  # the end of a call may be among what was missed
                else:
                    self._note(item.event)
                if self._pattern() is not before:
                    port.show(self._pattern())
        finally:
            port.show(LedPattern.OFF)

    def _note(self, event: object) -> None:
        match event:
            case CallChanged(call_id=call_id, state="ringing"):
                self._ringing.add(call_id)
            case CallChanged(call_id=call_id):
                self._ringing.discard(call_id)
            case HardwareFailed(endpoint=endpoint):
                self._wrong.add(endpoint)
            case HardwareRecovered(endpoint=endpoint):
                self._wrong.discard(endpoint)
            case JournalFailed():
                self._wrong.add("/journal")
            case JournalRecovered():
                self._wrong.discard("/journal")

    def _pattern(self) -> LedPattern:
        if self._ringing:
            return LedPattern.BLINK_FAST
        return LedPattern.BLINK_SLOW if self._wrong else LedPattern.ON

    def state(self) -> str:
        """The pattern shown."""
        return str(self._pattern())
