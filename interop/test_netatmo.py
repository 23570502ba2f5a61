"""The door as a BTicino Classe 300 EOS with a siren, to pyatmo, which Home Assistant speaks Netatmo with."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector, web
from processes import Door
from pyatmo import AsyncAccount
from pyatmo.auth import AbstractAsyncAuth
from pyatmo.exceptions import ApiError

CONFIG = "[workers.netatmo.server]\n"
SCOPES = "read_mx write_mx read_camera write_camera"


class Auth(AbstractAsyncAuth):
    """A token that lasts, as `portero netatmo token` prints it."""

    def __init__(self, session: ClientSession, url: str, token: str) -> None:
        super().__init__(session, url)
        self._token = token

    async def async_get_access_token(self) -> str:
        return self._token


class Client:
    """An account of pyatmo, unmodified, and what was pushed to it."""

    def __init__(self, account: AsyncAccount, home_id: str) -> None:
        self.account = account
        self.home_id = home_id
        self.pushed: list[dict[str, Any]] = []

    @property
    def home(self) -> Any:
        return self.account.homes[self.home_id]

    def module(self, kind: str) -> Any:
        return next(module for module in self.home.modules.values() if module.device_type.value == kind)

    async def refresh(self) -> None:
        await self.account.async_update_status(self.home_id)

    async def push_of(self, event_type: str) -> dict[str, Any]:
        for _ in range(200):
            for push in self.pushed:
                if event_type in (push.get("event_type"), push.get("push_type")):
                    return push
            await asyncio.sleep(0.05)
        raise AssertionError(f"no push of {event_type} among {self.pushed}")


@asynccontextmanager
async def connected(door: Door, scope: str = SCOPES) -> AsyncIterator[Client]:
    token = door.portero("netatmo", "token", "--scope", scope).strip()
    trust = ssl.create_default_context(cafile=door.ca)
    async with ClientSession(connector=TCPConnector(ssl=trust)) as session:
        account = AsyncAccount(Auth(session, door.address("netatmo"), token))
        await account.async_update_topology()
        (home_id,) = account.all_home_names
        client = Client(account, home_id)
        await client.refresh()
        yield client
    await asyncio.sleep(0.1)  # aiohttp closes its TLS connections a little later


@asynccontextmanager
async def listening(client: Client) -> AsyncIterator[str]:
    """A webhook of the client's own on this machine; its address."""

    async def take(request: web.Request) -> web.Response:
        client.pushed.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}/hook"
    finally:
        await runner.cleanup()


def play(door: Door, story: Callable[[Client], Awaitable[None]], scope: str = SCOPES) -> None:
    async def run() -> None:
        async with connected(door, scope) as client:
            await story(client)

    asyncio.run(run())


def state(door: Door, endpoint: str) -> str:
    return next(str(row["state"]) for row in door.status()["endpoints"] if row["name"] == endpoint)


@pytest.fixture
def netatmo_door(build_door: Callable[..., Door]) -> Door:
    return build_door(CONFIG)


def test_the_topology_and_the_status(netatmo_door: Door) -> None:
    async def story(client: Client) -> None:
        kinds = sorted(module.device_type.value for module in client.home.modules.values())
        assert kinds == ["BNCX", "BNDL", "BNEU", "BNSL", "NIS"]
        assert all(client.module(kind).reachable for kind in kinds)
        assert {client.module(kind).bridge for kind in ("BNEU", "BNDL", "BNSL", "NIS")} == {
            client.module("BNCX").entity_id
        }
        assert client.module("NIS").status == "no_sound"

    play(netatmo_door, story)


def test_the_staircase_light(netatmo_door: Door) -> None:
    async def story(client: Client) -> None:
        light = client.module("BNSL")
        assert await light.async_on()
        assert state(netatmo_door, "staircase") == "on"
        assert await light.async_off()
        assert state(netatmo_door, "staircase") == "off"

    play(netatmo_door, story)


