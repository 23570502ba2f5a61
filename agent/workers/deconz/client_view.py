"""All that the door knows of one gateway, over its connections, and what of it the house is told.

Touches no network: what is read and what comes is given to it, with the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from agent.model.events import DeviceChanged
from agent.runtime import Remote
from agent.workers.deconz.client_bindings import Binding
from agent.workers.deconz.client_device import Device, Kind
from agent.workers.deconz.client_edges import Edges, edge_field
from agent.workers.deconz.client_intake import Intake
from agent.workers.deconz.client_link import Link
from agent.workers.deconz.client_reports import Reports
from agent.workers.deconz.client_state import Applied, Mirror
from agent.workers.deconz.client_translate import button_code, keypad_word, stamp_ms, state_text
from agent.workers.deconz.wire import Event, Json


class DeviceRow(Struct, frozen=True, kw_only=True):
    """A device for a person; endpoint: of this house, empty when it is none."""

    gateway: str
    resource: Kind
    id: str
    uniqueid: str
    name: str
    type: str
    state: str
    endpoint: str


class View:
    """late: called when something waits for `flush`. is_live: events are coming in."""

    def __init__(
        self,
        name: str,
        remotes: Sequence[Remote],
        link: Link,
        report: Callable[[DeviceChanged], object],
        *,
        folder: Path | None = None,
        late: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.mirror = Mirror()
        self.reports = Reports(name, report, late=late)
        self.bindings = tuple(Binding(remote, link, folder=folder, late=late) for remote in remotes)
        self.is_live = False
        self._edges = Edges()

    def read(self, full: Json, now_s: float, *, live: bool) -> bool:
        """The gateway's whole state has come; live: while its events are flowing. False: read once more."""
        config = full.get("config")
        utc_ms = stamp_ms(config.get("UTC")) if isinstance(config, dict) else None
        complete = self.mirror.read(full)
        self._edges.baseline(self.mirror, utc_ms, live=live)
        self._bind(now_s)
        for device in self.mirror:
            self._observe(device, now_s)
        if live:
            self.is_live = True
            self._show(now_s)
        return complete

    def take(self, event: Event, now_s: float) -> bool:
        """An event has come. False: it does not fit what is known, read everything."""
        applied = self.mirror.apply(event)
        if applied.verdict == "structure":
            self._bind(now_s)
        if applied.device is not None:
            fits = self._told(applied, applied.device, now_s)
            self._observe(applied.device, now_s)
        else:
            fits = applied.verdict != "reread"
        if self.is_live and applied.verdict != "nothing":
            self._show(now_s)
        return fits

    def lost(self, reason: str, now_s: float) -> None:
        """The gateway has gone: its devices cannot be used."""
        self.is_live = False
        for binding in self.bindings:
            binding.show(reason, now_s)

    def flush(self, now_s: float) -> float | None:
        """Tell what has waited; seconds until more may be told, None when nothing waits."""
        waits = [intake.flush(now_s) for intake in (self.reports.intake, *self._intakes())]
        return min((wait for wait in waits if wait is not None), default=None)

    @property
    def dropped(self) -> int:
        """How many presses came too fast to be told."""
        return self.reports.intake.dropped + sum(intake.dropped for intake in self._intakes())

    @property
    def misses_a_device(self) -> bool:
        """Whether an endpoint of this house has no device there."""
        return any(binding.is_missing for binding in self.bindings)

    def rows(self) -> list[DeviceRow]:
        """Its devices, for a person."""
        return [
            DeviceRow(
                gateway=self.name,
                resource=device.resource,
                id=device.id,
                uniqueid=device.uniqueid,
                name=device.name,
                type=device.type,
                state=state_text(device),
                endpoint=", ".join(binding.remote.name for binding in self._of(device)),
            )
            for device in self.mirror
        ]

    def _told(self, applied: Applied, device: Device, now_s: float) -> bool:
        """What its state says to endpoints, and whether that was a press. False: read everything."""
        if not applied.told:
            return True
        for binding in self._of(device):
            binding.take(applied.told, now_s)
        field = edge_field(device)
        if field is None or field not in applied.told:
            return True
        verdict = self._edges.judge(device, applied.told, applied.before, now_s)
        if verdict == "edge":
            value, duration = applied.told[field], applied.told.get("eventduration")
            if field == "action":
                self._keyed(device, value, now_s)
            else:
                self._pressed(device, value, duration, now_s)
        return verdict != "clock"

    def _pressed(self, device: Device, value: object, duration: object, now_s: float) -> None:
        code = button_code(value)
        if code is None:
            return
        number, action = code
        ringing = [binding for binding in self._of(device) if binding.rings(number)]
        for binding in ringing:
            binding.press(action, duration, now_s)
        if not ringing:
            self.reports.edge(device, "button", number * 1000 + action, now_s)

    def _keyed(self, device: Device, value: object, now_s: float) -> None:
        word = keypad_word(value)
        if word is not None:
            self.reports.edge(device, "keypad", word, now_s)

    def _observe(self, device: Device, now_s: float) -> None:
        mine = (binding.field for binding in self._of(device))
        self.reports.observe(device, now_s, skip=frozenset(field for field in mine if field is not None))

    def _of(self, device: Device) -> list[Binding]:
        return [binding for binding in self.bindings if binding.device is device]

    def _bind(self, now_s: float) -> None:
        devices = tuple(self.mirror)
        for binding in self.bindings:
            binding.bind(devices, now_s)

    def _show(self, now_s: float) -> None:
        for binding in self.bindings:
            binding.show("", now_s)

    def _intakes(self) -> list[Intake]:
        return [binding.intake for binding in self.bindings]
