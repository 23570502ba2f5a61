"""Why a server is believed to be who it should be, and the secrets with which it believes us."""

from __future__ import annotations

import hashlib
import hmac
import os
import ssl
import stat
from typing import Any

from agent.model.errors import ConfigError

MAX_SECRET_BYTES = 4096
_OTHERS_OR_GROUP_WRITE = stat.S_IRWXO | stat.S_IWGRP


def client_context(
    *, ca_file: str | None, fingerprint: bytes | None, where: str, verify: bool = True
) -> ssl.SSLContext:
    """How a server's certificate is checked.

    With a fingerprint (SHA-256 of the certificate) that certificate and no other is good, whatever it says
    about names and dates; else its chain (ca_file, or the system's authorities) and name are checked, unless
    `verify` is false. where: the configuration's path, for the error.
    Raises: ConfigError when ca_file cannot be used.
    """
    if verify and fingerprint is None:
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise ConfigError(f"{where}.ca_file", _why(error)) from error
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if fingerprint is not None:
        _pin(context, fingerprint)
    return context


def read_secret(path: str, where: str, *, max_bytes: int = MAX_SECRET_BYTES) -> str:
    """The secret in a file, without the newline at its end.

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
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise ConfigError(where, f"{path} cannot be read: {_why(error)}") from error
    if len(data) > max_bytes:
        raise ConfigError(where, f"{path} is larger than {max_bytes} bytes")
    try:
        secret = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ConfigError(where, f"{path} is not UTF-8 text") from None
    if not secret:
        raise ConfigError(where, f"{path} is empty")
    return secret


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