def test_the_lock_opens_for_a_while(netatmo_door: Door) -> None:
    async def story(client: Client) -> None:
        lock = client.module("BNDL")
        wish = {"modules": [{"id": lock.entity_id, "bridge": lock.bridge, "lock": False}]}
        assert await client.home.async_set_state(wish)
        assert state(netatmo_door, "strike") == "unlocked"
        with pytest.raises(ApiError, match="cannot set property"):
            await client.home.async_set_state({"modules": [{"id": lock.entity_id, "lock": True}]})

    play(netatmo_door, story)


def test_a_token_that_may_only_read_opens_nothing(netatmo_door: Door) -> None:
    async def story(client: Client) -> None:
        lock = client.module("BNDL")
        with pytest.raises(ApiError):
            await client.home.async_set_state({"modules": [{"id": lock.entity_id, "lock": False}]})
        assert state(netatmo_door, "strike") == "locked"

    play(netatmo_door, story, "read_mx read_camera")


def test_the_siren_is_sounded_and_seen(netatmo_door: Door) -> None:
    async def story(client: Client) -> None:
        siren = client.module("NIS")
        wish = {"id": siren.entity_id, "bridge": siren.bridge}
        assert await client.home.async_set_state({"modules": [wish | {"status": "sound"}]})
        await client.refresh()
        assert client.module("NIS").status == "sound"
        assert await client.home.async_set_state({"modules": [wish | {"status": "no_sound"}]})
        await client.refresh()
        assert client.module("NIS").status == "no_sound"
        assert await siren.async_set_monitoring_state("off")

    play(netatmo_door, story)


def test_a_ring_is_pushed_and_remembered(netatmo_door: Door) -> None:
    async def story(client: Client) -> None:
        auth = client.account.auth
        async with listening(client) as url:
            await auth.async_addwebhook(url)
            assert await auth.async_list_webhooks() == [url]
            activation = await client.push_of("webhook_activation")
            assert (await client.account.process_webhook(activation)) is not None
            netatmo_door.press()
            push = await client.push_of("incoming_call")
            assert push["push_type"] == "BNCX-incoming_call"
            assert push["module_id"] == client.module("BNEU").entity_id
            result = await client.account.process_webhook(push)
            assert result is not None
            assert (await client.push_of("BNCX-rtc"))["session_id"] == push["session_id"]
            await auth.async_addwebhook(url)  # 409, which pyatmo answers with DELETE and another POST
            await auth.async_dropwebhook()
        assert push["event_id"] in await history_of(client, lambda found: push["event_id"] in found)

    play(netatmo_door, story)


def test_history_is_paged_backwards(netatmo_door: Door) -> None:
    async def story(client: Client) -> None:
        siren = client.module("NIS")
        wish = {"id": siren.entity_id, "bridge": siren.bridge}
        for status in ("sound", "no_sound") * 3:
            assert await client.home.async_set_state({"modules": [wish | {"status": status}]})
        everything = await history_of(client, lambda found: len(found) >= 7)  # and the door's start
        assert len(everything) == len(set(everything)) == 7
        paged: list[str] = []
        while page := await history(client, size=2, event_id=paged[-1] if paged else None):
            new = [event_id for event_id in page if event_id not in paged]
            if not new:
                break
            paged += new
        assert paged == everything

    play(netatmo_door, story)


async def history(client: Client, **parameters: Any) -> list[str]:
    """Event ids, newest first, by pyatmo's own request; its account asks for the first page only."""
    wanted = {"home_id": client.home_id, "size": 30} | parameters
    answer = await client.account.auth.async_post_api_request(
        endpoint="api/getevents", params={key: value for key, value in wanted.items() if value is not None}
    )
    body = (await answer.json())["body"]["home"]["events"]
    return [str(event["id"]) for event in body]


async def history_of(client: Client, complete: Callable[[list[str]], bool]) -> list[str]:
    """The history as soon as it is complete: the journal is some milliseconds behind, and more under load."""
    for _ in range(50):
        found = await history(client)
        if complete(found):
            return found
        await asyncio.sleep(0.1)
    return found
