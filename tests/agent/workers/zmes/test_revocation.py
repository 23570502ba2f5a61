from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
import trio
import trio.testing
from harness.context import House

from agent.bus import EventLog
from agent.model.errors import PeerError
from agent.model.events import AccountChanged, ButtonPressed
from agent.model.principals import Grant
from agent.net.websocket import ClientPeer, connect_websocket
from agent.runtime import EndpointInfo
from agent.workers.zmes import session
from agent.workers.zmes.config import ServerConfig
from agent.workers.zmes.revocation import ENDING
from agent.workers.zmes.server import serve
from agent.workers.zmes.state import load_state

BELL = EndpointInfo(name="bell", label="Front door", kind="button")
CHANGES: tuple[Any, ...] = get_args(get_type_hints(AccountChanged)["change"])
VERSION = '{"event":"control","data":{"type":"version"}}'
S = 1_000_000_000


def login(user: str) -> str:
    return json.dumps({"event": "auth", "data": {"user": user, "password": "secret"}})


@asynccontextmanager
async def served(tmp_path: Path, log: EventLog | None = None, **server: Any) -> AsyncIterator[House]:
    accounts: Any = {"ana": ("secret", "resident"), "ben": ("secret", "guest")}
    house = House(tmp_path, endpoints=(BELL,), accounts=accounts, log=log)
    config = msgspec.convert({"host": "127.0.0.1", "tls": False, **server}, ServerConfig)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, config, house.context("zmes"))
            yield house
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def logged_in(house: House, user: str) -> AsyncIterator[ClientPeer]:
    async with connect_websocket(house.ready["zmes"]) as peer:
        await peer.send_text(login(user))
        assert "Success" in str(await peer.receive())
        yield peer


async def end_of(peer: ClientPeer) -> str:
    try:
        while True:
            await peer.receive()
    except PeerError as error:
        return error.reason


@pytest.mark.parametrize("change", CHANGES)
async def test_which_changes_end_which_connections(tmp_path: Path, change: Any) -> None:
    async with (
        served(tmp_path) as house,
        logged_in(house, "ana") as first,
        logged_in(house, "ana") as second,
        logged_in(house, "ben") as other,
        connect_websocket(house.ready["zmes"]) as stranger,
    ):
        house.log.publish(AccountChanged(account="ana", change=change))
        house.log.publish(ButtonPressed(endpoint="bell"))
        if change in ENDING:
            for peer in (first, second):
                assert "1008" in await end_of(peer)
        else:
            assert "Ring" in str(await first.receive())
        assert "Ring" in str(await other.receive())
        await stranger.send_text(login("ana"))
        assert "Success" in str(await stranger.receive())
    assert {"removed", "disabled", "password", "key_revoked"} == ENDING < set(CHANGES)


async def test_nothing_is_told_to_a_connection_that_is_being_closed(tmp_path: Path) -> None:
    async with served(tmp_path) as house, logged_in(house, "ana") as peer:
        # Both are in the log before anybody reads: whoever reads first, the alarm must not go out.
        house.log.publish(AccountChanged(account="ana", change="removed"))
        house.log.publish(ButtonPressed(endpoint="bell"))
        with pytest.raises(PeerError, match="1008"):
            await peer.receive()


async def test_ended_in_the_middle_of_another_log_in(tmp_path: Path) -> None:
    async with served(tmp_path) as house, logged_in(house, "ana") as peer:
        house.authenticator.delay_s = 0.2
        await peer.send_text(login("ben"))
        await trio.sleep(0.05)
        house.log.publish(AccountChanged(account="ana", change="removed"))
        assert "1008" in await end_of(peer)
        with trio.fail_after(2):
            while house.pages["clients"]:
                await trio.sleep(0.01)


async def test_a_guest_who_never_stops_talking_leaves_in_time(tmp_path: Path) -> None:
    async with served(tmp_path) as house:
        end_ns = time.time_ns() + S // 2
        house.authenticator.grants["ben"] = Grant(not_after_ns=end_ns)
        async with logged_in(house, "ben") as peer:
            reason = ""
            while not reason:
                try:
                    await peer.send_text(VERSION)
                    assert "6.1.29" in str(await peer.receive())
                except PeerError as error:
                    reason = error.reason
                await trio.sleep(0.02)
            assert "1008" in reason
            assert 0 <= time.time_ns() - end_ns < S // 4


async def test_a_silent_guest_leaves_when_the_clock_is_set_forward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        ahead_ns = 0

        @classmethod
        def time_ns(cls) -> int:
            return time.time_ns() + cls.ahead_ns

    monkeypatch.setattr(session, "time", Clock)
    monkeypatch.setattr(session, "WINDOW_CHECK_S", 0.1)
    async with served(tmp_path) as house:
        house.authenticator.grants["ben"] = Grant(not_after_ns=time.time_ns() + 3600 * S)
        async with logged_in(house, "ben") as peer:
            with trio.move_on_after(0.3):
                pytest.fail(str(await peer.receive()))
            Clock.ahead_ns = 3601 * S
            with trio.fail_after(1):
                assert "1008" in await end_of(peer)


async def test_the_phones_of_an_account_are_forgotten_with_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k")
    push = {"url": "http://127.0.0.1:1/", "key_file": str(tmp_path / "key")}
    async with served(tmp_path, push=push) as house:
        house.authenticator.accounts["cem"] = ("secret", "resident")
        for user in ("ana", "cem"):
            async with logged_in(house, user) as peer:
                data = {"type": "token", "token": f"phone of {user}", "platform": "ios"}
                await peer.send_text(json.dumps({"event": "push", "data": data}))
                await peer.send_text(VERSION)
                await peer.receive()
        # Nobody is connected: the registration alone would go on telling who rings at this house.
        house.log.publish(AccountChanged(account="ana", change="removed"))
        await trio.testing.wait_all_tasks_blocked()
    tokens = json.loads((tmp_path / "zmes" / "tokens.json").read_text())["tokens"]
    assert list(tokens) == ["phone of cem"]
    assert tokens["phone of cem"]["account"] == "cem"


async def test_missed_entries_send_nobody_away(tmp_path: Path) -> None:
    log = EventLog(boot_id="b", size=4)
    async with served(tmp_path, log=log) as house, logged_in(house, "ana") as peer:
        for _ in range(9):
            log.publish(ButtonPressed(endpoint="bell"))
        for _ in range(4):
            assert "Ring" in str(await peer.receive())
        log.publish(AccountChanged(account="ana", change="password"))
        assert "1008" in await end_of(peer)


async def test_phones_of_an_account_that_is_gone_are_forgotten_at_the_start(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=(BELL,), accounts={"ana": ("secret", "resident")})
    context = house.context("zmes")
    state = await load_state(ServerConfig(), context)
    for token, account in (("t1", "ana"), ("t2", "ben"), ("t3", "")):
        state.tokens.register(token, platform="ios", enabled=True, monlist="", intlist="", account=account)
    (context.state_dir / "tokens.json").write_bytes(state.tokens.to_bytes())
    again = await load_state(ServerConfig(), context)
    assert sorted(again.tokens) == ["t1", "t3"]


async def test_who_was_not_looked_at_is_asked_to_come_again_and_not_called_wrong(tmp_path: Path) -> None:
    async with served(tmp_path) as house:
        house.authenticator.overrun = True
        async with connect_websocket(house.ready["zmes"]) as peer:
            await peer.send_text(login("ana"))
            assert "1013" in await end_of(peer)
