"""What a gateway's devices mean to this house, and what the house's commands are to a gateway. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from agent.model.events import DeviceFact
from agent.workers.deconz.client_device import Device
from agent.workers.deconz.config import DeconzEndpoint
from agent.workers.deconz.wire import Json

FACTS: Final[dict[str, DeviceFact]] = {
    "fire": "smoke",
    "carbonmonoxide": "co",
    "water": "water",
    "alarm": "alarm",
    "open": "open",
    "presence": "motion",
    "vibration": "vibration",
    "tampered": "tamper",
}
SAFETY: Final[frozenset[DeviceFact]] = frozenset({"smoke", "co", "alarm", "water", "tamper"})
TAMPER = "tampered"
MAX_ONTIME = 65_534
MAX_ACTION_CHARS = 32
OURS = "Portero"

_FACT_OF_TYPE = {
    "Fire": "fire",
    "CarbonMonoxide": "carbonmonoxide",
    "Water": "water",
    "Alarm": "alarm",
    "OpenClose": "open",
    "Presence": "presence",
    "Vibration": "vibration",
}
_LOCK_STATES: dict[object, tuple[bool, str]] = {
    "locked": (False, ""),
    "unlocked": (True, ""),
    "not fully locked": (True, "not fully locked"),
}
_SHOWN = (*FACTS, "lockstate", "on", "alert", "buttonevent", "action")
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z?", re.ASCII)


# ----- what devices tell -----


def stamp_ms(value: object) -> int | None:
    """A `lastupdated` (or `UTC` of a configuration) in ms since 1970; None for "none" and what is no time.

    It is UTC without a Z, with milliseconds in gateways of our days.
    """
    found = _STAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        whole = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    except ValueError:
        return None
    return round(whole.timestamp()) * 1000 + int((found[2] or "0").ljust(3, "0")[:3])


def button_code(value: object) -> tuple[int, int] | None:
    """Button (1 to 27) and action of a `buttonevent`; None for what is none."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1000 <= value < 28_000:
        return None
    return divmod(value, 1000)


def keypad_word(value: object) -> str | None:
    """The `action` of a keypad as a word, or None."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ACTION_CHARS:
        return None
    return value if value.isascii() and value.isprintable() else None


def main_fact(device: Device) -> str | None:
    """The key of what a detector is for: by its type, else by what its state holds."""
    kind = device.type.removeprefix("ZHA").removeprefix("CLIP")
    known = _FACT_OF_TYPE.get(kind)
    if known is not None:
        return known
    return next((key for key in FACTS if key in device.state and key != TAMPER), None)


def is_on(device: Device, acts_as: str) -> tuple[bool, str] | None:
    """Whether a lock is unlocked or a light shines, with what is to be said to it; None: nobody knows.

    "undefined" and null of a lock are no news: a strike without a bolt sensor says so for ever.
    """
    on = device.state.get("on")
    if acts_as == "lock" and device.resource == "sensors":
        word = device.state.get("lockstate")
        return _LOCK_STATES.get(word) if isinstance(word, str) else None
    if acts_as == "lock":
        return (not on, "") if isinstance(on, bool) else None
    return (on, "") if isinstance(on, bool) else None


def state_text(device: Device) -> str:
    """How it is, for a person: `open=false, unreachable`."""
    words = []
    for key in _SHOWN:
        value = device.state.get(key)
        if value is None or (key == "alert" and value == "none"):
            continue
        words.append(f"{key}={str(value).lower() if isinstance(value, bool) else value}")
    if not device.reachable:
        words.append("unreachable")
    return ", ".join(words)


# ----- which device is an endpoint -----


def suits(device: Device, endpoint: DeconzEndpoint) -> bool:
    """Whether a device can be this endpoint."""
    sensor, state, kind = device.resource == "sensors", device.state, device.type
    match endpoint.acts_as:
        case "button":
            return sensor and ("buttonevent" in state or kind.endswith("Switch"))
        case "contact":
            return sensor and (TAMPER in state if endpoint.tamper else main_fact(device) is not None)
        case "lock" if sensor:
            return "lockstate" in state or kind.endswith("DoorLock")
        case "lock":
            return kind == "Door Lock"
        case "light":
            return not sensor and "on" in state and kind not in ("Door Lock", "Warning device")
        case "siren":
            return not sensor and kind != "Door Lock" and (kind == "Warning device" or "alert" in state)
    return False


def find_device(devices: Iterable[Device], endpoint: DeconzEndpoint) -> Device | str:
    """The device that is an endpoint, by its unique id, else by its name; a text says why there is none."""
    wanted = endpoint.device.strip()
    everything = tuple(devices)
    found = [device for device in everything if device.uniqueid and device.uniqueid == wanted.lower()]
    found = found or [device for device in everything if device.name == wanted]
    fitting = [device for device in found if suits(device, endpoint)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ids = ", ".join(device.identity for device in fitting[:4])
        return f"{len(fitting)} devices are called {wanted!r}: configure the unique id, one of {ids}"
    if found:
        kinds = ", ".join(sorted({device.type or device.resource for device in found}))
        return f"{wanted!r} is no {endpoint.acts_as} but {kinds}"
    return f"the gateway has no device {wanted!r}: see `portero deconz devices`"


# ----- what the house asks for -----


class Order(Struct, frozen=True, kw_only=True):
    """One PUT below the key."""

    path: str
    body: Json


def order_for(device: Device, acts_as: str, on: bool, duration_s: float | None = None) -> Order:
    """How a device is told; `on` unlocks, sounds or shines.

    A warning device takes `ontime` in whole seconds, which the gateway passes on to it; only another door
    of ours takes tenths, as Home Assistant means them. It bounds the noise should we be gone by then.
    """
    if acts_as == "lock" and device.resource == "sensors":
        return Order(path=f"{device.path}/config", body={"lock": not on})
    body: dict[str, Any] = {"on": not on if acts_as == "lock" else on}
    if acts_as == "siren":
        body = {"alert": "lselect" if on else "none"}
        if on and device.type == "Warning device" and duration_s is not None:
            scale = 10 if device.manufacturer == OURS else 1
            body["ontime"] = max(1, min(MAX_ONTIME, math.ceil(duration_s * scale)))
    return Order(path=f"{device.path}/state", body=body)


# ----- addresses -----


def websocket_url(url: str, config: Json, override: int | None = None) -> str:
    """Where the websocket is: at the REST host, on the port that the full config reports.

    0 or no port: that of REST, where gateways since version 2.32 serve both.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    port = override or _port(config.get("websocketport_wss" if secure else "websocketport"))
    port = port or parts.port or (443 if secure else 80)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{'wss' if secure else 'ws'}://{host}:{port}/"


def _port(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 5:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 65_536:
        return 0
    return value
