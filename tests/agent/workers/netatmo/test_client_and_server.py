"""A door follows another door: our client at our server, over TLS, webhooks included."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import trio
from harness.context import House
from harness.netatmo_cloud import CLIENT_ID, SECRET, NetatmoCloud
from harness.netatmo_door import ENDPOINTS, NetatmoDoor, netatmo_door
from harness.netatmo_home import Home
from harness.raw_websocket import Guarded
from trio.testing import MockClock

from agent.model.actions import SwitchLight, Unlock
from agent.model.events import ButtonPressed, CallChanged, CloudReported, LockChanged, SirenChanged
from agent.net.http_site import HttpConfig, HttpSite
from agent.net.tls import Tls
from agent.workers.netatmo.config import ClientConfig

HERE: dict[str, dict[str, Any]] = {
    "bell": {"module": "Pulsantiera", "acts_as": "button"},
    "gate": {"module": "Portone", "acts_as": "lock"},
    "stairs": {"module": "Luce <scale>", "acts_as": "light"},
    "siren": {"module": "Sirena", "acts_as": "siren"},
}
SCOPE = "read_mx write_mx read_camera write_camera"


class Doors:
    """there: the door that is followed. home: the one that follows it. cloud: its address, for `Home`."""

    def __init__(self, there: NetatmoDoor, home: Home, cloud: NetatmoCloud, config: dict[str, Any]) -> None:
        self.there = there
        self.home = home
        self.cloud = cloud
        self.config = config

    async def follow(self, nursery: trio.Nursery, **more: Any) -> None:
        """Follow with what is on the disk."""
        await self.home.followed(self.cloud, nursery, logged_in=False, **self.config, **more)

    async def log_in(self, nursery: trio.Nursery, **more: Any) -> None:
        """Begin to follow, and be let in by a person with a code of the other door."""
        await self.home.followed(self.cloud, nursery, logged_in=False, wait=False, **self.config, **more)
        await self.home.state("parked")
        begun = await self.home.ask("login")
        made = await self.there.ask(
            "authorize", client_id=CLIENT_ID, scope=SCOPE, redirect_uri=begun["redirect_uri"]
        )
        pasted = f"{begun['redirect_uri']}?state={begun['state']}&code={made['code']}"
        told = await self.home.ask("login", code=pasted)
        assert told["logged_in"]
        assert told["scope"] == SCOPE.split(), "all that the other door has, not all that was asked for"
        await self.home.state("following")

    async def ring(self, call_id: str, state: Any = "ringing") -> None:
        """Somebody rings there, or it goes on."""
        self.there.house.log.publish(CallChanged(call_id=call_id, endpoint="bell", state=state))
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def site(house: Any, nursery: trio.Nursery) -> AsyncIterator[HttpSite]:
    own = HttpSite(HttpConfig(host="127.0.0.1", port=0), cast(Tls, house.tls), guard=Guarded(), any_port=True)
    await nursery.start(own.run)
    yield own


@asynccontextmanager
async def doors(folder: Path) -> AsyncIterator[tuple[Doors, trio.Nursery]]:
    """Two doors with an HTTPS listener each; nothing is followed yet."""
    for name in ("there", "here"):
        (folder / name).mkdir(exist_ok=True)
    secret = folder / "there" / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        callback = probe.getsockname()[1]
    client = ClientConfig(
        id=CLIENT_ID, secret_file=str(secret), redirect_uris=(f"http://127.0.0.1:{callback}/",)
    )
    house = House(folder / "there", endpoints=ENDPOINTS)
    ca = str(house.tls.ca_path)
    home = Home(folder / "here", endpoints=HERE)
    with trio.fail_after(20_000):
        async with (
            trio.open_nursery() as nursery,
            netatmo_door(folder / "there", house=house, clients=(client,), webhook_ca_file=ca) as there,
            site(house, nursery) as site_there,
            site(house, nursery) as site_here,
        ):
            url = await site_there.mount("/netatmo", house.mounted["/netatmo"])
            hooks = await site_here.mount("/hooks/netatmo", _late(home))
            config = {"ca_file": ca, "webhook_url": hooks, "callback_port": callback}
            yield Doors(there, home, cast(NetatmoCloud, SimpleNamespace(url=url)), config), nursery
            nursery.cancel_scope.cancel()


def _late(home: Home) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await home.mounted["/hooks/netatmo"](scope, receive, send)

    return app


async def test_a_door_follows_another_door(tmp_path: Path) -> None:
    async with doors(tmp_path) as (it, nursery):
        home, there = it.home, it.there
        await it.log_in(nursery)
        assert [home.problem(name) for name in HERE] == [""] * len(HERE)
        await home.until(lambda: home.page.get("cloud.casa.webhook") == "working")

        await it.ring("c1")
        await home.until(lambda: bool(home.events(ButtonPressed)))
        await it.ring("c1", "missed")
        await home.until(lambda: any(told.kind == "missed_call" for told in home.reports()))
        assert len(home.events(ButtonPressed)) == 1, "one call is one ring, whatever is told of it"

        assert await home.do("gate", Unlock(endpoint="gate", hold_s=5)) is None
        assert await home.do("stairs", SwitchLight(endpoint="stairs", on=True, duration_s=60)) is None
        asked = [(type(action), principal.name) for action, principal in there.house.submitted]
        assert asked == [(Unlock, "smart-home"), (SwitchLight, "smart-home")]
        assert [event.state for event in home.events(LockChanged)] == ["unlocked"]

        there.house.log.publish(SirenChanged(endpoint="siren", on=True, duration_s=30))
        await home.until(lambda: bool(home.events(SirenChanged)))
        assert home.events(SirenChanged)[0].on


async def test_by_polling_alone(tmp_path: Path, patient_clock: MockClock) -> None:
    """No webhook reaches this door: what the history brings is told, and a young ring rings."""
    async with doors(tmp_path) as (it, nursery):
        it.config["webhook_url"] = None
        await it.log_in(nursery)
        assert it.home.page.get("cloud.casa.webhook") in (None, "none")
        await it.ring("c0")
        await it.home.until(lambda: bool(it.home.events(ButtonPressed)))


async def test_an_expired_token_is_renewed_in_the_middle(tmp_path: Path, patient_clock: MockClock) -> None:
    async with doors(tmp_path) as (it, nursery):
        await it.log_in(nursery)
        before = it.home.tokens()
        patient_clock.jump(10_801)  # for both doors three hours are over, and nobody had time to renew
        assert await it.home.do("gate", Unlock(endpoint="gate")) is None
        assert len(it.there.house.submitted) == 1
        after = it.home.tokens()
        assert (after.access != before.access, after.refresh != before.refresh) == (True, True)


async def test_a_pair_that_somebody_else_rotated(tmp_path: Path, patient_clock: MockClock) -> None:
    """A copied card: the pair is dead, nothing is repeated for ever, and a person is told what to do."""
    async with doors(tmp_path) as (it, nursery):
        await it.log_in(nursery)
        form = {
            "grant_type": "refresh_token", "refresh_token": it.home.tokens().refresh,
            "client_id": CLIENT_ID, "client_secret": SECRET,
        }  # fmt: skip
        assert (await it.there.call("POST", "/oauth2/token", token="", form=form)).status == 200
        assert "invalid_grant" in str(await it.home.do("gate", Unlock(endpoint="gate")))
        assert it.there.house.submitted == []
        await it.home.state("parked")
        assert "portero netatmo login casa" in str(it.home.page["cloud.casa.problem"])


async def test_history_is_read_backwards(tmp_path: Path) -> None:
    async with doors(tmp_path) as (it, nursery):
        for number in range(40):
            await it.ring(f"c{number}")
            await it.ring(f"c{number}", "missed")
        await it.log_in(nursery)
        shown = await it.home.ask("cloud_events", cloud="casa")
        assert len(shown) >= 30
        times = [row["time"] for row in shown] if "time" in shown[0] else []
        assert times == sorted(times, reverse=True)


async def test_a_revoked_grant_is_the_end_of_it(tmp_path: Path) -> None:
    async with doors(tmp_path) as (it, nursery):
        await it.log_in(nursery)
        house = it.there.house
        for info in house.keys.listed("smart-home"):
            await house.keys.revoke(info.id, user="smart-home", by="test")
        assert await it.home.do("gate", Unlock(endpoint="gate")) is not None
        assert house.submitted == []


async def test_reports_say_whose_they_are(tmp_path: Path) -> None:
    async with doors(tmp_path) as (it, nursery):
        await it.log_in(nursery)
        await it.home.until(lambda: it.home.page.get("cloud.casa.webhook") == "working")
        await it.ring("c1")
        await it.home.until(lambda: bool(it.home.events(CloudReported)))
        told = it.home.reports()[0]
        assert (told.source, told.product) == ("casa", "BNCX")
