"""What of a gateway's devices, which are no endpoints of this house, is told to it. Pure.

A fact is told when it changes, also when it changed while nobody listened. Of a device that is met for the
first time only an alarm that is on is news.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from agent.model.events import DeviceChanged, DeviceFact
from agent.workers.deconz.client_device import Device
from agent.workers.deconz.client_intake import Intake
from agent.workers.deconz.client_translate import FACTS, SAFETY

RATE_HZ = 20.0
BURST = 60
MAX_FACTS = 20_000

Key = tuple[str, str]


class Reports:
    """Of one gateway, for as long as it is configured. reported: how many; intake: how fast."""

    def __init__(
        self,
        source: str,
        report: Callable[[DeviceChanged], object],
        *,
        late: Callable[[], None] = lambda: None,
    ) -> None:
        self.reported = 0
        self.intake = Intake(rate_hz=RATE_HZ, burst=BURST, late=late)
        self._source = source
        self._report = report
        self._told: dict[Key, bool] = {}

    def observe(self, device: Device, now_s: float, *, skip: frozenset[str] = frozenset()) -> None:
        """Tell what has changed of a device. skip: keys of its state that are an endpoint's."""
        for field, fact in FACTS.items():
            value = device.state.get(field)
            if not isinstance(value, bool) or field in skip:
                continue
            key = (device.identity, field)
            told = self._told.get(key)
            if told is None and not (value and fact in SAFETY):
                self.intake.forget(key)
                self._know(key, value)
            elif told == value:
                self.intake.forget(key)
            else:
                event = self._event(device, fact, value)
                tell = partial(self._tell, key, event)
                self.intake.state(key, tell, now_s, urgent=fact in SAFETY and value)

    def edge(self, device: Device, fact: DeviceFact, value: int | str, now_s: float) -> None:
        """Tell what a button or keypad did, or drop it when too much happens."""
        event = self._event(device, fact, value)
        self.intake.edge(partial(self._publish, event), now_s)

    def _tell(self, key: Key, event: DeviceChanged) -> None:
        self._know(key, event.value is True)
        self._publish(event)

    def _publish(self, event: DeviceChanged) -> None:
        self.reported += 1
        self._report(event)

    def _know(self, key: Key, value: bool) -> None:
        if key not in self._told and len(self._told) >= MAX_FACTS:
            del self._told[next(iter(self._told))]
        self._told[key] = value

    def _event(self, device: Device, fact: DeviceFact, value: bool | int | str) -> DeviceChanged:
        return DeviceChanged(
            source=self._source,
            device=device.name or device.identity,
            unique_id=device.uniqueid,
            fact=fact,
            value=value,
        )
