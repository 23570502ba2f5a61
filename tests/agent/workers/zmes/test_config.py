from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.wire.url import is_loopback
from agent.workers.zmes.config import PushConfig, ServerConfig, ZmesConfig


def server(**fields: Any) -> ServerConfig:
    return msgspec.convert(fields, ServerConfig)


def test_the_defaults_are_the_protocols() -> None:
    config = server()
    assert (config.port, config.tls, config.version) == (9000, True, "6.1.29")
    assert (config.auth_timeout_s, config.bad_auth_grace_s) == (20, 5)
    assert not config.escontrol
    assert not config.end_messages
    assert config.push is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_without_tls_on_loopback(host: str) -> None:
    assert not server(tls=False, host=host).tls


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"tls": False}, "127.0.0.1 or ::1 only"),
        ({"tls": False, "host": "0.0.0.0"}, "in the clear"),
        ({"tls": False, "host": "door.local"}, "in the clear"),
        ({"escontrol": True}, "escontrol_password_file"),
        ({"monitors": {"a": 1, "b": 1}}, "same id"),
        ({"monitors": {"a": 0}}, ">= 1"),
        ({"port": 65536}, "<= 65535"),
        ({"version": "six"}, "matching regex"),
        ({"alarm_on": ["party"]}, "Invalid enum"),
        ({"auth_timeout_s": 0}, "> 0"),
        ({"picture_url": "ftp://x"}, "http://"),
        ({"picture_url": "https://u:p@x/"}, "must not carry"),
        ({"surprise": 1}, "unknown field"),
    ],
)
def test_mistakes_are_told(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=text):
        server(**fields)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "begins with"),
        ("http://fcm.example/send", "must be https"),
        ("https://k@fcm.example/", "not carry"),
    ],
)
def test_push_urls(url: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        PushConfig(url=url, key_file="/run/key")
    assert PushConfig(url="http://127.0.0.1:5/send", key_file="/run/key").monthly_limit == 8000


def test_upstreams_have_names_of_their_own() -> None:
    one = {"name": "zm", "url": "wss://zm.example:9000/", "user": "u", "password_file": "/run/p"}
    assert len(msgspec.convert({"upstream": [one]}, ZmesConfig).upstream) == 1
    with pytest.raises(msgspec.ValidationError, match="same name"):
        msgspec.convert({"upstream": [one, one]}, ZmesConfig)


@pytest.mark.parametrize(("host", "expected"), [("::", False), ("", False), ("localhost.evil", False)])
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
