"""Apps that prove themselves with a token, over real sockets with TLS and real keys."""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from harness.zello_client import OPUS_20, channel_site

from agent.workers.zello.tokens import TokenIssuer

ISSUER = "WkVMTE8=.aXNzdWVy="


@functools.cache
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def token(*, issuer: str = ISSUER, at_s: float | None = None) -> str:
    pem = key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return TokenIssuer(issuer, pem).make(time.time() if at_s is None else at_s)


def settings(folder: Path) -> dict[str, Any]:
    """A public channel, a private one, and the issuer's key."""
    path = folder / "issuer.pem"
    path.write_bytes(key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return {
        "tokens": [{"issuer": ISSUER, "public_key_file": str(path)}],
        "channels": [{"name": "Public", "anonymous": True}, {"name": "Private"}],
        "token_grace_s": 3600,
    }


async def test_a_token_without_a_user_may_listen_where_anybody_may(tmp_path: Path) -> None:
    async with channel_site(tmp_path, **settings(tmp_path)) as site:
        listener = await site.client()
        answer = await listener.ask("logon", auth_token=token(), channels=["Public", "Private"])
        assert answer["success"] is True
        assert answer["refresh_token"]
        assert (await listener.event("on_channel_status", channel="Public"))["status"] == "online"
        assert (await listener.event("on_channel_status", channel="Private"))["error"] == "not authorized"
        assert (await listener.start(channel="Public"))["error"] == "listen only connection"
        alice = await site.user("alice", "Public")
        stream = (await alice.start())["stream_id"]
        await alice.talk(stream, 0)
        assert (await listener.packet())[3] == OPUS_20
        again = await (await site.client()).ask(
            "logon", refresh_token=answer["refresh_token"], channel="Public"
        )
        assert again["success"] is True


async def test_a_token_that_was_good_once_is_borne_for_a_while(tmp_path: Path) -> None:
    async with channel_site(tmp_path, **settings(tmp_path)) as site:
        client = await site.client()
        stale = token(at_s=time.time() - 1800)
        assert (await client.ask("logon", auth_token=stale, channel="Public"))["success"] is True
        for wrong in (token(at_s=time.time() - 50_000), token(issuer="somebody else"), token()[:-8], "a.b.c"):
            client = await site.client()
            answer = await client.ask("logon", auth_token=wrong, channel="Public")
            assert answer["error"] == "not authorized"


async def test_with_a_password_no_token_matters(tmp_path: Path) -> None:
    async with channel_site(tmp_path, **settings(tmp_path)) as site:
        alice = await site.user("alice", "Private", auth_token="expired or nonsense", token_version=3)
        assert (await alice.start())["success"] is True
        bob = await site.client()
        answer = await bob.ask(
            "logon", auth_token=token(), username="bob", password="wrong", channel="Private"
        )
        assert answer["error"] == "not authorized"


async def test_where_no_keys_are_known_no_token_is_good(tmp_path: Path) -> None:
    async with channel_site(tmp_path) as site:
        client = await site.client()
        answer = await client.ask("logon", auth_token=token(), channel="Front door")
        assert answer["error"] == "not authorized"
        # The makers' client has to send one, whatever it is.
        await site.user("alice", auth_token=None)
