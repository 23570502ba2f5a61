"""What there is at Netatmo and BTicino: products, events and their numbers, readable facts, scopes, errors.

Tables alone, pure. Source: "Home + Security API Documentation" (dev.netatmo.com), whose tables these are, row
by row; where independent clients saw something else on the wire (pyatmo, openHAB, ioBroker, IP-Symcon), a
comment says so. What is not in a table is kept and shown as it came, never refused.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

# ----- products -----

Use = Literal["camera", "station", "button", "lock", "light", "siren", "detector", "tag"]


class Product(Struct, frozen=True, kw_only=True):
    """name: in English. uses: what it is good for at a door. gateway: it stands for itself and others."""

    name: str
    uses: tuple[Use, ...] = ()
    gateway: bool = False


# Source: the document's product table; BFII, BNEU, BNDL and BNSL are named by its other tables.
PRODUCTS: dict[str, Product] = {
    "NACamera": Product(name="Smart Indoor Camera", uses=("camera",), gateway=True),
    "NOC": Product(name="Smart Outdoor Camera", uses=("camera", "light", "siren"), gateway=True),
    "NPC": Product(name="Indoor Camera Advance", uses=("camera",), gateway=True),
    "NDB": Product(name="Smart Video Doorbell", uses=("camera", "button"), gateway=True),
    "NIS": Product(name="Smart Indoor Siren", uses=("siren",)),
    "NACamDoorTag": Product(name="Smart Door and Window Sensor", uses=("tag",)),
    "NSD": Product(name="Smart Smoke Alarm", uses=("detector",), gateway=True),
    "NCO": Product(name="Smart Carbon Monoxide Alarm", uses=("detector",), gateway=True),
    "BNCX": Product(name="Classe 300 EOS", uses=("station",), gateway=True),
    "BNC1": Product(name="Classe 100X or 300X", uses=("station",), gateway=True),
    "BDIY": Product(name="BTicino video door entry unit", uses=("station",), gateway=True),
    "BNHY": Product(name="BTicino video door entry unit", uses=("station",), gateway=True),
    "BNIP": Product(name="BTicino video door entry unit", uses=("station",), gateway=True),
    "BFII": Product(name="BTicino IP door entry", uses=("station",), gateway=True),
    "BNEU": Product(name="External unit", uses=("button",)),
    "BNDL": Product(name="Door lock", uses=("lock",)),
    "BNSL": Product(name="Staircase light", uses=("light", "lock")),
}

# Historical misspellings that were seen as types. Source: clients' fixtures.
MISSPELT: dict[str, str] = {"NBD": "NDB", "NADoorTag": "NACamDoorTag"}


def product_code(told: str) -> str:
    """The code that a told type means; unknown ones stay what they are."""
    return MISSPELT.get(told, told)


def product_name(code: str) -> str:
    """Its name in English, or its code."""
    product = PRODUCTS.get(code)
    return product.name if product is not None else code


# ----- events -----

CALLS: frozenset[str] = frozenset({"incoming_call", "accepted_call", "missed_call", "rtc"})


class EventType(Struct, frozen=True, kw_only=True):
    """meaning: in English. products: as the document lists them, corrected where the wire says otherwise."""

    meaning: str
    products: tuple[str, ...] = ()


_INDOOR = ("NACamera", "NPC")
_CAMERAS = ("NACamera", "NOC", "NPC", "NDB")
_POWERED = ("NACamera", "NOC", "NPC")
_TAGS = ("NACamera", "NACamDoorTag")
# The document says NSD in place of NDB, and shows `NDB-incoming_call` itself.
_STATIONS = ("NDB", "BNCX", "BFII")

# Source: "List of events"; below the gap, what the wire has besides.
EVENTS: dict[str, EventType] = {
    "person": EventType(meaning="a face was seen", products=_INDOOR),
    "person_away": EventType(meaning="a person has left the home", products=_INDOOR),
    "movement": EventType(meaning="motion was seen", products=_INDOOR),
    "new_module": EventType(meaning="a new module was paired", products=_INDOOR),
    "module_connect": EventType(meaning="a module is connected", products=_INDOOR),
    "module_disconnect": EventType(meaning="a module lost its connection", products=_INDOOR),
    "module_low_battery": EventType(meaning="a module's battery is low", products=_INDOOR),
    "module_end_update": EventType(meaning="a module's firmware update is over", products=_INDOOR),
    "connection": EventType(meaning="it is connected to its cloud", products=_CAMERAS),
    "disconnection": EventType(meaning="it lost the connection to its cloud", products=_CAMERAS),
    "on": EventType(meaning="monitoring was resumed", products=_CAMERAS),
    "off": EventType(meaning="monitoring was turned off", products=_CAMERAS),
    "boot": EventType(meaning="it is starting", products=("NACamera", "NOC")),
    "sd": EventType(meaning="the SD card's status changed", products=_POWERED),
    "alim": EventType(meaning="the power supply's status changed", products=_POWERED),
    "outdoor": EventType(meaning="a human, vehicle or animal was seen", products=("NOC",)),
    "cluster": EventType(meaning="a human or animal was seen", products=("NPC",)),
    "daily_summary": EventType(meaning="the summary of the last 24 hours is there", products=("NOC",)),
    "tag_big_move": EventType(meaning="a big move", products=_TAGS),
    "tag_small_move": EventType(meaning="a small move", products=_TAGS),
    "tag_uninstalled": EventType(meaning="the sensor was taken off", products=_TAGS),
    "tag_open": EventType(meaning="a door or window was left open", products=("NACamDoorTag",)),
    "hush": EventType(meaning="smoke detection was activated or hushed", products=("NSD",)),
    "smoke": EventType(meaning="smoke was detected or cleared", products=("NSD",)),
    "tampered": EventType(meaning="the detector is ready or tampered with", products=("NSD",)),
    "wifi_status": EventType(meaning="its Wi-Fi status changed", products=("NSD",)),
    "battery_status": EventType(meaning="its battery is too low", products=("NSD",)),
    "detection_chamber_status": EventType(
        meaning="the detection chamber is dusty or clean", products=("NSD",)
    ),
    "sound_test": EventType(meaning="the result of a sound test", products=("NSD",)),
    "siren_sounding": EventType(meaning="the siren starts or stops", products=("NIS", "NOC")),
    "siren_tampered": EventType(meaning="the siren is tampered with", products=("NIS",)),
    "incoming_call": EventType(meaning="somebody rings", products=_STATIONS),
    "accepted_call": EventType(meaning="the call was answered", products=_STATIONS),
    "missed_call": EventType(meaning="nobody answered the call", products=_STATIONS),
    "co_detected": EventType(meaning="carbon monoxide", products=("NCO",)),

    "human": EventType(meaning="a human was seen", products=("NOC", "NPC")),
    "animal": EventType(meaning="an animal was seen", products=("NOC", "NPC")),
    "vehicle": EventType(meaning="a vehicle was seen", products=("NOC",)),
    "person_home": EventType(meaning="a person has come home", products=_INDOOR),
    "light_mode": EventType(meaning="the floodlight's mode changed", products=("NOC",)),
    "alarm_started": EventType(meaning="an alarm was heard", products=("NACamera",)),
    "new_device": EventType(meaning="a new device was added"),
    "ftp": EventType(meaning="a recording was copied away"),
    "end_recording": EventType(meaning="a recording has ended"),
    "rtc": EventType(meaning="signalling of a call", products=("BNCX", "NDB", "NPC")),
    "device_event": EventType(meaning="a device told its state"),
    "topology_changed": EventType(meaning="devices were added, removed or renamed"),
    "display_change": EventType(meaning="a display changed"),
    "webhook_activation": EventType(meaning="the webhook works"),
    "webhook_deactivation": EventType(meaning="the webhook was taken away"),
}  # fmt: skip

_TAMPERED: dict[int | str, str] = {0: "ready", 1: "tampered with"}
SD_STATUS: dict[int, str] = {
    1: "missing", 2: "inserted", 3: "formatted", 4: "working", 5: "defective", 6: "too slow", 7: "full",
}  # fmt: skip
ALIM_STATUS: dict[int, str] = {1: "incorrect power adapter", 2: "correct power adapter"}

# Source: "Events subtypes". sd, sound_test and hush are not in the document: as seen on the wire. The
# document's example of `hush` is headed "hushed" and says in its text "activated", with 0.
SUB_TYPES: dict[str, dict[int | str, str]] = {
    "siren_sounding": {0: "stopped", 1: "sounding"},
    "siren_tampered": _TAMPERED,
    "detection_chamber_status": {0: "clean", 1: "dusty"},
    "battery_status": {0: "low", 1: "very low"},
    "smoke": {0: "cleared", 1: "detected"},
    "alim": dict(ALIM_STATUS.items()),
    "tampered": _TAMPERED,
    "wifi_status": {0: "error", 1: "ok"},
    "co_detected": {0: "ok", 1: "pre-alarm", 2: "alarm"},
    "sd": dict(SD_STATUS.items()),
    "sound_test": {0: "ok", 1: "error"},
    "hush": {0: "detection active", 1: "detection hushed"},
    "light_mode": {"on": "on", "off": "off", "auto": "automatic"},
}
RTC: dict[str, str] = {
    "offer": "ringing",
    "rescind": "answered elsewhere or withdrawn",
    "terminate": "the call is over",
}


def meaning_of(kind: str, sub_type: int | str = "", call: str = "") -> str:
    """What an event says, in English; empty for an unknown one. call: `data.type` of signalling."""
    told = EVENTS.get(kind)
    if told is None:
        return ""
    if kind == "rtc" and call:
        return RTC.get(call, told.meaning)
    if sub_type == "":
        return told.meaning
    return SUB_TYPES.get(kind, {}).get(sub_type, told.meaning)


# ----- what can be read of a module -----


class Fact(Struct, frozen=True, kw_only=True):
    """A row of the document's tables. fields: of the JSON. topology: in homesdata, else in homestatus."""

    row: str
    fields: tuple[str, ...]
    products: tuple[str, ...] = ()
    topology: bool = False


