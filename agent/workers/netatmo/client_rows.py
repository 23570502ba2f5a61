"""What `portero netatmo status` shows of a module: every row of the vendor's tables, nothing secret. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from agent.workers.netatmo.catalogue import (
    ALIM_STATUS,
    BATTERY_PERCENT,
    SD_STATUS,
    meaning_of,
    product_name,
    radio_word,
    wifi_word,
)
from agent.workers.netatmo.client_state import Mirror, Module
from agent.workers.netatmo.loose import Scalar
from agent.workers.netatmo.wire import StoredEvent

Row = dict[str, object]


def module_row(module: Module) -> Row:
    """A module for a person; what nobody knows is None or, of a text, empty."""
    values = module.values
    product = product_name(module.type)
    return {
        "id": module.id,
        "type": module.type,
        "product": product,
        "name": module.name,
        "room": module.room,
        "bridge": module.bridge,
        "variant": module.variant,
        "software": str(values.get("firmware_name") or values.get("firmware_revision") or ""),
        "firmware_revision": values.get("firmware_revision"),
        "vpn": bool(values.get("vpn_url")),
        "vpn_host": vpn_host(values),
        "is_local": values.get("is_local"),
        "monitoring": values.get("monitoring"),
        "floodlight": values.get("floodlight"),
        "category": module.category or str(values.get("category", "")),
        "setup_date": module.setup_date or None,
        "last_seen": values.get("last_seen"),
        "last_activity": values.get("last_activity"),
        "wifi_strength": values.get("wifi_strength"),
        "wifi": _word(values, "wifi_state", "wifi_strength"),
        "rf_strength": values.get("rf_strength"),
        "radio": _word(values, "rf_state", "rf_strength"),
        "reachable": module.reachable,
        "sd_status": values.get("sd_status"),
        "sd": SD_STATUS.get(_whole(values.get("sd_status")), ""),
        "alim_status": values.get("alim_status"),
        "alim": ALIM_STATUS.get(_whole(values.get("alim_status")), ""),
        "battery_level_mv": values.get("battery_level"),
        "battery": values.get("battery_state"),
        "battery_percent": _percent(values),
        "siren": siren_word(module),
        "door": values.get("status") if module.type == "NACamDoorTag" else None,
        "offload": values.get("offload"),
        "uptime_s": values.get("uptime"),
        "local_ipv4": values.get("local_ipv4"),
        "max_peers_reached": values.get("max_peers_reached"),
        "last_user_interaction": values.get("last_user_interaction"),
    }


def module_rows(mirror: Mirror) -> list[Row]:
    """All modules, gateways with theirs in order."""
    return [module_row(module) for module in sorted(mirror, key=lambda one: (one.bridge or one.id, one.id))]


def person_rows(mirror: Mirror) -> list[Row]:
    """Whom the cameras know; an unnamed face has no name."""
    return [
        {"id": person.id, "name": person.name, "last_seen": person.last_seen or None, "away": person.away}
        for person in mirror.persons
    ]


def event_row(event: StoredEvent, mirror: Mirror) -> Row:
    """A stored event for a person, with its parts; pictures only as there or not."""
    module = mirror.get(event.module_id)
    return {
        "id": event.id,
        "type": event.type,
        "meaning": meaning_of(event.type, event.sub_type),
        "time": event.time or None,
        "module": module.label if module is not None else event.module_id,
        "sub_type": event.sub_type,
        "person": mirror.names().get(event.person_id, event.person_id),
        "session_id": event.session_id,
        "message": event.message,
        "video_id": event.video_id,
        "video_status": event.video_status,
        "picture": bool(event.snapshot.url or event.snapshot.file),
        "parts": [event_row(part, mirror) for part in event.subevents],
    }


def vpn_host(values: dict[str, Scalar]) -> str:
    """The host alone of a camera's address: its path is as good as a key."""
    try:
        return urlsplit(str(values.get("vpn_url", ""))).hostname or ""
    except ValueError:
        return ""


def siren_word(module: Module) -> Scalar | None:
    """What its siren does."""
    return module.values.get("status") if module.type == "NIS" else module.values.get("siren_status")


def _whole(value: Scalar | None) -> int:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else -1


def _word(values: dict[str, Scalar], state: str, strength: str) -> str:
    told = values.get(state)
    if isinstance(told, str) and told:
        return told
    number = values.get(strength)
    if isinstance(number, bool) or not isinstance(number, int | float):
        return ""
    return wifi_word(int(number)) if strength == "wifi_strength" else radio_word(int(number))


def _percent(values: dict[str, Scalar]) -> Scalar | None:
    told = values.get("battery_percent")
    return told if told is not None else BATTERY_PERCENT.get(str(values.get("battery_state", "")))
