"""What an event server says, both ways: builders with exact key sets, and a tolerant decoder for clients.

The protocol's header is in `wire`. Everything sent is ASCII-escaped JSON, because every client decodes
that and several servers mangle raw UTF-8.
"""

from __future__ import annotations

import json
from typing import Any, Literal

from msgspec import Struct

from agent.model.errors import MalformedMessage
from agent.wire.json import decode_any

MAX_REPLY_BYTES = 262_144
MAX_ITEMS = 64
MAX_NAME_CHARS = 1024
MAX_NUMBER = 10**18

AuthFailure = Literal["BADAUTH", "NOAUTH", "ESCONTROLDISABLED"]
FilterFailure = Literal["MISSINGMONITORLIST", "MISSINGINTERVALLIST", "NOMONITORLIST", "NOINTERVALLIST"]
PushFailure = Literal["PUSHDISABLED", "NOAUTH", "MISSINGPLATFORM"]
EsControlFailure = Literal["ESCONTROLDISABLED", "NOTCONTROL", "NODATA", "NOTSUPPORTED"]


class AuthReply(Struct, frozen=True, kw_only=True):
    """The answer to `auth`, or the unasked NOAUTH before the server hangs up."""

    ok: bool
    reason: str = ""
    version: str = ""


class ControlReply(Struct, frozen=True, kw_only=True):
    """The answer to `control`; kind is `version` or `filter` (which only ever fails)."""

    kind: str
    ok: bool
    reason: str = ""
    version: str = ""


class PushReply(Struct, frozen=True, kw_only=True):
    """A refused `push`; success is silent."""

    kind: str
    ok: bool
    reason: str = ""


class EsControlReply(Struct, frozen=True, kw_only=True):
    """The answer to `escontrol`; response is JSON text, for `get` only."""

    kind: str
    ok: bool
    reason: str = ""
    request: Any = None
    response: str | None = None


class MalformedReply(Struct, frozen=True):
    """The server could not read what we sent."""


class AlarmItem(Struct, frozen=True, kw_only=True):
    """One alarm. monitor_name and picture are sent by later servers only; empty means absent."""

    event_id: str
    monitor_id: str
    name: str
    cause: str
    detection: Any = []
    rules: Any = {}
    monitor_name: str = ""
    picture: str = ""


class Alarm(Struct, frozen=True, kw_only=True):
    """One alarm frame. supplementary: the same was also pushed to this client's phone."""

    items: tuple[AlarmItem, ...]
    supplementary: bool = False


class UnknownReply(Struct, frozen=True):
    """Something a later server says; clients ignore it."""

    raw: dict[str, Any]


Reply = (
    AuthReply | ControlReply | PushReply | EsControlReply | MalformedReply | Alarm | UnknownReply
)  # fmt: skip


