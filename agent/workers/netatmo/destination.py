"""Where webhooks may be sent: a URL that is taken apart, and the addresses that are good.

A webhook makes the door send requests to where somebody says. So only addresses of the household are good,
and others that the configuration names; every address of a host is looked at, at each connection anew, and
the connection goes to what was looked at.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import trio
from msgspec import Struct

from agent.model.errors import PeerError
from agent.workers.netatmo.config import Network

MAX_URL_CHARS = 1024
MAX_ADDRESSES = 16
RESOLVE_S = 4.0
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
# Not 169.254.0.0/16: where a machine is rented, its own secrets are there.
HOUSEHOLD: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)


class Destination(Struct, frozen=True, kw_only=True):
    """One URL. target: path and query; authority: for the Host header."""

    scheme: str
    host: str
    port: int
    target: str
    authority: str

    @property
    def where(self) -> str:
        """For the log: no path and no query, which may hold keys."""
        return f"{self.scheme}://{self.authority}"


class Rule:
    """Which addresses are good. networks: beyond the household's."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self._networks = (*HOUSEHOLD, *networks)

    def allows(self, text: str) -> bool:
        """Whether an address is good; an IPv4 address within an IPv6 one counts as what it is."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False  # with a zone, for instance
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def destination_of(url: str) -> Destination:
    """Take a URL apart. Raises: ValueError, without the URL in it."""
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("expected a short URL without spaces")
    if "\\" in url or "#" in url:
        raise ValueError("expected a URL without \\ and #")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ValueError("expected a URL that begins with https:// or http://")
    if "%" in parts.netloc or ("[" in parts.netloc) != (":" in (parts.hostname or "")):
        raise ValueError("expected the name or the address of a host")
    if "@" in parts.netloc:
        raise ValueError("a URL must not carry a user or password")
    host = parts.hostname or ""
    port = parts.port if parts.port is not None else _PORTS[parts.scheme]
    if not port:
        raise ValueError("expected a port of 1..65535")
    if ":" in host:
        host = str(ipaddress.IPv6Address(host))
        shown = f"[{host}]"
    else:
        if not _HOST.fullmatch(host):
            raise ValueError("expected the name or the address of a host")
        shown = host
    authority = shown if port == _PORTS[parts.scheme] else f"{shown}:{port}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(scheme=parts.scheme, host=host, port=port, target=target, authority=authority)


async def addresses_of(destination: Destination, rule: Rule) -> list[tuple[int, tuple[str, int]]]:
    """Every address of the host, with its family, to connect to as they are.

    Raises: PeerError when there is none, or one of them is not good.
    """
    try:
        with trio.fail_after(RESOLVE_S):
            found = await trio.socket.getaddrinfo(
                destination.host, destination.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
            )
    except trio.TooSlowError:
        raise PeerError(f"{destination.host}: no answer to its name") from None
    except (OSError, UnicodeError) as error:
        raise PeerError(f"{destination.host}: no such host") from error
    if not found or len(found) > MAX_ADDRESSES:
        raise PeerError(f"{destination.host}: expected 1 to {MAX_ADDRESSES} addresses")
    addresses = []
    for family, _, _, _, address in found:
        host, port = str(address[0]), int(address[1])
        if family not in (socket.AF_INET, socket.AF_INET6) or not rule.allows(host):
            raise PeerError(f"{destination.host}: webhooks are not sent to an address of it")
        addresses.append((int(family), (host, port)))
    return addresses
