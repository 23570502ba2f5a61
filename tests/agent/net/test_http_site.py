"""One HTTPS listener, and who answers below which path."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import trio
from harness.context import MemoryTls
from harness.raw_websocket import Guarded
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from trio.testing import MockClock

from agent.model.errors import PeerError
from agent.net.http_site import HttpConfig, HttpSite
from agent.net.listeners import open_listeners
from agent.net.tls import Tls


def app(name: str) -> Starlette:
    async def answer(request: Request) -> Response:
        return PlainTextResponse(f"{name} {request.path_params.get('rest', '')}")

    return Starlette(routes=[Route("/", answer), Route("/{rest:path}", answer)])


class Site:
    def __init__(self, folder: Path, config: HttpConfig) -> None:
        self.tls = MemoryTls(folder)
        self.site = HttpSite(config, cast(Tls, self.tls), guard=Guarded(), any_port=config.port == 0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[HttpSite]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.site.run)
            yield self.site
            nursery.cancel_scope.cancel()

    async def mount_in_vain(self) -> None:
        await self.site.mount("/one", app("one"))

    async def get(self, url: str) -> httpx.Response:
        context: ssl.SSLContext = self.tls.client_context()
        async with httpx.AsyncClient(verify=context, trust_env=False) as client:
            return await client.get(url)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, HttpConfig(host="127.0.0.1", port=0))


async def test_nothing_listens_before_somebody_is_mounted(site: Site) -> None:
    async with site.running():
        await trio.testing.wait_all_tasks_blocked()
        assert site.site.counters.accepted == 0
        url = await site.site.mount("/one", app("one"))
        assert url.startswith("https://127.0.0.1:")
        assert url.endswith("/one/")
        assert (await site.get(url)).text == "one "


async def test_each_has_its_path_and_the_longest_counts(site: Site) -> None:
    async with site.running() as running:
        one = await running.mount("/one", app("one"))
        two = await running.mount("/one/two", app("two"))
        assert (await site.get(one + "a/b")).text == "one a/b"
        assert (await site.get(two + "c")).text == "two c"
        assert (await site.get(one.removesuffix("/"))).status_code in (200, 307)
        for stranger in ("", "onetwo", "three/one"):
            answer = await site.get(one.removesuffix("one/") + stranger)
            assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")


async def test_a_worker_that_starts_again_takes_its_own_place(site: Site) -> None:
    async with site.running() as running:
        url = await running.mount("/one", app("old"))
        assert await running.mount("/one", app("new")) == url
        assert (await site.get(url + "x")).text == "new x"


async def test_a_port_that_is_taken_ends_it_with_a_way_out(tmp_path: Path) -> None:
    (taken,) = open_listeners("127.0.0.1", 0)
    with taken:
        site = Site(tmp_path, HttpConfig(host="127.0.0.1", port=taken.getsockname()[1]))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(site.mount_in_vain)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(PeerError, match="in use by another program"):
                await site.site.run()
            nursery.cancel_scope.cancel()


async def test_without_a_listener_a_mount_gives_up(site: Site, autojump_clock: MockClock) -> None:
    with pytest.raises(PeerError, match=r"\[http\]"):
        await site.site.mount("/one", cast(Any, app("one")))