def ascii_json(value: Any) -> str:
    """Compact JSON in ASCII."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def encode_auth_success(version: str) -> str:
    """Logged in."""
    return ascii_json({"event": "auth", "type": "", "status": "Success", "reason": "", "version": version})


def encode_auth_failure(reason: AuthFailure) -> str:
    """Not logged in."""
    return _failure("auth", "", reason)


def encode_version(version: str, *, document_spelling: bool = False) -> str:
    """The server's version.

    document_spelling: add the member `type:` that the developer document prints; clients read `type`.
    """
    reply = {"event": "control", "type": "version", "status": "Success", "reason": "", "version": version}
    if document_spelling:
        reply["type:"] = "version"
    return ascii_json(reply)


def encode_filter_failure(reason: FilterFailure) -> str:
    """A filter without one of its lists; a good one is not answered."""
    return _failure("control", "filter", reason)


def encode_push_failure(reason: PushFailure) -> str:
    """A refused push message; a good one is not answered."""
    return _failure("push", "token" if reason == "MISSINGPLATFORM" else "", reason)


def encode_malformed() -> str:
    """The answer to anything that is not a message."""
    return _failure("malformed", "", "BADJSON")


def encode_not_supported(event: Any) -> str:
    """The answer to an unknown event, which is echoed (null when it was missing)."""
    return _failure(event, "", "NOTSUPPORTED")


def encode_alarm(item: AlarmItem, *, supplementary: bool = False) -> str:
    """One alarm in one frame.

    Source: observed with server 6.1.29 (six keys, ids as strings); MonitorName and Picture are read by the
    current app and ignored by older ones.
    """
    entry: dict[str, Any] = {
        "EventId": item.event_id,
        "MonitorId": item.monitor_id,
        "Name": item.name,
        "Cause": item.cause,
        "DetectionJson": item.detection,
        "RulesObject": item.rules,
    }
    if item.monitor_name:
        entry["MonitorName"] = item.monitor_name
    if item.picture:
        entry["Picture"] = item.picture
    frame: dict[str, Any] = {"event": "alarm", "type": "", "status": "Success", "events": [entry]}
    if supplementary:
        frame["supplementary"] = "true"
    return ascii_json(frame)


def encode_escontrol_failure(reason: EsControlFailure, request: dict[str, Any] | None = None) -> str:
    """A refused escontrol message; NOTSUPPORTED echoes the request."""
    reply: dict[str, Any] = {
        "event": "escontrol",
        "type": "" if reason == "ESCONTROLDISABLED" else "command",
        "status": "Fail",
        "reason": reason,
    }
    if reason == "NOTSUPPORTED":
        reply["request"] = request
    return ascii_json(reply)


def encode_escontrol_success(command: str, request: dict[str, Any], settings: Any = None) -> str:
    """A done escontrol command. settings: for `get`, sent as a string that holds JSON.

    Source: observed with server 6.1.29: `type` is empty for get, mute, unmute and edit and `command` for
    restart and reset.
    """
    reply: dict[str, Any] = {
        "event": "escontrol",
        "type": "command" if command in ("restart", "reset") else "",
        "status": "Success",
        "request": request,
    }
    if command == "get":
        reply["response"] = ascii_json(settings)
    return ascii_json(reply)


def decode_reply(text: str | bytes) -> Reply:
    """What a server said; numbers pass for strings, extra keys are ignored.

    Raises: MalformedMessage.
    """
    raw = as_object(text, "es reply", MAX_REPLY_BYTES)
    ok = raw.get("status") == "Success"
    kind = text_of(raw.get("type", ""))
    reason = text_of(raw.get("reason", ""))
    match raw.get("event"):
        case "auth":
            return AuthReply(ok=ok, reason=reason, version=text_of(raw.get("version", "")))
        case "alarm":
            return _alarm(raw)
        case "control":
            kind = kind or text_of(raw.get("type:", ""))
            return ControlReply(kind=kind, ok=ok, reason=reason, version=text_of(raw.get("version", "")))
        case "push":
            return PushReply(kind=kind, ok=ok, reason=reason)
        case "escontrol":
            response = raw.get("response")
            if response is not None and not isinstance(response, str):
                raise MalformedMessage("es reply", "expected JSON text under response")
            return EsControlReply(
                kind=kind, ok=ok, reason=reason, request=raw.get("request"), response=response
            )
        case "malformed":
            return MalformedReply()
        case _:
            return UnknownReply(raw)


def as_object(text: str | bytes, where: str, max_bytes: int) -> dict[str, Any]:
    """The JSON object in a frame. Raises: MalformedMessage."""
    if isinstance(text, str):
        try:
            text = text.encode()
        except UnicodeEncodeError as error:
            raise MalformedMessage(where, "expected valid Unicode") from error
    raw = decode_any(text, where, max_bytes=max_bytes)
    if not isinstance(raw, dict):
        raise MalformedMessage(where, f"expected an object, got {type(raw).__name__}")
    return raw


def text_of(value: Any) -> str:
    """The text of a scalar as a loosely typed peer means it; empty for null, lists and objects."""
    match value:
        case str():
            return value
        case bool():
            return "1" if value else ""
        case int() | float() if abs(value) <= MAX_NUMBER:
            return str(int(value)) if value == int(value) else repr(value)
        case _:
            return ""


def _failure(event: Any, kind: str, reason: str) -> str:
    return ascii_json({"event": event, "type": kind, "status": "Fail", "reason": reason})


def _alarm(raw: dict[str, Any]) -> Alarm:
    events = raw.get("events")
    if not isinstance(events, list) or len(events) > MAX_ITEMS:
        raise MalformedMessage("es alarm", f"expected a list of at most {MAX_ITEMS} events")
    return Alarm(
        items=tuple(_alarm_item(event) for event in events),
        supplementary=text_of(raw.get("supplementary", "")) in ("true", "1"),
    )


def _alarm_item(event: Any) -> AlarmItem:
    if not isinstance(event, dict):
        raise MalformedMessage("es alarm", "expected an object in events")

    def text(key: str) -> str:
        return text_of(event.get(key, ""))[:MAX_NAME_CHARS]

    return AlarmItem(
        event_id=text("EventId"),
        monitor_id=text("MonitorId"),
        name=text("Name"),
        cause=text("Cause"),
        detection=event.get("DetectionJson", []),
        rules=event.get("RulesObject", {}),
        monitor_name=text("MonitorName"),
        picture=text("Picture"),
    )
