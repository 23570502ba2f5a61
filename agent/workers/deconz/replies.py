"""What REST answers: JSON, and the arrays of results and errors with their HTTP codes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from starlette.responses import Response

from agent.workers.deconz.faults import STATUS, Refusal
from agent.workers.deconz.wire import Error, Result, Success, encode_results

JSON_TYPE = "application/json; charset=utf-8"


def json_answer(plain: object, *, status: int = 200, etag: str = "") -> Response:
    """Any JSON."""
    headers = {"content-type": JSON_TYPE}
    if etag:
        headers["etag"] = f'"{etag}"'
    return Response(msgspec.json.encode(plain), status_code=status, headers=headers)


def results_answer(results: Iterable[Result], *, status: int | None = None) -> Response:
    """What became of each parameter; 200 when anything was taken on."""
    told = tuple(results)
    first = told[0]
    if status is None:
        taken = any(isinstance(result, Success) for result in told)
        status = 200 if taken or not isinstance(first, Error) else STATUS.get(first.type, 400)
    return Response(encode_results(told), status_code=status, headers={"content-type": JSON_TYPE})


def refusal_answer(refusal: Refusal) -> Response:
    """The errors of a request."""
    return results_answer(refusal.errors, status=refusal.status)
