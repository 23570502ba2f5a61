"""From the door's states and events to what a gateway says of them. No state, no clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from agent.model.actions import AlarmMode
from agent.model.events import (
    AlarmState,
    AnyEvent,
    ButtonHeld,
    ButtonPressed,
    ButtonReleased,
    ContactChanged,
    DoorChanged,
    HardwareFailed,
    HardwareRecovered,
    LightChanged,
    LockChanged,
    SirenChanged,
)
from agent.runtime import EndpointInfo, EndpointState
from agent.workers.deconz.wire import Json

Kind = Literal[
    "button", "siren", "light", "lock", "old_lock", "door", "smoke", "co", "motion", "tamper", "generic",
    "keypad", "daylight",
]  # fmt: skip

NEVER = "none"
PRESS, HOLD, SHORT_RELEASE, LONG_RELEASE = 1000, 1001, 1002, 1003
_NS_PER_S = 1_000_000_000


class Form(Struct, frozen=True, kw_only=True):
    """What a kind of thing is among a gateway's resources. cluster: of sensors. ep: within its device."""

    r: Literal["lights", "sensors"]
    type: str
    model: str
    cluster: str = ""
    ep: int = 1


FORMS: dict[Kind, Form] = {
    "button": Form(r="sensors", type="ZHASwitch", model="portero-button", cluster="0006"),
    "siren": Form(r="lights", type="Warning device", model="portero-siren"),
    "light": Form(r="lights", type="On/Off light", model="portero-light"),
    "lock": Form(r="sensors", type="ZHADoorLock", model="portero-lock", cluster="0101"),
    "old_lock": Form(r="lights", type="Door Lock", model="portero-lock"),
    "door": Form(r="sensors", type="ZHAOpenClose", model="portero-lock", cluster="0500", ep=2),
    "smoke": Form(r="sensors", type="ZHAFire", model="portero-smoke", cluster="0500"),
    "co": Form(r="sensors", type="ZHACarbonMonoxide", model="portero-co", cluster="0500"),
    "motion": Form(r="sensors", type="ZHAPresence", model="portero-motion", cluster="0406"),
    "tamper": Form(r="sensors", type="ZHAAlarm", model="portero-tamper", cluster="0500"),
    "generic": Form(r="sensors", type="ZHAOpenClose", model="portero-contact", cluster="0500"),
    "keypad": Form(r="sensors", type="ZHAAncillaryControl", model="portero-alarm", cluster="0501"),
    "daylight": Form(r="sensors", type="Daylight", model="PHDL00"),
}


def kinds_of(info: EndpointInfo, lock_as: Literal["sensor", "light"]) -> tuple[Kind, ...]:
    """The resources that an endpoint is; none for what no client knows."""
    match info.kind:
        case "lock":
            lock: Kind = "lock" if lock_as == "sensor" else "old_lock"
            return (lock, "door") if info.has_door_contact else (lock,)
        case "contact":
            return (info.role if info.role in ("smoke", "co", "motion", "tamper") else "generic",)  # type: ignore[return-value]
        case "button" | "siren" | "light":
            return (info.kind,)
        case _:
            return ()


# ----- states -----


class Shown(Struct, frozen=True, kw_only=True):
    """The changing part of a resource; `lastupdated` and buttons are not in it."""

    config: Json
    state: Json


def after(event: AnyEvent, was: EndpointState) -> EndpointState:
    """How the endpoint of an event is now; as it was, when the event says nothing of that."""
    match event:
        case LockChanged(state=state):
            return replace(was, state=state)
        case SirenChanged(on=on) | LightChanged(on=on):
            return replace(was, state="on" if on else "off")
        case ContactChanged(active=active):
            return replace(was, state="active" if active else "calm")
        case DoorChanged(state=door):
            return replace(was, door=door)
        case HardwareFailed(reason=reason):
            return replace(was, problem=reason or "failed")
        case HardwareRecovered():
            return replace(was, problem="")
        case _:
            return was


