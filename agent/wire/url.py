"""URLs of a configuration, and how the certificates behind them are checked."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from agent.wire.fingerprint import plain_fingerprint


def check_url(url: str, *, schemes: tuple[str, ...]) -> None:
    """Refuse anything but an absolute URL without credentials. Raises: ValueError, without the URL."""
    parts = urlsplit(url)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"expected a URL that begins with {' or '.join(f'{name}://' for name in schemes)}")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL must not carry a user or password")
    if any(not character.isprintable() or character == " " for character in url) or parts.fragment:
        raise ValueError("expected a URL without spaces and without a #")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("expected a port of 1..65535")


def check_trust(url: str, ca_file: str | None, fingerprint: str | None) -> None:
    """How a server's certificate is checked has to make sense. Raises: ValueError."""
    if ca_file is None and fingerprint is None:
        return
    if ca_file is not None and fingerprint is not None:
        raise ValueError("ca_file and fingerprint exclude each other: a pinned one needs no authority")
    if not url.startswith(("wss:", "https:")):
        raise ValueError("ca_file and fingerprint belong to a URL with TLS")
    if fingerprint is not None:
        plain_fingerprint(fingerprint)


def is_loopback(host: str) -> bool:
    """True for an address, or `localhost`, that no other machine can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
