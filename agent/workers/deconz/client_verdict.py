"""What a gateway's answer to a command means: the array of results decides, never the HTTP status. Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from agent.workers.deconz.client_device import clean
from agent.workers.deconz.wire import Error, Result, Success

UNAUTHORISED = 1
UNREACHABLE = 202
BUSY = frozenset({901, 950, 951})
HTTP_BUSY = 503
MAX_REASON_CHARS = 200

_WORDS = {
    UNAUTHORISED: "the gateway does not know our key any more",
    UNREACHABLE: "the gateway cannot reach the device",
}


class Verdict(Struct, frozen=True, kw_only=True):
    """How a command ended.

    kind: `taken` on (not: done), `refused` as a whole, `busy`: refused for now, `unsure`: it may have acted.
    clear: the gateway itself said so.
    """

    kind: Literal["taken", "refused", "busy", "unsure"]
    reason: str = ""
    clear: bool = True
    unauthorised: bool = False


def unsure(reason: str) -> Verdict:
    """Nobody knows."""
    return Verdict(kind="unsure", reason=clean(reason, MAX_REASON_CHARS), clear=False)


def verdict_of(status: int, results: tuple[Result, ...] | None) -> Verdict:
    """The verdict of an answer; results None: it had none that can be read."""
    if results is None:
        if status == HTTP_BUSY:
            return Verdict(kind="busy", reason=f"the gateway is busy (HTTP {status})", clear=False)
        return unsure(f"the gateway's answer (HTTP {status}) makes no sense")
    errors = [result for result in results if isinstance(result, Error)]
    if not errors:
        if 200 <= status < 300:
            return Verdict(kind="taken")
        return unsure(f"the gateway says success with HTTP {status}")
    reason = clean("; ".join(_words(error) for error in errors), MAX_REASON_CHARS)
    if any(isinstance(result, Success) for result in results):
        return Verdict(kind="unsure", reason=f"taken on in part only: {reason}")
    unauthorised = any(error.type == UNAUTHORISED for error in errors)
    if all(error.type in BUSY for error in errors):
        return Verdict(kind="busy", reason=reason)
    return Verdict(kind="refused", reason=reason, unauthorised=unauthorised)


def _words(error: Error) -> str:
    known = _WORDS.get(error.type)
    text = f"{known} " if known else f"{error.description or 'no reason given'} "
    return f"{text}(type {error.type})"
