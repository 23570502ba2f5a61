"""The array of results decides, never the HTTP status."""

from __future__ import annotations

from typing import Any

import pytest

from agent.workers.deconz.client_verdict import verdict_of
from agent.workers.deconz.wire import Error, Success

OK = Success(what={"/lights/1/state/on": True})


def failed(kind: int, text: str = "why not") -> Error:
    return Error(type=kind, address="/lights/1/state", description=text)


# status, results -> kind, clear, a part of the reason
ROWS: dict[str, tuple[int, Any, str, bool, str]] = {
    "taken on": (200, (OK,), "taken", True, ""),
    "all of it": (200, (OK, OK), "taken", True, ""),
    "not reachable, with HTTP 200": (200, (failed(202),), "refused", True, "cannot reach the device"),
    "device off": (200, (failed(201, "is off"),), "refused", True, "is off (type 201)"),
    "wrong value": (400, (failed(7, "invalid value"),), "refused", True, "invalid value (type 7)"),
    "no reason": (400, (failed(7, ""),), "refused", True, "no reason given (type 7)"),
    "internal error": (200, (failed(901),), "busy", True, "(type 901)"),
    "queue full": (503, (failed(951, "Internal error, 951"),), "busy", True, "951"),
    "radio not connected": (503, (failed(950),), "busy", True, "950"),
    "busy and wrong": (200, (failed(901), failed(7)), "refused", True, "(type 901); why not (type 7)"),
    "the second of two": (200, (OK, failed(8)), "unsure", True, "in part only: why not (type 8)"),
    "key revoked": (403, (failed(1),), "refused", True, "does not know our key any more"),
    "503 of a proxy": (503, None, "busy", False, "HTTP 503"),
    "HTML": (200, None, "unsure", False, "makes no sense"),
    "success with an error's status": (500, (OK,), "unsure", False, "HTTP 500"),
}  # fmt: skip


@pytest.mark.parametrize(("status", "results", "kind", "clear", "reason"), ROWS.values(), ids=list(ROWS))
def test_each_row(status: int, results: Any, kind: str, clear: bool, reason: str) -> None:
    verdict = verdict_of(status, results)
    assert (verdict.kind, verdict.clear) == (kind, clear)
    assert reason in verdict.reason
    assert verdict.unauthorised == ("our key" in reason)


def test_the_reason_is_one_short_line() -> None:
    verdict = verdict_of(400, tuple(failed(7, "no\nway \x1b[2J" * 30) for _ in range(60)))
    assert len(verdict.reason) <= 200
    assert verdict.reason.isprintable()
