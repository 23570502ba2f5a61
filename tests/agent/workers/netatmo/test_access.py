"""Tokens that last: what is on the disk, what ends them."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest
import trio
from harness.context import House
from harness.netatmo_door import ENDPOINTS, NetatmoDoor, netatmo_door

from agent.model.errors import CommandError
from agent.model.events import AccountChanged
from agent.workers.netatmo.access import MAX_GRANTS, scopes_of


async def status_of(door: NetatmoDoor, token: str) -> int:
    return (await door.call("GET", "/api/homesdata", token=token)).status


async def test_a_token_is_like_the_vendors_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        answer = await door.ask("token", scope="read_mx write_mx", name="Home Assistant")
        assert list(answer) == ["token"]
        token = answer["token"]
        assert re.fullmatch(r"[0-9a-f]{24}\|[0-9a-f]{32}", token)
        file = tmp_path / "netatmo" / "tokens.json"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        secret = token.partition("|")[2]
        for path in (tmp_path / "netatmo").iterdir():
            assert secret not in path.read_text()
        for key in door.house.keys.issued:
            assert key not in file.read_text()


async def test_tokens_outlive_the_agent(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)
    async with netatmo_door(tmp_path, house=house) as door:
        token = await door.issue("read_mx")
    async with netatmo_door(tmp_path, house=house) as door:
        assert await status_of(door, token) == 200


async def test_a_key_that_is_revoked_ends_its_token_at_once(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        token = await door.issue("read_mx", name="old phone")
        [row] = [row for row in (await door.ask("server_status"))["tokens"] if row["name"] == "old phone"]
        [key] = [key for key in door.house.keys.listed("smart-home") if key.id == row["id"]]
        assert key.name == "netatmo old phone"
        await door.house.keys.revoke(row["id"], user="smart-home", by="local:anna")
        assert await status_of(door, token) == 403
        assert await status_of(door, door.token) == 200
        door.house.log.publish(AccountChanged(account="smart-home", change="key_revoked"))
        names = ["made by hand", "old phone"]
        with trio.fail_after(5):
            while names != ["made by hand"]:
                await trio.sleep(0.01)
                stored = json.loads((tmp_path / "netatmo" / "tokens.json").read_bytes())
                names = [grant["name"] for grant in stored["grants"]]


async def test_the_key_behind_a_token_is_no_token(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        for key in door.house.keys.issued:
            assert await status_of(door, key) == 403


async def test_a_scope_that_is_of_no_use_here(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        for scope in ("", "read_station", "READ_MX", "read_mx;write_mx", "read_mx " + "x" * 99):
            with pytest.raises(CommandError):
                await door.issue(scope)
        with pytest.raises(CommandError, match="no client"):
            await door.issue("read_mx", client="nobody")
        with pytest.raises(CommandError, match="control"):
            await door.issue("read_mx", name="a\nb")


async def test_a_disk_that_is_full_makes_no_token(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        door.house.keys.broken = True
        with pytest.raises(CommandError, match="disk"):
            await door.issue()
        door.house.keys.broken = False
        blocked = tmp_path / "netatmo" / "tokens.json.new"
        blocked.mkdir()
        keys = len(door.house.keys.listed("smart-home"))
        with pytest.raises(CommandError, match="cannot be written"):
            await door.issue()
        assert len(door.house.keys.listed("smart-home")) == keys
        blocked.rmdir()
        assert await status_of(door, await door.issue()) == 200


async def test_there_is_a_most(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        for _ in range(MAX_GRANTS - 1):
            await door.issue()
        with pytest.raises(CommandError, match="revoke"):
            await door.issue()


async def test_a_file_that_makes_no_sense(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        token = door.token
    (tmp_path / "netatmo" / "tokens.json").write_bytes(b"\xff")
    async with netatmo_door(tmp_path) as door:
        assert await status_of(door, token) == 403
        assert await status_of(door, door.token) == 200


def test_scopes() -> None:
    assert scopes_of("read_mx  write_mx read_mx") == ("read_mx", "write_mx")
    assert scopes_of(" ".join(f"read_a{number}" for number in range(40))) is None
