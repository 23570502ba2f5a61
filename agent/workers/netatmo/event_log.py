"""Entries of the house's log as events of the vendor's: their ids, types and texts. Pure."""

from __future__ import annotations

import html
import re
from hashlib import sha256

from msgspec import Struct

from agent.model.events import (
    AgentStarted,
    CallChanged,
    CallState,
    ContactChanged,
    NotifyChanged,
    SirenChanged,
)
from agent.model.records import Entry
from agent.workers.netatmo.home import Home, Json, Module

# Of which entries events are made: tags without version.
TYPES = ("call_changed", "siren_changed", "contact_changed", "notify_changed", "agent_started")
_NS = 1_000_000_000
_EVENT_ID = re.compile(r"[0-9a-f]{8}[0-9a-f]{4}([0-9a-f]{12})")
CALL_TYPES: dict[CallState, str] = {
    "ringing": "incoming_call",
    "answered": "accepted_call",
    "missed": "missed_call",
}
_TEXTS: dict[tuple[str, int | None], str] = {
    ("outdoor", None): "somebody rang",
    ("incoming_call", None): "somebody rings",
    ("accepted_call", None): "the call was answered",
    ("missed_call", None): "nobody answered",
    ("siren_sounding", 1): "siren is sounding",
    ("siren_sounding", 0): "siren has stopped",
    ("siren_tampered", 1): "tampering detected",
    ("siren_tampered", 0): "tampering is over",
    ("on", None): "monitoring was resumed",
    ("off", None): "monitoring was turned off",
    ("connection", None): "connected",
}


class Told(Struct, frozen=True, kw_only=True):
    """One event that is no call. endpoint: which says whether it may be told of now; empty: always."""

    id: str
    type: str
    time: int
    module: Module
    sub_type: int | None = None
    endpoint: str = ""

    def row(self) -> Json:
        """As getevents has it."""
        row: Json = {
            "id": self.id,
            "type": self.type,
            "time": self.time,
            "module_id": self.module.id,
            "message": text_of(self.module.name, self.type, self.sub_type),
        }
        if self.sub_type is not None:
            row["sub_type"] = self.sub_type
        return row


def told_of(entry: Entry, home: Home) -> Told | None:
    """What an entry is to clients, if anything; calls are told by `call_row`."""
    endpoint = ""
    sub_type: int | None = None
    module: Module | None = None
    match entry.event:
        case SirenChanged(endpoint=endpoint, on=on):
            kind, sub_type = "siren_sounding", int(on)
            module = home.of_endpoint.get(endpoint)
        case ContactChanged(endpoint=endpoint, role="tamper", active=active):
            # A tamper contact is of the door as a whole, and only sirens have a word for it.
            kind, sub_type = "siren_tampered", int(active)
            module = next(iter(home.sirens), None)
        case NotifyChanged(endpoint=name, mode=mode):
            kind = "off" if mode == "mute" else "on"
            module = home.of_endpoint.get(name)
        case AgentStarted():
            kind, module = "connection", home.gateway
        case _:
            return None
    if module is None or (kind != "connection" and module.type != "NIS"):
        return None
    return Told(
        id=event_id(entry),
        type=kind,
        time=entry.at_ns // _NS,
        module=module,
        sub_type=sub_type,
        endpoint=endpoint,
    )


def call_row(entry: Entry, module: Module, subevents: list[Json]) -> Json:
    """A call in getevents: what happened at the door station, then how it went, oldest first."""
    return {
        "id": event_id(entry),
        "type": "outdoor",
        "time": entry.at_ns // _NS,
        "module_id": module.id,
        "message": text_of(module.name, "outdoor"),
        "subevents": subevents,
    }


def subevent(entry: Entry, call: CallChanged, module: Module) -> Json | None:
    """One step of a call; None for steps that have no word."""
    kind = CALL_TYPES.get(call.state)
    if kind is None:
        return None
    return {
        "id": subevent_id(entry),
        "type": kind,
        "time": entry.at_ns // _NS,
        "verified": True,
        "session_id": session_id(call.call_id),
        "message": text_of(module.name, kind),
    }


def event_id(entry: Entry) -> str:
    """24 hexadecimal digits: time, start of the agent, number. The same after every restart, and in order."""
    boot = sha256(entry.boot_id.encode()).hexdigest()[:4]
    seconds = max(0, entry.at_ns // _NS) & 0xFFFF_FFFF
    return f"{seconds:08x}{boot}{entry.seq & 0xFFFF_FFFF_FFFF:012x}"


def seq_of(identity: str) -> int | None:
    """The number in an id of ours."""
    found = _EVENT_ID.fullmatch(identity.lower())
    return None if found is None else int(found[1], 16)


def subevent_id(entry: Entry) -> str:
    """Of one step of a call."""
    return _like_uuid(f"step {event_id(entry)}")


def session_id(call_id: str) -> str:
    """Of a call, the same in all that is told of it."""
    return _like_uuid(f"call {call_id}")


def text_of(name: str, kind: str, sub_type: int | None = None) -> str:
    """For people. Clients show it as HTML, and names are chosen freely."""
    return f"{html.escape(name, quote=False)}: {_TEXTS.get((kind, sub_type), kind)}"


def _like_uuid(text: str) -> str:
    made = sha256(text.encode()).hexdigest()
    return "-".join((made[:8], made[8:12], made[12:16], made[16:20], made[20:32]))
