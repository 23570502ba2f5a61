"""What the gateway says of itself: the short configuration for everybody, the long one for who has a key."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from agent.runtime import KeyInfo
from agent.workers.deconz.translate import second
from agent.workers.deconz.wire import Json

API_VERSION = "1.16.0"
LIKE_VERSION = "2.33.2"  # of the gateways whose ways these are; clients compare it
# From a closed list that clients know; it names the radio of a gateway, and the door has none.
DEVICE_NAME = "ConBee II"
KEY_PREFIX = "pk_"
ZONE_FILE = Path("/etc/localtime")
_ZONES = "zoneinfo/"


class Identity(Struct, frozen=True, kw_only=True):
    """Who the gateway is. mac: with colons."""

    bridge_id: str
    mac: str
    uuid: str
    name: str


class Now(Struct, frozen=True, kw_only=True):
    """What of the configuration changes. address: under which the client reached us."""

    address: str
    ws_port: int
    notify_all: bool
    link_open: bool
    whitelist: Mapping[str, Json]


def basic_config(identity: Identity) -> Json:
    """What anybody may know."""
    return {
        "apiversion": API_VERSION,
        "bridgeid": identity.bridge_id,
        "datastoreversion": "93",
        "devicename": DEVICE_NAME,
        "factorynew": False,
        "mac": identity.mac,
        "modelid": "deCONZ",
        "name": identity.name,
        "replacesbridgeid": None,
        "starterkitid": "",
        "swversion": LIKE_VERSION,
    }


def full_config(identity: Identity, now: Now, at_ns: int) -> Json:
    """What who has a key may know. Values of closed lists are such that clients have in theirs."""
    return basic_config(identity) | {
        "UTC": second(at_ns),
        "dhcp": True,
        "fwversion": "0x00000000",
        "gateway": "",
        "ipaddress": now.address,
        "lightlastseeninterval": 60,
        "linkbutton": now.link_open,
        "localtime": time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(at_ns / 1e9)),
        "netmask": "",
        "networkopenduration": 60,
        "ntp": "synced",
        "panid": 0,
        "portalservices": False,
        "proxyaddress": "none",
        "proxyport": 0,
        "rfconnected": True,
        "swupdate": {"notify": False, "text": "", "updatestate": 0, "url": ""},
        "swupdate2": {
            "autoinstall": {"on": False, "updatetime": ""},
            "bridge": {"lastinstall": "", "state": "noupdates"},
            "checkforupdate": False,
            "lastchange": "",
            "state": "noupdates",
        },
        "timeformat": "24h",
        "timezone": time_zone(),
        "uuid": identity.uuid,
        "websocketnotifyall": now.notify_all,
        "websocketport": now.ws_port,
        "whitelist": dict(now.whitelist),
        "zigbeechannel": 15,
    }


def whitelist(keys: Sequence[KeyInfo], own_key: str) -> dict[str, Json]:
    """The keys of an account: the asker's own as it knows it, of others only their beginning."""
    own_id = key_id(own_key)
    found: dict[str, Json] = {}
    for info in keys:
        used_ns = info.created_ns if info.last_used_ns is None else info.last_used_ns
        found[own_key if info.id == own_id else KEY_PREFIX + info.id] = {
            "create date": second(info.created_ns),
            "last use date": second(used_ns),
            "name": info.name,
        }
    return found


def key_id(key: str) -> str:
    """The id in a key, or in the beginning of one that a whitelist shows."""
    return key.removeprefix(KEY_PREFIX).partition("_")[0]


def time_zone() -> str:
    """This machine's, as `Europe/Lisbon`; UTC where it does not say."""
    _, found, name = str(ZONE_FILE.resolve()).partition(_ZONES)
    return name if found else "Etc/UTC"
