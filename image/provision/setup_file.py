"""`portero-setup.toml`: what may stand in it, what is wrong with it, and taking the secrets out of it again."""

from __future__ import annotations

import base64
import binascii
import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image.provision.wifi import Wifi, check_country, wifi_mistake

NAME = "portero-setup.toml"
KEYS = ("hostname", "timezone", "admin_password", "ssh_keys", "config", "wifi")
WIFI_KEYS = ("country", "ssid", "password", "hidden", "open")
MAX_BYTES = 256 * 1024
ZONES = Path("/usr/share/zoneinfo")

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_KEY_KINDS = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-ed25519@", "sk-ecdsa-sha2-")
_SECRET = re.compile(
    r"""(?P<key>\b(?:admin_password|password)["']?\s*=\s*)"""
    r'''(?:"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')''',
    re.DOTALL,
)


@dataclass(frozen=True)
class Setup:
    """What was understood. None: not given, so it stays as it is."""

    hostname: str | None = None
    timezone: str | None = None
    admin_password: str | None = field(default=None, repr=False)
    ssh_keys: tuple[str, ...] | None = None
    config: str | None = None
    wifi: Wifi | None = None

    def given(self) -> list[str]:
        """The names of what is there."""
        return [name for name in KEYS if getattr(self, name) is not None]


def read_setup(data: bytes, *, zones: Path = ZONES) -> tuple[Setup, list[str]]:
    """What the file says, and what is wrong with it: one sentence each, none of which repeats a secret.

    A wrong setting is left out and the others count.
    """
    try:
        text = data.decode("utf-8-sig")  # an editor of Windows may have put a mark at the beginning
        table = tomllib.loads(text.replace("\r\n", "\n"))
    except UnicodeDecodeError:
        return Setup(), ["the file is not text in UTF-8: save it as plain text"]
    except tomllib.TOMLDecodeError as error:
        return Setup(), [f"this is no TOML, so that nothing of it counts: {_without_values(str(error))}"]
    reader = _Reader(zones)
    for key, value in table.items():
        reader.take(key, value)
    return Setup(**reader.found), reader.mistakes


class _Reader:
    def __init__(self, zones: Path) -> None:
        self._zones = zones
        self.found: dict[str, Any] = {}
        self.mistakes: list[str] = []

    def take(self, key: str, value: object) -> None:
        readers: Mapping[str, Callable[[Any], Any]] = {
            "hostname": self._hostname,
            "timezone": self._timezone,
            "admin_password": self._password,
            "ssh_keys": self._ssh_keys,
            "config": self._config,
            "wifi": self._wifi,
        }
        read = readers.get(key)
        if read is None:
            self.mistakes.append(_unknown(key, KEYS))
            return
        try:
            taken = read(value)
        except _Wrong as wrong:
            self.mistakes.append(f"{key}: {wrong}")
            return
        if taken is not None:
            self.found[key] = taken

    def _hostname(self, value: Any) -> str | None:
        name = _string(value).lower().removesuffix(".local")
        if not _LABEL.fullmatch(name):
            raise _Wrong(
                f"{name[:70]!r} is no name for a computer: letters, digits and hyphens, at most 63, for example front-door"
            )
        return name

    def _timezone(self, value: Any) -> str:
        name = _string(value)
        known = _zones(self._zones)
        if name not in known:
            near = difflib.get_close_matches(name, known, 1) or [
                zone for zone in sorted(known) if zone.rpartition("/")[2].lower() == name.lower()
            ]
            raise _Wrong(f"{name[:60]!r} is no time zone" + _did_you_mean(near, "; for example Europe/Berlin"))
        return name

    def _password(self, value: Any) -> str | None:
        password = _string(value)
        if not password:
            return None
        if any(ord(character) < 32 for character in password):
            raise _Wrong("a password cannot have line breaks or other control characters")
        if len(password) < 8:
            raise _Wrong("shorter than 8 characters")
        return password

    def _ssh_keys(self, value: Any) -> tuple[str, ...]:
        keys = [value] if isinstance(value, str) else value
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise _Wrong('expected a list of lines: ssh_keys = ["ssh-ed25519 AAAA… you"]')
        lines = [line.strip() for key in keys for line in key.splitlines()]
        return tuple(_ssh_key(line) for line in lines if line and not line.startswith("#"))

    def _config(self, value: Any) -> str:
        return _string(value) + ("" if _string(value).endswith("\n") else "\n")

    def _wifi(self, value: Any) -> Wifi | None:
        if not isinstance(value, dict):
            raise _Wrong("expected a table: [wifi], and below it country, ssid, password")
        for key in value:
            if key not in WIFI_KEYS:
                self.mistakes.append("wifi." + _unknown(key, WIFI_KEYS))
        wifi = Wifi(
            country=_string(value.get("country", ""), "country"),
            ssid=_string(value.get("ssid", ""), "ssid"),
            password=_string(value.get("password", ""), "password"),
            hidden=value.get("hidden") is True,
            is_open=value.get("open") is True,
        )
        problem = check_country(wifi.country, self._zones / "iso3166.tab") or wifi_mistake(wifi)
        if problem:
            raise _Wrong(problem)
        return wifi


