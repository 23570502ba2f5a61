"""Errors in the vendor's shape."""

from __future__ import annotations

import json

import pytest

from agent.workers.netatmo.reply import OAuthRefusal, Refusal, echo, oauth_refused, ok, refused


@pytest.mark.parametrize(
    ("code", "status"),
    [(1, 401), (2, 403), (3, 403), (7, 406), (10, 400), (11, 429), (13, 403), (21, 400), (26, 403), (31, 404),
     (35, 400), (40, 400), ("WH009", 409)],
)  # fmt: skip
def test_codes_and_their_status(code: int | str, status: int) -> None:
    response = refused(Refusal(code))
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    plain = json.loads(bytes(response.body))
    assert list(plain) == ["error"]
    assert plain["error"]["code"] == code
    assert isinstance(plain["error"]["message"], str)
    assert ("retry-after" in response.headers) == (status == 429)


def test_success() -> None:
    plain = json.loads(bytes(ok().body))
    assert set(plain) == {"status", "time_exec", "time_server"}
    assert json.loads(bytes(ok([]).body))["body"] == []


def test_words_of_oauth() -> None:
    response = oauth_refused(OAuthRefusal("invalid_grant"))
    assert (response.status_code, json.loads(bytes(response.body))) == (400, {"error": "invalid_grant"})


def test_what_a_client_said_is_short_and_printable() -> None:
    assert echo("a\nb\x00" + "x" * 100) == "ab" + "x" * 60
    assert echo({"a": 1}) == "{'a': 1}"