_VIDEO = ("NACamera", "NOC", "NDB", "NPC")
# Source: "Get configuration", "Diagnose", "Informative data". No products: all.
FACTS: tuple[Fact, ...] = (
    Fact(row="Software version", fields=("firmware_revision", "firmware_name")),
    Fact(row="VPN URL", fields=("vpn_url",), products=_VIDEO),
    Fact(row="Local mode", fields=("is_local",), products=("NACamera", "NOC", "NDB")),
    Fact(row="Monitoring status", fields=("monitoring",), products=("NACamera", "NIS", "NOC", "NPC")),
    Fact(row="Floodlight status", fields=("floodlight",), products=("NOC",)),
    Fact(row="Floodlight mode", fields=("floodlight",), products=("NOC",)),
    Fact(row="Window/DoorTag category", fields=("category",), products=("NACamDoorTag",), topology=True),
    Fact(row="Last setup date", fields=("setup_date",), topology=True),
    Fact(row="Last seen date", fields=("last_seen",),
         products=("NIS", "NACamDoorTag", "NCO", "NSD", "BNCX", "BFII")),
    Fact(row="Last activity date", fields=("last_activity",), products=("NACamDoorTag",)),
    Fact(row="Wifi status", fields=("wifi_strength", "wifi_state"),
         products=("NACamera", "NOC", "NPC", "NCO", "NSD", "NDB", "BNCX", "BFII")),
    Fact(row="Radio status", fields=("rf_strength", "rf_state"), products=("NIS", "NACamDoorTag")),
    Fact(row="Device reachability", fields=("reachable",),
         products=("NIS", "NACamDoorTag", "BNCX", "BNEU", "BNDL", "BNSL", "BFII")),
    Fact(row="SD Card Status", fields=("sd_status",), products=_VIDEO),
    Fact(row="Alimentation status", fields=("alim_status",), products=_VIDEO),
    Fact(row="Battery level", fields=("battery_level", "battery_state", "battery_percent"),
         products=("NIS", "NACamDoorTag")),
    Fact(row="Siren status", fields=("status", "siren_status"), products=("NIS", "NOC")),
    Fact(row="Door/Window status", fields=("status",), products=("NACamDoorTag",)),
    Fact(row="Offload status", fields=("offload",), products=("BNCX", "BFII")),
)  # fmt: skip

