"""deCONZ's websocket events and REST results: JSON text <-> frozen messages, for both ends.

Document:   deCONZ REST-API documentation, "Websocket" and "Error handling"; what gateways of version 2.33
            send and what pydeconz 115/120 and hb-deconz-tools 2.0 take, where that differs.
Websocket:  plain, path /, no sub-protocol, no authentication; server to client only, one JSON object per text
            frame; no hello, no replay, no ping from a gateway.
REST:       http, /api/<key>/...; writes and errors answer an array of {"success": ...} and {"error": ...}.
Limits:     MAX_EVENT_BYTES, MAX_BODY_BYTES; strings of ids MAX_ID_CHARS; depth as agent.wire.json.
Deviations: we send one of state, config, attr and name per message (hb-deconz-tools reads only one) and
            names as a bare `name` (pydeconz ignores `attr`); we take several in one message, as the current
            document allows. A group's `added` comes without a body from current gateways. `uniqueid` may
            be missing.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from agent.model.errors import LocalProtocolError, MalformedMessage
from agent.wire.json import decode_any

MAX_EVENT_BYTES = 65_536
MAX_BODY_BYTES = 2 * 1024 * 1024  # the full state of a large household
MAX_ID_CHARS = 64
MAX_RESULTS = 64
MAX_TEXT_CHARS = 200

Resource = Literal["lights", "sensors", "groups", "scenes", "alarmsystems"]
Json = dict[str, Any]
_RESOURCES = frozenset({"lights", "sensors", "groups", "scenes", "alarmsystems"})
_BODIES = {"lights": "light", "sensors": "sensor", "groups": "group"}
_PARTS = ("state", "config", "attr", "capabilities")
_objects = msgspec.json.Decoder()


# ----- events -----


class Changed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A resource has changed; the parts hold what is told of it, not always what has changed."""

    r: Resource
    id: str
    uniqueid: str = ""
    state: Json | UnsetType = UNSET
    config: Json | UnsetType = UNSET
    attr: Json | UnsetType = UNSET
    capabilities: Json | UnsetType = UNSET
    name: str | UnsetType = UNSET


class Added(Struct, frozen=True, kw_only=True):
    """A resource is new; `body` is it, or None where a gateway leaves it out."""

    r: Resource
    id: str
    uniqueid: str = ""
    body: Json | None = None


class Deleted(Struct, frozen=True, kw_only=True):
    """A resource is gone."""

    r: Resource
    id: str
    uniqueid: str = ""


class SceneCalled(Struct, frozen=True, kw_only=True):
    """A scene of a group was recalled by a device."""

    gid: str
    scid: str


class Unknown(Struct, frozen=True, kw_only=True):
    """A message of another kind: counted, never guessed at."""

    raw: Json


Event = Changed | Added | Deleted | SceneCalled | Unknown


def decode_event(text: str | bytes) -> Event:
    """What a gateway said. Raises: MalformedMessage, and nothing else for any input."""
    where = "deconz event"
    try:
        data = text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise MalformedMessage(where, "no UTF-8 text") from error
    plain = decode_any(data, where, max_bytes=MAX_EVENT_BYTES)
    if not isinstance(plain, dict):
        raise MalformedMessage(where, "expected an object")
    kind, resource = plain.get("e"), plain.get("r")
    if plain.get("t", "event") != "event" or not isinstance(kind, str) or not isinstance(resource, str):
        return Unknown(raw=plain)
    if resource not in _RESOURCES:
        return Unknown(raw=plain)
    if kind == "scene-called":
        return SceneCalled(gid=_id(plain, "gid"), scid=_id(plain, "scid"))
    if kind not in ("changed", "added", "deleted"):
        return Unknown(raw=plain)
    identity: dict[str, Any] = {"r": resource, "id": _id(plain, "id"), "uniqueid": _text(plain, "uniqueid")}
    if kind == "deleted":
        return Deleted(**identity)
    if kind == "added":
        return Added(**identity, body=_body(plain, _BODIES.get(resource, "")))
    parts: dict[str, Any] = {part: _body(plain, part) for part in _PARTS if plain.get(part) is not None}
    if isinstance(plain.get("name"), str):
        parts["name"] = _text(plain, "name")
    return Changed(**identity, **parts)


