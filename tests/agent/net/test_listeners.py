from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from agent.model.errors import PeerError
from agent.net.listeners import address_of, open_listeners


def close(socks: list[socket.socket]) -> None:
    for sock in socks:
        sock.close()


def test_everywhere_takes_both_families() -> None:
    found = open_listeners("", 0)
    try:
        host, port = address_of(found)
        assert host == "127.0.0.1"
        assert not found[0].getblocking()
        addresses = (
            ["127.0.0.1", "::1"] if socket.has_ipv6 and found[0].family == socket.AF_INET6 else ["127.0.0.1"]
        )
        for address in addresses:
            socket.create_connection((address, port), timeout=5).close()
    finally:
        close(found)


def test_falls_back_to_ipv4_where_ipv6_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket

    def without_ipv6(family: int = -1, *args: Any, **kwargs: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return real(family, *args, **kwargs)

    monkeypatch.setattr(socket, "socket", without_ipv6)
    found = open_listeners("::", 0)
    try:
        assert [sock.family for sock in found] == [socket.AF_INET]
        assert found[0].getsockname()[0] == "0.0.0.0"
    finally:
        close(found)


def test_an_explicit_address_is_the_only_one() -> None:
    found = open_listeners("127.0.0.2", 0)
    try:
        assert address_of(found)[0] == "127.0.0.2"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", address_of(found)[1]), timeout=5)
    finally:
        close(found)


def test_ipv6_in_brackets() -> None:
    try:
        found = open_listeners("::1", 0)
    except PeerError:
        pytest.skip("no IPv6 here")
    try:
        assert address_of(found)[0] == "[::1]"
    finally:
        close(found)


def test_a_name_gets_one_port_for_all_its_addresses() -> None:
    found = open_listeners("localhost", 0)
    try:
        assert len({sock.getsockname()[1] for sock in found}) == 1
    finally:
        close(found)


def test_a_port_in_use_says_what_to_do() -> None:
    found = open_listeners("127.0.0.1", 0)
    try:
        with pytest.raises(
            PeerError, match=r"127\.0\.0\.1 port \d+: in use by another program; stop it or set another port"
        ):
            open_listeners("127.0.0.1", address_of(found)[1])
    finally:
        close(found)


def test_a_port_can_be_taken_again_at_once() -> None:
    found = open_listeners("127.0.0.1", 0)
    port = address_of(found)[1]
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        found[0].setblocking(True)
        served, _ = found[0].accept()
        served.close()
        close(found)
    close(open_listeners("127.0.0.1", port))


def test_an_address_of_somebody_else() -> None:
    with pytest.raises(PeerError, match="no interface of this machine has that address"):
        open_listeners("192.0.2.1", 0)


def test_what_is_no_address() -> None:
    with pytest.raises(PeerError, match="not an address of this machine"):
        open_listeners("no such host.invalid", 0)


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EACCES, "CAP_NET_BIND_SERVICE"), (errno.ENOBUFS, "buffer")]
)
def test_other_errors_are_explained(monkeypatch: pytest.MonkeyPatch, number: int, words: str) -> None:
    class Refusing(socket.socket):
        def bind(self, address: Any) -> None:
            raise OSError(number, "no buffer space" if number == errno.ENOBUFS else "Permission denied")

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(PeerError, match=words):
        open_listeners("127.0.0.1", 80)
