"""SSDP as deCONZ gateways use it: datagrams <-> frozen messages, for both ends.

Document:   UPnP Device Architecture 1.1, "Discovery"; the headers that gateways of version 2.33 add.
Transport:  UDP multicast 239.255.255.250 port 1900; answers to a search go back to who asked, from port 1900.
Framing:    one message per datagram: HTTP/1.1 head without body.
Limits:     MAX_DATAGRAM_BYTES, MAX_HEADERS, MAX_VALUE_CHARS.
Deviations: GWID.phoscon.de tells the bridge id and so that it is a deCONZ gateway: a Philips bridge tells
            hue-bridgeid alone, a gateway both. We take lines that end in LF alone, blanks around names and
            values, and a search without MAN or with a quoted or bare one. Header names in any case.
"""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from agent.model.errors import LocalProtocolError, MalformedMessage

SSDP_ADDRESS = "239.255.255.250"
SSDP_PORT = 1900
MAX_DATAGRAM_BYTES = 2048
MAX_HEADERS = 32
MAX_VALUE_CHARS = 512
MAX_MX_S = 5

EVERYTHING = "ssdp:all"
ROOT_DEVICE = "upnp:rootdevice"
BASIC_DEVICE = "urn:schemas-upnp-org:device:basic:1"

_WHERE = "ssdp"
_BRIDGE_ID = re.compile(r"[0-9A-F]{12}([0-9A-F]{4})?")
_MAX_AGE = re.compile(r"max-age\s*=\s*(\d{1,9})", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")


class Search(Struct, frozen=True, kw_only=True):
    """Somebody looks for devices (M-SEARCH). mx_s: answers are to be spread over so many seconds, 0 to 5."""

    target: str
    mx_s: int = 1


class Description(Struct, frozen=True, kw_only=True):
    """A device describes itself: on its own (`alive`), or as the answer to a search (`answer`).

    target: what it is here, the NT of a NOTIFY or the ST of an answer. usn: the unique name of that.
    location: http URL of its description.xml. bridge_id: upper-case hex; empty: no deCONZ gateway.
    https_port: of its REST API, 0 for none. max_age_s: for how long it holds.
    """

    kind: Literal["alive", "answer"]
    target: str
    usn: str
    location: str
    server: str = ""
    bridge_id: str = ""
    https_port: int = 0
    max_age_s: int = 100


class Byebye(Struct, frozen=True, kw_only=True):
    """A device is going."""

    target: str
    usn: str


Message = Search | Description | Byebye


def decode_message(data: bytes) -> Message:
    """What a datagram says. Raises: MalformedMessage, and nothing else for any bytes."""
    if len(data) > MAX_DATAGRAM_BYTES:
        raise MalformedMessage(_WHERE, f"expected at most {MAX_DATAGRAM_BYTES} bytes, got {len(data)}")
    first, _, rest = data.decode("latin-1").partition("\n")
    words = first.split()
    headers = _headers(rest)
    match words:
        case ["M-SEARCH", "*", version] if version.startswith("HTTP/1."):
            if headers.get("man", '"ssdp:discover"').strip('"') != "ssdp:discover":
                raise MalformedMessage(f"{_WHERE}.man", "expected ssdp:discover")
            return Search(target=_needed(headers, "st"), mx_s=min(_number(headers, "mx", 0), MAX_MX_S))
        case ["NOTIFY", "*", version] if version.startswith("HTTP/1."):
            target, usn = _needed(headers, "nt"), headers.get("usn", "")
            match headers.get("nts"):
                case "ssdp:alive" | "ssdp:update":
                    return _description("alive", target, usn, headers)
                case "ssdp:byebye":
                    return Byebye(target=target, usn=usn)
                case _:
                    raise MalformedMessage(f"{_WHERE}.nts", "expected ssdp:alive or ssdp:byebye")
        case [version, "200", *_] if version.startswith("HTTP/1."):
            return _description("answer", _needed(headers, "st"), headers.get("usn", ""), headers)
        case _:
            raise MalformedMessage(_WHERE, "expected a search, a notification or an answer")


def encode_message(message: Message, *, host: str = SSDP_ADDRESS, port: int = SSDP_PORT) -> bytes:
    """The datagram. host, port: of the multicast group, as the HOST header says it.

    Raises: LocalProtocolError for what would break the head, or not fit a datagram.
    """
    authority = f"{host}:{port}"
    match message:
        case Search(target=target, mx_s=mx_s):
            first = "M-SEARCH * HTTP/1.1"
            headers = [("HOST", authority), ("MAN", '"ssdp:discover"'), ("MX", str(mx_s)), ("ST", target)]
        case Byebye(target=target, usn=usn):
            first = "NOTIFY * HTTP/1.1"
            headers = [("HOST", authority), ("NT", target), ("NTS", "ssdp:byebye"), ("USN", usn)]
        case Description(kind="alive"):
            first = "NOTIFY * HTTP/1.1"
            headers = [("HOST", authority), *_described(message)]
            headers += [("NT", message.target), ("NTS", "ssdp:alive"), ("USN", message.usn)]
        case Description():
            first = "HTTP/1.1 200 OK"
            headers = [("HOST", authority), ("EXT", ""), *_described(message)]
            headers += [("ST", message.target), ("USN", message.usn)]
    for name, value in headers:
        if len(value) > MAX_VALUE_CHARS or not value.isascii() or (value and not value.isprintable()):
            raise LocalProtocolError(f"ssdp: expected printable ASCII as {name}, got {value[:64]!r}")
    lines = [first, *(f"{name}: {value}" for name, value in headers), "", ""]
    data = "\r\n".join(lines).encode()
    if len(data) > MAX_DATAGRAM_BYTES:
        raise LocalProtocolError(f"ssdp: {len(data)} bytes are too many for a datagram")
    return data


def _described(message: Description) -> list[tuple[str, str]]:
    headers = [
        ("CACHE-CONTROL", f"max-age={message.max_age_s}"),
        ("LOCATION", message.location),
        ("SERVER", message.server),
    ]
    if message.bridge_id:
        headers += [("GWID.phoscon.de", message.bridge_id), ("hue-bridgeid", message.bridge_id)]
    if message.https_port:
        headers.append(("HTTPS.phoscon.de", str(message.https_port)))
    return headers


def _description(
    kind: Literal["alive", "answer"], target: str, usn: str, headers: dict[str, str]
) -> Description:
    location = _needed(headers, "location")
    try:
        parts = urlsplit(location)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("no http URL")
    except ValueError as error:
        raise MalformedMessage(f"{_WHERE}.location", "expected an http URL") from error
    bridge_id = headers.get("gwid.phoscon.de", "").upper()
    age = _MAX_AGE.search(headers.get("cache-control", ""))
    https_port = _number(headers, "https.phoscon.de", 0)
    return Description(
        kind=kind,
        target=target,
        usn=usn,
        location=location,
        server=headers.get("server", ""),
        bridge_id=bridge_id if _BRIDGE_ID.fullmatch(bridge_id) else "",
        https_port=https_port if https_port < 65_536 else 0,
        max_age_s=int(age[1]) if age else 100,
    )


def _headers(text: str) -> dict[str, str]:
    """By lower-case name; of two with one name the first counts."""
    found: dict[str, str] = {}
    for line in text.split("\n")[: MAX_HEADERS + 1]:
        if not line.strip():
            break
        name, colon, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if not colon or not _HEADER_NAME.fullmatch(name):
            raise MalformedMessage(_WHERE, "expected NAME: VALUE")
        if len(found) >= MAX_HEADERS:
            raise MalformedMessage(_WHERE, f"expected at most {MAX_HEADERS} headers")
        if len(value) > MAX_VALUE_CHARS or (value and not (value.isascii() and value.isprintable())):
            raise MalformedMessage(f"{_WHERE}.{name}", "expected a short printable value")
        found.setdefault(name, value)
    return found


def _needed(headers: dict[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise MalformedMessage(f"{_WHERE}.{name}", "expected a value")
    return value


def _number(headers: dict[str, str], name: str, absent: int) -> int:
    value = headers.get(name, "")
    if not value:
        return absent
    if not value.isdecimal() or len(value) > 9:
        raise MalformedMessage(f"{_WHERE}.{name}", "expected a number")
    return int(value)
