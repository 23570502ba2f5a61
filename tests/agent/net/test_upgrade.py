from __future__ import annotations

import pytest
from harness.raw_websocket import REQUEST
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.net.upgrade import (
    ClientUpgrade,
    Refusal,
    RequestReader,
    Response,
    Upgrade,
    bare_request,
    bare_response,
)

GOOD = REQUEST + b"\r\n"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def test_a_proper_request_with_bytes_behind_it() -> None:
    assert RequestReader().feed(GOOD + b"frames") == Upgrade(path="/door?x=1", key=KEY, trailing=b"frames")


def test_one_byte_at_a_time() -> None:
    reader = RequestReader()
    for byte in GOOD[:-1]:
        assert reader.feed(bytes([byte])) is None
    assert isinstance(reader.feed(GOOD[-1:]), Upgrade)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: door\r\n\r\n", 426),
        (b"POST / HTTP/1.1\r\nHost: door\r\nContent-Length: 0\r\n\r\n", 426),
        (b"HEAD / HTTP/1.0\r\n\r\n", 426),
        (GOOD.replace(b"Version: 13", b"Version: 8"), 426),
        (GOOD.replace(b"Upgrade: websocket", b"Upgrade: h2c"), 426),
        (GOOD.replace(b"keep-alive, Upgrade", b"keep-alive"), 426),
        (GOOD.replace(b"GET", b"PUT"), 400),
        (GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
        (GOOD.replace(KEY, b"c2hvcnQ="), 400),
        (GOOD.replace(KEY, b"!" * 24), 400),
        (GOOD.replace(b"Host: door\r\n", b""), 400),
        (REQUEST + b"Sec-WebSocket-Key: " + KEY + b"\r\n\r\n", 400),
        (REQUEST + b"Content-Length: 5\r\n\r\nhello", 400),
        (REQUEST + b"Transfer-Encoding: chunked\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"\x00" * 10, 400),
        (b"hello\r\n\r\n", 400),
        (REQUEST + b"Bad Header\r\n\r\n", 400),
        (REQUEST + b"X-Long: " + b"y" * 9000, 431),
        (REQUEST + b"X: y\r\n" * 100 + b"\r\n", 431),
        (b"GET /" + b"x" * 9000, 431),
    ],
)
def test_everything_else_gets_an_answer(request_bytes: bytes, status: int) -> None:
    outcome = RequestReader().feed(request_bytes)
    assert isinstance(outcome, Refusal)
    assert outcome.status == status
    assert outcome.response.startswith(f"HTTP/1.1 {status} ".encode())
    assert outcome.response.endswith(b"\r\n\r\n")
    assert (b"Upgrade: websocket\r\nSec-WebSocket-Version: 13" in outcome.response) == (status == 426)


@given(
    st.one_of(st.binary(max_size=400), st.binary(max_size=60).map(lambda junk: REQUEST + junk + b"\r\n\r\n"))
)
def test_any_bytes_are_an_outcome(data: bytes) -> None:
    assert isinstance(RequestReader().feed(data), Upgrade | Refusal | None)


def test_both_ends_agree() -> None:
    client = ClientUpgrade(host="door:9000", path="/ws?a=b", headers=[("Authorization", "Basic x")])
    asked = RequestReader().feed(client.request)
    assert isinstance(asked, Upgrade)
    assert asked.path == "/ws?a=b"
    assert b"Authorization: Basic x" in client.request
    assert client.feed(bare_response(asked.key) + b"frames") == Response(status=101, trailing=b"frames")
    assert RequestReader().feed(bare_request(asked.key)) == Upgrade(path="/", key=asked.key)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", Response(status=403)),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 17\r\n\r\n", Response(status=503, retry_after_s=17.0)),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n\r\n", Response(status=503)),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 No\r\n\r\n", Response(status=404)),
        (b"HTTP/1.1 200", None),
    ],
)
def test_answers_of_servers(answer: bytes, expected: Response | None) -> None:
    assert ClientUpgrade(host="door", path="/").feed(answer) == expected


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
        bare_response(KEY),
        b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20000,
    ],
)
def test_servers_that_talk_nonsense(answer: bytes) -> None:
    with pytest.raises(MalformedMessage):
        ClientUpgrade(host="door", path="/").feed(answer)


@pytest.mark.parametrize(
    "header", [b"Sec-WebSocket-Extensions: permessage-deflate", b"Sec-WebSocket-Protocol: chat"]
)
def test_an_extension_nobody_offered(header: bytes) -> None:
    client = ClientUpgrade(host="door", path="/")
    asked = RequestReader().feed(client.request)
    assert isinstance(asked, Upgrade)
    with pytest.raises(MalformedMessage, match="did not offer"):
        client.feed(bare_response(asked.key)[:-2] + header + b"\r\n\r\n")


@given(st.binary(max_size=300))
def test_any_answer_is_an_outcome_or_malformed(data: bytes) -> None:
    try:
        assert isinstance(ClientUpgrade(host="door", path="/").feed(data), Response | None)
    except MalformedMessage:
        pass


@pytest.mark.parametrize(("host", "path"), [("door\r\nX: y", "/"), ("door", "/a b"), ("door", "/ü")])
def test_a_request_that_cannot_be(host: str, path: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the words are h11's
        ClientUpgrade(host=host, path=path)
