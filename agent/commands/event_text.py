"""One event as one line for people; takes the plain form, so that an event of a newer version shows too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Plain = dict[str, Any]


def type_of(event: Plain) -> str:
    """The event's type without its version: `lock_changed` of `lock_changed/1`."""
    return str(event.get("type", "")).partition("/")[0]


def endpoint_of(event: Plain) -> str:
    """The endpoint an event is about, also of the action in it; empty when it is about none."""
    action = event.get("action")
    if isinstance(action, dict):
        return str(action.get("endpoint", ""))
    return str(event.get("endpoint") or "")


def sentence(event: Plain) -> str:
    """What happened, without the endpoint's name."""
    kind = type_of(event)
    maker = _SENTENCES.get(kind)
    if maker is not None:
        try:
            return maker(event)
        except (KeyError, TypeError, ValueError):
            pass
    others = ", ".join(
        f"{key}={value}" for key, value in event.items() if key not in ("type", "endpoint") and value
    )
    return f"{kind.replace('_', ' ')} {others}".strip()


def _by(event: Plain) -> str:
    return f" by {event['by']}" if event.get("by") else ""


def _why(event: Plain) -> str:
    return f" ({event['reason']})" if event.get("reason") else ""


def _because(event: Plain) -> str:
    """The reason where brackets stand already."""
    return f": {event['reason']}" if event.get("reason") else ""


def _for(event: Plain, key: str) -> str:
    return f" for {event[key]:g} s" if event.get(key) else ""


def _on_off(event: Plain) -> str:
    return ("on" if event["on"] else "off") + _for(event, "duration_s") + _by(event) + _why(event)


def _asked(event: Plain) -> str:
    action, who = event["action"], event["principal"]
    return f"{action['do'].replace('_', ' ')} asked by {who['name']} ({who['role']}, {who['via']})"


def _worker(event: Plain) -> str:
    return f"protocol {event['worker']} {event['state']}{_why(event)}"


def _recovered(event: Plain) -> str:
    lost = f", entries {event['lost_first']} to {event['lost_last']} are lost" if event["lost_last"] else ""
    return f"journal stores again{lost}"


def _alarm(event: Plain) -> str:
    words = {"arming": "arming", "armed": "armed", "entry_delay": "entry delay", "in_alarm": "IN ALARM"}
    if event["state"] == "disarmed":
        return f"alarm system disarmed{_by(event)}"
    state = words[event["state"]]
    return f"alarm system {state} ({event['mode']}){_for(event, 'seconds')}{_by(event)}"


def _device(event: Plain) -> str:
    value = event["value"]
    if isinstance(value, bool):
        value = "yes" if value else "no"
    return f"{event['device']} of {event['source']}: {event['fact']} {value}"


def _cloud(event: Plain) -> str:
    where = event["module"] or event["device"] or event["unique_id"] or event["product"]
    what = event["meaning"] or (f"{event['kind']} {event['sub_type']}".strip() if event["kind"] else "")
    persons = f" ({', '.join(event['persons'])})" if event.get("persons") else ""
    return f"{where} of {event['source']}: {what}{persons}"


def _holder(event: Plain) -> str:
    """Whose key it is; every reader is named, because `endpoint` stands for the door."""
    who = f" of {event['holder']}" if event.get("holder") else ""
    key_id = f" (key {event['key_id']})" if event.get("key_id") else ""
    return f"{who}{key_id} at {event['reader']}"


def _keys(event: Plain) -> str:
    numbers = ", ".join(
        f"{event[what]} {what}" for what in ("added", "changed", "removed") if event.get(what)
    )
    file = f" ({event['file']})" if event.get("file") else ""
    return f"keys from {event['source']}{file}: {numbers or 'no change'}{_by(event)}"


_SENTENCES: dict[str, Callable[[Plain], str]] = {
    "button_pressed": lambda event: f"pressed{_by(event)}",
    "button_held": lambda event: f"held for {event['held_ms']} ms",
    "button_released": lambda event: f"released after {event['held_ms']} ms",
    "call_changed": lambda event: f"call {event['call_id']} {event['state']}{_by(event)}{_why(event)}",
    "talk_started": lambda event: (
        f"{event['by']} speaks" + (f" via {event['via']}" if event.get("via") else "")
    ),
    "talk_ended": lambda event: f"{event['by']} spoke for {event['duration_s']:.1f} s{_why(event)}",
    "microphone_changed": lambda event: (
        f"microphone {'ON' if event['on'] else 'off'} ({event['reason']}"
        + (f", call {event['call_id']})" if event.get("call_id") else ")")
    ),
    "message_recorded": lambda event: (
        f"message of {event['duration_s']:.0f} s recorded: {event['file']} (call {event['call_id']})"
    ),
    "lock_changed": lambda event: f"{event['state']}{_for(event, 'hold_s')}{_by(event)}{_why(event)}",
    "door_changed": lambda event: f"door {event['state'].replace('_', ' ')}",
    "siren_changed": lambda event: f"siren {_on_off(event)}",
    "light_changed": lambda event: f"light {_on_off(event)}",
    "contact_changed": lambda event: f"{event['role']} contact {'ACTIVE' if event['active'] else 'calm'}",
    "notify_changed": lambda event: f"notifications: {event['mode']}{_by(event)}",
    "camera_alarm": lambda event: (
        f"camera {event['monitor']} of {event['source']}: "
        f"{'end of ' if event['ended'] else ''}{event['cause']}"
    ),
    "device_changed": _device,
    "cloud_reported": _cloud,
    "alarm_changed": _alarm,
    "action_accepted": lambda event: f"accepted: {_asked(event)}",
    "action_refused": lambda event: f"REFUSED: {_asked(event)}{_because(event)}",
    "action_failed": lambda event: f"FAILED: {_asked(event)}{_because(event)}",
    "access_denied": lambda event: (
        f"DENIED: {event['account'] or 'nobody'} from {event['peer']} via {event['worker']}{_why(event)}"
        + (f", {event['count']} times" if event["count"] > 1 else "")
    ),
    "account_changed": lambda event: (
        f"account {event['account']}: {event['change'].replace('_', ' ')}{_by(event)}"
    ),
    "key_used": lambda event: f"opened with a {event['method']}{_holder(event)}",
    "key_refused": lambda event: (
        f"REFUSED: {event['method']}{_holder(event)}{_because(event)}"
        + (f", {event['count']} times" if event["count"] > 1 else "")
    ),
    "duress_signalled": lambda event: f"DURESS: opened under threat{_holder(event)}",
    "keys_changed": _keys,
    "hardware_failed": lambda event: f"HARDWARE FAILED: {event['reason']}",
    "hardware_recovered": lambda event: "hardware works again",
    "journal_failed": lambda event: (
        f"JOURNAL FAILED: {event['reason']}"
        + (f", moved to {event['moved_to']}" if event.get("moved_to") else "")
    ),
    "journal_recovered": _recovered,
    "worker_changed": _worker,
    "worker_failed": lambda event: (
        f"protocol {event['worker']} FAILED: {event['reason']}{', parked' if event['parked'] else ''}"
    ),
    "agent_started": lambda event: (
        f"started: portero {event['version']}, start number {event['boot_number']}"
        + (", simulated" if event.get("simulated") else "")
    ),
    "agent_stopping": lambda event: f"stopping{_why(event)}",
}
