from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.workers.zello.config import (
    ChannelConfig,
    CloudConfig,
    CommandsConfig,
    RingConfig,
    ServerConfig,
    SnapshotConfig,
    ZelloConfig,
)

FINGERPRINT = "AB:" * 31 + "CD"
CLOUD = {"name": "zello", "channels": ["door"], "username": "door", "password_file": "/run/p"}


def test_nothing_is_on_by_itself() -> None:
    config = msgspec.convert({}, ZelloConfig)
    assert (config.server, config.cloud, config.snapshot) == (None, (), None)


def test_a_server_needs_no_settings() -> None:
    config = msgspec.convert({}, ServerConfig)
    assert (config.host, config.port, config.tls) == ("::", 8444, True)
    assert [(channel.name, channel.door) for channel in config.channels] == [
        ("Front door", "always"),
        ("House", "never"),
    ]
    # Who is on it has shown a password; on a server of others a PIN is asked for.
    assert config.commands.pin == ()
    assert CommandsConfig().pin == ("resident", "guest", "admin")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_without_tls_on_loopback(host: str) -> None:
    assert not msgspec.convert({"tls": False, "host": host}, ServerConfig).tls


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"tls": False}, "in the clear"),
        ({"tls": False, "host": "192.0.2.1"}, "127.0.0.1 or ::1 only"),
        ({"channels": []}, "at least one channel"),
        ({"channels": [{"name": "a"}, {"name": "a"}]}, "same name"),
        ({"channels": [{"name": "a", "anonymous": True}]}, "a token proves the app"),
        ({"channels": [{"name": ""}]}, "length >= 1"),
        ({"channels": [{"name": "a", "door": "sometimes"}]}, "Invalid enum"),
        ({"channels": [{"name": "a", "roles": ["boss"]}]}, "Invalid enum"),
        ({"port": 70_000}, "<= 65535"),
        ({"packet_ms": 10}, "Invalid enum"),
        ({"max_stream_s": 1}, ">= 5"),
        ({"max_rate": 0.5}, ">= 1"),
        ({"tokens": [{"issuer": "i"}]}, "public_key_file"),
        ({"commands": {"words": {"open": "light"}}}, "same word"),
        ({"commands": {"words": {"dance": "now"}}}, "Invalid enum"),
        ({"commands": {"words": {"open": "!"}}}, "expected a word"),
        ({"commands": {"pin": ["boss"]}}, "Invalid enum"),
        ({"door_user": ""}, "length >= 1"),
        ({"surprise": 1}, "unknown field"),
    ],
)
def test_mistakes_of_a_server(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=text):
        msgspec.convert(fields, ServerConfig)


@pytest.mark.parametrize(
    "fields",
    [
        CLOUD,
        {**CLOUD, "url": "wss://zellowork.io/ws/network"},
        {**CLOUD, "url": "wss://door.example:8444/ws/mesh", "ca_file": "/etc/ca.pem"},
        {**CLOUD, "url": "wss://[2001:db8::1]:8444/ws", "fingerprint": FINGERPRINT},
        {**CLOUD, "url": "ws://127.0.0.1:8444/ws"},
        {**CLOUD, "token_file": "/run/token"},
        {**CLOUD, "issuer": "a=.b=", "private_key_file": "/run/key"},
        {"name": "z", "channels": ["a", "b"], "token_file": "/run/token"},
    ],
)
def test_clouds(fields: dict[str, Any]) -> None:
    assert msgspec.convert(fields, CloudConfig).name == fields["name"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"url": "https://zello.io/ws"}, "begins with wss:// or ws://"),
        ({"url": "zello.io/ws"}, "begins with"),
        ({"url": "wss:///ws"}, "begins with"),
        ({"url": "wss://"}, "begins with"),
        ({"url": "wss://u:hunter2@zello.io/ws"}, "must not carry"),
        ({"url": "wss://hunter2@zello.io/ws"}, "must not carry"),
        ({"url": "wss://zello.io:99999/ws"}, "a port of"),
        ({"url": "wss://zello.io:port/ws"}, "a port of"),
        ({"url": "wss://zello.io:0/ws"}, "a port of"),
        ({"url": "wss://[::1/ws"}, "IPv6"),
        ({"url": "wss://zello.io/ws net"}, "without spaces"),
        ({"url": "wss://zello.io/ws#x"}, "without a #"),
        ({"password_file": None}, "username and password_file: both or neither"),
        ({"username": ""}, "username and password_file: both or neither"),
        ({"issuer": "i"}, "issuer and private_key_file: both or neither"),
        ({"private_key_file": "/run/key"}, "issuer and private_key_file: both or neither"),
        ({"issuer": "i", "private_key_file": "/k", "token_file": "/t"}, "exclude each other"),
        ({"username": "", "password_file": None}, "a user, a token, or both"),
        ({"ca_file": "/ca", "fingerprint": FINGERPRINT}, "exclude each other"),
        ({"fingerprint": "AB:CD"}, "64 hex digits"),
        ({"fingerprint": FINGERPRINT, "url": "ws://127.0.0.1/ws"}, "belong to a URL with TLS"),
        ({"ca_file": "/ca", "url": "ws://127.0.0.1/ws"}, "belong to a URL with TLS"),
        ({"channels": []}, "length >= 1"),
        ({"channels": ["a"] * 101}, "length <= 100"),
        ({"name": "Zello Cloud"}, "matching regex"),
        ({"packet_ms": 120}, "Invalid enum"),
        ({"password": "hunter2"}, "unknown field"),
        ({"auth_token": "hunter2"}, "unknown field"),
    ],
)
def test_mistakes_of_a_cloud(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=text) as caught:
        msgspec.convert({**CLOUD, **fields}, CloudConfig)
    assert "hunter2" not in str(caught.value)


