"""JSON of the cloud's API, as bytes -> frozen structs; unknown types are kept, null and missing tolerated.

Spoken over HTTPS: `POST /api/METHOD` with a form or JSON, `Authorization: Bearer TOKEN`. Success is
`{"status": "ok", "body": {...}, "time_server": ...}`, failure `{"error": {"code": 21, "message": ...}}`, and
with `/oauth2/token` `{"error": "invalid_grant"}`. Source: "Home + Security API Documentation"
(dev.netatmo.com); fields as independent clients' captures show them (pyatmo, openHAB, ioBroker). Known
deviations: `offload` of any type, ids in both cases, partial errors inside of an answer with status 200.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from agent.model.errors import MalformedMessage
from agent.wire.json import decode_any
from agent.workers.netatmo.catalogue import product_code
from agent.workers.netatmo.loose import (
    Json,
    Scalar,
    flag,
    identity,
    plain,
    scalars,
    sub_type,
    text,
    thing,
    things,
    url,
    whole,
)

MAX_BODY_BYTES = 2 << 20
MAX_MODULES = 500
MAX_HOMES = 50
MAX_PERSONS = 200
MAX_EVENTS = 1000
MAX_SUBEVENTS = 50
MAX_TOKEN = 1024
DAY_S = 86_400


class Failure(Struct, frozen=True, kw_only=True):
    """What an error body says. code: a number, or a word (`WH009`, `invalid_grant`)."""

    code: int | str
    message: str = ""


class ModuleInfo(Struct, frozen=True, kw_only=True):
    """A module in homesdata. id: MACs in lower case. bridge: the gateway that it hangs on; empty: none."""

    id: str
    type: str = ""
    name: str = ""
    bridge: str = ""
    setup_date: int = 0
    room: str = ""
    category: str = ""
    variant: str = ""


class Person(Struct, frozen=True, kw_only=True):
    """Somebody whom a camera knows. name: empty for an unnamed face. away: None while nobody says."""

    id: str
    name: str = ""
    last_seen: int = 0
    away: bool | None = None


class Home(Struct, frozen=True, kw_only=True):
    """A home in homesdata."""

    id: str
    name: str = ""
    modules: tuple[ModuleInfo, ...] = ()
    persons: tuple[Person, ...] = ()


class ModuleStatus(Struct, frozen=True, kw_only=True):
    """A module in homestatus: the plain values of its state, by the vendor's names."""

    id: str
    type: str = ""
    bridge: str = ""
    values: dict[str, Scalar] = {}


class HomeStatus(Struct, frozen=True, kw_only=True):
    """homestatus. errors: code by module."""

    home_id: str
    modules: tuple[ModuleStatus, ...] = ()
    persons: tuple[Person, ...] = ()
    errors: dict[str, int] = {}


class Picture(Struct, frozen=True):
    """A snapshot or vignette. url: or file, relative to the camera's own address. expires_at: 0: not said."""

    url: str = ""
    file: str = ""
    expires_at: int = 0

    def __repr__(self) -> str:
        return f"Picture({'there' if self.url or self.file else 'none'})"


class StoredEvent(Struct, frozen=True, kw_only=True):
    """An event of getevents, or a part of one (`subevents`, sorted by time)."""

    id: str
    type: str
    time: int = 0
    module_id: str = ""
    sub_type: int | str = ""
    session_id: str = ""
    person_id: str = ""
    message: str = ""
    category: str = ""
    video_id: str = ""
    video_status: str = ""
    is_arrival: bool | None = None
    out_of_sight: bool | None = None
    snapshot: Picture = Picture()
    vignette: Picture = Picture()
    subevents: tuple[StoredEvent, ...] = ()


class TokenAnswer(Struct, frozen=True, kw_only=True):
    """A pair of tokens, and one without the right to live video where the application has it."""

    access: str
    refresh: str
    restricted_access: str = ""
    restricted_refresh: str = ""
    lasts_s: int
    scope: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"TokenAnswer({self.lasts_s} s)"


