"""The receiver of webhooks: who gets which answer, and what goes on from there."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import httpx
import pytest
import trio
from harness.context import MemoryTls
from harness.netatmo_bodies import DOCUMENTED, body
from harness.netatmo_cloud import SECRET
from harness.netatmo_home import post
from harness.raw_websocket import Guarded

from agent.net.http_site import HttpConfig, HttpSite
from agent.net.tls import Tls
from agent.workers.netatmo.client_mailbox import Mailbox
from agent.workers.netatmo.hooks import Receiver, hooks_app
from agent.workers.netatmo.push_wire import signature

PATH = "/hooks/netatmo/the-secret-of-the-path"
BODY = body("Smoke alarm hushed")
GOOD = {"X-Netatmo-secret": signature(SECRET, BODY)}


def receiver(got: list[bytes], *, unsigned: bool = False, client_secret: str | None = SECRET) -> Receiver:
    return Receiver(
        secret="the-secret-of-the-path", client_secret=client_secret, unsigned=unsigned, put=got.append
    )


@pytest.mark.parametrize("name", DOCUMENTED)
async def test_every_documented_body_is_taken_in_and_answered_200(name: str) -> None:
    got: list[bytes] = []
    data = body(name)
    app = hooks_app([receiver(got)])
    assert await post(app, PATH, data, {"X-Netatmo-secret": signature(SECRET, data)}) == 200
    assert got == [data]


@pytest.mark.parametrize("data", [b"", b"{", b"[[[[[[", b"\xff", b"null", b"[" * 60_000])
async def test_rightly_signed_nonsense_is_200(data: bytes) -> None:
    got: list[bytes] = []
    header = {"X-Netatmo-secret": signature(SECRET, data)}
    assert await post(hooks_app([receiver(got)]), PATH, data, header) == 200
    assert got == [data]


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize(
    "header", ["0" * 64, "x", "é", signature("another", BODY), signature(SECRET, BODY + b" "), "f" * 4000]
)
async def test_a_forged_one_is_403(header: str, unsigned: bool) -> None:
    got: list[bytes] = []
    one = receiver(got, unsigned=unsigned)
    assert await post(hooks_app([one]), PATH, BODY, {"X-Netatmo-secret": header}) == 403
    assert (got, one.refused, one.received) == ([], 1, 0)


async def test_an_unsigned_one() -> None:
    got: list[bytes] = []
    assert await post(hooks_app([receiver(got)]), PATH, BODY, {}) == 403
    assert await post(hooks_app([receiver(got, unsigned=True)]), PATH, BODY, {}) == 200
    assert got == [BODY]


async def test_without_a_client_secret_nothing_signed_is_believed() -> None:
    assert await post(hooks_app([receiver([], client_secret=None)]), PATH, BODY, GOOD) == 403


@pytest.mark.parametrize(
    "path", ["/hooks/netatmo/", "/hooks/netatmo", "/hooks/netatmo/x", f"{PATH}x", f"{PATH}/x", f"{PATH}é"]
)
async def test_an_unknown_path_is_404(path: str) -> None:
    got: list[bytes] = []
    assert await post(hooks_app([receiver(got)]), path, BODY, GOOD) == 404
    assert got == []


async def test_nothing_but_post() -> None:
    assert await post(hooks_app([receiver([])]), PATH, b"", {}, method="GET") == 405


async def test_an_oversized_one() -> None:
    data = b"x" * 65_537
    header = {"X-Netatmo-secret": signature(SECRET, data)}
    assert await post(hooks_app([receiver([])]), PATH, data, header) == 413


async def test_each_cloud_has_its_path_and_its_secret() -> None:
    first: list[bytes] = []
    second: list[bytes] = []
    other = Receiver(secret="other", client_secret="other", unsigned=False, put=second.append)
    app = hooks_app([receiver(first), other])
    assert await post(app, PATH, BODY, GOOD) == 200
    assert await post(app, "/hooks/netatmo/other", BODY, GOOD) == 403
    assert (
        await post(app, "/hooks/netatmo/other", BODY, {"x-netatmo-secret": signature("other", BODY)}) == 200
    )
    assert (first, second) == ([BODY], [BODY])


async def test_when_it_is_full_the_oldest_that_is_no_call_gives_way() -> None:
    box = Mailbox(3)
    ring = body("Someone pressed the Netatmo Smart Doorbell")
    for data in (b"1", ring, b"2", b"3", b"4"):
        box.put(data)
    assert box.dropped == 2
    assert [await box.take() for _ in range(3)] == [ring, b"3", b"4"]


async def test_full_of_calls_the_oldest_gives_way() -> None:
    box = Mailbox(2)
    for number in range(4):
        box.put(b'{"push_type":"NDB-incoming_call"}%d' % number)
    assert [(await box.take())[-1:] for _ in range(2)] == [b"2", b"3"]


def test_no_secret_in_what_is_logged_of_it() -> None:
    assert SECRET not in repr(receiver([]))
    assert "path" not in repr(receiver([]))


async def test_behind_the_doors_own_listener(tmp_path: Path) -> None:
    """Real TLS, real HTTP, and the listener's own bound on a body."""
    got: list[bytes] = []
    tls = MemoryTls(tmp_path)
    site = HttpSite(HttpConfig(host="127.0.0.1", port=0), cast(Tls, tls), guard=Guarded(), any_port=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(site.run)
        base = await site.mount("/hooks/netatmo", hooks_app([receiver(got)]))
        url = f"{base}the-secret-of-the-path"
        async with httpx.AsyncClient(verify=tls.client_context(), trust_env=False) as client:
            assert (await client.post(url, content=BODY, headers=GOOD)).status_code == 200
            assert (await client.post(url, content=BODY)).status_code == 403
            assert (await client.post(f"{base}guessed", content=BODY, headers=GOOD)).status_code == 404
            assert (await client.post(url, content=b"x" * 70_000, headers=GOOD)).status_code == 413
        nursery.cancel_scope.cancel()
    assert got == [BODY]
