"""The API as pyatmo and other clients ask it."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.context import House
from harness.netatmo_door import ENDPOINTS, netatmo_door
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.model.actions import Unlock

JSON = "application/json"


async def test_homesdata_as_pyatmo_asks_for_it(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path, home_name="Casa") as door:
        reply = await door.call("POST", "/api/homesdata", form={})
        assert (reply.status, reply.headers["content-type"]) == (200, JSON)
        assert reply.json["status"] == "ok"
        [home] = reply.json["body"]["homes"]
        assert (home["id"], home["name"]) == (door.home_id, "Casa")
        assert [(row["type"], row["name"]) for row in home["modules"]] == [
            ("BNCX", "Portero"), ("BNEU", "Pulsantiera"), ("BNDL", "Portone"), ("BNSL", "Luce <scale>"),
            ("NIS", "Sirena"),
        ]  # fmt: skip
        gateway, *others = home["modules"]
        assert gateway["modules_bridged"] == [row["id"] for row in others]
        assert all(row["bridge"] == gateway["id"] for row in others)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_read_methods_take_query_and_form(tmp_path: Path, method: str) -> None:
    async with netatmo_door(tmp_path) as door:
        for path in ("homesdata", "homestatus", "getevents"):
            given: dict[str, Any] = (
                {"query": f"home_id={door.home_id}"}
                if method == "GET"
                else {"form": {"home_id": door.home_id}}
            )
            reply = await door.call(method, f"/api/{path}", **given)
            assert (reply.status, reply.json["status"]) == (200, "ok"), path


async def test_gateway_types_of_others_have_no_homes(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        reply = await door.call("GET", "/api/homesdata", query="gateway_types%5B%5D=NACamera")
        assert reply.json["body"]["homes"] == []
        reply = await door.call(
            "GET", "/api/homesdata", query="gateway_types[]=NACamera&gateway_types[]=BNCX"
        )
        assert len(reply.json["body"]["homes"]) == 1


async def test_a_bad_home_is_400_with_21_and_a_missing_one_with_10(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        for path in ("homestatus", "getevents"):
            reply = await door.call("POST", f"/api/{path}", form={"home_id": "5f96ffa54641d545d1554af2"})
            assert (reply.status, reply.code, reply.text) == (400, 21, "Invalid id")
            reply = await door.call("POST", f"/api/{path}", form={})
            assert (reply.status, reply.code, reply.text) == (400, 10, "Missing home_id")
        reply = await door.call("POST", "/api/homesdata", form={"home_id": "wrong"})
        assert (reply.status, reply.code) == (400, 21)


async def test_homestatus_by_type(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        reply = await door.call("POST", "/api/homestatus", form={"home_id": door.home_id})
        rows = {row["type"]: row for row in reply.json["body"]["home"]["modules"]}
        assert {"firmware_name", "firmware_revision", "last_seen", "uptime", "wifi_strength", "offload",
                "websocket_connected"} <= set(rows["BNCX"])  # fmt: skip
        assert rows["BNCX"]["local_ipv4"] == "192.0.2.10"
        for kind in ("BNEU", "BNDL", "BNSL"):
            assert set(rows[kind]) == {"id", "type", "bridge", "reachable"}
        assert (rows["NIS"]["status"], rows["NIS"]["monitoring"]) == ("no_sound", "on")
        assert "vpn_url" not in reply.body.decode()
        assert "is_local" not in reply.body.decode()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/setstate"), ("PUT", "/api/setstate"), ("HEAD", "/api/homesdata"),
        ("OPTIONS", "/api/homesdata"), ("GET", "/api/setpersonshome"), ("GET", "/api/getthermostat"),
        ("GET", "/"), ("GET", "/oauth2/token"), ("PATCH", "/webhooks/v1"), ("GET", "/api/webrtc/offer"),
    ],
)  # fmt: skip
async def test_unknown_methods_are_404_with_31(tmp_path: Path, method: str, path: str) -> None:
    async with netatmo_door(tmp_path) as door:
        reply = await door.call(method, path)
        assert (reply.status, reply.code, reply.headers["content-type"]) == (404, 31, JSON)
        assert not any(name.startswith("access-control") for name in reply.headers)
        assert not door.house.submitted


async def test_paths_that_were_put_together(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        for path in ("//api/homesdata", "/api//homesdata", "/api/homesdata/"):
            assert (await door.call("POST", path, form={})).status == 200


async def test_no_video(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        for path in ("/api/webrtc/offer", "/api/webrtc/terminate"):
            reply = await door.call("POST", path, plain={"home_id": door.home_id})
            assert (reply.status, reply.code) == (400, 21)


async def test_persons(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        for path in ("setpersonshome", "setpersonsaway"):
            for kind in ("plain", "form"):
                given: dict[str, Any] = {kind: {"home_id": door.home_id}}
                reply = await door.call("POST", f"/api/{path}", **given)
                assert (reply.status, reply.json["status"]) == (200, "ok")
        plain = {"home_id": door.home_id, "person_ids": ["91827374"]}
        reply = await door.call("POST", "/api/setpersonshome", plain=plain)
        assert (reply.status, reply.code) == (400, 21)
        token = await door.issue("read_camera write_mx")
        reply = await door.call("POST", "/api/setpersonsaway", plain={"home_id": door.home_id}, token=token)
        assert (reply.status, reply.code) == (403, 13)


# ----- tokens -----


async def test_no_token_a_wrong_one_and_its_places(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        reply = await door.call("POST", "/api/homesdata", form={}, token="")
        assert (reply.status, reply.code) == (401, 1)
        for wrong in (f"{'0' * 24}|{'0' * 32}", door.token[:-1] + "x", "pk_1_2", "é"):
            reply = await door.call("POST", "/api/homesdata", form={}, token=wrong)
            assert (reply.status, reply.code, reply.text) == (403, 2, "Invalid access token")
        for given in ({"form": {"access_token": door.token}}, {"query": f"access_token={door.token}"}):
            reply = await door.call("POST", "/api/homesdata", token="", **given)
            assert reply.status == 200, given


async def test_wrong_tokens_are_limited_per_address_and_a_right_one_is_good_at_any_time(
    tmp_path: Path,
) -> None:
    async with netatmo_door(tmp_path) as door:
        wrong = f"{'0' * 24}|{'0' * 32}"
        replies = [await door.call("GET", "/api/homesdata", token=wrong) for _ in range(12)]
        assert [reply.code for reply in replies] == [2] * 10 + [26] * 2
        assert replies[-1].status == 429
        assert (await door.call("GET", "/api/homesdata", token=wrong, peer="192.0.2.8")).code == 2
        assert (await door.call("GET", "/api/homesdata")).status == 200
        # Every one that was looked at is written down where all refusals are.
        assert len(door.house.authenticator.calls) == 11


async def test_scopes_hide_modules(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        for scope, kinds in (
            ("read_camera", {"NIS"}), ("read_mx", {"BNCX", "BNEU", "BNDL", "BNSL"}),
        ):  # fmt: skip
            token = await door.issue(scope)
            reply = await door.call("POST", "/api/homesdata", form={}, token=token)
            assert {row["type"] for row in reply.json["body"]["homes"][0]["modules"]} == kinds
            reply = await door.call("POST", "/api/homestatus", form={"home_id": door.home_id}, token=token)
            assert {row["type"] for row in reply.json["body"]["home"]["modules"]} == kinds
        reply = await door.call("POST", "/api/homesdata", form={}, token=await door.issue("write_mx"))
        assert (reply.status, reply.code) == (403, 13)


async def test_too_many_requests_of_one_token(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path, per_10_s=3) as door:
        replies = [await door.call("GET", "/api/homesdata") for _ in range(4)]
        assert [reply.status for reply in replies] == [200, 200, 200, 403]
        assert (replies[-1].code, replies[-1].text) == (26, "User usage reached")
        assert (await door.call("GET", "/api/homesdata", token=await door.issue())).status == 200


async def test_a_user_who_may_not_come_in(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        del door.house.authenticator.accounts["smart-home"]
        reply = await door.call("GET", "/api/homesdata")
        assert (reply.status, reply.code) == (403, 5)


async def test_a_server_that_has_ended_says_so(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        pass
    reply = await door.call("GET", "/api/homesdata")
    assert (reply.status, reply.code) == (503, 35)


# ----- anything at all -----

DOCUMENTED = {200, 400, 401, 403, 404, 406, 409, 429, 500, 503}
PATHS = st.sampled_from(
    ["/api/homesdata", "/api/homestatus", "/api/getevents", "/api/setstate", "/api/setpersonshome",
     "/api/addwebhook", "/api/dropwebhook", "/webhooks/v1", "/oauth2/token", "/oauth2/authorize",
     "/api/webrtc/offer"]
) | st.text(string.printable, max_size=30).map(lambda text: "/" + text)  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"[]", b"{}", b"null", b'{"home":{"id":1}}', b'{"home":[]}', b'{"url":5}', b"\xff"]),
)


@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD", "PATCH"]),
    path=PATHS,
    query=st.text(max_size=60),
    body=BODIES,
    kind=st.sampled_from([b"application/json", b"application/x-www-form-urlencoded", b"text/plain", b"\xff"]),
    authorised=st.booleans(),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_request_gets_a_documented_answer_and_moves_nothing(
    tmp_path: Path, method: str, path: str, query: str, body: bytes, kind: bytes, authorised: bool
) -> None:
    async def main() -> None:
        house = House(tmp_path, endpoints=ENDPOINTS)
        async with netatmo_door(tmp_path, house=house) as door:
            token = await door.issue("read_mx read_camera") if authorised else ""
            reply = await door.call(
                method, path, query=query, body=body, headers=[(b"content-type", kind)], token=token
            )
            assert reply.status in DOCUMENTED
            assert reply.headers["content-type"] == JSON
            assert isinstance(reply.json, dict)
            assert not house.submitted

    trio.run(main)


async def test_only_a_write_token_opens_the_door(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        wish = {"id": await door.module("door"), "lock": False}
        for scope in ("read_mx", "read_mx write_camera", "read_mx read_camera access_camera"):
            reply = await door.set(wish, token=await door.issue(scope))
            assert (reply.status, reply.code) == (403, 13), scope
        reply = await door.set(wish, token="")
        assert (reply.status, reply.code) == (401, 1)
        assert not door.house.submitted
        assert (await door.set(wish, token=await door.issue("write_mx"))).status == 200
        [(action, principal)] = door.house.submitted
        assert action == Unlock(endpoint="door")
        assert (principal.name, principal.role, principal.via) == ("smart-home", "resident", "netatmo")
        assert principal.peer == "192.0.2.7"
        assert principal.proven_locally
