"""Parameters in all the ways in which clients send them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from agent.workers.netatmo.intake import (
    MAX_PARAMETERS,
    Parameters,
    either_of,
    form_of,
    json_of,
    local_ipv4,
    parameters_of,
    peer_of,
    token_of,
)
from agent.workers.netatmo.reply import Refusal

FORM = b"application/x-www-form-urlencoded"


def request(
    body: bytes = b"",
    *,
    method: str = "POST",
    query: bytes = b"",
    kind: bytes | None = FORM,
    bearer: bytes = b"",
    **scope: Any,
) -> Request:
    headers = [(b"content-type", kind)] if kind is not None else []
    headers += [(b"authorization", bearer)] if bearer else []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    whole = {"type": "http", "method": method, "query_string": query, "headers": headers, "path": "/"} | scope
    return Request(whole, receive)


@pytest.mark.parametrize(
    "body",
    [
        b"device_types[]=A&device_types[]=B", b"device_types%5B%5D=A&device_types%5B%5D=B",
        b"device_types=A,B",
        b"device_types=A&device_types=B", b"device_types=A%2CB",
    ],
)  # fmt: skip
async def test_lists(body: bytes) -> None:
    assert (await parameters_of(request(body))).texts("device_types") == ["A", "B"]
    assert (await parameters_of(request(method="GET", query=body))).texts("device_types") == ["A", "B"]


async def test_query_and_form_together() -> None:
    found = await parameters_of(request(b"size=2", query=b"size=1&home_id=x"))
    assert (found.text("size"), found.text("home_id"), found.text("none")) == ("2", "x", "")
    assert (await parameters_of(request(b"size=2", kind=None))).text("size") == "2"
    assert (await parameters_of(request(b"size=2", kind=b"text/plain"))).text("size") == ""


async def test_numbers() -> None:
    found = Parameters([("a", "5"), ("b", "99999"), ("c", "-1"), ("d", "٣"), ("e", "")])
    assert found.number("a", 1, most=10) == 5
    assert found.number("b", 1, most=10) == 10
    assert found.number("e", 1, most=10) == 1
    for name in ("c", "d"):
        with pytest.raises(Refusal, match=f"Invalid {name}"):
            found.number(name, 1, most=10)


async def test_too_many_and_no_text() -> None:
    with pytest.raises(Refusal) as caught:
        await parameters_of(request(b"&".join([b"a=1"] * (MAX_PARAMETERS + 1))))
    assert caught.value.status == 400
    for read in (parameters_of, form_of):
        with pytest.raises(Refusal):
            await read(request(b"\xff"))


async def test_json() -> None:
    assert await json_of(request(b'{"a":1}')) == {"a": 1}
    for body in (b"[]", b"5", b"null"):
        assert await json_of(request(body)) == {}
    for body in (b"", b"{", b"\xff", b"[" * 100 + b"]" * 100):
        with pytest.raises(Refusal) as caught:
            await json_of(request(body))
        assert caught.value.code == 40


async def test_either() -> None:
    body = b'{"home_id":"x","person_ids":["a","b"]}'
    found = await either_of(request(body, kind=b"application/json; charset=utf-8"))
    assert (found.text("home_id"), found.texts("person_ids")) == ("x", ["a", "b"])
    for body in (b'{"home_id":5}', b'{"person_ids":[["a"]]}', b'{"home_id":null}'):
        with pytest.raises(Refusal, match="Invalid"):
            await either_of(request(body, kind=b"application/json"))


@pytest.mark.parametrize(
    ("given", "token"),
    [
        ({"bearer": b"Bearer a|b"}, "a|b"),
        ({"bearer": b"bearer  a|b "}, "a|b"),
        ({"bearer": b"Basic abc"}, ""),
        ({"bearer": b"Bearer"}, ""),
        ({"query": b"access_token=a%7Cb"}, "a|b"),
        ({"query": b"access_token=a|b"}, "a|b"),
        ({"body": b"access_token=a%7Cb"}, "a|b"),
        ({"bearer": b"Bearer h", "query": b"access_token=q"}, "h"),
        ({}, ""),
    ],
)
async def test_where_a_token_may_be(given: dict[str, Any], token: str) -> None:
    assert await token_of(request(**given)) == token


def test_addresses() -> None:
    assert peer_of(request(client=("192.0.2.1", 5))) == "192.0.2.1"
    assert peer_of(request()) == ""
    assert local_ipv4(request(server=("192.0.2.10", 8443))) == "192.0.2.10"
    assert local_ipv4(request(server=("::ffff:192.0.2.10", 1))) == ""
    assert local_ipv4(request(server=("2001:db8::1", 1))) == ""
    assert local_ipv4(request()) == ""


@given(st.binary(max_size=300), st.binary(max_size=100))
async def test_any_bytes_are_parameters_or_refused(body: bytes, query: bytes) -> None:
    for read in (parameters_of, form_of, json_of, either_of, token_of):
        with suppress(Refusal):
            await read(request(body, query=query))
