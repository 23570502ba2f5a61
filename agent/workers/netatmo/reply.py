"""What the server answers with: the vendor's envelope, and its error codes with their HTTP status."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from agent.model.errors import AgentError

JSON_TYPE = "application/json"
MAX_ECHO_CHARS = 64
RETRY_AFTER_S = 1

TOKEN_MISSING = 1
TOKEN_INVALID = 2
TOKEN_EXPIRED = 3
NOTHING = 7
ARGUMENT_MISSING = 10
CONCURRENT = 11
FORBIDDEN = 13
INVALID = 21
USAGE = 26
NO_METHOD = 31
UNABLE = 35
NO_JSON = 40
WEBHOOK_LIMIT = "WH009"

# Source: the API's error page, and what clients logged beside each code.
STATUS: dict[int | str, int] = {
    TOKEN_MISSING: 401,
    TOKEN_INVALID: 403,
    TOKEN_EXPIRED: 403,
    NOTHING: 406,
    CONCURRENT: 429,
    FORBIDDEN: 403,
    USAGE: 403,
    NO_METHOD: 404,
    WEBHOOK_LIMIT: 409,
}
_TEXT: dict[int | str, str] = {
    TOKEN_MISSING: "Access token is missing",
    TOKEN_INVALID: "Invalid access token",
    TOKEN_EXPIRED: "Access token expired",
    NOTHING: "Nothing to modify",
    CONCURRENT: "Failed to enter concurrency limited section",
    FORBIDDEN: "Application does not have the good scope rights",
    USAGE: "User usage reached",
    NO_METHOD: "Method not found",
    UNABLE: "unable to execute",
    NO_JSON: "Json body is invalid",
    WEBHOOK_LIMIT: "webhook limit reached",
}


class Refusal(AgentError):
    """A request that is answered with an error. status: absent, the usual one of the code."""

    def __init__(self, code: int | str, message: str = "", *, status: int | None = None) -> None:
        self.code = code
        self.message = message or _TEXT.get(code, "")
        self.status = STATUS.get(code, 400) if status is None else status
        super().__init__(f"{self.code}: {self.message}")


class OAuthRefusal(AgentError):
    """A refusal of the token endpoint, whose errors are words. Source: RFC 6749, 5.2."""

    def __init__(self, error: str, description: str = "", *, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status


def ok(body: object = None) -> Response:
    """`{"status":"ok"}`, with a body where there is one."""
    plain: dict[str, object] = {"status": "ok"}
    if body is not None:
        plain["body"] = body
    plain["time_exec"] = 0.01
    plain["time_server"] = int(time.time())
    return answer(plain)


def refused(refusal: Refusal) -> Response:
    """`{"error":{"code":21,"message":"Invalid id"}}`: an object, as clients insist on."""
    headers = {"retry-after": str(RETRY_AFTER_S)} if refusal.status == STATUS[CONCURRENT] else {}
    plain = {"error": {"code": refusal.code, "message": refusal.message}}
    return answer(plain, status=refusal.status, headers=headers)


def oauth_refused(refusal: OAuthRefusal) -> Response:
    """`{"error":"invalid_grant"}`."""
    plain = {"error": refusal.error}
    if refusal.description:
        plain["error_description"] = refusal.description
    return answer(plain, status=refusal.status, headers={"cache-control": "no-store"})


def answer(plain: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Any JSON."""
    return Response(
        msgspec.json.encode(plain),
        status_code=status,
        headers={**(headers or {}), "content-type": JSON_TYPE},
    )


def echo(text: object) -> str:
    """What a client said, short and without control characters, for the message of an error."""
    return "".join(letter for letter in str(text)[:MAX_ECHO_CHARS] if letter.isprintable())
