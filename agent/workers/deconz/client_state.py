"""The lights and sensors of one gateway as they were told last: full reads, and events in between. Pure.

A read and the events around it cross on their way. What comes while a read is under way is applied at once,
and again on top of the read unless that is newer: so the end is right whichever overtook the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import UNSET, Struct

from agent.workers.deconz.client_device import (
    KINDS,
    Device,
    Kind,
    Scalar,
    device_from,
    plain_values,
    unique_id,
)
from agent.workers.deconz.client_translate import stamp_ms
from agent.workers.deconz.wire import Added, Changed, Deleted, Event, Json

MAX_DEVICES = 2000
MAX_RECORDED = 1000

Verdict = Literal["state", "structure", "nothing", "reread"]


class Applied(Struct, frozen=True, kw_only=True):
    """What an event did.

    verdict: `state`: a device told something; `structure`: which devices there are, or their names, changed;
    `reread`: it does not fit what is known, so the gateway has to be read again.
    told: the plain values of the state that it brought. before: those of them that were known, as they were.
    """

    verdict: Verdict
    device: Device | None = None
    told: Mapping[str, Scalar] = {}
    before: Mapping[str, Scalar] = {}


NOTHING = Applied(verdict="nothing")
REREAD = Applied(verdict="reread")


class Mirror:
    """The devices by resource and id. dropped: how many did not fit into the last read."""

    def __init__(self) -> None:
        self.dropped = 0
        self._devices: dict[tuple[Kind, str], Device] = {}
        self._counts: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        self._recorded: list[Event] | None = None

    def __iter__(self) -> Iterator[Device]:
        return iter(self._devices.values())

    def __len__(self) -> int:
        return len(self._devices)

    def get(self, kind: Kind, number: str) -> Device | None:
        """One device."""
        return self._devices.get((kind, number))

    def count(self, kind: Kind) -> int:
        """How many there are."""
        return self._counts[kind]

    def begin_read(self) -> None:
        """A full read is under way: from now on remember what comes."""
        self._recorded = []

    def read(self, full: Json) -> bool:
        """The gateway's whole state has come. False when too much came meanwhile: read again."""
        devices: dict[tuple[Kind, str], Device] = {}
        self.dropped = 0
        for kind in KINDS:
            for number, body in _items(full, kind):
                device = device_from(kind, number, body)
                if device is None or len(devices) >= MAX_DEVICES:
                    self.dropped += 1
                else:
                    devices[kind, number] = device
        self._devices = devices
        self._counts = {kind: sum(device.resource == kind for device in self) for kind in KINDS}
        recorded, self._recorded = self._recorded or [], None
        for event in recorded:
            if not self._is_older(event):
                self.apply(event)
        return len(recorded) < MAX_RECORDED

    def apply(self, event: Event) -> Applied:
        """An event of the gateway."""
        if not isinstance(event, Changed | Added | Deleted):
            return NOTHING
        kind = event.r
        if kind != "lights" and kind != "sensors":
            return NOTHING
        if self._recorded is not None and len(self._recorded) < MAX_RECORDED:
            self._recorded.append(event)
        match event:
            case Changed():
                return self._change(kind, event)
            case Added():
                return self._add(kind, event)
            case Deleted():
                gone = self._devices.get((kind, event.id))
                if gone is None or not _same(gone, event.uniqueid):
                    return NOTHING if gone is None else REREAD
                del self._devices[kind, event.id]
                self._counts[kind] -= 1
                return Applied(verdict="structure")

    def _change(self, kind: Kind, event: Changed) -> Applied:
        device = self._devices.get((kind, event.id))
        if device is None or not _same(device, event.uniqueid):
            return REREAD
        told = plain_values(event.state) if event.state is not UNSET else {}
        before = {key: device.state[key] for key in told if key in device.state}
        if event.state is not UNSET:
            device.take_state(event.state)
        if event.config is not UNSET:
            device.take_config(event.config)
        renamed = device.take_name(event.name)
        if event.attr is not UNSET:
            renamed = device.take_name(event.attr.get("name")) or renamed
        return Applied(verdict="structure" if renamed else "state", device=device, told=told, before=before)

    def _add(self, kind: Kind, event: Added) -> Applied:
        if event.body is None:
            return REREAD
        body = event.body if "uniqueid" in event.body else event.body | {"uniqueid": event.uniqueid}
        device = device_from(kind, event.id, body)
        known = self._devices.get((kind, event.id))
        if device is None or (known is None and len(self) >= MAX_DEVICES):
            return NOTHING
        if known is not None and not _same(known, device.uniqueid):
            return REREAD
        if known is not None:  # what is never set in the new one is still known of the old
            device.state = known.state | {k: v for k, v in device.state.items() if v is not None}
        else:
            self._counts[kind] += 1
        self._devices[kind, event.id] = device
        return Applied(verdict="structure", device=device)

    def _is_older(self, event: Event) -> bool:
        """Whether the read knows more than this event of a sensor."""
        if not isinstance(event, Changed) or event.state is UNSET or event.r != "sensors":
            return False
        device = self._devices.get(("sensors", event.id))
        told = stamp_ms(event.state.get("lastupdated"))
        known = stamp_ms(device.state.get("lastupdated")) if device is not None else None
        return told is not None and known is not None and told < known


def _items(full: Json, kind: Kind) -> list[tuple[str, Any]]:
    """The resources of a kind by number, so that with too many the oldest stay."""
    found = full.get(kind)
    if not isinstance(found, dict):
        return []
    return sorted(found.items(), key=lambda item: (len(item[0]), item[0]))


def _same(device: Device, told: str) -> bool:
    """False when an event means another device than the one that had this id."""
    uniqueid = unique_id(told)
    return not uniqueid or not device.uniqueid or uniqueid == device.uniqueid
