"""The API over real HTTP: who is let in, what is read, and what is said to everything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from harness.deconz_door import ARMED, BELL, SIREN, STRIKE, deconz_door

from agent.model.events import AccountChanged, AlarmChanged, ButtonPressed, LightChanged, SirenChanged

UNAUTHORISED = {"type": 1, "description": "unauthorized user"}


def error(results: Any) -> tuple[int, str]:
    """Type and address of the only error."""
    (result,) = results
    assert set(result) == {"error"}
    assert set(result["error"]) == {"type", "address", "description"}
    return result["error"]["type"], result["error"]["address"]


# ----- keys -----


async def test_a_key_is_given_while_the_window_is_open_and_never_else(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        answer = await door.http.post("/api", json={"devicetype": "pydeconz"})
        assert (answer.status_code, error(answer.json())) == (403, (101, "/"))
        assert answer.json()[0]["error"]["description"] == "link button not pressed"
        await door.house.answers["link"](Asks())
        answer = await door.http.post(
            "/api", json={"devicetype": "Home Assistant\n#ha", "username": "0123456789"}
        )
        assert answer.status_code == 200
        (success,) = answer.json()
        key = success["success"]["username"]
        # A key of the house's own making, not what the client wished for.
        assert key.startswith("pk_")
        assert set(await door.get(key=key)) > {"config", "lights"}
        owner, info = door.house.keys.issued[key]
        assert (owner, info.name) == ("smart-home", "Home Assistant #ha")


async def test_being_on_this_machine_gives_no_key(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        for host in ("127.0.0.1", "localhost"):
            answer = await door.http.post("/api", json={"devicetype": "x"}, headers={"host": host})
            assert answer.status_code == 403
        answer = await door.http.post("/api", json={"devicetype": "x"}, auth=("delight", "delight"))
        assert answer.status_code == 403
        assert len(door.house.keys.issued) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", 2),
        (b"{", 2),
        (b"{}", 2),
        (b"[]", 2),
        (b'"x"', 2),
        (b"\xff\xfe", 2),
        (b'{"username":"0123456789"}', 5),
        (b'{"devicetype":7}', 7),
        (b'{"devicetype":""}', 7),
        (b'{"devicetype":"\\u0000"}', 7),
        (b'{"devicetype":"x","username":"short"}', 7),
        (b'{"devicetype":"x","username":["a"]}', 7),
    ],
)
async def test_a_bad_wish_for_a_key(tmp_path: Path, body: bytes, kind: int) -> None:
    async with deconz_door(tmp_path) as door:
        await door.house.answers["link"](Asks())
        answer = await door.http.post("/api", content=body)
        assert answer.status_code == 400
        assert error(answer.json())[0] == kind
        assert len(door.house.keys.issued) == 1


async def test_a_store_that_is_full_gives_no_key_and_says_so(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        door.house.keys.broken = True
        await door.house.answers["link"](Asks())
        answer = await door.http.post("/api/", json={"devicetype": "x"})
        assert (answer.status_code, error(answer.json())) == (503, (7, "/username"))
        assert "disk" not in answer.text


async def test_a_wrong_key_is_refused_and_not_repeated(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        for key in ("0123456789", "pk_00000009_wrong", door.key + "x", door.key[:-1], "x" * 300):
            for path in ("", "/lights", "/lights/1", "/nothing/at/all", "/config/whitelist/" + door.key):
                answer = await door.http.get(f"/api/{key}{path}")
                assert answer.status_code == 403
                kind, address = error(answer.json())
                assert kind == 1
                assert address.startswith("/")
                assert key not in answer.text
                assert door.key not in answer.text
        assert door.house.pages["bad_keys"] == 25


async def test_no_password_can_be_tried_as_a_key(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        door.house.authenticator.accounts["admin"] = ("correct horse battery", "admin")
        secrets: list[str] = []
        authenticate = door.house.authenticator.authenticate

        async def watch(*, account: str, secret: str, via: str, peer: str) -> Any:
            assert (account, via, peer) == ("", "deconz", "127.0.0.1")
            secrets.append(secret)
            return await authenticate(account=account, secret=secret, via=via, peer=peer)

        door.house.authenticator.authenticate = watch  # type: ignore[method-assign]
        for key in ("correct horse battery", "admin", "pk_", "pk", "PK_00000001_x", door.key.upper()):
            assert (await door.http.get(f"/api/{key}/lights")).status_code == 403
        # Whatever it was, it counts as a wrong key, and nothing was compared with it.
        assert secrets == ["pk_"] * 6


async def test_nobody_looked_is_another_answer_than_wrong(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        door.house.authenticator.overrun = True
        assert await door.ask("GET", "/lights") == (
            503,
            [{"error": {"type": 951, "address": "/lights", "description": "busy, try later"}}],
        )
        assert (await door.ask("GET", "/config"))[0] == 503


async def test_a_revoked_key_is_good_for_nothing(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        other = await door.another_key("smart-home", "resident", "old panel")
        status, results = await door.ask("DELETE", f"/config/whitelist/{other}")
        assert status == 200
        assert results == [{"success": "/config/whitelist/pk_00000002 deleted."}]
        assert (await door.http.get(f"/api/{other}/lights")).status_code == 403
        assert (await door.ask("DELETE", f"/config/whitelist/{other}"))[0] == 404
        # By its beginning, as the whitelist shows it; and at last its own.
        third = await door.another_key("smart-home", "resident")
        assert (await door.ask("DELETE", "/config/whitelist/pk_00000003"))[0] == 200
        assert (await door.http.get(f"/api/{third}/lights")).status_code == 403
        assert (await door.ask("DELETE", f"/config/whitelist/{door.key}"))[0] == 200
        assert (await door.ask("GET", "/lights"))[0] == 403


async def test_keys_of_another_account_are_neither_seen_nor_ended(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        other = await door.another_key("fernanda", "resident")
        assert set((await door.get("/config"))["whitelist"]) == {door.key}
        assert set((await door.get("/config", key=other))["whitelist"]) == {other}
        for key, others_key in ((door.key, other), (other, door.key)):
            status, results = await door.ask("DELETE", f"/config/whitelist/{others_key}", key=key)
            assert (status, error(results)) == (404, (3, "/config/whitelist"))
            assert await door.get("/lights", key=others_key)


# ----- config -----


async def test_the_short_form_is_for_everybody_and_the_long_one_for_a_key(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        short = (await door.http.get("/api/config")).json()
        for word in ("nouser", "config", "pk_00000009_wrong", "0", "%20"):
            answer = await door.http.get(f"/api/{word}/config")
            assert (answer.status_code, answer.json()) == (200, short)
        long = await door.get("/config")
        assert long.items() >= short.items()
        assert "whitelist" not in short
        assert list(long["whitelist"]) == [door.key]
        port = int(door.ws_url.rpartition(":")[2])
        assert long["websocketport"] == port
        assert long["ipaddress"] == "127.0.0.1"


async def test_only_what_looks_like_a_key_counts_as_a_guess_at_the_config(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        for word in ("nouser", "0123456789", "config"):
            await door.http.get(f"/api/{word}/config")
        assert door.house.authenticator.calls == []
        await door.http.get("/api/pk_00000009_wrong/config")
        assert len(door.house.authenticator.calls) == 1
        assert door.house.pages["bad_keys"] == 1


async def test_the_bridge_id_and_its_prefix(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        own = (await door.http.get("/api/config")).json()["bridgeid"]
        assert own[6:10] == "FFFF"
        assert len(own) == 16
        assert int(own[:2], 16) & 0x02
    async with deconz_door(tmp_path, bridge_prefix="00212e") as door:
        config = (await door.http.get("/api/config")).json()
        assert config["bridgeid"] == "00212EFFFF" + own[10:]


# ----- reading -----


async def test_everything_in_one_request(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, alarm=ARMED) as door:
        full = await door.get()
        assert set(full) == {
            "lights", "groups", "sensors", "scenes", "schedules", "rules", "config", "resourcelinks",
            "alarmsystems",
        }  # fmt: skip
        assert "0" not in full["groups"]
        assert full["scenes"] == full["rules"] == full["schedules"] == full["resourcelinks"] == {}
        for r in full:
            if r != "config":
                assert await door.get(f"/{r}") == full[r]
            for number, body in full[r].items() if r in ("lights", "sensors", "groups") else ():
                assert number.isdecimal()
                assert await door.get(f"/{r}/{number}") == body


async def test_a_door_with_next_to_nothing_loads_too(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, endpoints=(BELL,)) as door:
        full = await door.get()
        assert (full["lights"], full["groups"], full["alarmsystems"]) == ({}, {}, {})
        assert list(full["sensors"]) == ["1"]


async def test_a_resource_by_its_unique_id(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        lights = await door.get("/lights")
        assert await door.get("/lights/" + lights["1"]["uniqueid"]) == lights["1"]
        sensors = await door.get("/sensors")
        assert await door.get("/sensors/" + sensors["4"]["uniqueid"].upper()) == sensors["4"]
        assert (await door.ask("GET", "/sensors/" + lights["1"]["uniqueid"]))[0] == 404


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/lights/99", 3),
        ("/lights/sensors", 3),
        ("/sensors/", None),
        ("/sensors/%F0%9F%94%94", 3),
        ("/sensors/0", 3),
        ("/groups/0", 3),
        ("/groups/2", 3),
        ("/groups/1/scenes/1", 3),
        ("/groups/7/scenes", 3),
        ("/scenes/1", 3),
        ("/rules/1", 3),
        ("/alarmsystems/1", 3),
        ("/devices", 4),
        ("/capabilities", 4),
        ("/nothing", 4),
        ("/lights/1/state", 4),
        ("/lights/1/state/on", 4),
        ("/config/whitelist", 4),
        ("//lights", 4),
    ],
)
async def test_what_is_not_there(tmp_path: Path, path: str, kind: int | None) -> None:
    async with deconz_door(tmp_path) as door:
        answer = await door.http.get(f"/api/{door.key}{path}")
        if kind is None:
            assert answer.status_code == 200
            return
        assert answer.status_code == 404
        assert error(answer.json())[0] == kind
        assert door.key not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/lights"),
        ("POST", "/sensors"),
        ("POST", "/groups"),
        ("POST", "/config/restartapp"),
        ("PUT", ""),
        ("DELETE", "/lights/1"),
        ("DELETE", "/sensors/1"),
        ("DELETE", "/groups/1"),
        ("DELETE", "/config"),
        ("PUT", "/lights"),
        ("PUT", "/lights/1/config"),
        ("BREW", "/lights"),
    ],
)
async def test_a_method_that_is_not_there(tmp_path: Path, method: str, path: str) -> None:
    async with deconz_door(tmp_path) as door:
        status, results = await door.ask(method, path, {"x": 1})
        assert (status, error(results)[0]) == (404, 4)
        # Who has no key does not learn even that.
        status, results = await door.ask(method, path, {"x": 1}, key="nobody")
        assert (status, error(results)[0]) == (403, 1)
        assert door.house.submitted == []


async def test_outside_of_the_api_there_is_one_thing(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        for path in ("/", "/pwa", "/api", "/description.xml/x", "/apis/x"):
            answer = await door.http.get(path)
            assert (answer.status_code, error(answer.json())[0]) == (404, 4)
        answer = await door.http.get("/description.xml")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/xml")
        assert f"<URLBase>{door.url}/</URLBase>" in answer.text


async def test_head_options_slashes_and_no_door_for_web_pages(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        head = await door.http.head(f"/api/{door.key}/lights")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-type"] == "application/json; charset=utf-8"
        assert await door.get("/lights/") == await door.get("/lights")
        origin = {"origin": "https://evil.example", "access-control-request-method": "PUT"}
        for path in ("/", "/api", f"/api/{door.key}/lights/1/state", "/whatever"):
            options = await door.http.options(path, headers=origin)
            assert options.status_code == 200
            assert not [name for name in options.headers if name.startswith("access-control")]
        answer = await door.http.get(f"/api/{door.key}", headers=origin)
        assert not [name for name in answer.headers if name.startswith("access-control")]


# ----- tags -----


async def test_tags_save_reading_twice(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        for path in ("", "/config", "/lights", "/sensors", "/groups", "/lights/1", "/sensors/1", "/groups/1"):
            first = await door.http.get(f"/api/{door.key}{path}")
            tag = first.headers["etag"]
            assert tag[0] == tag[-1] == '"'
            again = await door.http.get(f"/api/{door.key}{path}", headers={"if-none-match": tag})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers.get("content-length", "0") == "0"
            # One text, as gateways compare it: no lists, no weak tags, no star.
            for other in (f"W/{tag}", f"{tag}, {tag}", "*", '"x"'):
                answer = await door.http.get(f"/api/{door.key}{path}", headers={"if-none-match": other})
                assert answer.status_code == 200
        body = await door.get("/lights/1")
        assert f'"{body["etag"]}"' == (await door.http.get(f"/api/{door.key}/lights/1")).headers["etag"]


async def test_every_change_moves_the_tags(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, alarm=ARMED) as door:

        async def tag(path: str) -> str:
            answer = await door.http.get(f"/api/{door.key}{path}")
            found: str = answer.headers["etag"]
            return found

        async def moved(*paths: str) -> list[bool]:
            await trio.testing.wait_all_tasks_blocked()
            return [before[path] != await tag(path) for path in paths]

        paths = ("", "/config", "/lights", "/lights/1", "/lights/2", "/sensors", "/groups")
        before = {path: await tag(path) for path in paths}
        assert before[""] == before["/config"]
        door.house.log.publish(SirenChanged(endpoint="siren", on=True))
        assert await moved(*paths) == [True, True, True, True, False, False, False]
        # Two changes in one moment are two tags.
        before = {path: await tag(path) for path in paths}
        door.house.log.publish(LightChanged(endpoint="stairs", on=True))
        door.house.log.publish(LightChanged(endpoint="stairs", on=False))
        assert await moved("/lights/2", "/groups") == [True, True]
        before = {path: await tag(path) for path in paths}
        door.house.log.publish(ButtonPressed(endpoint="bell"))
        assert await moved("/sensors") == [True]
        before = {path: await tag(path) for path in paths}
        door.house.log.publish(AlarmChanged(state="armed", mode="away"))
        assert await moved("", "/lights") == [True, False]
        before = {path: await tag(path) for path in paths}
        await door.house.answers["link"](Asks())
        assert await moved("", "/config") == [True, True]
        before = {path: await tag(path) for path in paths}
        await door.put("/lights/1", {"name": "Horn"})
        assert await moved("/lights/1", "") == [True, True]
        before = {path: await tag(path) for path in paths}
        await door.put("/config", {"websocketnotifyall": False})
        assert await moved("/config", "/lights") == [True, False]
        before = {path: await tag(path) for path in paths}
        await door.house.answers["link_key"](Asks())
        assert await moved("/config") == [True]
        # And a key that was ended from elsewhere.
        before = {path: await tag(path) for path in paths}
        door.house.log.publish(AccountChanged(account="smart-home", change="key_revoked"))
        assert await moved("/config") == [True]


# ----- who may come at all -----


async def test_strangers_are_turned_away(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, allow_from=["192.168.1.0/24", "10.0.0.9"]) as door:
        for path in ("/", "/api/config", "/description.xml", f"/api/{door.key}"):
            answer = await door.http.get(path)
            assert answer.status_code == 403
            assert error(answer.json()) == (1, "/")
        assert (await door.http.options("/api")).status_code == 403
        pairing = await door.http.post("/api", json={"devicetype": "x"})
        assert (pairing.status_code, error(pairing.json())) == (403, (101, "/")), "words that are shown"
        assert door.house.authenticator.calls == []
        assert door.house.pages["strangers"] == 6
    async with deconz_door(tmp_path, allow_from=["127.0.0.0/8"]) as door:
        assert await door.get("/lights")


async def test_a_request_that_is_too_large(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        url = f"/api/{door.key}/lights/1/state"
        answer = await door.http.put(url, content=b'{"alert":"' + b"x" * 70_000 + b'"}')
        assert answer.status_code == 413
        many = {f"p{number}": 1 for number in range(100)}
        status, results = await door.put("/lights/1/state", many)
        assert (status, error(results)[0]) == (400, 11)
        deep = b'{"alert":' + b"[" * 500 + b"]" * 500 + b"}"
        assert error((await door.ask("PUT", "/lights/1/state", deep))[1])[0] == 2
        assert door.house.submitted == []


async def test_a_guest_reads_and_opens_and_arranges_nothing(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, endpoints=(BELL, SIREN, STRIKE)) as door:
        guest = await door.another_key("guest", "guest")
        assert set(await door.get("/sensors", key=guest)) == {"1", "2", "3"}
        assert (await door.put("/sensors/2/config", {"lock": False}, key=guest))[0] == 200
        for path, body in (
            ("/lights/1", {"name": "x"}),
            ("/sensors/1", {"name": "x"}),
            ("/config", {"websocketnotifyall": False}),
            ("/config", {"unlock": 0}),
        ):
            status, results = await door.put(path, body, key=guest)
            assert (status, error(results)[0]) == (400, 8)
        assert json.dumps(await door.get("/lights")).count('"x"') == 0


class Asks:
    """A person with a command."""

    account = "local:test"

    def get(self, name: str, kind: Any, default: Any = None) -> Any:
        return default
