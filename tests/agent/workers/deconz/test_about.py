from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.workers.deconz import about
from agent.workers.deconz.about import Identity, Now, basic_config, full_config, key_id, time_zone, whitelist

IDENTITY = Identity(bridge_id="A2B8BBFFFF07BF8F", mac="a2:b8:bb:07:bf:8f", uuid="u", name="Front door")
AT_NS = 1_767_225_600_000_000_000


class Key(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    created_ns: int
    last_used_ns: int | None = None


def full() -> dict[str, object]:
    now = Now(address="192.168.1.9", ws_port=8081, notify_all=True, link_open=False, whitelist={})
    return full_config(IDENTITY, now, AT_NS)


def test_everybody_is_told_the_short_form() -> None:
    assert set(basic_config(IDENTITY)) == {
        "apiversion", "bridgeid", "datastoreversion", "devicename", "factorynew", "mac", "modelid", "name",
        "replacesbridgeid", "starterkitid", "swversion",
    }  # fmt: skip
    assert basic_config(IDENTITY)["modelid"] == "deCONZ"


def test_the_long_form_has_all_that_clients_read() -> None:
    config = full()
    assert set(config) > set(basic_config(IDENTITY))
    assert {
        "UTC", "localtime", "timezone", "timeformat", "dhcp", "gateway", "ipaddress", "netmask", "fwversion",
        "linkbutton", "networkopenduration", "ntp", "panid", "portalservices", "proxyaddress", "proxyport",
        "rfconnected", "swupdate", "swupdate2", "uuid", "websocketnotifyall", "websocketport", "whitelist",
        "zigbeechannel", "lightlastseeninterval",
    } <= set(config)  # fmt: skip
    assert config["UTC"] == "2026-01-01T00:00:00"
    assert isinstance(config["websocketport"], int)


def test_values_of_closed_lists_are_in_the_lists_of_clients() -> None:
    config = full()
    assert config["zigbeechannel"] in (11, 15, 20, 25)
    assert config["timeformat"] in ("12h", "24h")
    assert config["ntp"] in ("synced", "unsynced")
    assert config["devicename"] in ("ConBee", "RaspBee", "ConBee II", "RaspBee II")


def test_a_whitelist_holds_no_key_but_the_askers() -> None:
    keys = [
        Key(id="abcd", name="HA", created_ns=AT_NS),
        Key(id="efgh", name="app", created_ns=AT_NS, last_used_ns=0),
    ]
    found = whitelist(keys, "pk_abcd_secret")
    assert found == {
        "pk_abcd_secret": {
            "create date": "2026-01-01T00:00:00",
            "last use date": "2026-01-01T00:00:00",
            "name": "HA",
        },
        "pk_efgh": {
            "create date": "2026-01-01T00:00:00",
            "last use date": "1970-01-01T00:00:00",
            "name": "app",
        },
    }


@pytest.mark.parametrize("text", ["pk_abcd_se_cr-et", "pk_abcd", "abcd"])
def test_the_id_of_a_key(text: str) -> None:
    assert key_id(text) == "abcd"


def test_the_time_zone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    zone = tmp_path / "zoneinfo" / "Europe" / "Lisbon"
    zone.parent.mkdir(parents=True)
    zone.touch()
    (tmp_path / "localtime").symlink_to(zone)
    monkeypatch.setattr(about, "ZONE_FILE", tmp_path / "localtime")
    assert time_zone() == "Europe/Lisbon"
    monkeypatch.setattr(about, "ZONE_FILE", tmp_path / "nothing")
    assert time_zone() == "Etc/UTC"
