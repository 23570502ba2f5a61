"""The Wi-Fi network that a door is given, and wpa_supplicant's file for it."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from pathlib import Path

COUNTRIES = Path("/usr/share/zoneinfo/iso3166.tab")


@dataclass(frozen=True)
class Wifi:
    """hidden: the network does not announce itself. is_open: it has no password."""

    country: str
    ssid: str
    password: str = field(repr=False, default="")
    hidden: bool = False
    is_open: bool = False


def check_country(country: str, table: Path = COUNTRIES) -> str | None:
    """What is wrong with a country, None: nothing. Its radio rules decide which channels a door may use."""
    if not country:
        return 'country: missing, two letters such as country = "DE"; without it a radio may not send'
    names = _countries(table)
    if country in names or (not names and re.fullmatch("[A-Z]{2}", country)):
        return None
    by_name = {name.lower(): code for code, name in names.items()}
    if country.upper() in names:
        near = country.upper()
    elif country.upper() == "UK":
        near = "GB"
    else:
        match = difflib.get_close_matches(country.lower(), by_name, 1, cutoff=0.7)
        near = by_name[match[0]] if match else ""
    advice = f'; did you mean "{near}"?' if near else ": two capital letters, such as DE, GB or US"
    return f"country: {country[:30]!r} is no country" + advice


def wifi_mistake(wifi: Wifi) -> str | None:
    """What else is wrong, None: nothing. It does not repeat the password."""
    if not wifi.ssid:
        return "ssid: missing, the network's name"
    if len(wifi.ssid.encode()) > 32:
        return "ssid: longer than 32 bytes"
    if not wifi.password or re.fullmatch("[0-9a-fA-F]{64}", wifi.password):
        return None
    if not 8 <= len(wifi.password) <= 63:
        return f"password: has {len(wifi.password)} characters, and Wi-Fi passwords have 8 to 63"
    if any(not 32 <= ord(character) < 127 for character in wifi.password):
        return "password: has a character that Wi-Fi passwords cannot have (an accent, an umlaut, a line break)"
    return None


def supplicant_file(wifi: Wifi, stored: str = "") -> str | None:
    """wpa_supplicant's file. stored: the present one, whose password goes on to count while the network's name is the same.

    None: there is no password, none is stored, and the network was not said to be open.
    Source: wpa_supplicant.conf(5): an ssid in hexadecimal needs no quotes; a quoted psk ends at the last quotation mark.
    """
    ssid = f"\tssid={wifi.ssid.encode().hex()}\n"
    keys = ""
    if wifi.is_open:
        keys = "\tkey_mgmt=NONE\n"
    elif wifi.password:
        is_hash = re.fullmatch("[0-9a-fA-F]{64}", wifi.password) is not None
        psk = wifi.password if is_hash else f'"{wifi.password}"'
        keys = f"\tkey_mgmt=WPA-PSK WPA-PSK-SHA256{'' if is_hash else ' SAE'}\n\tieee80211w=1\n\tpsk={psk}\n"
    elif ssid in stored:
        keys = "".join(
            line + "\n" for line in stored.splitlines() if line.startswith(("\tkey_mgmt", "\tieee80211w", "\tpsk"))
        )
    if not keys:
        return None
    hidden = "\tscan_ssid=1\n" if wifi.hidden else ""
    return f"ctrl_interface=/run/wpa_supplicant\ncountry={wifi.country}\nnetwork={{\n{ssid}{hidden}{keys}}}\n"


def _countries(table: Path) -> dict[str, str]:
    try:
        rows = table.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return dict(row.split("\t", 1) for row in rows if row and not row.startswith("#") and "\t" in row)  # type: ignore[misc]
