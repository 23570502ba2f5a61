"""Webhook bodies as bytes -> one typed Push, and the signature over them. Pure.

POST with a JSON body, `X-Netatmo-secret`: lower-case hex HMAC-SHA256 of the raw bytes, keyed with the
application's client secret. `push_type` is `GATEWAY-event`, split at the first `-`; some have no prefix. Both
spellings of names are understood (`event_type`, `eventtype`; the underscored one wins), and an event may be
nested in `extra_params`. Source: "Webhooks examples", whose bodies are the tests of this file.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from msgspec import Struct

from agent.model.errors import MalformedMessage
from agent.wire.json import decode_any
from agent.workers.netatmo.catalogue import CALLS, PUSHED_AS, product_code
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
from agent.workers.netatmo.wire import ModuleStatus, module_id

MAX_PUSH_BYTES = 65_536
MAX_PERSONS = 50
MAX_CHANGES = 100
SIGNATURE_HEADER = "x-netatmo-secret"
_CALL_MARKS = tuple(f'{mark}"'.encode() for mark in ("_call", "-rtc"))

_NAMES = (
    "push_type", "event_type", "sub_type", "user_id", "home_id", "home_name", "device_id", "camera_id",
    "module_id", "event_id", "subevent_id", "session_id", "snapshot_url", "vignette_url", "person_id",
    "snapshot_id", "snapshot_key", "vignette_id", "vignette_key", "extra_params",
)  # fmt: skip
_SPELLINGS = {name.replace("_", ""): name for name in _NAMES}


class PushPerson(Struct, frozen=True, kw_only=True):
    """Somebody in the picture."""

    id: str
    is_known: bool = False


class Push(Struct, frozen=True, kw_only=True):
    """One webhook. product: of the gateway that speaks, empty without prefix; not that of the module.

    call: `data.type` of signalling. changes: states of modules that a `device_event` tells.
    timestamp: Unix seconds, 0 when it does not say.
    """

    push_type: str
    product: str
    kind: str
    sub_type: int | str = ""
    user_id: str = ""
    home_id: str = ""
    home_name: str = ""
    device_id: str = ""
    camera_id: str = ""
    module_id: str = ""
    event_id: str = ""
    subevent_id: str = ""
    session_id: str = ""
    persons: tuple[PushPerson, ...] = ()
    message: str = ""
    call: str = ""
    snapshot_url: str = ""
    vignette_url: str = ""
    changes: tuple[ModuleStatus, ...] = ()
    timestamp: int = 0

    @property
    def is_call(self) -> bool:
        """Whether it tells of somebody at the door."""
        return self.kind in CALLS

    @property
    def gateway(self) -> str:
        """The device that it is about, as far as it says."""
        return self.device_id or self.camera_id

    def __repr__(self) -> str:
        return f"Push({self.push_type})"


def signature(client_secret: str, body: bytes) -> str:
    """What the header says of a body."""
    return hmac.new(client_secret.encode(), body, hashlib.sha256).hexdigest()


def is_signed(client_secret: str, body: bytes, header: str) -> bool:
    """Whether a signature is right, in a time that does not say where it is wrong."""
    given = header.strip().lower().encode("utf-8", "replace")
    return hmac.compare_digest(signature(client_secret, body).encode(), given)


def looks_like_call(body: bytes) -> bool:
    """A quick look for whoever has to drop something: rings and their ends are kept longest."""
    return any(mark in body for mark in _CALL_MARKS)


def decode_push(body: bytes) -> Push:
    """One webhook body, of any kind. Raises: MalformedMessage."""
    value = decode_any(body, "webhook", max_bytes=MAX_PUSH_BYTES)
    if not isinstance(value, dict):
        raise MalformedMessage("webhook", f"expected an object, got {type(value).__name__}")
    given = _spelt(value)
    given = _spelt(thing(given.get("extra_params"))) | given
    push_type, event_type = text(given.get("push_type"), 100), text(given.get("event_type"), 64)
    if not push_type and not event_type:
        raise MalformedMessage("webhook", "has neither push_type nor event_type")
    prefix, dash, rest = push_type.partition("-")
    if not dash:
        prefix, rest = "", push_type
    return Push(
        push_type=push_type or event_type,
        product=product_code(prefix),
        kind=event_type or rest or prefix,
        sub_type=sub_type(given.get("sub_type")),
        user_id=identity(given.get("user_id")),
        home_id=identity(given.get("home_id")),
        home_name=text(given.get("home_name"), 64),
        device_id=module_id(given.get("device_id")),
        camera_id=module_id(given.get("camera_id")),
        module_id=module_id(given.get("module_id")),
        event_id=identity(given.get("event_id")),
        subevent_id=identity(given.get("subevent_id")),
        session_id=identity(given.get("session_id")) or identity(thing(given.get("data")).get("session_id")),
        persons=_persons(given),
        message=plain(given.get("message")),
        call=text(thing(given.get("data")).get("type"), 32),
        snapshot_url=url(given.get("snapshot_url")),
        vignette_url=url(given.get("vignette_url")),
        changes=_changes(given),
        timestamp=_seconds(given.get("timestamp")),
    )


def _spelt(given: Mapping[str, object]) -> Json:
    """The members by their underscored names, without those that are null."""
    known = {key: value for key, value in given.items() if value is not None}
    other = {_SPELLINGS[key]: value for key, value in known.items() if key in _SPELLINGS}
    return other | known


def _persons(given: Json) -> tuple[PushPerson, ...]:
    found = tuple(
        PushPerson(id=identity(row.get("id")), is_known=flag(row.get("is_known")) is True)
        for row in things(given.get("persons"), MAX_PERSONS)
        if identity(row.get("id"))
    )
    alone = identity(given.get("person_id"))
    return found or ((PushPerson(id=alone, is_known=True),) if alone else ())


def _changes(given: Json) -> tuple[ModuleStatus, ...]:
    return tuple(
        ModuleStatus(
            id=module_id(row.get("id")),
            type=product_code(identity(row.get("type"))),
            bridge=module_id(row.get("bridge")),
            values=_values(row),
        )
        for row in things(given.get("modules"), MAX_CHANGES)
        if module_id(row.get("id"))
    )


def _values(row: Json) -> dict[str, Scalar]:
    named = {PUSHED_AS.get(k, k): v for k, v in row.items() if k not in ("id", "type", "bridge")}
    return scalars(named)


def _seconds(value: object) -> int:
    """Unix seconds of a timestamp, which some write in milliseconds."""
    number = whole(value) or 0
    return number // 1000 if number > 100_000_000_000 else max(number, 0)
