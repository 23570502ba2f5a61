"""/oauth2/token: codes, rotation, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.context import House
from harness.netatmo_door import ENDPOINTS, NetatmoDoor, Reply, netatmo_door

from agent.model.errors import CommandError
from agent.workers.netatmo import access
from agent.workers.netatmo.config import ClientConfig

SECRET = "a client's secret"
CALLBACK = "https://ha.example/auth"
CLIENT = {"client_id": "ha", "client_secret": SECRET}


@asynccontextmanager
async def oauth_door(folder: Path, house: House | None = None) -> AsyncIterator[NetatmoDoor]:
    file = folder / "secret"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    other = folder / "other"
    other.write_text("another secret")
    other.chmod(0o600)
    clients = (
        ClientConfig(id="ha", secret_file=str(file), redirect_uris=(CALLBACK,)),
        ClientConfig(id="other", secret_file=str(other)),
    )
    async with netatmo_door(folder, house=house, clients=clients) as door:
        yield door


async def token(door: NetatmoDoor, peer: str = "192.0.2.7", **form: str) -> Reply:
    return await door.call("POST", "/oauth2/token", form={**CLIENT, **form}, token="", peer=peer)


async def code(door: NetatmoDoor, scope: str = "read_mx write_mx", redirect_uri: str = CALLBACK) -> str:
    answer = await door.ask("authorize", client_id="ha", scope=scope, redirect_uri=redirect_uri)
    return str(answer["code"])


async def pair(door: NetatmoDoor) -> Any:
    reply = await token(door, grant_type="authorization_code", code=await code(door), redirect_uri=CALLBACK)
    assert reply.status == 200, reply.json
    return reply.json


async def refresh(door: NetatmoDoor, refresh_token: str, **form: str) -> Reply:
    return await token(door, grant_type="refresh_token", refresh_token=refresh_token, **form)


async def good(door: NetatmoDoor, access_token: str) -> int | str | None:
    """The code of the error, None for a good one."""
    return (await door.call("GET", "/api/homesdata", token=access_token)).code


async def test_a_code_makes_a_pair_of_the_vendors_shape(tmp_path: Path) -> None:
    async with oauth_door(tmp_path) as door:
        made = await pair(door)
        assert set(made) == {"scope", "access_token", "refresh_token", "expires_in", "expire_in"}
        assert made["scope"] == ["read_mx", "write_mx"]
        assert (made["expires_in"], made["expire_in"]) == (10800, 10800)
        for name in ("access_token", "refresh_token"):
            assert re.fullmatch(r"[0-9a-f]{24}\|[0-9a-f]{32}", made[name])
        assert await good(door, made["access_token"]) is None
        assert await good(door, made["refresh_token"]) == 2
        stored = (tmp_path / "netatmo" / "tokens.json").read_text()
        assert made["access_token"].partition("|")[2] not in stored


async def test_a_refresh_kills_the_pair_before(tmp_path: Path) -> None:
    async with oauth_door(tmp_path) as door:
        old = await pair(door)
        reply = await refresh(door, old["refresh_token"])
        assert (reply.status, reply.headers["cache-control"]) == (200, "no-store")
        new = reply.json
        assert new["scope"] == old["scope"]
        assert await good(door, old["access_token"]) == 2
        assert await good(door, new["access_token"]) is None


async def test_a_used_refresh_token_ends_the_family(tmp_path: Path) -> None:
    async with oauth_door(tmp_path) as door:
        old = await pair(door)
        new = (await refresh(door, old["refresh_token"])).json
        reply = await refresh(door, old["refresh_token"])
        assert (reply.status, reply.json) == (400, {"error": "invalid_grant"})
        assert await good(door, new["access_token"]) == 2
        assert (await refresh(door, new["refresh_token"])).json == {"error": "invalid_grant"}
        assert not [key for key in door.house.keys.listed("smart-home") if key.name == "netatmo ha"]


async def test_another_clients_refresh_token_is_none(tmp_path: Path) -> None:
    async with oauth_door(tmp_path) as door:
        made = await pair(door)
        other = {"client_id": "other", "client_secret": "another secret"}
        reply = await refresh(door, made["refresh_token"], **other)
        assert reply.json == {"error": "invalid_grant"}
        # A guess at the secret of a family does not end it.
        assert (await refresh(door, made["refresh_token"][:-1] + "x")).json == {"error": "invalid_grant"}
        assert (await refresh(door, made["refresh_token"])).status == 200


async def test_pairs_outlive_the_agent(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)
    async with oauth_door(tmp_path, house) as door:
        old = await pair(door)
    async with oauth_door(tmp_path, house) as door:
        assert await good(door, old["access_token"]) is None
        new = (await refresh(door, old["refresh_token"])).json
    async with oauth_door(tmp_path, house) as door:
        assert await good(door, new["access_token"]) is None
        assert (await refresh(door, old["refresh_token"])).json == {"error": "invalid_grant"}
        assert await good(door, new["access_token"]) == 2


async def test_a_new_pair_is_on_the_disk_before_it_is_told(tmp_path: Path) -> None:
    async with oauth_door(tmp_path) as door:
        old = await pair(door)
        blocked = tmp_path / "netatmo" / "tokens.json.new"
        blocked.mkdir()
        reply = await refresh(door, old["refresh_token"])
        assert (reply.status, reply.json) == (503, {"error": "server_error"})
        assert await good(door, old["access_token"]) is None
        blocked.rmdir()
        assert (await refresh(door, old["refresh_token"])).status == 200


async def test_an_access_token_ends_after_three_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)
    monkeypatch.setattr(access, "LIFETIME_S", 0.05)
    async with oauth_door(tmp_path, house) as door:
        made = await pair(door)
        assert await good(door, made["access_token"]) is None
        await trio.sleep(0.06)
        reply = await door.call("GET", "/api/homesdata", token=made["access_token"])
        assert (reply.status, reply.code, reply.text) == (403, 3, "Access token expired")
    async with oauth_door(tmp_path, house) as door:
        assert await good(door, made["access_token"]) == 3
        assert (await refresh(door, made["refresh_token"])).status == 200


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "0" * 32}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x", "client_secret": "wrong"}, "invalid_client"),
        ({"grant_type": "refresh_token", "refresh_token": "x", "client_id": "wrong"}, "invalid_client"),
        ({"grant_type": "refresh_token", "refresh_token": "x", "client_id": ""}, "invalid_request"),
    ],
)
async def test_errors_are_words(tmp_path: Path, form: dict[str, str], error: str) -> None:
    async with oauth_door(tmp_path) as door:
        reply = await token(door, **form)
        assert (reply.status, reply.json["error"]) == (400, error)


async def test_a_code_is_good_once_and_for_what_it_was_made(tmp_path: Path) -> None:
    async with oauth_door(tmp_path) as door:
        ask = {"grant_type": "authorization_code", "redirect_uri": CALLBACK}
        first = await code(door)
        assert (await token(door, **ask, code=first)).status == 200
        assert (await token(door, **ask, code=first)).json == {"error": "invalid_grant"}
        reply = await token(door, **ask | {"redirect_uri": "https://evil.example"}, code=await code(door))
        assert reply.json == {"error": "redirect_uri_mismatch"}
        reply = await token(door, **ask, code=await code(door, "read_mx"), scope="read_mx write_mx")
        assert reply.json["scope"] == ["read_mx"], "less than was asked for, and said so"
        reply = await token(door, **ask, code=await code(door, "read_mx"), scope="write_mx")
        assert reply.json == {"error": "invalid_scope"}
        other = {"client_id": "other", "client_secret": "another secret"}
        reply = await token(door, **ask, code=await code(door), **other)
        assert reply.json == {"error": "invalid_grant"}


async def test_codes_are_for_clients_of_the_configuration(tmp_path: Path) -> None:
    async with oauth_door(tmp_path) as door:
        with pytest.raises(CommandError, match="no client"):
            await door.ask("authorize", client_id="nobody", scope="read_mx", redirect_uri="")
        with pytest.raises(CommandError, match="redirect_uris"):
            await code(door, redirect_uri="https://evil.example")
        with pytest.raises(CommandError, match="scopes"):
            await code(door, scope="")


async def test_there_is_no_consent_page_and_nobody_is_sent_away(tmp_path: Path) -> None:
    async with oauth_door(tmp_path) as door:
        reply = await door.call("GET", "/oauth2/authorize", query=f"redirect_uri={CALLBACK}", token="")
        assert (reply.status, reply.json["error"]) == (400, "access_denied")
        assert "location" not in reply.headers


async def test_guesses_are_limited_per_address(tmp_path: Path) -> None:
    async with oauth_door(tmp_path) as door:
        made = await pair(door)
        form = {"grant_type": "refresh_token", "refresh_token": made["refresh_token"]}
        for _ in range(11):
            assert (await token(door, **form, client_secret="wrong")).json == {"error": "invalid_client"}
        # Nothing is looked at any more, and other addresses do not feel it.
        reply = await token(door, **form)
        assert (reply.status, reply.json) == (429, {"error": "too_many_connections"})
        assert (await token(door, **form, peer="192.0.2.8")).status == 200


async def test_secrets_in_a_query_are_not_read(tmp_path: Path) -> None:
    async with oauth_door(tmp_path) as door:
        reply = await door.call(
            "POST", "/oauth2/token", query="grant_type=refresh_token&client_id=ha", body=b"", token=""
        )
        assert reply.json["error"] == "invalid_request"


async def test_a_files_version_and_shape(tmp_path: Path) -> None:
    async with oauth_door(tmp_path) as door:
        await pair(door)
        stored = json.loads((tmp_path / "netatmo" / "tokens.json").read_bytes())
        assert stored["version"] == 1
        assert {len(grant["access"]) for grant in stored["grants"]} == {64}
