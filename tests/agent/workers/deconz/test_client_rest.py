"""The few requests of a follower, and what becomes of each answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from harness.deconz_gateway import KEY, DeconzGateway, error
from trio.testing import MockClock

from agent.model.errors import AuthenticationError, PeerError
from agent.net.http_client import HttpClient
from agent.workers.deconz.client_rest import Rest
from agent.workers.deconz.client_translate import Order

ON = Order(path="lights/2/state", body={"on": True})


@asynccontextmanager
async def asked() -> AsyncIterator[tuple[DeconzGateway, Rest]]:
    async with (
        DeconzGateway().running() as gateway,
        HttpClient(timeout_s=60, max_body_bytes=2 * 1024 * 1024) as http,
    ):
        yield gateway, Rest(http, gateway.url + "/")


def always(gateway: DeconzGateway, status: int, body: Any) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    gateway.answer = lambda method, path, sent: (status, text)


async def test_the_four_reads_and_the_write(patient_clock: MockClock) -> None:
    async with asked() as (gateway, rest):
        assert (await rest.basic_config())["bridgeid"] == "00212EFFFF012345"
        assert "whitelist" in await rest.full_config(KEY)
        assert "whitelist" not in await rest.full_config("WRONG")
        assert set(await rest.full_state(KEY)) >= {"lights", "sensors", "config"}
        assert (await rest.put(KEY, ON)).kind == "taken"
        assert gateway.puts == [("lights/2/state", {"on": True})]
        assert await rest.ask_key() is None
        gateway.linked = True
        assert await rest.ask_key() == "0000000002"
        assert gateway.requests[-1] == ("POST", "/api")


async def test_a_wrong_key(patient_clock: MockClock) -> None:
    async with asked() as (_, rest):
        with pytest.raises(AuthenticationError, match="does not know our key"):
            await rest.full_state("WRONG")
        verdict = await rest.put("WRONG", ON)
        assert (verdict.kind, verdict.unauthorised) == ("refused", True)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, "<html>", "HTTP 200 and no JSON of deCONZ"),
        (200, "", "no JSON"),
        (200, [error(901, "/", "internal")], "no JSON"),
        (200, {}, "holds nothing"),
        (503, [error(951, "/", "busy")], r"HTTP 503: busy \(type 951\)"),
        (404, "not found", "HTTP 404 and no JSON"),
        (302, "", "HTTP 302"),
        (500, [{"success": "?"}], "HTTP 500"),
    ],
)
async def test_answers_to_a_read_that_are_none(
    status: int, body: Any, reason: str, patient_clock: MockClock
) -> None:
    async with asked() as (gateway, rest):
        always(gateway, status, body)
        with pytest.raises(PeerError, match=reason) as caught:
            await rest.full_state(KEY)
        assert KEY not in str(caught.value)


async def test_each_wait_has_an_end(patient_clock: MockClock) -> None:
    async with asked() as (gateway, rest):
        gateway.mute = True
        for ask, limit in (
            (rest.basic_config(), 10), (rest.full_config(KEY), 10), (rest.full_state(KEY), 20),
            (rest.put(KEY, ON), 5), (rest.ask_key(), 10),
        ):  # fmt: skip
            with pytest.raises(PeerError, match=f"within {limit} s"):
                await ask


async def test_no_error_holds_a_key(patient_clock: MockClock) -> None:
    async with asked() as (gateway, rest):
        always(gateway, 400, [error(7, f"/api/{KEY}/x", f"{KEY} is not valid")])
        with pytest.raises(PeerError) as caught:
            await rest.full_state(KEY)
        assert KEY not in str(caught.value)
        assert KEY not in (await rest.put(KEY, ON)).reason