def test_clouds_have_names_of_their_own() -> None:
    assert len(msgspec.convert({"cloud": [CLOUD]}, ZelloConfig).cloud) == 1
    with pytest.raises(msgspec.ValidationError, match="same name"):
        msgspec.convert({"cloud": [CLOUD, CLOUD]}, ZelloConfig)


@pytest.mark.parametrize(
    "fields",
    [
        {"command": ["rpicam-still", "-o", "-"]},
        {"url": "http://camera.local/snap.jpg?pwd=x"},
        {"url": "https://camera.local/snap.jpg", "fingerprint": FINGERPRINT},
        {"url": "http://camera.local/", "user": "door", "password_file": "/run/p"},
    ],
)
def test_snapshots(fields: dict[str, Any]) -> None:
    assert msgspec.convert(fields, SnapshotConfig).timeout_s == 5.0


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "either command or url"),
        ({"command": ["x"], "url": "http://camera/"}, "either command or url"),
        ({"command": [""]}, "length >= 1"),
        ({"command": ["x"], "user": "u", "password_file": "/p"}, "belong to a url"),
        ({"url": "rtsp://camera/"}, "begins with http:// or https://"),
        ({"url": "http://u:hunter2@camera/"}, "must not carry"),
        ({"url": "http://camera/", "user": "u"}, "both or neither"),
        ({"url": "http://camera/", "password_file": "/p"}, "both or neither"),
        ({"url": "http://camera/", "ca_file": "/ca"}, "belong to a URL with TLS"),
        ({"url": "http://camera/", "timeout_s": 0}, "> 0"),
    ],
)
def test_mistakes_of_a_snapshot(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=text) as caught:
        msgspec.convert(fields, SnapshotConfig)
    assert "hunter2" not in str(caught.value)


def test_secrets_are_in_no_repr() -> None:
    """They stand in files; cameras alone take them in a URL, and programs as an argument."""
    for config in (
        SnapshotConfig(url="http://camera/?pwd=hunter2"),
        SnapshotConfig(command=("camera", "--password=hunter2")),
    ):
        assert "hunter2" not in repr(ZelloConfig(snapshot=config))


def test_a_ring_is_short() -> None:
    assert RingConfig(text="").text == ""
    for fields in ({"text": "x" * 501}, {"recipient": "x" * 129}):
        with pytest.raises(msgspec.ValidationError, match="length <="):
            msgspec.convert(fields, RingConfig)
    assert ChannelConfig(name="a").ring == RingConfig()


def test_the_examples_of_the_page_are_right() -> None:
    page = (Path(__file__).parents[4] / "docs" / "zello.md").read_text(encoding="utf-8")
    examples = [
        tomllib.loads(text)["workers"]["zello"] for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    ]
    assert len(examples) == 5
    for example in examples:
        assert msgspec.convert(example, ZelloConfig) != ZelloConfig()
