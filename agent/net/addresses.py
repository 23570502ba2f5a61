"""Under which names and addresses this machine may be called in its own network."""

from __future__ import annotations

import fcntl
import ipaddress
import re
import socket
import struct
from pathlib import Path

SIOCGIFADDR = 0x8915
IF_INET6 = Path("/proc/net/if_inet6")
# Temporary, deprecated, failed or tentative addresses: gone tomorrow.
_FLEETING = 0x01 | 0x08 | 0x20 | 0x40
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")


def is_host_name(text: str) -> bool:
    """Whether a certificate may bear this DNS name (no wildcards: a door is one machine)."""
    return _HOST_NAME.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """Whether this is an IPv4 or IPv6 address without zone."""
    try:
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def network_of(host: str) -> str:
    """What a stranger cannot change at will: of an IPv6 address its /64, of all else the address itself."""
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def own_names() -> tuple[str, ...]:
    """The host name, its multicast DNS form, localhost, and the local addresses, in a fixed order."""
    host = socket.gethostname()
    short = host.partition(".")[0]
    names = [host, f"{short}.local"] if is_host_name(host) else []
    names += ["localhost", "127.0.0.1", "::1", *sorted(_ipv4_addresses()), *sorted(_ipv6_addresses())]
    return tuple(dict.fromkeys(names))


def _ipv4_addresses() -> set[str]:
    found: set[str] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _, interface in socket.if_nameindex():
            request = struct.pack("256s", interface.encode()[:15])
            try:
                answer = fcntl.ioctl(sock.fileno(), SIOCGIFADDR, request)
            except OSError:
                # An interface without an IPv4 address.
                continue
            address = ipaddress.IPv4Address(answer[20:24])
            if not address.is_loopback and not address.is_link_local:
                found.add(str(address))
    return found


def _ipv6_addresses() -> set[str]:
    # Unique local ones only: the public prefix of a household changes as often as every night.
    try:
        lines = IF_INET6.read_text().splitlines()
    except OSError:
        return set()
    found: set[str] = set()
    for line in lines:
        digits, _, _, _, flags, *_ = line.split()
        address = ipaddress.IPv6Address(bytes.fromhex(digits))
        if address in ipaddress.IPv6Network("fc00::/7") and not int(flags, 16) & _FLEETING:
            found.add(str(address))
    return found
