"""SSDP: tables of (message, bytes), round trips, and any bytes at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import LocalProtocolError, MalformedMessage
from agent.workers.deconz.ssdp_wire import (
    BASIC_DEVICE,
    EVERYTHING,
    MAX_DATAGRAM_BYTES,
    ROOT_DEVICE,
    Byebye,
    Description,
    Search,
    decode_message,
    encode_message,
)

USN = "uuid:11111111-2222-3333-4444-555555555555::upnp:rootdevice"
GATEWAY = Description(
    kind="alive",
    target=ROOT_DEVICE,
    usn=USN,
    location="http://192.168.1.5:80/description.xml",
    server="Linux/3.14.0 UPnP/1.0 IpBridge/1.26.0",
    bridge_id="00212EFFFF012345",
)


def lines(*texts: str) -> bytes:
    return "\r\n".join((*texts, "", "")).encode()


BOTH_WAYS: list[tuple[Any, bytes]] = [
    (
        Search(target=BASIC_DEVICE, mx_s=2),
        lines(
            "M-SEARCH * HTTP/1.1",
            "HOST: 239.255.255.250:1900",
            'MAN: "ssdp:discover"',
            "MX: 2",
            "ST: urn:schemas-upnp-org:device:basic:1",
        ),
    ),
    (
        GATEWAY,
        lines(
            "NOTIFY * HTTP/1.1",
            "HOST: 239.255.255.250:1900",
            "CACHE-CONTROL: max-age=100",
            "LOCATION: http://192.168.1.5:80/description.xml",
            "SERVER: Linux/3.14.0 UPnP/1.0 IpBridge/1.26.0",
            "GWID.phoscon.de: 00212EFFFF012345",
            "hue-bridgeid: 00212EFFFF012345",
            "NT: upnp:rootdevice",
            "NTS: ssdp:alive",
            f"USN: {USN}",
        ),
    ),
    (
        Description(
            kind="answer", target=BASIC_DEVICE, usn=USN, location="http://192.168.1.5/d.xml", server="x",
            bridge_id="00212EFFFF012345", https_port=443, max_age_s=60,
        ),
        lines(
            "HTTP/1.1 200 OK",
            "HOST: 239.255.255.250:1900",
            "EXT: ",
            "CACHE-CONTROL: max-age=60",
            "LOCATION: http://192.168.1.5/d.xml",
            "SERVER: x",
            "GWID.phoscon.de: 00212EFFFF012345",
            "hue-bridgeid: 00212EFFFF012345",
            "HTTPS.phoscon.de: 443",
            "ST: urn:schemas-upnp-org:device:basic:1",
            f"USN: {USN}",
        ),
    ),
    (
        Byebye(target=ROOT_DEVICE, usn=USN),
        lines(
            "NOTIFY * HTTP/1.1",
            "HOST: 239.255.255.250:1900",
            "NT: upnp:rootdevice",
            "NTS: ssdp:byebye",
            f"USN: {USN}",
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("message", "data"), BOTH_WAYS)
def test_both_ways(message: Any, data: bytes) -> None:
    assert encode_message(message) == data
    assert decode_message(data) == message


def test_a_philips_bridge_is_no_gateway() -> None:
    data = lines(
        "HTTP/1.1 200 OK",
        "LOCATION: http://192.168.1.6:80/description.xml",
        "hue-bridgeid: 001788FFFE123456",
        f"ST: {ROOT_DEVICE}",
        "USN: x",
    )
    message = decode_message(data)
    assert isinstance(message, Description)
    assert message.bridge_id == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"M-SEARCH * HTTP/1.1\nst:  ssdp:all \n\n", Search(target=EVERYTHING, mx_s=0)),
        (b"M-SEARCH * HTTP/1.0\r\nMAN: ssdp:discover\r\nMX: 120\r\nST: x", Search(target="x", mx_s=5)),
        (b"M-SEARCH * HTTP/1.1\r\nST: a\r\nst: b\r\n\r\nMX: 4\r\n\r\n", Search(target="a", mx_s=0)),
        (
            b"NOTIFY * HTTP/1.1\r\nNT: a\r\nNTS: ssdp:update\r\nLOCATION: http://h/\r\n"
            b"gwid.PHOSCON.de: 00212effff012345\r\nHTTPS.phoscon.de: 70000\r\n\r\n",
            Description(kind="alive", target="a", usn="", location="http://h/", bridge_id="00212EFFFF012345"),
        ),
        (
            b"HTTP/1.1 200\r\nST: a\r\nLOCATION: https://h:8443\r\nGWID.phoscon.de: <b>\r\n"
            b"CACHE-CONTROL: no-cache, MAX-AGE = 7\r\n\r\n",
            Description(kind="answer", target="a", usn="", location="https://h:8443", max_age_s=7),
        ),
    ],
)
def test_what_others_send(data: bytes, message: Any) -> None:
    assert decode_message(data) == message


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"M-SEARCH / HTTP/1.1\r\nST: a\r\n\r\n",
        b"M-SEARCH * HTTP/2\r\nST: a\r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\nST: \r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\nST: a\r\nMX: soon\r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\nST: a\r\nMAN: ssdp:alive\r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\nST a\r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\nS T: a\r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\nST: \xff\r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\nST: a\x00b\r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(40)) + b"ST: a\r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\nST: " + b"a" * 600 + b"\r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\nST: a\r\n" + b"x" * MAX_DATAGRAM_BYTES,
        b"NOTIFY * HTTP/1.1\r\nNT: a\r\n\r\n",
        b"NOTIFY * HTTP/1.1\r\nNT: a\r\nNTS: ssdp:gone\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nST: a\r\nLOCATION: http://h/\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nST: a\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nST: a\r\nLOCATION: ftp://h/\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nST: a\r\nLOCATION: http://h:99999/\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nST: a\r\nLOCATION: http://[h/\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nST: a\r\nLOCATION: http://h/\r\nHTTPS.phoscon.de: -1\r\n\r\n",
    ],
)
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_message(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    _message_or_malformed(data)


NAMES = [
    "ST",
    "NT",
    "NTS",
    "MX",
    "MAN",
    "USN",
    "LOCATION",
    "GWID.phoscon.de",
    "CACHE-CONTROL",
    "HTTPS.phoscon.de",
]
WORDS = ["ssdp:all", "ssdp:alive", "ssdp:byebye", "1", "http://h/", "http://[::1]:80/", "max-age=5"]
VALUES = st.sampled_from([*WORDS, '"ssdp:discover"']) | st.text(max_size=20)


@given(
    st.sampled_from(["M-SEARCH * HTTP/1.1", "NOTIFY * HTTP/1.1", "HTTP/1.1 200 OK", "x"]),
    st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=12),
)
def test_any_headers_are_a_message_or_malformed(first: str, headers: list[tuple[str, str]]) -> None:
    text = "\r\n".join((first, *(f"{name}: {value}" for name, value in headers), "", ""))
    _message_or_malformed(text.encode("utf-8", "surrogatepass"))


PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
MESSAGES = (
    st.builds(Search, target=PRINTABLE, mx_s=st.integers(0, 5))
    | st.builds(Byebye, target=PRINTABLE, usn=PRINTABLE)
    | st.builds(
        Description,
        kind=st.sampled_from(["alive", "answer"]),
        target=PRINTABLE,
        usn=PRINTABLE,
        location=st.integers(1, 65535).map(lambda port: f"http://192.168.1.5:{port}/description.xml"),
        server=PRINTABLE,
        bridge_id=st.just("") | st.integers(0, (1 << 64) - 1).map(lambda number: f"{number:016X}"),
        https_port=st.integers(0, 65535),
        max_age_s=st.integers(0, 10**9 - 1),
    )
)


@given(MESSAGES)
def test_round_trip(message: Any) -> None:
    assert decode_message(encode_message(message)) == message


@pytest.mark.parametrize("text", ["a\r\nb", "ü", "a\x00", "x" * 600])
def test_what_would_break_the_head_is_not_sent(text: str) -> None:
    for message in (Search(target=text), Byebye(target="a", usn=text)):
        with pytest.raises(LocalProtocolError):
            encode_message(message)


def _message_or_malformed(data: bytes) -> None:
    try:
        message = decode_message(data)
    except MalformedMessage:
        return
    assert isinstance(message, Search | Description | Byebye)
