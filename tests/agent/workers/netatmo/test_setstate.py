"""setstate: the order of checks, what moves, and how outcomes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from harness.context import House
from harness.netatmo_door import ENDPOINTS, netatmo_door
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.model.actions import Action, Lock, SetNotify, SoundSiren, StopSiren, SwitchLight, Unlock
from agent.model.outcomes import Busy, Done, Failed, Outcome, Refused
from agent.model.principals import Principal


@pytest.mark.parametrize(
    ("endpoint", "wish", "action"),
    [
        ("door", {"lock": False}, Unlock(endpoint="door")),
        ("stairs", {"on": True}, SwitchLight(endpoint="stairs", on=True)),
        ("stairs", {"on": False}, SwitchLight(endpoint="stairs", on=False)),
        ("siren", {"status": "sound"}, SoundSiren(endpoint="siren")),
        ("siren", {"status": "no_sound"}, StopSiren(endpoint="siren")),
        ("siren", {"siren_status": "sound"}, SoundSiren(endpoint="siren")),
        ("siren", {"monitoring": "off"}, SetNotify(mode="mute", endpoints=("siren",))),
        ("siren", {"monitoring": "on"}, SetNotify(mode="default", endpoints=("siren",))),
    ],
)
@pytest.mark.parametrize("bridge", [False, True])
async def test_what_a_property_does(
    tmp_path: Path, endpoint: str, wish: dict[str, Any], action: Action, bridge: bool
) -> None:
    async with netatmo_door(tmp_path) as door:
        row = {"id": await door.module(endpoint), **wish}
        if bridge:
            row["bridge"] = await door.module("")
        reply = await door.set(row)
        assert (reply.status, reply.json["status"]) == (200, "ok")
        assert "body" not in reply.json
        assert [done for done, _ in door.house.submitted] == [action]


REFUSED: list[tuple[str, object, int, int, str]] = [
    ("no JSON", b"{", 400, 40, "Json body is invalid"),
    ("empty", b"", 400, 40, "Json body is invalid"),
    ("no home", {}, 400, 10, "Missing home_id"),
    ("a list", [], 400, 10, "Missing home_id"),
    ("no home id", {"home": {"modules": []}}, 400, 10, "Missing home_id"),
    ("home id of another type", {"home": {"id": 5, "modules": []}}, 400, 21, "Invalid id"),
    ("another home", {"home": {"id": "5f96", "modules": [{"id": "x"}]}}, 400, 21, "Invalid id"),
    ("no modules", {"home": {"id": "HOME"}}, 400, 10, "Missing parameters"),
    ("modules of another type", {"home": {"id": "HOME", "modules": {}}}, 400, 10, "Missing parameters"),
    ("nothing", {"home": {"id": "HOME", "modules": []}}, 406, 7, "Nothing to modify"),
    ("no module", {"home": {"id": "HOME", "modules": [5]}}, 400, 21, "Invalid device_id, "),
]


@pytest.mark.parametrize(
    ("name", "plain", "status", "code", "text"), REFUSED, ids=[row[0] for row in REFUSED]
)
async def test_frames_that_are_refused(
    tmp_path: Path, name: str, plain: Any, status: int, code: int, text: str
) -> None:
    async with netatmo_door(tmp_path) as door:
        if isinstance(plain, bytes):
            reply = await door.call("POST", "/api/setstate", body=plain)
        else:
            if isinstance(plain, dict) and plain.get("home", {}).get("id") == "HOME":
                plain = {"home": {**plain["home"], "id": door.home_id}}
            reply = await door.call("POST", "/api/setstate", plain=plain)
        assert (reply.status, reply.code, reply.text) == (status, code, text)
        assert not door.house.submitted


@pytest.mark.parametrize(
    ("endpoint", "wish", "text"),
    [
        ("door", {"lock": True}, "cannot set property lock for module {}"),
        ("door", {"lock": 0}, "cannot set property lock for module {}"),
        ("door", {"lock": "false"}, "cannot set property lock for module {}"),
        ("door", {"lock": None}, "cannot set property lock for module {}"),
        ("door", {"on": True}, "cannot set property on for module {}"),
        ("door", {"reachable": True}, "cannot set property reachable for module {}"),
        ("stairs", {"on": 1}, "cannot set property on for module {}"),
        ("stairs", {"on": "true"}, "cannot set property on for module {}"),
        ("stairs", {"lock": False}, "cannot set property lock for module {}"),
        ("siren", {"status": "warning"}, "cannot set property status for module {}"),
        ("siren", {"monitoring": True}, "cannot set property monitoring for module {}"),
        ("bell", {"on": True}, "cannot set property on for module {}"),
        ("stairs", {"onn": True},
         "property /home/modules/0: should NOT have additional properties ['onn']"),
        ("", {"on": True}, "cannot set property on for module {}"),
    ],
)  # fmt: skip
async def test_properties_and_values_that_are_refused(
    tmp_path: Path, endpoint: str, wish: dict[str, Any], text: str
) -> None:
    async with netatmo_door(tmp_path) as door:
        module = await door.module(endpoint)
        reply = await door.set({"id": module, **wish})
        assert (reply.status, reply.code, reply.text) == (400, 21, text.format(module))
        assert not door.house.submitted


async def test_the_order_of_checks(tmp_path: Path) -> None:
    """Each fault is found before those that stand behind it in the list."""
    async with netatmo_door(tmp_path) as door:
        lock, light = await door.module("door"), await door.module("stairs")
        faults: list[tuple[dict[str, Any], str]] = [
            ({"id": "c0002f-aa6f", "on": True}, "Invalid device_id, c0002f-aa6f"),
            ({"id": light, "bridge": "70:ee:50:11:22:33", "on": True}, "Invalid bridge, 70:ee:50:11:22:33"),
            ({"id": light, "spin": True},
             "property /home/modules/1: should NOT have additional properties ['spin']"),
            ({"id": light, "on": 1}, f"cannot set property on for module {light}"),
        ]  # fmt: skip
        for place, (fault, text) in enumerate(faults):
            rows: list[dict[str, Any]] = [{"id": lock, "lock": False}, fault]
            for later, _ in faults[place + 1 :]:
                rows += [later] if later["id"] != fault["id"] else []
            reply = await door.set(*rows)
            assert (reply.status, reply.code, reply.text) == (400, 21, text)
        # A fault of the last module keeps the first from moving.
        assert not door.house.submitted
        reply = await door.set({"id": lock, "lock": False}, {"id": lock, "lock": False})
        assert (reply.code, reply.text) == (21, f"Invalid device_id, {lock}")


async def test_ids_in_capitals(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        row = {
            "id": (await door.module("door")).upper(),
            "bridge": (await door.module("")).upper(),
            "lock": False,
        }
        assert (await door.set(row)).status == 200


async def test_several_modules_at_once(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        reply = await door.set(
            {"id": await door.module("stairs"), "on": True}, {"id": await door.module("door"), "lock": False}
        )
        assert reply.status == 200
        assert [action for action, _ in door.house.submitted] == [
            SwitchLight(endpoint="stairs", on=True), Unlock(endpoint="door"),
        ]  # fmt: skip


async def test_a_write_scope_of_the_other_kind(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        camera, mx = await door.issue("write_camera"), await door.issue("write_mx")
        for endpoint, wish, wrong in (("door", {"lock": False}, camera), ("siren", {"status": "sound"}, mx)):
            reply = await door.set({"id": await door.module(endpoint), **wish}, token=wrong)
            assert (reply.status, reply.code) == (403, 13)
        assert not door.house.submitted


OUTCOMES: list[tuple[Outcome, int]] = [
    (Failed(action_id="a", reason="relay"), 35),
    (Refused(action_id="a", reason="the relay is broken"), 35),
]


@pytest.mark.parametrize(("outcome", "code"), OUTCOMES)
async def test_what_did_not_work(tmp_path: Path, outcome: Outcome, code: int) -> None:
    async with netatmo_door(tmp_path) as door:
        door.house.answer = lambda action, principal: outcome
        module = await door.module("door")
        reply = await door.set({"id": module, "lock": False})
        assert (reply.status, reply.json["status"]) == (200, "ok")
        assert reply.json["body"]["errors"] == [
            {"code": code, "id": module, "message": "unable to execute", "command": "lock"}
        ]


async def test_who_may_not_is_told_so(tmp_path: Path) -> None:
    def no(action: Action, principal: Principal) -> Outcome:
        return Refused(action_id="a", reason="role installer may not unlock")

    async with netatmo_door(tmp_path, role="installer") as door:
        door.house.answer = no
        reply = await door.set({"id": await door.module("door"), "lock": False})
        assert [error["code"] for error in reply.json["body"]["errors"]] == [13]


async def test_a_busy_output_is_429(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        door.house.answer = lambda action, principal: Busy(action_id="a")
        reply = await door.set({"id": await door.module("door"), "lock": False})
        assert (reply.status, reply.code, reply.headers["retry-after"]) == (429, 11, "1")


async def test_two_who_write_the_same_output_at_the_same_moment(tmp_path: Path) -> None:
    house = House(tmp_path, endpoints=ENDPOINTS)
    began, go = trio.Event(), trio.Event()

    async def slow(action: Action, principal: Principal) -> Outcome:
        house.submitted.append((action, principal))
        began.set()
        await go.wait()
        return Done(action_id="a")

    house._submit = slow  # type: ignore[method-assign]
    async with netatmo_door(tmp_path, house=house) as door:
        lock, light = await door.module("door"), await door.module("stairs")
        first: list[int] = []

        async def open_it() -> None:
            first.append((await door.set({"id": lock, "lock": False})).status)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_it)
            await began.wait()
            with trio.fail_after(5):
                reply = await door.set({"id": light, "on": True}, {"id": lock, "lock": False})
            assert (reply.status, reply.code, reply.headers["retry-after"]) == (429, 11, "1")
            go.set()
        assert first == [200]
        assert len(house.submitted) == 1
        # One that is still open is no such moment.
        assert (await door.set({"id": lock, "lock": False})).status == 200


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(allow_nan=False) | st.text(max_size=5)
    | st.sampled_from(["sound", "no_sound", "on", "off", "false", "true"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
ROWS = st.dictionaries(
    st.sampled_from(["lock", "on", "status", "siren_status", "monitoring", "bridge", "reachable", "x"]),
    VALUES,
    max_size=3,
)
GOOD: dict[tuple[str, str], tuple[object, ...]] = {
    ("BNDL", "lock"): (False,),
    ("BNSL", "on"): (True, False),
    ("NIS", "status"): ("sound", "no_sound"),
    ("NIS", "siren_status"): ("sound", "no_sound"),
    ("NIS", "monitoring"): ("on", "off"),
}


@given(rows=st.lists(st.tuples(st.integers(0, 4), ROWS), max_size=3), home=VALUES, real=st.booleans())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_wish_is_carried_out_as_a_whole_or_not_at_all(
    tmp_path: Path, rows: list[tuple[int, dict[str, Any]]], home: object, real: bool
) -> None:
    async def main() -> None:
        async with netatmo_door(tmp_path) as door:
            modules = (await door.ask("server_status"))["modules"]
            wishes = [{"id": modules[place]["id"], **row} for place, row in rows]
            plain = {"home": {"id": door.home_id if real else home, "modules": wishes}}
            reply = await door.call("POST", "/api/setstate", plain=plain)
            assert reply.status in (200, 400, 406)
            # What ought to move, told from the table alone.
            asked = [
                (modules[place]["type"], name, value)
                for place, row in rows
                for name, value in row.items()
                if name != "bridge"
            ]
            fits = all(
                any(
                    value is good or (isinstance(value, str) and value == good)
                    for good in GOOD.get((kind, name), ())
                )
                for kind, name, value in asked
            )
            bridged = all(row.get("bridge") is None for _, row in rows)
            apart = len({place for place, _ in rows}) == len(rows)
            should = bool(asked) and fits and bridged and apart and real
            assert len(door.house.submitted) == (len(asked) if should else 0)
            assert (reply.status == 200) == should

    trio.run(main)


# ----- outputs that are something else to clients -----


async def test_a_light_that_is_a_lock(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path, lights_as={"stairs": "BNDL"}) as door:
        module = await door.module("stairs", "BNDL")
        assert (await door.set({"id": module, "lock": False})).status == 200
        assert (await door.set({"id": module, "on": True})).code == 21
        assert [action for action, _ in door.house.submitted] == [SwitchLight(endpoint="stairs", on=True)]


async def test_an_installer_may_switch_lights_but_not_one_that_opens_a_door(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path, role="installer", lights_as={"stairs": "BNDL"}) as door:
        reply = await door.set({"id": await door.module("stairs"), "lock": False})
        assert [error["code"] for error in reply.json["body"]["errors"]] == [13]
        assert not door.house.submitted


async def test_a_lock_that_is_a_light(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path, locks_as={"door": "BNSL"}) as door:
        module = await door.module("door", "BNSL")
        for on in (True, False):
            assert (await door.set({"id": module, "on": on})).status == 200
        assert [action for action, _ in door.house.submitted] == [
            Unlock(endpoint="door"), Lock(endpoint="door"),
        ]  # fmt: skip


async def test_a_light_seen_as_a_plug_as_well(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path, alias_lights=True) as door:
        module = await door.module("stairs", "NLP")
        assert module != await door.module("stairs", "BNSL")
        assert (await door.set({"id": module, "on": True})).status == 200
        assert [action for action, _ in door.house.submitted] == [SwitchLight(endpoint="stairs", on=True)]


async def test_hidden_endpoints_are_not_there(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        module = await door.module("door")
    async with netatmo_door(tmp_path, hide=("door",)) as door:
        reply = await door.set({"id": module, "lock": False})
        assert (reply.status, reply.code, reply.text) == (400, 21, f"Invalid device_id, {module}")