# Fields that pushes of changed states name otherwise. Source: `device_event` bodies of ioBroker.netatmo.
PUSHED_AS: dict[str, str] = {
    "wifi_status": "wifi_strength",
    "rf_status": "rf_strength",
    "firmware": "firmware_revision",
}
BATTERY_PERCENT: dict[str, int] = {
    "max": 100, "full": 90, "high": 75, "medium": 50, "low": 25, "very_low": 10,
}  # fmt: skip


def wifi_word(strength: int) -> str:
    """Of an attenuation: smaller is better. Source: 86 is bad, 71 average, 56 good."""
    return "good" if strength <= 56 else "average" if strength <= 71 else "bad"


def radio_word(strength: int) -> str:
    """Of an attenuation. Source: 90 is low, 80 medium, 70 high, 60 full."""
    return "full" if strength <= 60 else "high" if strength <= 70 else "medium" if strength <= 80 else "low"


# ----- rights -----

# Source: the document's "Video data", and clients of BTicino for the `mx` pair. (read, write, access)
SCOPES: dict[str, tuple[str, ...]] = {
    "NACamera": ("read_camera", "write_camera", "access_camera"),
    "NIS": ("read_camera", "write_camera"),
    "NACamDoorTag": ("read_camera",),
    "NOC": ("read_presence", "write_presence", "access_presence"),
    "NPC": ("read_camerapro", "write_camerapro", "access_camerapro"),
    "NDB": ("read_doorbell", "access_doorbell"),
    "NSD": ("read_smokedetector",),
    "NCO": ("read_carbonmonoxidedetector",),
    "BNCX": ("read_mx", "write_mx"),
    "BNC1": ("read_mx", "write_mx"),
    "BNEU": ("read_mx",),
    "BNDL": ("read_mx", "write_mx"),
    "BNSL": ("read_mx", "write_mx"),
    "BFII": ("read_bfi", "write_bfi"),
}

