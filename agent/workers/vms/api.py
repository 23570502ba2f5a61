"""REST of a VMS: the log-in, where its pushes are, leave for channels, and its files.

Source: the vendor's client API pages (23.09 to 24.12). Which paths a release has is configuration. Never
sends X-Socket-ID: with it the server would leave us out of the pushes that our own requests cause.
"""

from __future__ import annotations

import json
import logging
import math
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
import trio
from msgspec import Struct

from agent.model.errors import AuthenticationError, MalformedMessage, PeerError
from agent.net.http_client import HttpAnswer, HttpClient
from agent.wire.json import decode_any
from agent.workers.vms.config import VmsConfig

MAX_BODY_BYTES = 1024 * 1024
WSURL_S = 3600.0  # how long one is good
WAIT_S = 60.0  # after 429 without a time

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Session(Struct, frozen=True, kw_only=True):
    """What a log-in gives; all of it but the user's number is as good as a password."""

    user_id: int
    token_id: str
    bearer: str

    def __repr__(self) -> str:
        return f"Session(user_id={self.user_id})"


class WsUrl(Struct, frozen=True, kw_only=True):
    """Where pushes are. base: `wss://host:port`; path: below it."""

    base: str
    path: str
    app_key: str

    def __repr__(self) -> str:
        return f"WsUrl(base={self.base!r}, path={self.path!r})"


class _User(Struct):
    id: int
    access_token_id: str | int


class _TokenAnswer(Struct):
    user: _User
    access_token: str


class _WsUrlAnswer(Struct):
    app_key: str | int = ""
    host: str = ""
    port: int = 0
    path: str = ""
    is_encrypted: bool = True


class Api:
    """Of one VMS, with one device id. session: None: not logged in."""

    def __init__(self, http: HttpClient, config: VmsConfig, *, password: str, device: str) -> None:
        self.session: Session | None = None
        self._http = http
        self._config = config
        self._password = password
        self._device = device
        self._base = config.url.rstrip("/")
        self._wsurl: WsUrl | None = None
        self._wsurl_until = -math.inf

    async def login(self) -> Session:
        """Log in anew. Raises: AuthenticationError, PeerError."""
        body = json.dumps({"login": self._config.login, "password": self._password}).encode()
        answer = await self._ask("POST", self._config.token_path, body=body, bearer=False)
        match answer.status:
            case 200 | 201:
                self.session = _session(answer)
                return self.session
            case 419:
                raise PeerError("the VMS has too many sessions of our account: end one there", WAIT_S * 5)
            case 401 | 403 | 422:
                raise AuthenticationError("the VMS does not take our login and password")
            case _:
                raise _failure(answer, "the log-in")

    async def wsurl(self) -> WsUrl:
        """Where pushes are; kept for an hour, since more than 20 questions in five minutes are refused.

        Raises: PeerError.
        """
        if self._wsurl is not None and trio.current_time() < self._wsurl_until:
            return self._wsurl
        answer = await self._ask("GET", self._config.wsurl_path, bearer=False)
        if answer.status != 200:
            if self._wsurl is not None:
                return self._wsurl
            raise _failure(answer, "where pushes are")
        self._wsurl = _wsurl(answer, self._config.url)
        self._wsurl_until = trio.current_time() + WSURL_S
        return self._wsurl

    def forget_wsurl(self) -> None:
        """What it told does not work."""
        self._wsurl_until = -math.inf

    async def authorise(self, socket_id: str, channel: str) -> str:
        """The signature for a private channel. Raises: Forbidden, AuthenticationError, PeerError."""
        body = urlencode({"socket_id": socket_id, "channel_name": channel}).encode()
        answer = await self._ask(
            "POST", self._config.auth_path, body=body, kind="application/x-www-form-urlencoded"
        )
        if answer.status == 403:
            raise Forbidden(f"no leave for {channel.partition('.')[0]}")
        if answer.status in (401, 419):
            raise AuthenticationError("the log-in has run out")
        if answer.status != 200:
            raise _failure(answer, "leave for a channel")
        auth = _object(answer).get("auth")
        if not isinstance(auth, str) or not 0 < len(auth) <= 512:
            raise PeerError("the VMS gave leave for a channel without a signature")
        return auth

    async def intercom_status(self) -> str | None:
        """The state of our own intercom; empty: it is none of ours any more; None: there is no asking.

        Raises: AuthenticationError, PeerError.
        """
        if self._config.intercom_id is None or not self._config.intercom_path:
            return None
        answer = await self._ask("GET", self._path(self._config.intercom_path))
        if answer.status in (403, 404):
            return ""
        if answer.status in (401, 419):
            raise AuthenticationError("the log-in has run out")
        if answer.status != 200:
            raise _failure(answer, "our intercom")
        plain = _object(answer)
        inner = plain.get("data")
        found = inner if isinstance(inner, dict) else plain
        status = found.get("status")
        return status[:64] if isinstance(status, str) else None

    async def ask_for_keys(self) -> bool:
        """Have a file of our keys made, which a push will announce; False when there is no asking.

        Raises: AuthenticationError, PeerError.
        """
        if self._config.intercom_id is None or not self._config.export_path:
            return False
        answer = await self._ask("POST", self._path(self._config.export_path), body=b"{}")
        if answer.status in (401, 419):
            raise AuthenticationError("the log-in has run out")
        if answer.status >= 300:
            raise _failure(answer, "a file of keys")
        return True

    def headers(self, *, bearer: bool = True) -> dict[str, str]:
        """What every request carries."""
        found = {"Accept": "application/json", "X-Client": self._config.client, "X-UUID": self._device}
        if bearer and self.session is not None:
            found["Authorization"] = f"Bearer {self.session.bearer}"
        return found

    def _path(self, path: str) -> str:
        return path.replace("{id}", str(self._config.intercom_id))

    async def _ask(
        self, method: str, path: str, *, body: bytes | None = None, kind: str = "application/json",
        bearer: bool = True,
    ) -> HttpAnswer:  # fmt: skip
        headers = self.headers(bearer=bearer)
        if body is not None:
            headers["Content-Type"] = kind
        return await self._http.request(method, self._base + path, body=body, headers=headers)


