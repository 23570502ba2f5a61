"""What is pushed to webhooks when something happens: the bytes, made once for all who hear of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from agent.model.events import CallChanged
from agent.model.records import Entry
from agent.workers.netatmo.event_log import (
    CALL_TYPES,
    Told,
    event_id,
    session_id,
    subevent_id,
    text_of,
)
from agent.workers.netatmo.home import GATEWAY, Home, Json, Module

DEVICE_EVENT = "device_event"


class Push(Struct, frozen=True, kw_only=True):
    """One push. reads: scopes of which one is needed to hear of it; none: it is for everybody.

    ring: the part of a call that is worth nothing when it is late. at: trio time of what happened.
    """

    type: str
    body: bytes
    at: float
    reads: frozenset[str] = frozenset()
    ring: bool = False


class Bodies:
    """Makes the pushes of one home. siren_prefix: of pushes about a siren."""

    def __init__(self, home: Home, siren_prefix: str) -> None:
        self._home = home
        self._siren_prefix = siren_prefix

    def call(self, entry: Entry, call: CallChanged, module: Module, parent_id: str, now: float) -> list[Push]:
        """The pushes of one step of a call. First what rings fastest, then what more clients know.

        parent_id: id of the event that the call is in the history.
        """
        match call.state:
            case "ringing":
                return [
                    self._rtc("offer", call, module, now),
                    self._step(entry, call, module, parent_id, now),
                ]
            case "answered":
                return [
                    self._step(entry, call, module, parent_id, now),
                    self._rtc("rescind", call, module, now),
                ]
            case "missed":
                return [
                    self._step(entry, call, module, parent_id, now),
                    self._rtc("terminate", call, module, now),
                ]
            case "ended":
                return [self._rtc("terminate", call, module, now)]

    def _rtc(self, what: str, call: CallChanged, module: Module, now: float) -> Push:
        """Signalling: without event_type and event_id, as the vendor has it."""
        body: Json = {
            "user_id": self._home.identity.user_id,
            "session_id": session_id(call.call_id),
            "data": {"type": what},
            "device_id": self._home.gateway.id,
            "home_id": self._home.identity.home_id,
            "module_id": module.id,
            "push_type": f"{GATEWAY}-rtc",
        }
        return _push(body, now, module.reads, ring=what == "offer")

    def _step(self, entry: Entry, call: CallChanged, module: Module, parent_id: str, now: float) -> Push:
        kind = CALL_TYPES[call.state]
        body = self._head(kind, module.id) | {
            "event_id": parent_id,
            "subevent_id": subevent_id(entry),
            "session_id": session_id(call.call_id),
            "message": text_of(module.name, kind),
            "push_type": f"{GATEWAY}-{kind}",
        }
        return _push(body, now, module.reads, ring=call.state == "ringing")

    def told(self, told: Told, now: float) -> Push:
        """The push of an event that is no call."""
        prefix = GATEWAY if told.module.is_gateway else self._siren_prefix
        body = self._head(told.type, "" if told.module.is_gateway else told.module.id)
        if told.type in ("on", "off"):
            # Clients merge these into the module that camera_id names.
            body["camera_id"] = told.module.id
        body["event_id"] = told.id
        if told.sub_type is not None:
            body["sub_type"] = told.sub_type
        body["message"] = text_of(told.module.name, told.type, told.sub_type)
        body["push_type"] = f"{prefix}-{told.type}"
        return _push(body, now, told.module.reads)

    def device_event(self, entry: Entry, rows: Sequence[Json], reads: frozenset[str], now: float) -> Push:
        """Changed states of modules; rows: id, type and what changed."""
        body: Json = {
            "user_id": self._home.identity.user_id,
            "device_id": self._home.gateway.id,
            "home_id": self._home.identity.home_id,
            "extra_params": {"modules": list(rows), "source": "device", "correlation_id": event_id(entry)},
            "push_type": DEVICE_EVENT,
        }
        return _push(body, now, reads)

    def webhook(self, what: str, now: float) -> Push:
        """`webhook_activation` or `webhook_deactivation`."""
        return _push({"push_type": what, "user_id": self._home.identity.user_id}, now, frozenset())

    def _head(self, kind: str, module: str) -> Json:
        identity, gateway = self._home.identity, self._home.gateway.id
        head: Json = {
            "user_id": identity.user_id,
            "event_type": kind,
            "device_id": gateway,
            "camera_id": gateway,
            "home_id": identity.home_id,
            "home_name": self._home.name,
        }
        if module:
            head["module_id"] = module
        return head


def _push(body: Json, now: float, reads: frozenset[str], *, ring: bool = False) -> Push:
    return Push(type=str(body["push_type"]), body=msgspec.json.encode(body), at=now, reads=reads, ring=ring)