def decode_answer(body: bytes, where: str) -> Json:
    """Any answer of the API, or the failure in it, as an object. Raises: MalformedMessage."""
    value = decode_any(body, where, max_bytes=MAX_BODY_BYTES)
    if not isinstance(value, dict):
        raise MalformedMessage(where, f"expected an object, got {type(value).__name__}")
    return value


def failure_of(answer: Json) -> Failure | None:
    """The error in an answer, in either form; None when there is none."""
    error = answer.get("error")
    if isinstance(error, dict):
        number = whole(error.get("code"))
        code = number if number is not None else text(error.get("code"), 64)
        return Failure(code=code, message=text(error.get("message"), 200))
    if isinstance(error, str) and error:
        return Failure(code=text(error, 64), message=text(answer.get("error_description"), 200))
    if answer.get("status") in ("error", "failed"):
        return Failure(code="", message=text(answer.get("message"), 200))
    return None


def part_failures(answer: Json) -> tuple[tuple[str, Failure], ...]:
    """(module, what) of `body.errors`, which may stand in an answer that says ok."""
    found = []
    for item in things(thing(answer.get("body")).get("errors"), MAX_MODULES):
        number = whole(item.get("code"))
        found.append(
            (module_id(item.get("id")), Failure(code=0 if number is None else number,
                                                message=text(item.get("message"), 200)))
        )  # fmt: skip
    return tuple(found)


def server_time(answer: Json) -> int:
    """The cloud's clock, Unix seconds; 0 when it does not say."""
    return whole(answer.get("time_server")) or 0


def decode_homes(answer: Json) -> tuple[Home, ...]:
    """homesdata. No home at all is an empty tuple."""
    return tuple(
        Home(
            id=identity(home.get("id")),
            name=text(home.get("name"), 64),
            modules=_modules(home),
            persons=_persons(home),
        )
        for home in things(thing(answer.get("body")).get("homes"), MAX_HOMES)
        if identity(home.get("id"))
    )


def decode_status(answer: Json, where: str = "homestatus") -> HomeStatus:
    """homestatus; the home may be thin or absent when there are errors. Raises: MalformedMessage."""
    body = thing(answer.get("body"))
    home = thing(body.get("home"))
    errors: dict[str, int] = {}
    for module, failure in part_failures(answer):
        if module and isinstance(failure.code, int):
            errors[module] = failure.code
    if not identity(home.get("id")) and not errors:
        raise MalformedMessage(where, "has neither a home nor errors")
    modules = []
    for row in things(home.get("modules"), MAX_MODULES):
        if module_id(row.get("id")):
            values = scalars({k: v for k, v in row.items() if k not in ("id", "type", "bridge")})
            modules.append(
                ModuleStatus(
                    id=module_id(row.get("id")),
                    type=product_code(identity(row.get("type"))),
                    bridge=module_id(row.get("bridge")),
                    values=values,
                )
            )
    return HomeStatus(
        home_id=identity(home.get("id")), modules=tuple(modules), persons=_persons(home), errors=errors
    )


def decode_events(answer: Json) -> tuple[StoredEvent, ...]:
    """getevents, in the order in which it came: newest first."""
    home = thing(thing(answer.get("body")).get("home"))
    found = (_event(item, ("subevents", "event_list")) for item in things(home.get("events"), MAX_EVENTS))
    return tuple(event for event in found if event is not None)


def decode_tokens(answer: Json, where: str = "token") -> TokenAnswer:
    """/oauth2/token. Raises: MalformedMessage, without what it holds."""
    lasts_s = whole(answer.get("expires_in")) or whole(answer.get("expire_in")) or 10_800
    scope = answer.get("scope")
    words: list[Any] = scope.split() if isinstance(scope, str) else scope if isinstance(scope, list) else []
    found = TokenAnswer(
        access=_token(answer.get("access_token")),
        refresh=_token(answer.get("refresh_token")),
        restricted_access=_token(answer.get("restricted_access_token")),
        restricted_refresh=_token(answer.get("restricted_refresh_token")),
        lasts_s=min(max(lasts_s, 1), 30 * DAY_S),
        scope=tuple(text(word, 64) for word in words[:64] if text(word, 64)),
    )
    if not found.access or not found.refresh:
        raise MalformedMessage(where, "has no usable pair of tokens")
    return found


