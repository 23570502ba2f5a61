"""The alarm system of a whole door: armed by a command, set off by a hand, heard, kept over a power cut."""

from __future__ import annotations

import time
from typing import Any

from harness.agent_process import AgentProcess
from harness.quick_door import Door

GUARDED = """
[alarm]
exit_delay_s = 1
entry_delay_s = 1
trigger_s = 60

[endpoints.tamper]
kind = "contact"
role = "tamper"
pin = 5

[[rules]]
name = "alarm"
on = "alarm_changed"
where = { state = "in_alarm" }
then = { do = "sound_siren", endpoint = "siren" }

[[rules]]
name = "over"
on = "alarm_changed"
where = { state = "disarmed" }
then = { do = "stop_siren", endpoint = "siren" }
"""


def _alarm(agent: AgentProcess) -> dict[str, Any]:
    alarm: dict[str, Any] = agent.ask("status")["alarm"]
    return alarm


def _story(agent: AgentProcess) -> list[str]:
    return [event["state"] for event in agent.stored("alarm_changed")]


def test_from_arming_to_the_siren_and_back(door: Door) -> None:
    with door(more=GUARDED) as agent:
        assert "alarm system: disarmed\n" in agent.portero("status").stdout
        done = agent.portero("arm", "away")
        assert (done.exit_code, done.stdout) == (0, "alarm system: armed (away) in 1 s\n")
        assert _alarm(agent)["state"] == "arming"
        armed = agent.until_stored("alarm_changed", state="armed")
        assert armed["mode"] == "away"
        agent.ask("sim", verb="open", endpoint="strike")
        begun = time.monotonic()
        agent.until_stored("alarm_changed", state="entry_delay", endpoint="strike")
        assert not agent.relays()["siren"].energised
        agent.until_stored("siren_changed", on=True, by="rule:alarm")
        assert time.monotonic() - begun > 0.9
        assert agent.relays()["siren"].energised
        assert "alarm system: IN ALARM (away)\n" in agent.portero("status").stdout
        assert agent.portero("arm", "stay").exit_code == 1
        done = agent.portero("disarm")
        assert (done.exit_code, done.stdout) == (0, "alarm system: disarmed\n")
        agent.until_stored("siren_changed", on=False, by="rule:over")
        assert not agent.relays()["siren"].energised
        assert _story(agent) == ["arming", "armed", "entry_delay", "in_alarm", "disarmed"]


def test_cutting_the_power_ends_no_alarm_system(door: Door) -> None:
    with door(more=GUARDED) as agent:
        assert agent.portero("arm", "night").exit_code == 0
        agent.until_stored("alarm_changed", state="armed")
        agent.kill()
        agent.start()
        alarm = _alarm(agent)
        assert (alarm["state"], alarm["mode"]) == ("armed", "night")
        agent.ask("sim", verb="tamper", endpoint="tamper")
        agent.until_stored("siren_changed", on=True)
        assert _story(agent) == ["arming", "armed", "armed", "in_alarm"]


def test_a_broken_memory_is_told(door: Door) -> None:
    with door(more=GUARDED) as agent:
        assert agent.stop() == 0
        (agent.state_dir / "alarm.json").write_bytes(b"\0" * 20)
        agent.start()
        status = agent.portero("status")
        assert status.exit_code == 1
        assert "problem: alarm system: disarmed, since what it was cannot be read" in status.stdout
        assert agent.until_stored("hardware_failed")["endpoint"] == "alarm.json"
        assert agent.portero("disarm").exit_code == 0
        assert agent.portero("status").exit_code == 0


def test_a_door_without_one(door: Door) -> None:
    with door() as agent:
        assert agent.ask("status")["alarm"] is None
        outcome = agent.ask("submit", action={"do": "set_alarm", "mode": "away"})
        assert (outcome["outcome"], outcome["reason"]) == ("refused", "no endpoint named 'alarm'")
        done = agent.portero("arm", "away")
        assert done.exit_code == 1
        assert "this door has no alarm system" in done.stderr
