"""The wire of a ZoneMinder event notification server ("ES"): what clients say, and the connection's states.

Document: "For Developers writing their own consumers" of the event server's manual, and what was observed
    with server 6.1.29; where they differ the server is followed, where the server is unsafe we are stricter.
Port: 9000, TLS by default. Any HTTP path, no subprotocol, no extensions.
Framing: one JSON object per websocket text frame in each direction, never fragmented by a server.
Authentication: {"event":"auth","data":{"user","password"}} within 20 s of the upgrade; again at any time.
Limits: 64 KiB per message, depth 16, and the MAX_* constants below.
Deviations from server 6.1.29, each seen on its wire:
    - A top-level value that is no object, or `data` (or the `monitors` of a mute) of a wrong type, ends its
      process. Here it is BADJSON, like any other garbage.
    - Raw UTF-8 beyond ASCII is BADJSON there; here it and \\u escapes are equally good.
    - An unknown event is silently dropped there; here, as in server 7, it is answered NOTSUPPORTED.
    - The document says NOMONITORLIST, NOINTERVALLIST and `type:`; every server says MISSINGMONITORLIST,
      MISSINGINTERVALLIST and `type`.
    - A monlist or intlist sent as a JSON list selects nothing there; here it means its elements.

What servers say is in `replies`; its names are repeated here so that a session needs one import.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal, assert_never

from msgspec import Struct

from agent.model.errors import MalformedMessage
from agent.workers.zmes.replies import (
    Alarm,
    AlarmItem,
    AuthReply,
    ControlReply,
    EsControlReply,
    MalformedReply,
    PushReply,
    Reply,
    UnknownReply,
    as_object,
    ascii_json,
    decode_reply,
    encode_alarm,
    encode_auth_failure,
    encode_auth_success,
    encode_escontrol_failure,
    encode_escontrol_success,
    encode_filter_failure,
    encode_malformed,
    encode_not_supported,
    encode_push_failure,
    encode_version,
    text_of,
)

__all__ = [
    "TRANSITIONS", "Alarm", "AlarmItem", "Auth", "AuthReply", "ControlOther", "ControlReply", "EsControl",
    "EsControlReply", "Filter", "MalformedReply", "Message", "PushBadge", "PushOther", "PushReply",
    "PushToken", "Reply", "State", "Step", "Unknown", "UnknownReply", "Version", "decode", "decode_reply",
    "encode_alarm", "encode_auth_failure", "encode_auth_success", "encode_escontrol_failure",
    "encode_escontrol_success", "encode_filter_failure", "encode_malformed", "encode_not_supported",
    "encode_push_failure", "encode_request", "encode_version",
]  # fmt: skip

DEFAULT_PORT = 9000
MAX_MESSAGE_BYTES = 65_536
MAX_ACCOUNT_CHARS = 256
MAX_SECRET_CHARS = 1024
MAX_TOKEN_CHARS = 1024
MAX_LIST_CHARS = 4096
MAX_SHORT_CHARS = 128
MAX_MONITORS = 256
MAX_BADGE = 1_000_000

Category = Literal["normal", "escontrol"]


class Auth(Struct, frozen=True, kw_only=True):
    """Log in, at any time again. monlist, intlist: the new filter, empty means every monitor, always."""

    user: str = ""
    password: str = ""
    category: Category = "normal"
    appversion: str = "unknown"
    monlist: str = ""
    intlist: str = ""

    def __repr__(self) -> str:
        return f"Auth(user={self.user!r}, password=<hidden>, category={self.category!r})"


class Filter(Struct, frozen=True, kw_only=True):
    """Replace the filter; None where the key was missing, which is the only mistake there is."""

    monlist: str | None = None
    intlist: str | None = None


class Version(Struct, frozen=True):
    """Ask for the server's version; the apps' keep-alive."""


class ControlOther(Struct, frozen=True):
    """A control message without data or of an unknown type: never answered."""


class PushToken(Struct, frozen=True, kw_only=True):
    """Register a phone. monlist, intlist: None when absent, empty or -1 (the connection's own stay)."""

    token: str = ""
    platform: str = ""
    enabled: bool = True
    monlist: str | None = None
    intlist: str | None = None
    profile: str = ""
    appversion: str = ""

    def __repr__(self) -> str:
        return f"PushToken(token=<hidden>, platform={self.platform!r}, enabled={self.enabled})"


class PushBadge(Struct, frozen=True, kw_only=True):
    """Set the number on the app's icon, here and wherever the top-level `token` is registered."""

    badge: int
    token: str = ""

    def __repr__(self) -> str:
        return f"PushBadge(badge={self.badge})"


class PushOther(Struct, frozen=True):
    """A push message without data or of an unknown type: never answered when push is on."""


class EsControl(Struct, frozen=True, kw_only=True):
    """Change the server's behaviour.

    request: the whole received object, echoed in answers. command: None when it was no text.
    monitors: None for all known ones. has_data: false when `data` was missing, null or false.
    """

    request: dict[str, Any]
    command: str | None = None
    monitors: tuple[str, ...] | None = None
    key: str | None = None
    val: Any = None
    has_data: bool = True


class Unknown(Struct, frozen=True):
    """An event this protocol does not have; `event` is echoed, None when missing."""

    event: Any = None


Message = (
    Auth | Filter | Version | ControlOther | PushToken | PushBadge | PushOther | EsControl | Unknown
)  # fmt: skip


class State(Enum):
    """Of a connection as the server sees it. GRACE: credentials were refused, another try is welcome."""

    PENDING_AUTH = "pending"
    VALID = "valid"
    GRACE = "grace"
    CLOSED = "closed"


class Step(Enum):
    """What moves a connection on. TIMED_OUT: too late with `auth`, or with the next one after a refusal."""

    AUTHENTICATED = "authenticated"
    REFUSED = "refused"
    TIMED_OUT = "timed out"
    ENDED = "ended"


TRANSITIONS: dict[tuple[State, Step], State] = {
    (State.PENDING_AUTH, Step.AUTHENTICATED): State.VALID,
    (State.PENDING_AUTH, Step.REFUSED): State.GRACE,
    (State.PENDING_AUTH, Step.TIMED_OUT): State.CLOSED,
    (State.PENDING_AUTH, Step.ENDED): State.CLOSED,
    (State.VALID, Step.AUTHENTICATED): State.VALID,
    (State.VALID, Step.REFUSED): State.GRACE,
    (State.VALID, Step.ENDED): State.CLOSED,
    (State.GRACE, Step.AUTHENTICATED): State.VALID,
    (State.GRACE, Step.REFUSED): State.GRACE,
    (State.GRACE, Step.TIMED_OUT): State.CLOSED,
    (State.GRACE, Step.ENDED): State.CLOSED,
    (State.CLOSED, Step.ENDED): State.CLOSED,
}


def decode(text: str | bytes) -> Message:
    """What a client said.

    Raises: MalformedMessage, and nothing else for any input; its answer is BADJSON.
    """
    raw = as_object(text, "es message", MAX_MESSAGE_BYTES)
    data = raw.get("data")
    if data is False:
        data = None
    if data is not None and not isinstance(data, dict):
        raise MalformedMessage("es data", f"expected an object, got {type(data).__name__}")
    match raw.get("event"):
        case "auth":
            return _auth(raw, data or {})
        case "control":
            return _control(data or {})
        case "push":
            return _push(raw, data or {})
        case "escontrol":
            return _escontrol(raw, data)
        case event:
            return Unknown(event)


def encode_request(message: Message) -> str:
    """The message as a client sends it."""
    match message:
        case Auth(category="escontrol"):
            return ascii_json(
                {"event": "auth", "category": "escontrol", "data": {"password": message.password}}
            )
        case Auth():
            data = {"user": message.user, "password": message.password, "appversion": message.appversion}
            data |= _present(monlist=message.monlist or None, intlist=message.intlist or None)
            return ascii_json({"event": "auth", "category": "normal", "data": data})
        case Filter():
            lists = _present(monlist=message.monlist, intlist=message.intlist)
            return ascii_json({"event": "control", "data": {"type": "filter", **lists}})
        case Version():
            return ascii_json({"event": "control", "data": {"type": "version"}})
        case ControlOther():
            return ascii_json({"event": "control"})
        case PushToken():
            data = {"type": "token", "platform": message.platform, "token": message.token}
            data["state"] = "enabled" if message.enabled else "disabled"
            data |= _present(monlist=message.monlist, intlist=message.intlist)
            data |= _present(profile=message.profile or None, appversion=message.appversion or None)
            return ascii_json({"event": "push", "data": data})
        case PushBadge():
            badge = {"type": "badge", "badge": message.badge}
            return ascii_json({"event": "push", "data": badge, "token": message.token})
        case PushOther():
            return ascii_json({"event": "push"})
        case EsControl():
            return ascii_json(message.request)
        case Unknown():
            return ascii_json({"event": message.event})
        case _:
            assert_never(message)


def _present(**members: str | None) -> dict[str, str]:
    return {key: value for key, value in members.items() if value is not None}


def _bounded(data: dict[str, Any], key: str, most: int) -> str:
    text = text_of(data.get(key))
    if len(text) > most:
        raise MalformedMessage(f"es {key}", f"expected at most {most} characters, got {len(text)}")
    return text


def _list_text(data: dict[str, Any], key: str) -> str:
    """A comma separated list; a JSON list means its elements, anything else unreadable means all."""
    value = data.get(key)
    if not isinstance(value, list):
        return _bounded(data, key, MAX_LIST_CHARS)
    return _bounded({key: ",".join(text_of(element) for element in value)}, key, MAX_LIST_CHARS)


def _auth(raw: dict[str, Any], data: dict[str, Any]) -> Auth:
    return Auth(
        user=_bounded(data, "user", MAX_ACCOUNT_CHARS),
        password=_bounded(data, "password", MAX_SECRET_CHARS),
        category="escontrol" if raw.get("category") == "escontrol" else "normal",
        appversion=_bounded(data, "appversion", MAX_SHORT_CHARS) or "unknown",
        monlist=_list_text(data, "monlist"),
        intlist=_list_text(data, "intlist"),
    )


def _control(data: dict[str, Any]) -> Message:
    match data.get("type"):
        case "version":
            return Version()
        case "filter":
            return Filter(
                monlist=_list_text(data, "monlist") if "monlist" in data else None,
                intlist=_list_text(data, "intlist") if "intlist" in data else None,
            )
        case _:
            return ControlOther()


def _push(raw: dict[str, Any], data: dict[str, Any]) -> Message:
    def given(key: str) -> str | None:
        text = _list_text(data, key)
        return None if text in ("", "-1") else text

    match data.get("type"):
        case "token":
            return PushToken(
                token=_bounded(data, "token", MAX_TOKEN_CHARS),
                platform=_bounded(data, "platform", MAX_SHORT_CHARS),
                enabled=data.get("state") != "disabled",
                monlist=given("monlist"),
                intlist=given("intlist"),
                profile=_bounded(data, "profile", MAX_SHORT_CHARS),
                appversion=_bounded(data, "appversion", MAX_SHORT_CHARS),
            )
        case "badge":
            try:
                badge = int(float(text_of(data.get("badge"))))
            except (ValueError, OverflowError):
                return PushOther()
            return PushBadge(
                badge=max(0, min(badge, MAX_BADGE)), token=_bounded(raw, "token", MAX_TOKEN_CHARS)
            )
        case _:
            return PushOther()


def _escontrol(raw: dict[str, Any], data: dict[str, Any] | None) -> EsControl:
    if data is None:
        return EsControl(request=raw, has_data=False)
    command = data.get("command")
    if not isinstance(command, str):
        return EsControl(request=raw)
    return EsControl(
        request=raw,
        command=command,
        monitors=_monitors(data.get("monitors")) if command in ("mute", "unmute") else None,
        key=text_of(data["key"]) if "key" in data else None,
        val=data.get("val"),
    )


def _monitors(value: Any) -> tuple[str, ...] | None:
    """Monitor ids, as numbers or strings; None (all) for whatever a loosely typed peer calls false."""
    if value is None or value == 0 or value == "":
        return None
    if not isinstance(value, list) or len(value) > MAX_MONITORS:
        raise MalformedMessage("es monitors", f"expected a list of at most {MAX_MONITORS} ids")
    if any(isinstance(element, list | dict | bool) for element in value):
        raise MalformedMessage("es monitors", "expected numbers or strings")
    return tuple(_bounded({"monitors": element}, "monitors", MAX_SHORT_CHARS) for element in value)
