"""OAuth2 with the cloud: the page of consent, a code for tokens, and one refresher at a time."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import trio

from agent.model.errors import AuthenticationError, MalformedMessage, PeerError
from agent.net.http_client import HttpAnswer, HttpClient
from agent.workers.netatmo.client_tokens import TokenFile, Tokens, tokens_from
from agent.workers.netatmo.wire import TokenAnswer, decode_answer, decode_tokens, failure_of

RENEW_AT = 0.8  # of its lifetime
RENEW_LEFT_S = 60.0
LEAST_S = 30.0  # between renewals, whatever a cloud says of their lifetime
STORE_AGAIN_S = 60.0
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# What no waiting mends. Anything else, HTML of a gateway included, passes.
_GRANT = frozenset({"invalid_grant", "access_denied", -1, -2, 30})
_APPLICATION = frozenset({
    "invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "redirect_uri_mismatch",
    5, 19, 22,
})  # fmt: skip

logger = logging.getLogger(__name__)


class GrantRefused(AuthenticationError):
    """The cloud does not take our grant: a person has to give consent again."""


def consent_url(base: str, *, client_id: str, redirect_uri: str, scopes: Sequence[str], state: str) -> str:
    """The page where a person lets the door in."""
    query = {
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": state,
        "response_type": "code",
    }
    return f"{base.rstrip('/')}/oauth2/authorize?{urlencode(query, quote_via=quote)}"


class OAuth:
    """The token endpoint of one cloud."""

    def __init__(self, http: HttpClient, base: str, *, client_id: str, client_secret: str) -> None:
        self._http = http
        self._url = f"{base.rstrip('/')}/oauth2/token"
        self._client = {"client_id": client_id, "client_secret": client_secret}

    async def exchange(self, code: str, redirect_uri: str, scopes: Sequence[str]) -> TokenAnswer:
        """Tokens for the code of a redirect. Raises: GrantRefused, AuthenticationError, PeerError."""
        return await self._ask(
            {
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect_uri,
                "scope": " ".join(scopes),
            }
        )

    async def refresh(self, refresh_token: str) -> TokenAnswer:
        """A new pair; the old one is dead from then on. Raises: GrantRefused, AuthenticationError, PeerError.

        Cancellation: the old one may be dead.
        """
        return await self._ask({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def _ask(self, fields: dict[str, str]) -> TokenAnswer:
        body = urlencode(fields | self._client).encode()
        answer = await self._http.request("POST", self._url, body=body, headers=FORM)
        return _tokens(answer)


def _tokens(answer: HttpAnswer) -> TokenAnswer:
    where = "the token endpoint"
    retry_after_s = retry_after(answer)
    if answer.status >= 500 or answer.status == 429:
        raise PeerError(f"{where} answers HTTP {answer.status}", retry_after_s, http_status=answer.status)
    try:
        plain = decode_answer(answer.body, where)
        failure = failure_of(plain)
        if failure is None and answer.status == 200:
            return decode_tokens(plain, where)
    except MalformedMessage as error:
        raise PeerError(f"{where} answers HTTP {answer.status} and nothing usable",
                        http_status=answer.status) from error  # fmt: skip
    code = failure.code if failure is not None else ""
    if code in _GRANT:
        raise GrantRefused(f"the cloud does not take our grant any more ({code})")
    if code in _APPLICATION:
        raise AuthenticationError(
            f"the cloud refuses the application: client_id, client_secret_file ({code})"
        )
    raise PeerError(f"{where} answers HTTP {answer.status}, error {code!r}", http_status=answer.status)


def retry_after(answer: HttpAnswer, most_s: float = 3600.0) -> float | None:
    """The seconds of a Retry-After header; None without one that is a number."""
    told = answer.headers.get("retry-after", "").strip()
    return min(float(told), most_s) if told.isascii() and told.isdecimal() else None


class Grants:
    """The tokens of one account: read once, renewed by one task at a time, on disk before they are used.

    turn: whoever holds it may replace what is on disk. retired: a new log-in has done so.
    """

    def __init__(self, oauth: OAuth, file: TokenFile, tokens: Tokens, turn: trio.Lock | None = None) -> None:
        self.retired = False
        self._oauth = oauth
        self._file = file
        self._tokens = tokens
        self._turn = turn or trio.Lock()
        self._unsaved = False
        self._expires_at = trio.current_time() + _left_s(tokens)

    @property
    def scope(self) -> tuple[str, ...]:
        """What the account's owner has allowed."""
        return self._tokens.scope

    @property
    def expires_s(self) -> float:
        """Seconds until the access token is over."""
        return max(self._expires_at - trio.current_time(), 0.0)

    def access(self, *, video: bool = False) -> str:
        """An access token; one with the right to live video only where that is needed."""
        return self._tokens.access if video or not self._tokens.restricted else self._tokens.restricted

    async def renew(self, used: str = "") -> None:
        """Have a new pair, unless the one in whose name somebody was refused is not the present one any more.

        used: the access token that was refused; empty: renew when it is due.
        Raises: GrantRefused, AuthenticationError, PeerError. Cancellation: nothing is lost once begun.
        """
        async with self._turn:
            if self.retired:
                raise PeerError("a new log-in has replaced this one")
            if used and used not in (self._tokens.access, self._tokens.restricted):
                return
            if not used and not self._is_due():
                return
            # Once the request is on its way the old pair may be dead: what comes back must reach the disk,
            # also when the door is being stopped. The HTTP client's own time limit bounds it.
            with trio.CancelScope(shield=True):
                fresh = tokens_from(await self._oauth.refresh(self._tokens.refresh))
                # With a full disk it lives on in memory, and is stored as soon as that is possible.
                self._unsaved = not await self._store(fresh)
                self._tokens = fresh
                self._expires_at = trio.current_time() + fresh.lasts_s
            await trio.lowlevel.checkpoint()

    async def keep_fresh(self) -> None:
        """Renew in time, for ever. Raises: GrantRefused, AuthenticationError; being offline it waits."""
        pause_s = 5.0
        while True:
            if self._unsaved:
                async with self._turn:
                    self._unsaved = not (self.retired or await self._store(self._tokens))
            try:
                await self.renew()
                pause_s = 5.0
                await trio.sleep(
                    min(max(self._due_s(), LEAST_S), STORE_AGAIN_S if self._unsaved else math.inf)
                )
            except PeerError as error:
                logger.info("tokens not renewed reason=%s", error)
                await trio.sleep(max(pause_s, error.retry_after_s or 0.0))
                pause_s = min(pause_s * 2, 600.0)

    async def _store(self, tokens: Tokens) -> bool:
        try:
            await self._file.store(tokens)
        except OSError as error:
            logger.error("path=%s tokens not stored reason=%s", self._file.path, error.strerror)
            return False
        return True

    def _due_s(self) -> float:
        return max(self.expires_s - max(self._tokens.lasts_s * (1 - RENEW_AT), RENEW_LEFT_S), 0.0)

    def _is_due(self) -> bool:
        return self._due_s() <= 0


def _left_s(tokens: Tokens) -> float:
    """What is left of a pair that was read; a clock that makes no sense counts it as fresh.

    Without a battery a Pi boots in the past: then the cloud says it when the token is over.
    """
    age_s = time.time() - tokens.obtained_s
    return tokens.lasts_s - age_s if age_s >= 0 else float(tokens.lasts_s)
