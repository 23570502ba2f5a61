"""Whom the client believes, and how it keeps its own secret."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from pathlib import Path

import msgspec
import pytest
import trustme

from agent.model.errors import ConfigError
from agent.workers.zmes.client_trust import read_secret, tls_context, weaknesses
from agent.workers.zmes.config import UpstreamConfig


def upstream(**more: object) -> UpstreamConfig:
    plain = {"name": "zm", "url": "wss://zm.example:9000", "user": "admin", "password_file": "/none"}
    return msgspec.convert(plain | more, UpstreamConfig)


def secret_file(folder: Path, data: bytes, mode: int = 0o600) -> str:
    path = folder / "password"
    path.write_bytes(data)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("data", [b"pass word", b"pass word\n", b"pass word\r\n"])
def test_a_secret_is_read_without_its_line_end(tmp_path: Path, data: bytes) -> None:
    assert read_secret(secret_file(tmp_path, data), "here") == "pass word"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_modes_of_service_credentials_are_fine(tmp_path: Path, mode: int) -> None:
    assert read_secret(secret_file(tmp_path, b"hunter2", mode), "here") == "hunter2"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o601, 0o620, 0o777, 0o644])
def test_a_secret_that_others_can_touch_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError, match=f"mode {mode:04o}") as caught:
        read_secret(secret_file(tmp_path, b"hunter2", mode), "workers.zmes.upstream.zm.password_file")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"\n", "empty"), (b"\xff\xfe", "UTF-8"), (b"x" * 5000, "larger than")],
)
def test_absurd_secrets_are_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        read_secret(secret_file(tmp_path, data), "here")
    assert caught.value.__cause__ is None


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_secret(str(tmp_path / "absent"), "here")
    with pytest.raises(ConfigError, match=r"cannot be read|not a file"):
        read_secret(str(tmp_path), "here")
    with pytest.raises(ConfigError, match="not a file"):
        read_secret("/dev/null", "here")


def test_a_ca_file_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"workers\.zmes\.upstream\.zm\.ca_file"):
        tls_context(upstream(ca_file=str(tmp_path / "absent.pem")))
    broken = tmp_path / "broken.pem"
    broken.write_text("not a certificate")
    with pytest.raises(ConfigError, match=r"workers\.zmes\.upstream\.zm\.ca_file"):
        tls_context(upstream(ca_file=str(broken)))


def test_verification_is_on_unless_switched_off() -> None:
    checked = tls_context(upstream())
    assert checked.verify_mode is ssl.CERT_REQUIRED
    assert checked.check_hostname
    assert checked.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert tls_context(upstream(verify=False)).verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    "more",
    [
        {"fingerprint": "12"},
        {"fingerprint": "zz" * 32},
        {"fingerprint": "00" * 32, "ca_file": "/ca.pem"},
        {"fingerprint": "00" * 32, "verify": False},
        {"ca_file": "/ca.pem", "verify": False},
        {"url": "ftp://zm.example"},
        {"url": "wss://admin:hunter2@zm.example"},
        {"url": "wss://zm.example:99999"},
        {"url": "wss://zm.example:0"},
        {"url": "wss://"},
        {"user": ""},
        {"monitors": ["front door"]},
        {"monitors": ["1,2"]},
    ],
)
def test_contradictions_and_nonsense_are_refused(more: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        upstream(**more)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "spelling", [str.lower, str.upper, lambda text: ":".join(text[i : i + 2] for i in range(0, 64, 2))]
)
@pytest.mark.parametrize("wrap", ["object", "socket"])
def test_the_pinned_certificate_and_no_other(spelling: object, wrap: str) -> None:
    authority = trustme.CA()
    mine, other = authority.issue_cert("camera.local"), authority.issue_cert("camera.local")
    der = ssl.PEM_cert_to_DER_cert(mine.cert_chain_pems[0].bytes().decode())
    fingerprint = hashlib.sha256(der).hexdigest()
    assert callable(spelling)
    context = tls_context(upstream(fingerprint=spelling(fingerprint)))
    handshake = _memory_handshake if wrap == "object" else _socket_handshake
    handshake(context, mine)
    with pytest.raises(ssl.SSLCertVerificationError, match="fingerprint"):
        handshake(context, other)


def _memory_handshake(context: ssl.SSLContext, certificate: trustme.LeafCert) -> None:
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(accepting)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname="zm.example")
    server = accepting.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(20):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            done.add(side)
        if len(done) == 2:
            return
    raise AssertionError("no end to the handshake")


def _socket_handshake(context: ssl.SSLContext, certificate: trustme.LeafCert) -> None:
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(accepting)
    near, far = socket.socketpair()

    def serve() -> None:
        try:
            with accepting.wrap_socket(far, server_side=True) as stream:
                stream.recv(1)
        except OSError:
            pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with near, context.wrap_socket(near, server_hostname="zm.example"):
            pass
    finally:
        near.close()
        thread.join(5)
        far.close()


def test_weaknesses_are_named() -> None:
    assert weaknesses(upstream(), "zm.example", tls=True) == ""
    assert weaknesses(upstream(fingerprint="00" * 32), "zm.example", tls=True) == ""
    assert weaknesses(upstream(verify=False), "127.0.0.1", tls=True) == ""
    assert "in the clear" in weaknesses(upstream(), "10.0.0.1", tls=False)
    assert "fingerprint" in weaknesses(upstream(verify=False), "10.0.0.1", tls=True)