def encode_event(event: Changed | Added | Deleted | SceneCalled) -> bytes:
    """The event as UTF-8 JSON. Raises: LocalProtocolError for what clients would choke on."""
    match event:
        case SceneCalled(gid=gid, scid=scid):
            plain: Json = {"e": "scene-called", "gid": gid, "r": "scenes", "scid": scid, "t": "event"}
        case Deleted():
            plain = _envelope(event, "deleted")
        case Added(r=resource, body=body):
            if body is None or resource not in _BODIES:
                raise LocalProtocolError(f"an added {resource} needs its body")
            plain = _envelope(event, "added")
            plain[_BODIES[resource]] = body
        case Changed():
            plain = _envelope(event, "changed")
            told = {part: value for part in (*_PARTS, "name") if (value := getattr(event, part)) is not UNSET}
            if len(told) != 1:
                raise LocalProtocolError(f"expected one part in a message, got {sorted(told)}")
            plain.update(told)
    return msgspec.json.encode(plain, order="sorted")


def _envelope(event: Changed | Added | Deleted, kind: str) -> Json:
    if not event.id.isascii() or not event.id.isdecimal():
        raise LocalProtocolError(f"expected a decimal id, got {event.id!r}")
    plain: Json = {"e": kind, "id": event.id, "r": event.r, "t": "event"}
    if event.uniqueid:
        plain["uniqueid"] = event.uniqueid
    return plain


def _id(plain: Json, key: str) -> str:
    value = plain.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32:
        return str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARS:
        raise MalformedMessage(f"deconz event.{key}", "expected an id")
    return value


def _text(plain: Json, key: str) -> str:
    value = plain.get(key)
    return value[:MAX_TEXT_CHARS] if isinstance(value, str) else ""


def _body(plain: Json, key: str) -> Json | None:
    value = plain.get(key)
    if value is not None and not isinstance(value, dict):
        raise MalformedMessage(f"deconz event.{key}", "expected an object")
    return value


# ----- REST results -----


class Success(Struct, frozen=True, kw_only=True):
    """One parameter was taken on (not: has happened). `what` is as sent: a map, or a text for a deletion."""

    what: Json | str


class Error(Struct, frozen=True, kw_only=True):
    """One parameter, or the whole request, was not."""

    type: int
    address: str = ""
    description: str = ""


Result = Success | Error


def decode_results(body: bytes) -> tuple[Result, ...]:
    """The array that answers a write, or a refused read; never empty.

    Raises: MalformedMessage, and nothing else for any bytes.
    """
    where = "deconz results"
    plain = decode_any(body, where, max_bytes=MAX_BODY_BYTES)
    if not isinstance(plain, list) or not 0 < len(plain) <= MAX_RESULTS:
        raise MalformedMessage(where, f"expected an array of 1 to {MAX_RESULTS}")
    return tuple(_result(item) for item in plain)


def _result(item: object) -> Result:
    if isinstance(item, dict):
        success, error = item.get("success"), item.get("error")
        if isinstance(error, dict):
            kind = error.get("type")
            return Error(
                type=kind if isinstance(kind, int) and not isinstance(kind, bool) else 901,
                address=_text(error, "address"),
                description=_text(error, "description"),
            )
        if isinstance(success, dict | str):
            return Success(what=success)
    raise MalformedMessage("deconz results", "expected success or error")


def encode_results(results: tuple[Result, ...]) -> bytes:
    """The array as UTF-8 JSON."""
    return msgspec.json.encode(
        [
            {"success": result.what}
            if isinstance(result, Success)
            else {
                "error": {
                    "address": result.address,
                    "description": result.description,
                    "type": result.type,
                }
            }
            for result in results
        ]
    )


def decode_object(body: bytes, where: str) -> Json:
    """A resource, a map of resources, or the whole state. Raises: MalformedMessage, and nothing else."""
    if len(body) > MAX_BODY_BYTES:
        raise MalformedMessage(where, f"expected at most {MAX_BODY_BYTES} bytes, got {len(body)}")
    try:
        # Without the house's exact scan of the depth: that takes a second for a large household on a small
        # machine, and a bell would wait for it. The decoder has a limit of its own.
        plain = _objects.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedMessage(where, str(error)[:MAX_TEXT_CHARS]) from error
    if not isinstance(plain, dict):
        raise MalformedMessage(where, "expected an object")
    return plain
