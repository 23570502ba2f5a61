"""A finger on the bell, and what comes of it: phones, calls, doors, rules, and who may listen."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import trio
from harness.agent_process import REST_S, AgentProcess
from harness.phones import Phone, phone, trust
from harness.quick_door import PASSWORDS, Door

from agent.net.websocket import connect_websocket
from agent.workers.zmes.wire import Alarm, Auth, AuthReply, decode_reply, encode_request

GUEST_PASSWORD = "nur bis sonntag"


async def test_a_press_reaches_every_kind_of_client_and_is_missed_in_the_end(door: Door) -> None:
    with door() as agent:
        async with (
            phone(agent, "ana", PASSWORDS["ana"]) as first,
            phone(agent, "ben", PASSWORDS["ben"], source="127.0.0.7") as second,
            connect_websocket(agent.url(), ssl_context=trust(agent)) as own,
        ):
            await own.send_text(encode_request(Auth(user="ana", password=PASSWORDS["ana"])))
            assert decode_reply(await own.receive()) == AuthReply(ok=True, version="6.1.29")
            agent.press()
            items = [await first.alarm(), await second.alarm()]
            with trio.fail_after(5):
                alarm = decode_reply(await own.receive())
            assert isinstance(alarm, Alarm)
            assert items[0] == items[1]
            assert (items[0]["Name"], items[0]["Cause"]) == ("Bell", "Ring")
            assert alarm.items[0].event_id == items[0]["EventId"]
        missed = agent.until_stored("call_changed", state="missed")
        calls = agent.stored("call_changed")
        assert [call["state"] for call in calls] == ["ringing", "missed"]
        assert {call["call_id"] for call in calls} == {missed["call_id"]}
        assert [event["type"] for event in agent.stored("button_pressed", "call_changed")] == [
            "button_pressed/1",
            "call_changed/1",
            "call_changed/1",
        ]


def test_unlocking_answers_the_call(door: Door) -> None:
    with door() as agent:
        agent.press()
        agent.until_stored("call_changed", state="ringing")
        done = agent.portero("unlock", "strike")
        assert done.exit_code == 0, done.stderr
        assert agent.relays()["strike"].energised
        ended = agent.until_stored("call_changed", state="ended")
        assert [call["state"] for call in agent.stored("call_changed")] == ["ringing", "answered", "ended"]
        assert len({call["call_id"] for call in agent.stored("call_changed")}) == 1
        unlocked = agent.until_stored("lock_changed", state="unlocked")
        assert ended["by"] == unlocked["by"] != ""
        accepted = agent.until_stored("action_accepted", action_id=unlocked["action_id"])
        assert accepted["action"] == {"do": "unlock", "endpoint": "strike", "hold_s": None}
        agent.until_stored("lock_changed", state="locked", reason="time over")
        assert not agent.relays()["strike"].energised


async def test_the_door_leaf_forced_and_left_open(door: Door) -> None:
    with door() as agent:
        async with phone(agent, "ana", PASSWORDS["ana"]) as app:
            agent.ask("sim", verb="open", endpoint="strike")
            assert (await app.alarm())["Cause"] == "Door forced open"
            agent.ask("sim", verb="close", endpoint="strike")
            agent.until_stored("door_changed", state="closed")  # no door slams and opens within its debounce
            assert agent.unlock()["outcome"] == "done"
            agent.ask("sim", verb="open", endpoint="strike")
            # Nothing for the opening: it was asked for.
            assert (await app.alarm())["Cause"] == "Door left open"
            agent.ask("sim", verb="close", endpoint="strike")
            agent.until_stored("door_changed", state="left_open")
        time.sleep(0.3)
        states = [event["state"] for event in agent.stored("door_changed")]
        assert states == ["forced", "closed", "open", "left_open", "closed"]


def test_a_long_press_is_one_press_and_one_hold(door: Door) -> None:
    with door() as agent:
        agent.ask("sim", verb="hold", endpoint="doorbell", for_ms=450)
        released = agent.until_stored("button_released")
        assert 400 < released["held_ms"] < 700
        kinds = [event["type"] for event in agent.stored("button_pressed", "button_held", "button_released")]
        assert kinds == ["button_pressed/1", "button_held/1", "button_released/1"]


ESCONTROL = """
escontrol = true
escontrol_password_file = "{path}"
"""
CONTROL_PASSWORD = "seis llaves y ninguna"


async def _control(app: Phone, **data: object) -> dict[str, Any]:
    await app.say({"event": "escontrol", "data": data})
    answer = await app.hear()
    assert answer["status"] == "Success", answer
    return answer


async def _notifications(app: Phone) -> dict[str, int]:
    table: dict[str, int] = json.loads((await _control(app, command="get"))["response"])["notifications"]
    return table


def _notify(agent: AgentProcess, endpoint: str) -> str:
    return str(next(row["notify"] for row in agent.ask("status")["endpoints"] if row["name"] == endpoint))


async def test_do_not_disturb_is_one_truth_for_all_and_survives_a_restart(door: Door, tmp_path: Path) -> None:
    secret = tmp_path / "escontrol"
    secret.write_text(CONTROL_PASSWORD)
    secret.chmod(0o600)
    agent = door(more=ESCONTROL.format(path=secret))
    with agent:
        async with phone(agent, "ana", PASSWORDS["ana"]) as app, phone(agent) as control:
            login = {"event": "auth", "category": "escontrol", "data": {"password": CONTROL_PASSWORD}}
            await control.say(login)
            assert (await control.hear())["status"] == "Success"
            agent.press()
            bell = (await app.alarm())["MonitorId"]
            await control.alarm()
            assert agent.portero("mute", "doorbell").exit_code == 0
            assert (await _notifications(control))[bell] == -1
            agent.press()
            assert await app.silent()
        assert agent.stop() == 0
        agent.start()
        async with phone(agent, "ana", PASSWORDS["ana"]) as app, phone(agent) as control:
            await control.say(login)
            await control.hear()
            assert _notify(agent, "doorbell") == "mute"
            agent.press()
            agent.ask("sim", verb="tamper", endpoint="smoke")
            smoke = await app.alarm()  # and not the bell before it
            assert smoke["Cause"] == "Smoke alarm"
            await control.alarm()
            # Muting everything leaves the detector as it is, from either side.
            assert agent.portero("mute").exit_code == 0
            await _control(control, command="mute")
            assert (await _notifications(control))[smoke["MonitorId"]] == 0
            refused = agent.portero("mute", "smoke")
            assert refused.exit_code == 1
            assert "cannot be muted" in refused.stderr
            agent.ask("sim", verb="calm", endpoint="smoke")
            time.sleep(REST_S)
            agent.ask("sim", verb="tamper", endpoint="smoke")
            assert (await app.alarm())["Cause"] == "Smoke alarm"
            await control.alarm()
            await _control(control, command="unmute", monitors=[bell])
            assert _notify(agent, "doorbell") == "force"
            assert _notify(agent, "siren") == "mute"
            agent.press()
            assert (await app.alarm())["Cause"] == "Ring"
            await control.alarm()
            assert agent.portero("notify-default").exit_code == 0
            assert set((await _notifications(control)).values()) == {0}
        by = {event["by"] for event in agent.stored("notify_changed")}
        assert "escontrol" in by
        assert len(by) == 2


async def test_in_quiet_hours_only_safety_and_what_is_forced_is_told(door: Door) -> None:
    with door(more='\n[notify]\nquiet = ["00:00-12:00", "12:00-00:00"]\n') as agent:
        async with phone(agent, "ana", PASSWORDS["ana"]) as app:
            agent.press()
            assert await app.silent()
            agent.ask("sim", verb="tamper", endpoint="smoke")
            assert (await app.alarm())["Cause"] == "Smoke alarm"
            assert agent.portero("unmute", "doorbell").exit_code == 0
            agent.press()
            assert (await app.alarm())["Cause"] == "Ring"


RULES = """
[[rules]]
name = "light for the visitor"
on = "button_pressed"
where = { endpoint = "doorbell" }
then = { do = "switch_light", endpoint = "staircase", on = true, duration_s = 0.4 }

