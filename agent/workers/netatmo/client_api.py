"""Calls of the cloud's API: one at a time for a home, renewed tokens, an answer to every kind of refusal."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlencode

import msgspec
import trio

from agent.model.errors import AuthenticationError, MalformedMessage, PeerError
from agent.net.http_client import HttpAnswer, HttpClient
from agent.workers.netatmo.catalogue import ERRORS
from agent.workers.netatmo.client_oauth import FORM, Grants, retry_after
from agent.workers.netatmo.loose import Json
from agent.workers.netatmo.wire import Failure, decode_answer, failure_of

CALL_S = 20.0
PAUSE_S = 600.0
WAITS_S = (1.0, 2.0, 4.0, 8.0)
GIVE_WAY_S = 0.5  # for a read that is under way when something is to be switched
JSON = {"Content-Type": "application/json"}

Fields = Mapping[str, str | Sequence[str]]
logger = logging.getLogger(__name__)


class ApiError(PeerError):
    """The cloud answered, and not what was asked for. code: its own, 0 without one; message: its words.

    sent: whether the request has got through to the cloud; False is certain, True is not.
    """

    def __init__(
        self, what: str, code: int | str = 0, message: str = "", *, status: int | None = None,
        retry_after_s: float | None = None, sent: bool = True,
    ) -> None:  # fmt: skip
        meaning = ERRORS[code].meaning if isinstance(code, int) and code in ERRORS else ""
        told = ", ".join(part for part in (meaning, f"error {code}" if code else "", message) if part)
        super().__init__(f"{what}: {told or f'HTTP {status}'}", retry_after_s, http_status=status)
        self.code = code
        self.message = message
        self.sent = sent

    @property
    def remedy(self) -> str:
        """What is to be done about it."""
        known = ERRORS.get(self.code) if isinstance(self.code, int) else None
        return known.remedy if known is not None else "retry"


class Api:
    """The API of one account.

    paused_until: trio time until which nothing is polled, because the account's limit was reached.
    rng: gives numbers in [0, 1).
    """

    def __init__(
        self, http: HttpClient, base: str, grants: Grants, *, rng: Callable[[], float] = random.random
    ) -> None:
        self.grants = grants
        self.paused_until = float("-inf")
        self.usage_limits = 0
        self._http = http
        self._base = base.rstrip("/")
        self._rng = rng
        self._turn = trio.Lock()
        self._reading: trio.CancelScope | None = None

    async def read(self, method: str, fields: Fields | None = None, *, video: bool = False) -> Json:
        """Ask for something; again when a switching had to go first.

        Raises: ApiError, PeerError, AuthenticationError. video: with the token that may see live video.
        """
        if trio.current_time() < self.paused_until:
            raise ApiError(method, 26, "asked again later", status=None, sent=False)
        body = urlencode(fields or {}, doseq=True).encode()
        while True:
            async with self._turn:
                with trio.CancelScope() as self._reading:
                    try:
                        return await self._call("POST", f"/api/{method}", method, body, FORM, video=video)
                    finally:
                        self._reading = None

    async def write(self, method: str, value: object, *, begin_by: float, patience_s: float = 10.0) -> Json:
        """Change something: JSON by POST. Nothing is begun after `begin_by` (trio time).

        It is asked for again only where the cloud said that it did not look at it (error 11, expired token),
        for at most `patience_s`. An ambiguous end is never repeated.
        Raises: ApiError (`sent` tells whether it may have happened), PeerError likewise, AuthenticationError.
        Cancellation: it may happen.
        """
        body = msgspec.json.encode(value)
        async with self._first(begin_by, method):
            return await self._call(
                "POST", f"/api/{method}", method, body, JSON, give_up_at=trio.current_time() + patience_s
            )

    async def webhooks(self, verb: Literal["GET", "POST", "DELETE"], url: str = "") -> Json:
        """List webhooks, add one, drop all. Raises: ApiError, PeerError, AuthenticationError."""
        body = msgspec.json.encode({"url": url}) if url else None
        async with self._turn:
            return await self._call(verb, "/webhooks/v1", "webhooks", body, JSON if url else {})

    @asynccontextmanager
    async def _first(self, begin_by: float, method: str) -> AsyncIterator[None]:
        """A turn before every read; one that is under way gets a moment, then is broken off."""
        got = False
        with trio.move_on_after(GIVE_WAY_S):
            await self._turn.acquire()
            got = True
        try:
            if not got:
                if self._reading is not None:
                    self._reading.cancel()
                with trio.move_on_at(begin_by):
                    await self._turn.acquire()
                    got = True
            if not got or trio.current_time() > begin_by:
                raise ApiError(method, message="another call for this home took too long", sent=False)
            yield
        finally:
            if got:
                self._turn.release()

    async def _call(
        self, verb: str, path: str, what: str, body: bytes | None, headers: Mapping[str, str], *,
        video: bool = False, give_up_at: float = float("inf"),
    ) -> Json:  # fmt: skip
        """One call, and again where its refusal is nothing but a reason to."""
        renewed, waits = False, iter(WAITS_S)
        while True:
            token = self.grants.access(video=video)
            answer = await self._http.request(
                verb, self._base + path, body=body, headers={**headers, "Authorization": f"Bearer {token}"}
            )
            plain, failure = _read(answer, what)
            if failure is None:
                return plain
            error = ApiError(
                what, failure.code, failure.message, status=answer.status, retry_after_s=retry_after(answer)
            )
            match error.remedy:
                case "done":
                    return {"status": "ok"}
                case "refresh" if not renewed:
                    renewed = True
                    await self.grants.renew(token)
                    if trio.current_time() <= give_up_at:
                        continue
                case "wait":
                    base_s = next(waits, None)
                    if base_s is not None:
                        wait_s = error.retry_after_s
                        if wait_s is None:
                            wait_s = base_s * (1 + 0.25 * self._rng())
                        if trio.current_time() + wait_s <= give_up_at and wait_s <= CALL_S:
                            await trio.sleep(wait_s)
                            continue
                case "pause":
                    self.usage_limits += 1
                    self.paused_until = trio.current_time() + max(PAUSE_S, error.retry_after_s or 0.0)
                case "stop" | "consent":
                    raise AuthenticationError(str(error)) from error
                case "refresh":
                    raise AuthenticationError(f"{error}, with a fresh token") from error
            raise error


def _read(answer: HttpAnswer, what: str) -> tuple[Json, Failure | None]:
    """The answer, and the failure in it. Raises: ApiError for what is no answer of the API at all."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    # Gateways in front of the API answer with HTML, at times with status 200.
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise ApiError(what, message=f"HTTP {answer.status}, no JSON", status=answer.status,
                       retry_after_s=retry_after(answer))  # fmt: skip
    if not answer.body.strip() and answer.status == 200:
        return {"status": "ok"}, None
    try:
        plain = decode_answer(answer.body, what)
    except MalformedMessage as error:
        raise ApiError(what, message=f"HTTP {answer.status}, malformed JSON", status=answer.status,
                       retry_after_s=retry_after(answer)) from error  # fmt: skip
    failure = failure_of(plain)
    if failure is None and answer.status != 200:
        failure = Failure(code=0)
    if failure is not None and answer.status == 429 and failure.code not in (11, 26):
        failure = Failure(code=11, message=failure.message)
    return plain, failure
