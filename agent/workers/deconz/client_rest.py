"""REST of one gateway at one address: the few requests that a follower makes, each within a deadline."""

from __future__ import annotations

import re

import msgspec
import trio

from agent.model.errors import AuthenticationError, MalformedMessage, PeerError
from agent.net.http_client import HttpAnswer, HttpClient
from agent.workers.deconz.client_device import clean
from agent.workers.deconz.client_translate import Order
from agent.workers.deconz.client_verdict import MAX_REASON_CHARS, UNAUTHORISED, Verdict, verdict_of
from agent.workers.deconz.wire import Error, Json, Success, decode_object, decode_results

CONFIG_S = 10.0
STATE_S = 20.0
PUT_S = 5.0
KEY_S = 10.0
DEVICE_TYPE = "portero"
LINK_BUTTON = 101

_KEY = re.compile(r"[0-9A-Za-z_-]{1,128}")
_JSON = {"content-type": "application/json"}


class Rest:
    """url: of its root, without a path. No text of an error holds a key."""

    def __init__(self, http: HttpClient, url: str) -> None:
        self.url = url.rstrip("/")
        self._http = http

    async def basic_config(self) -> Json:
        """What the gateway tells everybody. Raises: PeerError."""
        answer = await self._request("GET", "/api/config", CONFIG_S)
        return self._object(answer, "config")

    async def full_config(self, key: str) -> Json:
        """Its configuration; the short form, and no error, with a key that it does not know.

        Raises: PeerError, AuthenticationError.
        """
        answer = await self._request("GET", f"/api/{key}/config", CONFIG_S, key=key)
        return self._object(answer, "config", key)

    async def full_state(self, key: str) -> Json:
        """Everything. Raises: AuthenticationError when the key is not known, PeerError."""
        answer = await self._request("GET", f"/api/{key}", STATE_S, key=key)
        state = self._object(answer, "state", key)
        if not any(kind in state for kind in ("lights", "sensors", "config")):
            raise PeerError("the gateway's full state holds nothing")
        return state

    async def put(self, key: str, order: Order) -> Verdict:
        """Carry out an order, once. Raises: PeerError, and then it may have acted.

        Cancellation: it may act.
        """
        body = msgspec.json.encode(order.body)
        answer = await self._request("PUT", f"/api/{key}/{order.path}", PUT_S, body=body, key=key)
        try:
            results = decode_results(answer.body)
        except MalformedMessage:
            return verdict_of(answer.status, None)
        verdict = verdict_of(answer.status, results)
        return msgspec.structs.replace(verdict, reason=_without(key, verdict.reason))

    async def ask_key(self) -> str | None:
        """A new key, or None while the gateway's link button is not pressed. Raises: PeerError."""
        body = msgspec.json.encode({"devicetype": DEVICE_TYPE})
        answer = await self._request("POST", "/api", KEY_S, body=body)
        try:
            results = decode_results(answer.body)
        except MalformedMessage as error:
            raise PeerError(f"asked for a key, it answers HTTP {answer.status} and no result") from error
        for result in results:
            match result:
                case Error(type=kind) if kind == LINK_BUTTON:
                    return None
                case Error(type=kind, description=description):
                    reason = clean(description, MAX_REASON_CHARS) or "no reason given"
                    raise PeerError(f"it gives no key: {reason} (type {kind})")
                case Success(what={"username": str(key)}) if _KEY.fullmatch(key):
                    return key
        raise PeerError("it says success and gives no key that could be used")

    async def _request(
        self, method: str, path: str, limit_s: float, *, body: bytes | None = None, key: str = ""
    ) -> HttpAnswer:
        try:
            with trio.fail_after(limit_s):
                return await self._http.request(
                    method, self.url + path, body=body, headers=None if body is None else _JSON
                )
        except trio.TooSlowError as error:
            raise PeerError(f"no answer to {method} within {limit_s:g} s") from error
        except PeerError as error:
            raise PeerError(_without(key, error.reason), error.retry_after_s) from None

    def _object(self, answer: HttpAnswer, what: str, key: str = "") -> Json:
        """An answer that is to be an object. Raises: AuthenticationError, PeerError."""
        told = f"asked for its {what}, it answers HTTP {answer.status}"
        try:
            if answer.status == 200:
                return decode_object(answer.body, what)
            results = decode_results(answer.body)
        except MalformedMessage as error:
            raise PeerError(f"{told} and no JSON of deCONZ", http_status=answer.status) from error
        for result in results:
            match result:
                case Error(type=kind) if kind == UNAUTHORISED:
                    raise AuthenticationError("the gateway does not know our key")
                case Error(type=kind, description=description):
                    told = f"{told}: {_without(key, description)} (type {kind})"
        raise PeerError(clean(told, MAX_REASON_CHARS), http_status=answer.status)


def _without(key: str, text: str) -> str:
    return text.replace(key, "KEY") if key else text
