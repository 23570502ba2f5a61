"""A light or sensor of a gateway, as far as a door needs it: bounded, whatever the gateway sends. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

MAX_STATE_KEYS = 64
MAX_NAME_CHARS = 128
MAX_ID_CHARS = 64
MAX_VALUE_CHARS = 64

Scalar = bool | int | float | str | None
Kind = Literal["lights", "sensors"]
KINDS: tuple[Kind, ...] = ("lights", "sensors")


class Device(Struct, kw_only=True):
    """One of them, changed in place by what the gateway tells.

    uniqueid: lower case, empty where a gateway has none. state: its plain values; None: never set.
    reachable: false only when the gateway says so.
    """

    resource: Kind
    id: str
    uniqueid: str = ""
    name: str = ""
    type: str = ""
    manufacturer: str = ""
    state: dict[str, Scalar] = {}
    reachable: bool = True

    @property
    def identity(self) -> str:
        """What stays the same when ids are given anew."""
        return self.uniqueid or f"{self.resource}/{self.id}"

    @property
    def path(self) -> str:
        """Of its resource, below the key."""
        return f"{self.resource}/{self.id}"

    def take_state(self, part: Mapping[str, Any]) -> None:
        """Remember what a message told; null tells nothing, and so leaves what is known."""
        for key, value in plain_values(part).items():
            if key in self.state:
                if value is not None:
                    self.state[key] = value
            elif len(self.state) < MAX_STATE_KEYS:
                self.state[key] = value
        self._take_reachable(part)

    def take_config(self, part: Mapping[str, Any]) -> None:
        """Of a configuration only this matters: whether the gateway reaches it."""
        self._take_reachable(part)

    def take_name(self, name: object) -> bool:
        """True when it is called differently now."""
        if not isinstance(name, str) or (cleaned := clean(name, MAX_NAME_CHARS)) == self.name:
            return False
        self.name = cleaned
        return True

    def _take_reachable(self, part: Mapping[str, Any]) -> None:
        reachable = part.get("reachable")
        if isinstance(reachable, bool):
            self.reachable = reachable


def device_from(resource: Kind, number: str, body: object) -> Device | None:
    """A resource of a gateway; None for what is none."""
    if not isinstance(body, dict) or not _is_id(number):
        return None
    device = Device(
        resource=resource,
        id=number,
        uniqueid=unique_id(body.get("uniqueid")),
        name=_text(body, "name", MAX_NAME_CHARS),
        type=_text(body, "type", MAX_VALUE_CHARS),
        manufacturer=_text(body, "manufacturername", MAX_VALUE_CHARS),
    )
    state, config = body.get("state"), body.get("config")
    if isinstance(state, dict):
        device.take_state(state)
    if isinstance(config, dict):
        device.take_config(config)
    return device


def _is_id(text: str) -> bool:
    """Whether it can stand in a path."""
    return 0 < len(text) <= MAX_ID_CHARS and text.isascii() and text.isalnum()


def unique_id(value: object) -> str:
    """A unique id as it is compared and shown; empty for what is none."""
    if not isinstance(value, str) or len(value) > MAX_ID_CHARS or not value.isprintable():
        return ""
    return value.strip().lower()


def plain_values(part: Mapping[str, Any]) -> dict[str, Scalar]:
    """What of a state is a plain value, of bounded length and number."""
    values: dict[str, Scalar] = {}
    for key, value in part.items():
        if len(values) >= MAX_STATE_KEYS:
            break
        if len(key) > MAX_VALUE_CHARS:
            continue
        if value is None or isinstance(value, bool | int | float | str):
            if isinstance(value, str) and len(value) > MAX_VALUE_CHARS:
                continue
            values[key] = value
    return values


def clean(text: str, chars: int) -> str:
    """Text on one line, without what cannot be printed, cut."""
    printable = "".join(sign if sign.isprintable() else " " for sign in text[: 4 * chars])
    return " ".join(printable.split())[:chars]


def _text(body: Mapping[str, Any], key: str, chars: int) -> str:
    value = body.get(key)
    return clean(value, chars) if isinstance(value, str) else ""
