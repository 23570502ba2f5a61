"""The HTTP half of a websocket, both sides, without I/O: bounded, parsed by h11, every refusal an answer.

Source: RFC 6455, sections 4.1 and 4.2; RFC 9110, section 15.5.22 (426).
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Iterable, Sequence

import h11
from msgspec import Struct
from wsproto.utilities import generate_accept_token

from agent.model.errors import MalformedMessage

MAX_HEAD_BYTES = 8192
MAX_HEADERS = 64
VERSION = b"13"
_REASONS = {400: "Bad Request", 426: "Upgrade Required", 431: "Request Header Fields Too Large"}


class Upgrade(Struct, frozen=True, kw_only=True):
    """A request that asks properly for a websocket.

    key: the Sec-WebSocket-Key, checked to be 16 bytes in base64. trailing: bytes that came behind the head.
    """

    path: str
    key: bytes
    trailing: bytes = b""


class Refusal(Struct, frozen=True, kw_only=True):
    """A request that does not; `response` is the whole answer, after which the connection is closed."""

    status: int
    reason: str
    response: bytes


class Response(Struct, frozen=True, kw_only=True):
    """What a server answered to our request; `status` 101 means upgraded, and is verified."""

    status: int
    retry_after_s: float | None = None
    trailing: bytes = b""


class RequestReader:
    """Reads one request head, in whatever pieces it comes."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)

    def feed(self, data: bytes) -> Upgrade | Refusal | None:
        """The outcome, or None when more bytes are needed. Any bytes are fine; nothing is raised."""
        try:
            if data:
                self._http.receive_data(data)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            return _refuse(431 if error.error_status_hint == 431 else 400, str(error))
        if event is h11.NEED_DATA:
            return None
        if not isinstance(event, h11.Request):
            return _refuse(400, "not a request")
        return self._judge(event)

    def _judge(self, request: h11.Request) -> Upgrade | Refusal:
        headers = [(bytes(name), bytes(value)) for name, value in request.headers]
        if len(headers) > MAX_HEADERS:
            return _refuse(431, f"more than {MAX_HEADERS} headers")
        if b"websocket" not in _tokens(headers, b"upgrade") or b"upgrade" not in _tokens(
            headers, b"connection"
        ):
            return _refuse(426, "no upgrade to a websocket asked for")
        if request.method != b"GET" or request.http_version < b"1.1":
            return _refuse(400, "an upgrade is a GET of HTTP/1.1")
        if _values(headers, b"transfer-encoding") or _values(headers, b"content-length") not in ([], [b"0"]):
            return _refuse(400, "an upgrade has no body")
        if _values(headers, b"sec-websocket-version") != [VERSION]:
            return _refuse(426, "another websocket version")
        keys = _values(headers, b"sec-websocket-key")
        if len(keys) != 1 or not _is_key(keys[0]):
            return _refuse(400, "no valid Sec-WebSocket-Key")
        trailing, _ = self._http.trailing_data
        return Upgrade(path=request.target.decode("latin-1"), key=keys[0], trailing=bytes(trailing))


class ClientUpgrade:
    """Our own request, and the reading of its answer.

    Raises: ValueError when host, path or headers cannot stand in an HTTP request: check configuration first.
    """

    def __init__(self, *, host: str, path: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=2 * MAX_HEAD_BYTES)
        self._key = base64.b64encode(secrets.token_bytes(16))
        try:
            fields = [
                ("Host", host),
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Key", self._key.decode()),
                ("Sec-WebSocket-Version", VERSION.decode()),
                *headers,
            ]
            request = h11.Request(method="GET", target=path, headers=fields)
            self.request = self._http.send(request) or b""
        except (h11.LocalProtocolError, UnicodeError) as error:
            raise ValueError(str(error)) from error

    def feed(self, data: bytes) -> Response | None:
        """The answer once its head is complete; None when more is needed. b"" is the end of the stream.

        Raises: MalformedMessage.
        """
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
            while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
                event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise MalformedMessage("http", str(error)[:200]) from error
        if event is h11.NEED_DATA:
            return None
        if isinstance(event, h11.Response):
            headers = [(bytes(name), bytes(value)) for name, value in event.headers]
            return Response(status=event.status_code, retry_after_s=_retry_after_s(headers))
        if not isinstance(event, h11.InformationalResponse):
            raise MalformedMessage("http", "connection closed before an answer")
        headers = [(bytes(name), bytes(value)) for name, value in event.headers]
        if (
            b"websocket" not in _tokens(headers, b"upgrade")
            or b"upgrade" not in _tokens(headers, b"connection")
            or _values(headers, b"sec-websocket-accept") != [generate_accept_token(self._key)]
        ):
            raise MalformedMessage("http", "the answer 101 does not fit our request")
        if _values(headers, b"sec-websocket-extensions") or _values(headers, b"sec-websocket-protocol"):
            raise MalformedMessage(
                "http", "the server chose an extension or subprotocol that we did not offer"
            )
        trailing, _ = self._http.trailing_data
        return Response(status=101, trailing=bytes(trailing))


def bare_request(key: bytes) -> bytes:
    """The smallest head that asks for a websocket with this key."""
    return (
        b"GET / HTTP/1.1\r\nHost: peer\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: " + key + b"\r\nSec-WebSocket-Version: " + VERSION + b"\r\n\r\n"
    )


def bare_response(key: bytes) -> bytes:
    """The smallest head that grants a websocket to this key."""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + generate_accept_token(key) + b"\r\n\r\n"
    )


def _refuse(status: int, reason: str) -> Refusal:
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}", "Connection: close", "Content-Length: 0"]
    if status == 426:
        lines[1:2] = [
            "Connection: close, upgrade",
            "Upgrade: websocket",
            f"Sec-WebSocket-Version: {VERSION.decode()}",
        ]
    return Refusal(status=status, reason=reason[:200], response="\r\n".join([*lines, "", ""]).encode())


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    # h11 has made the names lower case.
    return [value for known, value in headers if known == name]


def _tokens(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> set[bytes]:
    return {token.strip().lower() for value in _values(headers, name) for token in value.split(b",")}


def _is_key(value: bytes) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _retry_after_s(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    values = _values(headers, b"retry-after")
    # The other form is a date, which a door with a wrong clock cannot use.
    return float(values[0]) if len(values) == 1 and values[0].isdigit() and len(values[0]) < 6 else None
