"""Where webhooks may go: URLs, addresses, and names that change their mind."""

from __future__ import annotations

import ipaddress

import pytest
import trio
from harness.netatmo_door import Names

from agent.model.errors import PeerError
from agent.workers.netatmo.destination import Rule, addresses_of, destination_of

RULE = Rule(())


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "authority"),
    [
        ("http://192.168.1.5/hook", "192.168.1.5", 80, "/hook", "192.168.1.5"),
        ("https://ha.local:8123/api?x=1", "ha.local", 8123, "/api?x=1", "ha.local:8123"),
        ("http://[fd00::1]:81", "fd00::1", 81, "/", "[fd00::1]:81"),
        ("http://[FD00:0::1]/", "fd00::1", 80, "/", "[fd00::1]"),
        ("HTTP://Host_1/", "host_1", 80, "/", "host_1"),
        ("https://h:443/", "h", 443, "/", "h"),
    ],
)
def test_urls(url: str, host: str, port: int, target: str, authority: str) -> None:
    found = destination_of(url)
    assert (found.host, found.port, found.target, found.authority) == (host, port, target, authority)
    assert "x=1" not in found.where


@pytest.mark.parametrize(
    "url",
    [
        "", "hook", "ftp://h/", "file:///etc/passwd", "gopher://h/", "http://", "http:///x",
        "http://user@h/", "http://user:swordfish@h/", "http://@h/", "http://h:0/", "http://h:65536/",
        "http://h:x/",
        "http://h /", "http://h/\r\nHost: x", "http://h/\t", "http://h\\@evil/", "http://h/#x",
        "http://h/" + "x" * 1100,
        "http://häuschen/", "http://[::1", "http://[fe80::1%25eth0]/", "http://[v1.x]/", "http://h%2fx/",
        "http://.h/", "http://h,x/", "javascript:alert(1)", "http://127.0.0.1:80:80/",
    ],
)  # fmt: skip
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(
        ValueError, match=r"URL|host|port|Port|IPv6|bracket|does not appear|Expected"
    ) as caught:
        destination_of(url)
    assert "swordfish" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("127.0.0.1", True), ("127.255.0.1", True), ("10.1.2.3", True), ("172.16.0.1", True),
        ("172.31.255.255", True), ("192.168.0.1", True), ("::1", True), ("fd12::1", True), ("fc00::1", True),
        ("::ffff:192.168.0.1", True),
        ("172.15.255.255", False), ("172.32.0.1", False), ("8.8.8.8", False), ("192.0.2.1", False),
        ("169.254.169.254", False), ("0.0.0.0", False), ("255.255.255.255", False), ("224.0.0.1", False),
        ("100.64.0.1", False), ("::", False), ("2001:db8::1", False), ("2606:4700::1", False),
        ("fe80::1", False), ("fe80::1%eth0", False), ("ff02::1", False), ("::ffff:8.8.8.8", False),
        ("::ffff:169.254.169.254", False), ("64:ff9b::8.8.8.8", False), ("2002:808:808::", False),
        ("fec0::1", False), ("localhost", False), ("", False),
    ],
)  # fmt: skip
def test_addresses(address: str, good: bool) -> None:
    assert RULE.allows(address) is good


def test_addresses_that_the_configuration_names() -> None:
    rule = Rule((ipaddress.ip_network("203.0.113.0/24"), ipaddress.ip_network("2001:db8::/32")))
    assert rule.allows("203.0.113.9")
    assert rule.allows("::ffff:203.0.113.9")
    assert rule.allows("2001:db8::1")
    assert rule.allows("10.0.0.1")
    assert not rule.allows("203.0.114.9")


@pytest.mark.parametrize(
    ("found", "good"),
    [
        (["192.168.1.5"], True),
        (["192.168.1.5", "fd00::5"], True),
        (["192.168.1.5", "8.8.8.8"], False),
        (["fd00::5", "2001:db8::5"], False),
        (["8.8.8.8"], False),
        ([], False),
        (["192.168.1.5"] * 17, False),
    ],
)
async def test_every_address_of_a_name_is_looked_at(found: list[str], good: bool) -> None:
    trio.socket.set_custom_hostname_resolver(Names(found))
    destination = destination_of("http://ha.example:8123/")
    if good:
        addresses = await addresses_of(destination, RULE)
        assert [address for _, address in addresses] == [(text, 8123) for text in found]
    else:
        with pytest.raises(PeerError):
            await addresses_of(destination, RULE)


@pytest.mark.parametrize("url", ["http://2130706433:81/", "http://0x7f.1:81/", "http://127.1:81/"])
async def test_other_spellings_of_an_address_are_what_they_are(url: str) -> None:
    try:
        addresses = await addresses_of(destination_of(url), RULE)
    except (ValueError, PeerError):
        return
    assert [address for _, address in addresses] == [("127.0.0.1", 81)]


@pytest.mark.parametrize("url", ["http://134744072/", "http://0x8.0x8.0x8.0x8/", "http://8.8.2056/"])
async def test_other_spellings_of_an_address_that_is_not_good(url: str) -> None:
    with pytest.raises(PeerError):
        await addresses_of(destination_of(url), RULE)