def shown(kind: Kind, now: EndpointState) -> Shown:
    """What clients are shown of an endpoint that is so."""
    reachable = not (now.door_problem if kind == "door" else now.problem)
    match kind:
        case "siren":
            # Gateways leave `alert` at "none" while it screams; clients take "lselect" for sounding.
            state: Json = {"alert": "lselect" if now.state == "on" else "none", "reachable": reachable}
            return Shown(config={"groups": []}, state=state)
        case "light":
            return Shown(config={}, state={"alert": "none", "on": now.state == "on", "reachable": reachable})
        case "old_lock":
            # Inverted, as gateways have it: on is locked.
            on = lock_state(now) == "locked"
            return Shown(config={}, state={"alert": "none", "on": on, "reachable": reachable})
        case "lock":
            return Shown(
                config={"lock": now.state == "locked", "on": True, "reachable": reachable},
                state={"lockstate": lock_state(now)},
            )
        case "door":
            state = {"open": now.door not in ("", "closed"), "tampered": now.door == "forced"}
        case _:
            state = _contact(kind, now.state == "active")
    return Shown(config={"on": True, "reachable": reachable}, state=state)


def lock_state(now: EndpointState) -> str:
    """locked, unlocked, not fully locked or undefined.

    A strike has no sensor for its bolt. With a door contact it is locked when the leaf is closed and the
    relay is at rest. Without one we say what the door says everywhere: locked, while nothing holds it open.
    "undefined" would be more modest, but Home Assistant takes all but "locked" for unlocked: it would show an
    open lock for ever, and offer to lock it where people want to open it.
    """
    if now.state == "unlocked":
        return "unlocked"
    if now.door_problem:
        return "undefined"
    return "locked" if now.door in ("", "closed") else "not fully locked"


def _contact(kind: Kind, active: bool) -> Json:
    match kind:
        case "smoke":
            return {"fire": active, "test": False}
        case "co":
            return {"carbonmonoxide": active}
        case "motion":
            return {"presence": active}
        case "tamper":
            return {"alarm": active, "tampered": active}
        case "generic":
            return {"open": active, "tampered": False}
        case _:
            return {}


# ----- buttons -----


def button_codes(event: AnyEvent, held: bool) -> tuple[int, ...]:
    """What a button event is as `buttonevent`. held: the press had become a long one."""
    match event:
        case ButtonPressed(by=by):
            # Nobody lets go of a button that no finger pressed.
            return (PRESS, SHORT_RELEASE) if by else (PRESS,)
        case ButtonHeld():
            return (HOLD,)
        case ButtonReleased():
            return (LONG_RELEASE if held else SHORT_RELEASE,)
        case _:
            return ()


# ----- the alarm system -----


def arm_mode(mode: AlarmMode) -> str:
    """What the alarm system is to be."""
    return "disarmed" if mode == "disarmed" else f"armed_{mode}"


def arm_state(state: AlarmState, mode: AlarmMode) -> str:
    """What it is."""
    match state:
        case "arming":
            return f"arming_{mode}"
        case "armed":
            return arm_mode(mode)
        case _:
            return state


TRIGGERS: dict[Kind, str] = {
    "door": "state/open",
    "generic": "state/open",
    "motion": "state/presence",
    "tamper": "state/alarm",
}


def arm_mask(modes: tuple[AlarmMode, ...]) -> str:
    """The modes in which a sensor sets it off, as letters."""
    letters = {"away": "A", "night": "N", "stay": "S"}
    return "".join(letter for mode, letter in letters.items() if mode in modes) or "none"


# ----- times -----


def last_updated(at_ns: int) -> str:
    """`lastupdated`: UTC without a Z, with milliseconds."""
    return f"{second(at_ns)}.{at_ns // 1_000_000 % 1000:03d}"


def last_seen(at_ns: int) -> str:
    """`lastseen`: UTC, to the minute, with a Z."""
    return f"{second(at_ns)[:16]}Z"


def second(at_ns: int) -> str:
    """UTC without a Z, to the second."""
    at_s = min(max(at_ns // _NS_PER_S, 0), 253_402_300_799)
    return datetime.fromtimestamp(at_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S")


def words(state: dict[str, Any], config: dict[str, Any]) -> str:
    """A state for a person: `open=false, unreachable`."""
    told = []
    for key, value in state.items():
        if key in ("lastupdated", "reachable", "test") or value is None or (key, value) == ("alert", "none"):
            continue
        told.append(f"{key}={str(value).lower() if isinstance(value, bool) else value}")
    if not state.get("reachable", config.get("reachable", True)):
        told.append("unreachable")
    return ", ".join(told)
