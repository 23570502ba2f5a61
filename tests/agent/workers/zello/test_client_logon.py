"""The credentials of a logon: fresh from their files each time, and never shown."""

from __future__ import annotations

import base64
import json
import ssl
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from harness.zello_cloud import zello_cloud
from harness.zello_door import CLOCK_S, PASSWORD, TOKEN, cloud_config, secret

from agent.model.errors import AgentError, ConfigError, PeerError
from agent.net.websocket import connect_websocket
from agent.workers.zello.client_logon import ClockNotSet, Credentials, trust

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def credentials(folder: Path, *, now_s: float = CLOCK_S, **more: Any) -> Credentials:
    return Credentials(cloud_config("wss://zello.io/ws", folder, **more), now_s=lambda: now_s)


def key_file(folder: Path, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return secret(folder, "key.pem", KEY.private_bytes(Encoding.PEM, form, NoEncryption()).decode())


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_the_files_are_read_each_time(tmp_path: Path) -> None:
    shown = credentials(tmp_path)
    assert (await shown.logon()).auth_token == TOKEN
    secret(tmp_path, "token", "newer\n")
    secret(tmp_path, "password", "other\n")
    logon = await shown.logon()
    assert (logon.auth_token, logon.password) == ("newer", "other")
    assert PASSWORD not in repr(logon)
    assert "newer" not in repr(logon)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
async def test_its_own_tokens_are_signed_and_short_lived(form: PrivateFormat, tmp_path: Path) -> None:
    shown = credentials(
        tmp_path, token_file=None, issuer="WkE6bWVzaDox.c2VjcmV0=", private_key_file=key_file(tmp_path, form)
    )
    logon = await shown.logon()
    head, body, signature = logon.auth_token.split(".")
    assert "=" not in logon.auth_token
    assert json.loads(unpadded(head)) == {"alg": "RS256", "typ": "JWT"}
    assert json.loads(unpadded(body)) == {"iss": "WkE6bWVzaDox.c2VjcmV0=", "exp": int(CLOCK_S) + 120}
    KEY.public_key().verify(unpadded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), SHA256())


@pytest.mark.parametrize(("now_s", "sane"), [(0.0, False), (1_767_225_599.0, False), (1_767_225_600.0, True)])
async def test_no_token_before_2026(now_s: float, sane: bool, tmp_path: Path) -> None:
    shown = credentials(
        tmp_path, now_s=now_s, token_file=None, issuer="us", private_key_file=key_file(tmp_path)
    )
    if sane:
        assert (await shown.logon()).auth_token
    else:
        with pytest.raises(ClockNotSet, match="the clock is not set yet") as raised:
            await shown.logon()
        assert isinstance(raised.value, PeerError)


async def test_a_password_needs_no_clock(tmp_path: Path) -> None:
    logon = await credentials(tmp_path, now_s=0.0, token_file=None).logon()
    assert (logon.auth_token, logon.username, logon.password) == ("", "portero", PASSWORD)


async def test_a_refresh_token_is_good_for_one_try(tmp_path: Path) -> None:
    shown = credentials(tmp_path)
    shown.keep("again")
    first, second = await shown.logon(), await shown.logon()
    assert (first.refresh_token, first.auth_token) == ("again", "")
    assert (second.refresh_token, second.auth_token) == ("", TOKEN)
    shown.keep("again")
    shown.forget()
    assert (await shown.logon()).refresh_token == ""


@pytest.mark.parametrize(
    ("settings", "may_send"),
    [({}, True), ({"listen_only": True}, False), ({"username": "", "password_file": None}, False)],
)
async def test_who_may_send(settings: dict[str, Any], may_send: bool, tmp_path: Path) -> None:
    shown = credentials(tmp_path, **settings)
    assert shown.may_send is may_send
    assert (await shown.logon()).listen_only is not may_send


@pytest.mark.parametrize("what", ["password_file", "token_file", "private_key_file"])
async def test_files_that_cannot_be_used(what: str, tmp_path: Path) -> None:
    missing: dict[str, Any] = {what: str(tmp_path / "missing")}
    if what == "private_key_file":
        missing |= {"token_file": None, "issuer": "us"}
    with pytest.raises(ConfigError, match=f"workers.zello.cloud.home.{what}"):
        await credentials(tmp_path, **missing).logon()


@pytest.mark.parametrize(
    "text", ["no key", TOKEN, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
async def test_a_key_that_is_none(text: str, tmp_path: Path) -> None:
    path = secret(tmp_path, "key.pem", text)
    shown = credentials(tmp_path, token_file=None, issuer="us", private_key_file=path)
    with pytest.raises(ConfigError, match="private_key_file") as raised:
        await shown.logon()
    assert text not in str(raised.value)


def test_the_days_of_a_ready_made_token(tmp_path: Path) -> None:
    def token(**claims: Any) -> str:
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        return f"e30.{body}.c2ln"

    shown = credentials(tmp_path)
    secret(tmp_path, "token", token(iss="us", azp="dev", exp=CLOCK_S + 5.5 * 86_400))
    assert shown.token_days_left() == pytest.approx(5.5)
    secret(tmp_path, "token", token(iss="us"))
    assert shown.token_days_left() is None
    secret(tmp_path, "token", TOKEN)
    assert shown.token_days_left() is None
    assert credentials(tmp_path, token_file=None).token_days_left() is None


AUTHORITY = trustme.CA()
LEAF = AUTHORITY.issue_cert("127.0.0.1")


@pytest.mark.parametrize("how", ["fingerprint", "ca_file", "wrong fingerprint", "nothing"])
async def test_a_server_with_a_certificate_of_its_own(how: str, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(ca))
    certificate = ssl.PEM_cert_to_DER_cert(LEAF.cert_chain_pems[0].bytes().decode())
    fingerprint = sha256(certificate).hexdigest().upper()
    settings: dict[str, dict[str, Any]] = {
        "fingerprint": {"fingerprint": ":".join(fingerprint[i : i + 2] for i in range(0, 64, 2))},
        "ca_file": {"ca_file": str(ca)},
        "wrong fingerprint": {"fingerprint": "0" * 64},
        "nothing": {},
    }
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    LEAF.configure_cert(context)
    async with zello_cloud(ssl_context=context) as cloud:
        config = cloud_config(cloud.url, tmp_path, **settings[how])
        connection = connect_websocket(cloud.url, ssl_context=trust(config))
        if how in ("fingerprint", "ca_file"):
            async with connection as peer:
                assert not peer.closed
        else:
            with pytest.raises(PeerError, match="certificate"):
                async with connection:
                    pass
            assert cloud.connections == []


def test_what_cannot_be_trusted(tmp_path: Path) -> None:
    assert trust(cloud_config("ws://127.0.0.1/ws", tmp_path)) is None
    with pytest.raises(ConfigError, match=r"workers\.zello\.cloud\.home\.ca_file"):
        trust(cloud_config("wss://door/ws", tmp_path, ca_file=str(tmp_path / "none")))
    with pytest.raises((ValueError, AgentError)):
        cloud_config("wss://door/ws", tmp_path, fingerprint="abc")