# ----- errors -----

Remedy = Literal["consent", "refresh", "stop", "done", "topology", "bug", "wait", "pause", "scope", "retry"]


class ErrorCode(Struct, frozen=True, kw_only=True):
    """remedy: what a client does about it."""

    meaning: str
    remedy: Remedy


# Source: the API's error page and clients' logs.
ERRORS: dict[int, ErrorCode] = {
    -2: ErrorCode(meaning="unknown OAuth error", remedy="consent"),
    -1: ErrorCode(meaning="invalid grant", remedy="consent"),
    1: ErrorCode(meaning="access token missing", remedy="bug"),
    2: ErrorCode(meaning="access token invalid", remedy="refresh"),
    3: ErrorCode(meaning="access token expired", remedy="refresh"),
    5: ErrorCode(meaning="application deactivated", remedy="stop"),
    7: ErrorCode(meaning="nothing to modify", remedy="done"),
    9: ErrorCode(meaning="device not found", remedy="topology"),
    10: ErrorCode(meaning="argument missing", remedy="bug"),
    11: ErrorCode(meaning="another call for this home is under way", remedy="wait"),
    13: ErrorCode(meaning="operation forbidden for this scope", remedy="scope"),
    19: ErrorCode(meaning="address not permitted", remedy="stop"),
    21: ErrorCode(meaning="invalid argument", remedy="bug"),
    22: ErrorCode(meaning="application not found", remedy="stop"),
    23: ErrorCode(meaning="already in that state", remedy="done"),
    25: ErrorCode(meaning="invalid date", remedy="bug"),
    26: ErrorCode(meaning="usage limit reached", remedy="pause"),
    30: ErrorCode(meaning="invalid refresh token", remedy="consent"),
    31: ErrorCode(meaning="method not found", remedy="bug"),
    35: ErrorCode(meaning="unable to execute", remedy="retry"),
    36: ErrorCode(meaning="prohibited string", remedy="bug"),
    37: ErrorCode(meaning="no space left on the camera", remedy="bug"),
    40: ErrorCode(meaning="the body is no valid JSON", remedy="bug"),
    41: ErrorCode(meaning="device unreachable", remedy="retry"),
}
# Of single modules, in `body.errors` of homestatus.
MODULE_ERRORS: dict[int, str] = {
    1: "unknown error", 2: "internal error", 3: "parser error", 4: "unknown command",
    5: "invalid parameters", 6: "unreachable",
}  # fmt: skip
UNREACHABLE = 6
WEBHOOK_LIMIT = "WH009"
WEBHOOK_PORTS: frozenset[int] = frozenset({80, 88, 443, 9443})
