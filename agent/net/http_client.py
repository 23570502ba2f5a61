"""HTTP requests to other systems: one deadline, bounded answers, our errors, and no opinion on a status.

httpx's transport and its pool of connections, without the client that httpx builds on it: that one follows
and parses redirects, keeps cookies, unpacks bodies, and writes every URL with its query into the log.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any

import trio
from msgspec import Struct

from agent.model.errors import PeerError

if TYPE_CHECKING:
    import httpx

KEEP_ALIVE_S = 5.0
_REPEATABLE = ("GET", "HEAD")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_REASON_CHARS = 200


class HttpAnswer(Struct, frozen=True):
    """One answer, whole. headers: names in lower case, a repeated one joined by commas."""

    status: int
    headers: dict[str, str]
    body: bytes

    def header(self, name: str, default: str = "") -> str:
        """The value of a header, whatever the case of its name."""
        return self.headers.get(name.lower(), default)

    def __repr__(self) -> str:
        return f"HttpAnswer({self.status}, {len(self.body)} bytes)"


class HttpClient:
    """Requests over kept connections; an async context manager, which owns them.

    timeout_s: for one request with its answer, the wait for a free connection included.
    connect_timeout_s: the part of it in which a server must be reached.
    max_body_bytes: of an answer, as it comes over the wire; more is a PeerError.
    ssl_context: for https (`agent.net.trust.client_context`); None trusts the system's authorities.
    max_connections: at one time; further requests wait.
    """

    def __init__(
        self,
        *,
        timeout_s: float = 10.0,
        connect_timeout_s: float = 5.0,
        max_body_bytes: int = 65536,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = 4,
    ) -> None:
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._max_body_bytes = max_body_bytes
        self._max_connections = max_connections
        self._turns = trio.CapacityLimiter(max_connections)
        self._knows_authorities = ssl_context is not None
        self._ssl_context = ssl_context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._loading = trio.Lock()
        self._httpx: Any = None
        self._transport: httpx.AsyncHTTPTransport | None = None

    async def __aenter__(self) -> HttpClient:
        # Imported here, and beside everything else: a door that asks nobody does not pay for it.
        self._httpx = await trio.to_thread.run_sync(_import_httpx, abandon_on_cancel=True)
        self._transport = self._httpx.AsyncHTTPTransport(
            verify=self._ssl_context,
            trust_env=False,
            # Nobody may ever wait in the pool: a request that is cancelled there can take a place away for
            # good (encode/httpcore issue 1093). They wait for one of our turns instead.
            limits=self._httpx.Limits(
                max_connections=None,
                max_keepalive_connections=self._max_connections,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        """Ask, and read the answer whole. Redirects are answers like any other; nothing is unpacked.

        A GET or HEAD is sent a second time when a kept connection turns out to be dead; nothing else is.
        Raises: PeerError, which names host, port and reason, never path or query: they may hold keys.
        Cancellation: the request may or may not have been done.
        """
        httpx = self._httpx
        exchange = _Exchange()
        try:
            target = httpx.URL(url)
            where = _where(target)
        except (httpx.InvalidURL, ValueError) as error:
            raise PeerError("a URL that cannot be used: expected one like https://host:port/path") from error
        try:
            # What is unpacked has no bound.
            fields = httpx.Headers({"accept-encoding": "identity"})
            fields.update(headers or {})
            request = httpx.Request(
                method,
                target,
                content=body,
                headers=fields,
                extensions={"timeout": {"connect": self._connect_timeout_s}, "trace": exchange.trace},
            )
            with trio.fail_after(self._timeout_s):
                if target.scheme == "https" and not self._knows_authorities:
                    await self._load_authorities()
                async with self._turns:
                    response = await self._send(request, exchange)
                    return await self._read(response, where)
        except trio.TooSlowError as error:
            raise PeerError(f"{where}: no answer within {self._timeout_s:g} s") from error
        except httpx.ConnectTimeout as error:
            raise PeerError(f"{where}: not reached within {self._connect_timeout_s:g} s") from error
        # ValueError: of names and headers that cannot be encoded.
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise PeerError(f"{where}: {_reason(error, httpx, exchange)}") from error

    async def _send(self, request: httpx.Request, exchange: _Exchange) -> httpx.Response:
        """The head of the answer."""
        assert self._transport is not None, "used outside of its context"
        try:
            try:
                response = await self._transport.handle_async_request(request)
            except (self._httpx.ReadError, self._httpx.WriteError, self._httpx.RemoteProtocolError):
                # Kept connections are looked at before they are used, but a server may close one just then.
                if exchange.opened is not None or request.method not in _REPEATABLE:
                    raise
                response = await self._transport.handle_async_request(request)
        except BaseException:
            await exchange.close()
            raise
        exchange.answered = True
        return response

    async def _read(self, response: httpx.Response, where: str) -> HttpAnswer:
        """The answer with its body; the connection is free for the next, or closed."""
        body = bytearray()
        try:
            async for part in response.stream:  # type: ignore[union-attr]
                body += part
                if len(body) > self._max_body_bytes:
                    # Left alone now, the generators below would be left to the garbage collector. Without a
                    # connection they come to their end by themselves.
                    await response.aclose()
        except self._httpx.TransportError:
            if len(body) <= self._max_body_bytes:
                raise
        finally:
            await response.aclose()
        if len(body) > self._max_body_bytes:
            raise PeerError(f"{where}: the answer has more than {self._max_body_bytes} bytes")
        return HttpAnswer(
            status=response.status_code, headers=dict(response.headers.items()), body=bytes(body)
        )

    async def _load_authorities(self) -> None:
        async with self._loading:
            if not self._knows_authorities:
                await trio.to_thread.run_sync(self._ssl_context.load_default_certs)
                self._knows_authorities = True


class _Exchange:
    """How far one request has come. opened: its own new connection. answered: a head has come."""

    def __init__(self) -> None:
        self.opened: Any = None
        self.answered = False

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Called by httpx at each step."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self.opened = info["return_value"]

    async def close(self) -> None:
        """Close a new connection: cancelled in a TLS handshake, httpx leaves it to the garbage collector."""
        if self.opened is not None:
            with trio.CancelScope(shield=True):
                await self.opened.aclose()


def _import_httpx() -> ModuleType:
    import httpx

    return httpx


def _where(url: httpx.URL) -> str:
    """Host and port. Raises: ValueError."""
    if url.scheme not in _DEFAULT_PORTS or not url.host or url.userinfo:
        raise ValueError("no http or https, no host, or a user with a password, which would not be sent")
    return f"{url.host} port {url.port or _DEFAULT_PORTS[url.scheme]}"


def _reason(error: Exception, httpx: Any, exchange: _Exchange) -> str:
    """What went wrong, in words of ours and the system's, never of the peer's."""
    reasons: set[str] = set()
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate refused: {cause.verify_message}"[:_REASON_CHARS]
        if isinstance(cause, ssl.SSLError):
            return f"no TLS: {(cause.reason or type(cause).__name__).lower().replace('_', ' ')}"
        if isinstance(cause, socket.gaierror):
            return str(cause.strerror).lower()
        if isinstance(cause, OSError) and cause.errno is not None:
            reasons.add(os.strerror(cause.errno).lower())
    if reasons:
        return ", ".join(sorted(reasons))[:_REASON_CHARS]
    match error:
        case httpx.RemoteProtocolError() if exchange.answered:
            return "the answer breaks off or is malformed"
        case httpx.RemoteProtocolError() if "disconnected" in str(error):
            return "closed without an answer"
        case httpx.RemoteProtocolError():
            return "the answer is no HTTP"
        case httpx.LocalProtocolError() | ValueError():
            return "the request cannot be sent: a name, a header or the method is illegal"
        case httpx.NetworkError():
            return "connection lost"
        case _:
            return type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it came from; trio groups the attempts at several addresses."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _causes(inner)
        # The pool raises `from None`, which leaves the context in place.
        error = error.__cause__ or error.__context__
