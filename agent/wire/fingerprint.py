"""The fingerprint of a certificate, as people copy it from a browser or a command."""

from __future__ import annotations


def plain_fingerprint(text: str) -> str:
    """A SHA-256 as 64 lower-case hex digits. Raises: ValueError."""
    plain = text.replace(":", "").replace(" ", "").lower()
    if len(plain) != 64 or any(digit not in "0123456789abcdef" for digit in plain):
        raise ValueError("expected a SHA-256 fingerprint: 64 hex digits, colons allowed")
    return plain
