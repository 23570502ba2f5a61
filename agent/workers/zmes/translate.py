"""From what happened at the door to what a ZoneMinder app is told; no state, no clock.

The protocol has no kinds of events and no start or end: all is in the text of the cause.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import Struct

from agent.model.events import (
    AnyEvent,
    ButtonPressed,
    CallChanged,
    ContactChanged,
    DoorChanged,
    LockChanged,
    SirenChanged,
)
from agent.workers.zmes.config import AlarmKind, CauseKey
from agent.workers.zmes.wire import AlarmItem

END_PREFIX = "End:"
PICTURE_EVENT_ID = "EVENTID"
NEVER_MUTED = frozenset({"smoke", "co"})
SEQ_MODULUS = 100_000_000

CAUSES: dict[CauseKey, str] = {
    "ring": "Ring",
    "tamper": "Tamper",
    "motion": "Motion",
    "smoke": "Smoke alarm",
    "co": "Carbon monoxide alarm",
    "generic": "Contact",
    "forced": "Door forced open",
    "left_open": "Door left open",
    "siren": "Siren",
    "unlocked": "Unlocked",
}


class Monitor(Struct, frozen=True, kw_only=True):
    """An endpoint as the apps see it. id: decimal text, as the protocol sends it. name: its label."""

    id: str
    endpoint: str
    name: str
    never_muted: bool = False


class Announcement(Struct, frozen=True, kw_only=True):
    """An alarm begins or ends.

    kind and endpoint together are the same at the end as at the start. cause: what began; empty at the end.
    once: a second start before the end says nothing new.
    """

    kind: AlarmKind
    endpoint: str
    cause: CauseKey | None = None
    once: bool = False

    @property
    def ended(self) -> bool:
        """True for an end."""
        return self.cause is None


def announce(event: AnyEvent, alarm_on: Collection[AlarmKind]) -> Announcement | None:
    """What `event` means for the apps, or None; smoke and carbon monoxide whatever `alarm_on` says."""
    announcement = _announce(event)
    if announcement is None or announcement.kind in alarm_on:
        return announcement
    if isinstance(event, ContactChanged) and event.role in NEVER_MUTED:
        return announcement
    return None


def event_id(boot_number: int, seq: int) -> str:
    """A number that is never given twice, also when a power cut took unwritten entries: their sequence
    numbers come again, but only in a later boot. Below 2**53 for the sake of JavaScript."""
    return str(boot_number * SEQ_MODULUS + seq % SEQ_MODULUS)


def alarm_item(
    cause: CauseKey,
    monitor: Monitor,
    identity: str,
    causes: Mapping[CauseKey, str],
    *,
    ended: bool = False,
    picture_url: str | None = None,
) -> AlarmItem:
    """The alarm as it is sent. causes: other words than the default ones."""
    text = causes.get(cause, CAUSES[cause])
    return AlarmItem(
        event_id=identity,
        monitor_id=monitor.id,
        name=monitor.name,
        monitor_name=monitor.name,
        cause=END_PREFIX + text if ended else text,
        # What the server's rules add for alarms that a phone should not mute.
        rules={"notification_type": "critical"} if cause in NEVER_MUTED else {},
        picture=picture_url.replace(PICTURE_EVENT_ID, identity) if picture_url else "",
    )


def _announce(event: AnyEvent) -> Announcement | None:
    match event:
        case ButtonPressed(endpoint=endpoint):
            return Announcement(kind="ring", endpoint=endpoint, cause="ring")
        case CallChanged(endpoint=endpoint, state="ended" | "missed"):
            return Announcement(kind="ring", endpoint=endpoint)
        case ContactChanged(endpoint=endpoint, role=role, active=active):
            return Announcement(kind="contact", endpoint=endpoint, cause=role if active else None)
        case DoorChanged(endpoint=endpoint, state="forced"):
            return Announcement(kind="door", endpoint=endpoint, cause="forced")
        case DoorChanged(endpoint=endpoint, state="left_open"):
            return Announcement(kind="door", endpoint=endpoint, cause="left_open")
        case DoorChanged(endpoint=endpoint, state="closed"):
            return Announcement(kind="door", endpoint=endpoint)
        case SirenChanged(endpoint=endpoint, on=on):
            # A siren that is told to sound for longer reports itself again.
            return Announcement(kind="siren", endpoint=endpoint, cause="siren" if on else None, once=True)
        case LockChanged(endpoint=endpoint, state=state):
            cause: CauseKey | None = "unlocked" if state == "unlocked" else None
            return Announcement(kind="lock", endpoint=endpoint, cause=cause, once=True)
        case _:
            return None
