"""Why we believe an upstream is who it should be, and the secret with which it believes us."""

from __future__ import annotations

import hashlib
import hmac
import os
import ssl
import stat
from typing import Any

from agent.model.errors import ConfigError
from agent.workers.zmes.config import UpstreamConfig, is_loopback, plain_fingerprint

MAX_SECRET_BYTES = 4096
_OTHERS_OR_GROUP_WRITE = stat.S_IRWXO | stat.S_IWGRP


def tls_context(config: UpstreamConfig) -> ssl.SSLContext:
    """How the upstream's certificate is checked.

    With a fingerprint that certificate and no other is good, whatever it says about names and dates; else its
    chain (ca_file, or the system's authorities) and name are checked, unless `verify` is false.
    Raises: ConfigError when ca_file cannot be used.
    """
    if config.verify and config.fingerprint is None:
        try:
            context = ssl.create_default_context(cafile=config.ca_file)
        except OSError as error:
            raise ConfigError(f"workers.zmes.upstream.{config.name}.ca_file", _why(error)) from error
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.fingerprint is not None:
        _pin(context, bytes.fromhex(plain_fingerprint(config.fingerprint)))
    return context


def read_secret(path: str, where: str) -> str:
    """The password in a file, without the newline at its end.

    Group-readable is allowed, since that is how service credentials with access lists look.
    Raises: ConfigError, which names the file and never shows what is in it.
    """
    try:
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError(where, f"{path} is not a file")
            if mode & _OTHERS_OR_GROUP_WRITE:
                raise ConfigError(
                    where, f"{path} is open to others (mode {stat.S_IMODE(mode):04o}); chmod 0600"
                )
            data = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise ConfigError(where, f"{path} cannot be read: {_why(error)}") from error
    if len(data) > MAX_SECRET_BYTES:
        raise ConfigError(where, f"{path} is larger than {MAX_SECRET_BYTES} bytes")
    try:
        secret = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigError(where, f"{path} is not UTF-8 text") from None
    if not secret:
        raise ConfigError(where, f"{path} is empty")
    return secret


def weaknesses(config: UpstreamConfig, host: str, *, tls: bool) -> str:
    """What an eavesdropper could do with this configuration, in words for the log; empty when nothing."""
    if is_loopback(host):
        return ""
    if not tls:
        return "the password and all alarms go over the network in the clear (ws://)"
    if not config.verify and config.fingerprint is None:
        return "verify = false gives the password to whoever answers; pin the fingerprint instead"
    return ""


def _pin(context: ssl.SSLContext, expected: bytes) -> None:
    """Make every handshake of this context fail unless the peer's certificate has this SHA-256.

    The check is part of the handshake, so that not one byte of a password is sent before it.
    """

    def check(connection: Any) -> None:
        certificate = connection.getpeercert(binary_form=True) or b""
        found = hashlib.sha256(certificate).digest()
        if not hmac.compare_digest(found, expected):
            reason = f"certificate fingerprint is sha256 {found.hex()}, expected {expected.hex()}"
            # Shaped like the ones that ssl raises, for whoever looks at their parts.
            error = ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, reason)
            error.verify_code, error.verify_message = 0, reason
            raise error

    class PinnedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            check(self)

    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            check(self)

    context.sslobject_class = PinnedObject
    context.sslsocket_class = PinnedSocket


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
