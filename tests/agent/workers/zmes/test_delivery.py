"""What must never get lost on its way to the phones: smoke and carbon monoxide."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from harness.context import House

from agent.bus import EventLog
from agent.model.errors import PeerError
from agent.model.events import AccountChanged, ButtonPressed, ContactChanged
from agent.net.websocket import ClientPeer, connect_websocket
from agent.runtime import EndpointInfo
from agent.workers.zmes.config import ServerConfig
from agent.workers.zmes.delivery import Delivery
from agent.workers.zmes.server import serve
from agent.workers.zmes.state import load_state

BELL = EndpointInfo(name="bell", label="Front door", kind="button")
SMOKE = EndpointInfo(name="cellar", label="Cellar", kind="contact", role="smoke")
LEAK = EndpointInfo(name="leak", label="Leak", kind="contact", role="generic")
FIRE = ContactChanged(endpoint="cellar", role="smoke", active=True)
CALM = ContactChanged(endpoint="cellar", role="smoke", active=False)


def house_of(tmp_path: Path, log: EventLog | None = None) -> House:
    accounts: Any = {"ana": ("secret", "resident")}
    return House(tmp_path, endpoints=(BELL, SMOKE, LEAK), accounts=accounts, log=log)


@asynccontextmanager
async def served(house: House, **server: Any) -> AsyncIterator[None]:
    config = msgspec.convert({"host": "127.0.0.1", "tls": False, **server}, ServerConfig)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, config, house.context("zmes"))
            yield
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def logged_in(house: House, **lists: str) -> AsyncIterator[ClientPeer]:
    async with connect_websocket(house.ready["zmes"]) as peer:
        data = {"user": "ana", "password": "secret", **lists}
        await peer.send_text(json.dumps({"event": "auth", "data": data}))
        assert "Success" in str(await peer.receive())
        yield peer


async def cause(peer: ClientPeer) -> str:
    with trio.fail_after(2):
        return str(json.loads(await peer.receive())["events"][0]["Cause"])


async def test_a_clock_that_jumps_makes_no_fire_too_old(tmp_path: Path) -> None:
    log = EventLog(boot_id="b", clock_ns=lambda: time.time_ns() - 3_600_000_000_000)
    house = house_of(tmp_path, log)
    async with served(house), logged_in(house) as peer:
        log.publish(ButtonPressed(endpoint="bell"))
        log.publish(FIRE)
        assert "Smoke" in await cause(peer)


async def test_no_interval_holds_a_second_fire_back(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    async with served(house), logged_in(house, monlist="1,2,3", intlist="3600,3600,3600") as peer:
        for _ in range(2):
            house.log.publish(FIRE)
            house.log.publish(CALM)
            house.log.publish(ContactChanged(endpoint="leak", role="generic", active=True))
        assert [await cause(peer) for _ in range(3)] == ["Smoke alarm", "Contact", "Smoke alarm"]


async def test_what_burns_when_the_service_starts_is_told_to_who_comes(tmp_path: Path) -> None:
    """After a power cut the detector is read before any phone is back."""
    house = house_of(tmp_path)
    house.log.publish(FIRE)
    house.log.publish(ButtonPressed(endpoint="bell"))
    async with served(house):
        for _ in range(2):
            async with logged_in(house) as peer:
                assert "Smoke" in await cause(peer)
                # Told once to a connection, also when it logs in again.
                await peer.send_text('{"event":"auth","data":{"user":"ana","password":"secret"}}')
                assert "Success" in str(await peer.receive())
                await peer.send_text('{"event":"control","data":{"type":"version"}}')
                assert "version" in str(await peer.receive())
        async with logged_in(house, monlist="1", intlist="0") as peer:
            house.log.publish(ButtonPressed(endpoint="bell"))
            assert "Ring" in await cause(peer)


async def test_what_no_longer_burns_is_not_told(tmp_path: Path) -> None:
    house = house_of(tmp_path)
    house.log.publish(FIRE)
    house.log.publish(CALM)
    async with served(house):
        house.log.publish(FIRE)
        house.log.publish(CALM)
        await trio.testing.wait_all_tasks_blocked()
        async with logged_in(house) as peer:
            house.log.publish(ButtonPressed(endpoint="bell"))
            assert "Ring" in await cause(peer)


async def test_a_phone_that_has_had_its_share_still_hears_of_fire(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    push = {"url": "http://127.0.0.1:1/", "key_file": str(tmp_path / "key"), "monthly_limit": 1}
    house = house_of(tmp_path)
    state = await load_state(msgspec.convert({"push": push}, ServerConfig), house.context("zmes"))
    state.tokens.register("t", platform="ios", enabled=True, monlist="", intlist="", account="ana")
    delivery = Delivery(state)
    for _ in range(3):
        await delivery.deliver(house.log.publish(ButtonPressed(endpoint="bell")))
    for _ in range(2):
        await delivery.deliver(house.log.publish(FIRE))
    assert state.push is not None
    assert [b"Smoke" in job.body for job in state.push._waiting] == [False, True, True]


async def test_who_was_removed_among_missed_entries_hears_nothing_more(tmp_path: Path) -> None:
    log = EventLog(boot_id="b", size=4)
    house = house_of(tmp_path, log)
    async with served(house), logged_in(house) as peer:
        del house.authenticator.accounts["ana"]
        log.publish(AccountChanged(account="ana", change="removed"))
        for _ in range(4):
            log.publish(ButtonPressed(endpoint="bell"))
        with pytest.raises(PeerError, match="1008"):
            await peer.receive()