class _Wrong(Exception):
    """What is wrong with one setting."""


def without_secrets(text: str, taken: Setup) -> str | None:
    """The file's text with the secrets that were taken emptied, never longer than it was; None: it cannot be told how."""
    before = tomllib.loads(text)
    wanted = _emptied(before, taken)
    if wanted == before:
        return text

    def emptied(found: re.Match[str]) -> str:
        is_admin = "admin_password" in found["key"]
        gone = taken.admin_password is not None if is_admin else taken.wifi is not None
        return found["key"] + '""' if gone else found[0]

    after = _SECRET.sub(emptied, text)
    try:
        same = tomllib.loads(after) == wanted
    except tomllib.TOMLDecodeError:
        same = False
    return after if same else None


def _emptied(table: dict[str, Any], taken: Setup) -> dict[str, Any]:
    wanted = dict(table)
    if taken.admin_password is not None and wanted.get("admin_password"):
        wanted["admin_password"] = ""
    if taken.wifi is not None and wanted.get("wifi", {}).get("password"):
        wanted["wifi"] = {**wanted["wifi"], "password": ""}
    return wanted


def _string(value: object, name: str = "") -> str:
    if not isinstance(value, str):
        raise _Wrong(f"{name + ': ' if name else ''}expected text between quotation marks")
    return value


def _ssh_key(line: str) -> str:
    if "PRIVATE KEY" in line:
        raise _Wrong("this is a private key, which has to stay where it is; give the public one (the file ending in .pub)")
    kind, _, rest = line.partition(" ")
    if not kind.startswith(_KEY_KINDS):
        raise _Wrong(f"{line[:20]!r}… is no public key: one begins with ssh-ed25519 or ssh-rsa")
    try:
        blob = base64.b64decode(rest.split(" ")[0], validate=True)
        length = int.from_bytes(blob[:4], "big")
        inside = blob[4 : 4 + length].decode("ascii")
    except (binascii.Error, ValueError):
        inside = ""
    if inside != kind:
        raise _Wrong(f"the {kind} key that begins with {rest[:12]!r} is damaged: copy the whole line")
    return line


def _unknown(key: str, known: tuple[str, ...]) -> str:
    return f"{key[:40]}: unknown" + _did_you_mean(
        difflib.get_close_matches(key, known, 1), f"; there are {', '.join(known)}"
    )


def _did_you_mean(near: list[str], otherwise: str) -> str:
    return f'; did you mean "{near[0]}"?' if near else otherwise


def _zones(folder: Path) -> set[str]:
    try:
        rows = (folder / "tzdata.zi").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {"UTC"}
    zones = {row.split()[1] for row in rows if row.startswith("Z ")}
    return zones | {row.split()[2] for row in rows if row.startswith("L ")} | {"UTC"}


def _without_values(message: str) -> str:
    """tomllib names a place, and now and then the text that stands there."""
    place = re.search(r"at line \d+, column \d+", message)
    return f"a mistake {place[0]}" if place else "it ends too early"