class Forbidden(PeerError):
    """We may not hear this channel."""


def _session(answer: HttpAnswer) -> Session:
    """Raises: PeerError."""

    found = _as(answer, _TokenAnswer)
    return Session(
        user_id=found.user.id, token_id=str(found.user.access_token_id)[:256], bearer=found.access_token
    )


def _wsurl(answer: HttpAnswer, url: str) -> WsUrl:
    """Host and port may be missing, or be none that a stranger reaches: then they are the VMS's own."""

    found = _as(answer, _WsUrlAnswer)
    own = urlsplit(url)
    host = found.host or own.hostname or ""
    scheme = "wss" if found.is_encrypted else "ws"
    port = found.port or own.port or (443 if found.is_encrypted else 80)
    if not 0 < port < 65536 or not host.isprintable() or len(host) > 253 or set(host) & set("/?#@ "):
        raise PeerError("the VMS says that its pushes are nowhere")
    where = f"[{host}]" if ":" in host and not host.startswith("[") else host
    path = found.path if found.path.startswith("/") and found.path.isprintable() else ""
    return WsUrl(base=f"{scheme}://{where}:{port}", path=path[:200], app_key=str(found.app_key)[:128])


def _as(answer: HttpAnswer, kind: type[T]) -> T:
    try:
        return msgspec.convert(decode_any(answer.body, "VMS", max_bytes=MAX_BODY_BYTES), kind)
    except (MalformedMessage, msgspec.ValidationError) as error:
        raise PeerError(f"the VMS answers what nobody understands: {error}") from error


def _object(answer: HttpAnswer) -> dict[str, Any]:
    return _as(answer, dict[str, Any])


def _failure(answer: HttpAnswer, what: str) -> PeerError:
    if answer.status == 429:
        try:
            wait_s = min(float(answer.header("retry-after", "")), 3600.0)
        except ValueError:
            wait_s = WAIT_S
        return PeerError(
            f"asked the VMS too often for {what}", max(wait_s, 1.0) if wait_s == wait_s else WAIT_S
        )
    return PeerError(f"the VMS answers HTTP {answer.status} to {what}")
