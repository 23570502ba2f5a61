"""Why we believe an upstream is who it should be, and the secret with which it believes us."""

from __future__ import annotations

import ssl

from agent.net.trust import client_context, read_secret
from agent.wire.fingerprint import plain_fingerprint
from agent.wire.url import is_loopback
from agent.workers.zmes.config import UpstreamConfig

__all__ = ["read_secret", "tls_context", "weaknesses"]


def tls_context(config: UpstreamConfig) -> ssl.SSLContext:
    """How the upstream's certificate is checked; see `client_context`.

    Raises: ConfigError when ca_file cannot be used.
    """
    pinned = None if config.fingerprint is None else bytes.fromhex(plain_fingerprint(config.fingerprint))
    return client_context(
        ca_file=config.ca_file,
        fingerprint=pinned,
        verify=config.verify,
        where=f"workers.zmes.upstream.{config.name}",
    )


def weaknesses(config: UpstreamConfig, host: str, *, tls: bool) -> str:
    """What an eavesdropper could do with this configuration, in words for the log; empty when nothing."""
    if is_loopback(host):
        return ""
    if not tls:
        return "the password and all alarms go over the network in the clear (ws://)"
    if not config.verify and config.fingerprint is None:
        return "verify = false gives the password to whoever answers; pin the fingerprint instead"
    return ""