[[rules]]
name = "howl"
on = "door_changed"
where = { state = "forced" }
then = { do = "sound_siren", endpoint = "siren", duration_s = 0.4 }
"""


def test_rules_fire_and_what_they_did_stands_in_the_journal(door: Door) -> None:
    with door(more=RULES) as agent:
        agent.press()
        light = agent.until_stored("light_changed", on=True)
        assert light["by"] == "rule:light for the visitor"
        assert agent.relays()["staircase"].energised
        agent.ask("sim", verb="open", endpoint="strike")
        assert agent.until_stored("siren_changed", on=True)["by"] == "rule:howl"
        agent.until_stored("light_changed", on=False)
        agent.until_stored("siren_changed", on=False)
        assert not any(output.energised for output in agent.relays().values())
        accepted = agent.stored("action_accepted")
        assert {event["principal"]["role"] for event in accepted} == {"system"}
        assert len(accepted) == 2


async def test_a_guest_listens_within_the_window_and_is_sent_away_at_its_end(door: Door) -> None:
    with door() as agent:
        now_ns = time.time_ns()
        windows = {"early": (3600, 7200), "late": (-7200, -3600), "now": (-60, 1.5)}
        for name, (begin_s, end_s) in windows.items():
            agent.ask(
                "user_add",
                name=name,
                role="guest",
                password=GUEST_PASSWORD,
                valid_from_ns=now_ns + int(begin_s * 1e9),
                valid_until_ns=now_ns + int(end_s * 1e9),
            )
        async with phone(agent) as app, phone(agent, "ana", PASSWORDS["ana"]) as resident:
            for name in ("early", "late"):
                assert (await app.log_in(name, GUEST_PASSWORD))["reason"] == "BADAUTH"
            assert (await app.log_in("now", GUEST_PASSWORD))["status"] == "Success"
            agent.press()
            assert (await app.alarm())["Cause"] == "Ring"
            await resident.alarm()
            assert await app.closed(within_s=4) == 1008
            late_s = time.time() - (now_ns / 1e9 + 1.5)
            assert 0 <= late_s < 0.5
            async with phone(agent) as again:
                assert (await again.log_in("now", GUEST_PASSWORD))["reason"] == "BADAUTH"
            agent.press()
            assert (await resident.alarm())["Cause"] == "Ring"


async def test_a_session_ends_with_the_right_it_stands_on(door: Door) -> None:
    with door() as agent:
        for name in ("carla", "dora", "eva", "fay"):
            agent.ask("user_add", name=name, role="resident", password=GUEST_PASSWORD)
        key = agent.ask("key_add", user="fay", name="tablet")["key"]
        key_id = agent.ask("key_list", user="fay")[0]["id"]
        async with (
            phone(agent, "ana", PASSWORDS["ana"]) as stays,
            phone(agent, "carla", GUEST_PASSWORD) as removed,
            phone(agent, "carla", GUEST_PASSWORD, source="127.0.0.9") as removed_too,
            phone(agent, "dora", GUEST_PASSWORD) as disabled,
            phone(agent, "eva", GUEST_PASSWORD) as changed,
            phone(agent, "fay", key) as revoked,
        ):
            assert agent.portero("user", "remove", "carla").exit_code == 0
            assert await removed.closed(within_s=1) == 1008
            assert await removed_too.closed(within_s=1) == 1008
            assert agent.portero("user", "disable", "dora").exit_code == 0
            assert await disabled.closed(within_s=1) == 1008
            done = agent.portero("user", "password", "eva", "--password-stdin", typed="anders als vorher\n")
            assert done.exit_code == 0, done.stderr
            assert await changed.closed(within_s=1) == 1008
            assert agent.portero("api-key", "revoke", key_id).exit_code == 0
            assert await revoked.closed(within_s=1) == 1008
            agent.press()
            assert (await stays.alarm())["Cause"] == "Ring"
        async with phone(agent) as app:
            for name, password in (("carla", GUEST_PASSWORD), ("dora", GUEST_PASSWORD), ("fay", key)):
                assert (await app.log_in(name, password))["reason"] == "BADAUTH"
            assert (await app.log_in("eva", "anders als vorher"))["status"] == "Success"
