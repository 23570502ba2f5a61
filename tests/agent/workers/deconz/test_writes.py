"""PUTs: what the door is asked for, what is answered, and what is never asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness.deconz_door import ARMED, BELL, Door, deconz_door

from agent.model.actions import Action, Lock, SetAlarm, SoundSiren, StopSiren, SwitchLight, Unlock
from agent.model.errors import TryLater
from agent.model.outcomes import Busy, Done, Failed, Outcome, Refused
from agent.model.principals import Grant, Principal, authorise


def kinds(results: list[dict[str, Any]]) -> list[int]:
    """The types of the errors; 0 for a success."""
    return [result["error"]["type"] if "error" in result else 0 for result in results]


def actions(door: Door) -> list[Action]:
    return [action for action, _ in door.house.submitted]


# ----- lights -----


async def test_the_siren(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        assert await door.put("/lights/1/state", {"alert": "lselect", "ontime": 100}) == (
            200,
            [
                {"success": {"/lights/1/state/alert": "lselect"}},
                {"success": {"/lights/1/state/ontime": 100}},
            ],
        )
        await door.put("/lights/1/state", {"alert": "select"})
        await door.put("/lights/1/state", {"alert": "none"})
        assert actions(door) == [
            SoundSiren(endpoint="siren", duration_s=10),
            SoundSiren(endpoint="siren", duration_s=1),
            StopSiren(endpoint="siren"),
        ]
        _, principal = door.house.submitted[0]
        assert (principal.name, principal.role, principal.via) == ("smart-home", "resident", "deconz")
        assert (principal.peer, principal.proven_locally) == ("127.0.0.1", True)


@pytest.mark.parametrize(
    ("body", "types"),
    [
        ({"on": True}, [6]),
        ({"alert": "blink"}, [7]),
        ({"alert": "all"}, [7]),
        ({"ontime": 10}, [5]),
        ({"alert": "lselect", "ontime": -1}, [7]),
        ({"alert": "lselect", "on": True}, [6]),
        ({"alert": "lselect", "ontime": 1e300}, [7]),
    ],
)
async def test_a_bad_word_for_the_siren_moves_nothing(
    tmp_path: Path, body: dict[str, Any], types: list[int]
) -> None:
    async with deconz_door(tmp_path) as door:
        status, results = await door.put("/lights/1/state", body)
        assert (status, kinds(results)) == (400, types)
        assert door.house.submitted == []


async def test_a_light_by_put_and_patch_and_unique_id(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        uniqueid = (await door.get("/lights/2"))["uniqueid"]
        assert (await door.put("/lights/2/state", {"on": True, "ontime": 50}))[0] == 200
        assert (await door.ask("PATCH", f"/lights/{uniqueid}/state", {"on": False}))[0] == 200
        assert actions(door) == [
            SwitchLight(endpoint="stairs", on=True, duration_s=5),
            SwitchLight(endpoint="stairs", on=False),
        ]


async def test_the_group_and_never_its_neighbours(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, lock_as="light") as door:
        assert await door.put("/groups/1/action", {"on": False}) == (
            200,
            [{"success": {"/groups/1/action/on": False}}],
        )
        await door.put("/groups/1/action", {"toggle": True})
        assert {action.endpoint for action in actions(door) if isinstance(action, SwitchLight)} == {
            "stairs",
            "porch",
        }
        assert all(isinstance(action, SwitchLight) for action in actions(door))
        for number in ("0", "2", "65520", "x"):
            status, results = await door.put(f"/groups/{number}/action", {"on": False})
            assert (status, kinds(results)) == (404, [3])
        status, results = await door.put("/groups/1/scenes/1/recall", {})
        assert (status, kinds(results)) == (404, [3])


async def test_a_group_of_which_one_light_fails(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:

        def answer(action: Action, principal: Principal) -> Outcome:
            assert isinstance(action, SwitchLight)
            if action.endpoint == "porch" or action.on:
                return Failed(action_id="a", reason="the relay is gone")
            return Done(action_id="a")

        door.house.answer = answer
        status, results = await door.put("/groups/1/action", {"on": False})
        assert (status, kinds(results)) == (200, [0, 7])
        status, results = await door.put("/groups/1/action", {"on": True})
        assert (status, kinds(results)) == (400, [7])


async def test_without_lights_there_is_no_group(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, endpoints=(BELL,)) as door:
        assert (await door.put("/groups/1/action", {"on": True}))[0] == 404
        assert (await door.put("/groups/1", {"name": "x"}))[0] == 404


# ----- locks -----


async def test_the_lock(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        assert await door.put("/sensors/2/config", {"lock": False}) == (
            200,
            [{"success": {"/sensors/2/config/lock": False}}],
        )
        await door.put("/sensors/2/config", {"lock": True})
        assert actions(door) == [Unlock(endpoint="strike"), Lock(endpoint="strike")]


async def test_a_lock_that_is_a_light_is_locked_when_it_is_on(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, lock_as="light") as door:
        lights = await door.get("/lights")
        number = next(number for number, light in lights.items() if light["type"] == "Door Lock")
        assert lights[number]["state"]["on"] is True
        await door.put(f"/lights/{number}/state", {"on": False})
        await door.put(f"/lights/{number}/state", {"on": True})
        assert actions(door) == [Unlock(endpoint="strike"), Lock(endpoint="strike")]
        door.house.answer = lambda action, principal: Busy(action_id="a")
        assert kinds((await door.put(f"/lights/{number}/state", {"on": False}))[1]) == [7]


@pytest.mark.parametrize(
    ("body", "types", "status"),
    [
        ({"lock": 0}, [7], 400),
        ({"lock": "no"}, [7], 400),
        ({"locked": False}, [6], 400),
        ({"reachable": False}, [8], 400),
        ({"on": False}, [8], 400),
        ({"on": True}, [0], 200),
        ({"locked": False, "lock": False}, [6, 0], 200),
    ],
)
async def test_bad_words_for_a_lock(
    tmp_path: Path, body: dict[str, Any], types: list[int], status: int
) -> None:
    async with deconz_door(tmp_path) as door:
        assert (status, types) == (
            (found := await door.put("/sensors/2/config", body))[0],
            kinds(found[1]),
        )
        assert len(actions(door)) == (1 if body.get("lock") is False else 0)


async def test_a_sensor_of_another_kind_has_no_lock(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, alarm=ARMED) as door:
        for number, sensor in (await door.get("/sensors")).items():
            if sensor["type"] != "ZHADoorLock":
                status, results = await door.put(f"/sensors/{number}/config", {"lock": False})
                assert (status, kinds(results)) == (400, [6])
        assert door.house.submitted == []


async def test_what_a_sensor_sees_is_not_for_clients_to_say(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        status, results = await door.put("/sensors/5/state", {"fire": True})
        assert (status, kinds(results)) == (400, [8])
        assert (await door.put("/sensors/99/state", {"fire": True}))[0] == 404
        assert (await door.get("/sensors/5"))["state"]["fire"] is False


async def test_ids_of_another_kind_are_not_there(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        for path in ("/lights/4/state", "/lights/x/state", "/sensors/99/config", "/sensors/-1/config"):
            status, results = await door.put(path, {"on": True})
            assert (status, kinds(results)) == (404, [3])
        assert door.house.submitted == []


# ----- outcomes -----


@pytest.mark.parametrize(
    ("outcome", "light", "lock"),
    [
        (Done(action_id="a"), (200, [0]), (200, [0])),
        (Refused(action_id="a", reason="not for you"), (400, [7]), (400, [7])),
        (Failed(action_id="a", reason="the relay is gone"), (400, [7]), (400, [7])),
        # pydeconz tries 901 again by itself, up to six seconds later: no door may open then.
        (Busy(action_id="a"), (200, [901]), (400, [7])),
    ],
)
async def test_what_became_of_it_in_the_protocols_words(
    tmp_path: Path, outcome: Outcome, light: tuple[int, list[int]], lock: tuple[int, list[int]]
) -> None:
    async with deconz_door(tmp_path) as door:
        door.house.answer = lambda action, principal: outcome
        for path, body, expected in (
            ("/lights/2/state", {"on": True}, light),
            ("/lights/1/state", {"alert": "lselect"}, light),
            ("/groups/1/action", {"on": True}, light),
            ("/sensors/2/config", {"lock": False}, lock),
        ):
            status, results = await door.put(path, body)
            assert (status, kinds(results)) == expected
            if isinstance(outcome, Refused | Failed):
                assert outcome.reason in results[0]["error"]["description"]
                assert results[0]["error"]["address"].startswith(path)


async def test_a_guest_opens_and_sounds_no_siren(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:

        def answer(action: Action, principal: Principal) -> Outcome:
            reason = authorise(principal, action, 0)
            return Done(action_id="a") if reason is None else Refused(action_id="a", reason=reason)

        door.house.answer = answer
        guest = await door.another_key("guest", "guest")
        assert kinds((await door.put("/sensors/2/config", {"lock": False}, key=guest))[1]) == [0]
        status, results = await door.put("/lights/1/state", {"alert": "lselect"}, key=guest)
        assert (status, kinds(results)) == (400, [7])
        assert "guest" in results[0]["error"]["description"]
        # And a grant is kept to: this one is for the gate alone.
        door.house.authenticator.grants["guest"] = Grant(endpoints=("gate",))
        assert kinds((await door.put("/sensors/2/config", {"lock": False}, key=guest))[1]) == [7]
        assert kinds((await door.put("/sensors/4/config", {"lock": False}, key=guest))[1]) == [0]


# ----- names and the gateway's own -----


async def test_renaming(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        for path in ("/lights/1", "/sensors/1", "/groups/1"):
            assert await door.put(path, {"name": "Küche 🔔"}) == (
                200,
                [{"success": {f"{path}/name": "Küche 🔔"}}],
            )
            assert (await door.get(path))["name"] == "Küche 🔔"
    async with deconz_door(tmp_path, house=door.house) as again:
        assert (await again.get("/lights/1"))["name"] == "Küche 🔔"


@pytest.mark.parametrize(
    ("body", "types"),
    [
        ({"name": ""}, [7]),
        ({"name": "x" * 65}, [7]),
        ({"name": " x"}, [7]),
        ({"name": "a\u0000b"}, [7]),
        ({"name": 7}, [7]),
        ({"name": None}, [7]),
        ({"type": "ZHASwitch"}, [8]),
        ({"uniqueid": "x"}, [8]),
        ({"color": "red"}, [6]),
        ({"name": "Horn", "color": "red"}, [0, 6]),
    ],
)
async def test_names_that_are_none(tmp_path: Path, body: dict[str, Any], types: list[int]) -> None:
    async with deconz_door(tmp_path) as door:
        assert kinds((await door.put("/lights/1", body))[1]) == types
        assert (await door.get("/lights/1"))["name"] == ("Horn" if 0 in types else "Siren")


async def test_what_has_no_name_to_give(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, alarm=ARMED) as door:
        for path, status in (
            ("/lights/99", 404),
            ("/sensors/99", 404),
            ("/groups/2", 404),
            ("/scenes/1", 404),
            ("/rules/1", 404),
            ("/nothing/1", 404),
        ):
            assert (await door.put(path, {"name": "x"}))[0] == status


async def test_the_link_window_is_not_opened_from_here(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        status, results = await door.put("/config", {"unlock": 60})
        assert (status, kinds(results)) == (400, [8])
        assert (await door.get("/config"))["linkbutton"] is False
        for value in (-1, "60", True, 1.5, None):
            assert kinds((await door.put("/config", {"unlock": value}))[1]) == [7]
        answer = await door.http.post("/api", json={"devicetype": "x"})
        assert answer.status_code == 403


async def test_the_rest_of_the_config_is_the_doors_own(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        status, results = await door.put(
            "/config", {"permitjoin": 60, "zigbeechannel": 11, "name": "x", "websocketnotifyall": False}
        )
        assert (status, kinds(results)) == (200, [8, 8, 8, 0])
        assert kinds((await door.put("/config", {"websocketnotifyall": 1}))[1]) == [7]
        assert (await door.get("/config"))["websocketnotifyall"] is False


# ----- the alarm system -----


PIN = "739512"


def with_pin(door: Door) -> None:
    door.house.authenticator.pins["smart-home"] = PIN


async def test_arming_and_disarming(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, alarm=ARMED) as door:
        with_pin(door)
        for word, mode, told in (
            ("arm_away", "away", "armed_away"),
            ("arm_stay", "stay", "armed_stay"),
            ("arm_night", "night", "armed_night"),
            ("disarm", "disarmed", "disarmed"),
        ):
            assert await door.put(f"/alarmsystems/1/{word}", {"code0": PIN}) == (
                200,
                [{"success": {"/alarmsystems/1/config/armmode": told}}],
            )
            action, principal = door.house.submitted[-1]
            assert action == SetAlarm(mode=mode)  # type: ignore[arg-type]
            assert principal.name == "smart-home"


@pytest.mark.parametrize("code", ["739513", "", "x" * 40, 739512, None, ["739512"], True, {"code": PIN}])
async def test_a_wrong_code_is_refused_and_never_repeated(tmp_path: Path, code: Any) -> None:
    async with deconz_door(tmp_path, alarm=ARMED) as door:
        with_pin(door)
        status, results = await door.put("/alarmsystems/1/disarm", {"code0": code})
        assert (status, kinds(results)) == (400, [5 if code is None else 7])
        assert "7395" not in str(results)
        assert door.house.submitted == []


async def test_no_code_or_no_body(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, alarm=ARMED) as door:
        with_pin(door)
        assert kinds((await door.put("/alarmsystems/1/disarm", {"code": PIN}))[1]) == [5]
        assert kinds((await door.ask("PUT", "/alarmsystems/1/disarm"))[1]) == [2]
        assert door.house.submitted == []


async def test_codes_that_nobody_looked_at_are_not_tried_again_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deconz_door(tmp_path, alarm=ARMED) as door:

        async def later(**what: object) -> None:
            raise TryLater("too many attempts")

        monkeypatch.setattr(door.house.authenticator, "authenticate_pin", later)
        status, results = await door.put("/alarmsystems/1/disarm", {"code0": PIN})
        assert (status, kinds(results)) == (400, [7])


async def test_an_alarm_system_that_cannot_says_why(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, alarm=ARMED) as door:
        with_pin(door)
        door.house.answer = lambda action, principal: Refused(action_id="a", reason="disarm it first")
        status, results = await door.put("/alarmsystems/1/arm_away", {"code0": PIN})
        assert (status, kinds(results)) == (400, [7])
        assert "disarm it first" in results[0]["error"]["description"]


async def test_delays_codes_and_devices_are_not_for_clients(tmp_path: Path) -> None:
    async with deconz_door(tmp_path, alarm=ARMED) as door:
        status, results = await door.put(
            "/alarmsystems/1/config", {"code0": "1234", "armed_away_exit_delay": 0}
        )
        assert (status, kinds(results)) == (400, [8, 8])
        assert "1234" not in str(results)
        keypad = next(uid for uid, it in (await door.get("/alarmsystems/1"))["devices"].items() if it)
        for method in ("PUT", "DELETE"):
            status, results = await door.ask(method, f"/alarmsystems/1/device/{keypad}", {})
            assert (status, kinds(results)) == (400, [8])


async def test_without_an_alarm_system_there_is_none(tmp_path: Path) -> None:
    async with deconz_door(tmp_path) as door:
        with_pin(door)
        for path in ("/alarmsystems/1/disarm", "/alarmsystems/1/config", "/alarmsystems/1/device/x"):
            assert (await door.put(path, {"code0": PIN}))[0] == 404
    async with deconz_door(tmp_path, alarm=ARMED) as door:
        assert (await door.put("/alarmsystems/2/disarm", {"code0": PIN}))[0] == 404
        status, results = await door.put("/alarmsystems/1/arm_never", {"code0": PIN})
        assert (status, kinds(results)) == (404, [4])
        assert door.house.submitted == []
