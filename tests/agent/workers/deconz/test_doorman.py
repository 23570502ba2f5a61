from __future__ import annotations

import ipaddress

import pytest
from starlette.requests import Request

from agent.model.principals import Principal
from agent.workers.deconz.doorman import Asker, address_of, is_admitted, looks_like_a_key, peer_of

NETWORKS = tuple(ipaddress.ip_network(text) for text in ("192.168.1.0/24", "10.0.0.9", "fd00::/64"))


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("192.168.1.20", True),
        ("192.168.2.20", False),
        ("10.0.0.9", True),
        ("fd00::17", True),
        ("fd00::17%eth0", True),
        ("fe80::1%eth0", False),
        ("::1", False),
        ("", False),
        ("unix", False),
    ],
)
def test_who_may_come(address: str, admitted: bool) -> None:
    assert is_admitted(address, NETWORKS) is admitted
    assert is_admitted(address, ()) is True


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("pk_abcd2345_Zm9v-_", True),
        ("pk_", False),
        ("pk", False),
        ("PK_abcd", False),
        ("pk_äöü", False),
        ("pk_a b", False),
        ("pk_a\n", False),
        ("pk_" + "x" * 129, False),
        ("0A498B9909", False),
    ],
)
def test_what_looks_like_a_key(text: str, like: bool) -> None:
    assert looks_like_a_key(text) is like


def request(path: str, client: tuple[str, int] | None = ("192.168.1.20", 1)) -> Request:
    return Request({"type": "http", "method": "GET", "path": path, "headers": [], "client": client})


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/api/pk_a_b", "/"),
        ("/api/pk_a_b/lights/1/state", "/lights/1/state"),
        ("/api/pk_a_b/config/whitelist/pk_c_d", "/config/whitelist/pk_c"),
        ("/api/x/" + "y" * 100, "/" + "y" * 64),
        ("/api/x/1/2/3/4/5/6/7/8", "/1/2/3/4/5/6"),
        ("/api", "/"),
        ("/", "/"),
    ],
)
def test_an_address_holds_no_key_and_not_too_much(path: str, address: str) -> None:
    assert address_of(request(path)) == address


def test_the_peer() -> None:
    assert peer_of(request("/")) == "192.168.1.20"
    assert peer_of(request("/", None)) == ""


def test_an_asker_does_not_show_its_key() -> None:
    principal = Principal(name="smart-home", role="resident", via="deconz")
    assert "secret" not in repr(Asker(principal=principal, key="pk_a_secret", address="/"))