def decode_webhooks(answer: Json) -> tuple[str, ...]:
    """The registered webhooks' addresses."""
    return tuple(url(item.get("url")) for item in things(answer.get("body"), 16) if url(item.get("url")))


def module_id(value: object) -> str:
    """An id as it is compared: MACs come in both cases."""
    return identity(value).lower()


def _modules(home: Json) -> tuple[ModuleInfo, ...]:
    """The modules with their gateways, from whichever side tells; either alone suffices."""
    rows = [row for row in things(home.get("modules"), MAX_MODULES) if module_id(row.get("id"))]
    bridges: dict[str, str] = {}
    for row in rows:
        for key in ("modules_bridged", "module_bridged"):
            children = row.get(key)
            if isinstance(children, list):
                for child in children[:MAX_MODULES]:
                    bridges.setdefault(module_id(child), module_id(row.get("id")))
    rooms = {identity(room.get("id")): text(room.get("name"), 64) for room in things(home.get("rooms"), 200)}
    return tuple(
        ModuleInfo(
            id=module_id(row.get("id")),
            type=product_code(identity(row.get("type"))),
            name=text(row.get("name"), 64),
            bridge=module_id(row.get("bridge")) or bridges.get(module_id(row.get("id")), ""),
            setup_date=whole(row.get("setup_date")) or 0,
            room=rooms.get(identity(row.get("room_id")), ""),
            category=text(row.get("category"), 32),
            variant=text(row.get("variant"), 64),
        )
        for row in rows
    )


def _persons(home: Json) -> tuple[Person, ...]:
    return tuple(
        Person(
            id=identity(row.get("id")),
            name=text(row.get("pseudo"), 64),
            last_seen=whole(row.get("last_seen")) or 0,
            away=flag(row.get("out_of_sight")),
        )
        for row in things(home.get("persons"), MAX_PERSONS)
        if identity(row.get("id"))
    )


def _event(item: Json, parts: tuple[str, ...]) -> StoredEvent | None:
    kind = text(item.get("type"), 64)
    if not kind:
        return None
    module = next((found for key in ("module_id", "camera_id", "device_id")
                   if (found := module_id(item.get(key)))), "")  # fmt: skip
    subevents: list[StoredEvent] = []
    for key in parts:
        for row in things(item.get(key), MAX_SUBEVENTS):
            part = _event(row, ())
            if part is not None:
                subevents.append(part)
    return StoredEvent(
        id=identity(item.get("id")),
        type=kind,
        time=whole(item.get("time")) or 0,
        module_id=module,
        sub_type=sub_type(item.get("sub_type")),
        session_id=identity(item.get("session_id")),
        person_id=identity(item.get("person_id")),
        message=plain(item.get("message")),
        category=text(item.get("category"), 32),
        video_id=identity(item.get("video_id")),
        video_status=text(item.get("video_status"), 32),
        is_arrival=flag(item.get("is_arrival")),
        out_of_sight=flag(item.get("out_of_sight")),
        snapshot=_picture(item.get("snapshot")),
        vignette=_picture(item.get("vignette")),
        subevents=tuple(sorted(subevents, key=lambda part: part.time)),
    )


def _picture(value: object) -> Picture:
    item = thing(value)
    return Picture(url(item.get("url")), text(item.get("filename"), 256), whole(item.get("expires_at")) or 0)


def _token(value: object) -> str:
    good = isinstance(value, str) and len(value) <= MAX_TOKEN and value.isascii() and value.isprintable()
    return value if good and isinstance(value, str) and " " not in value else ""
