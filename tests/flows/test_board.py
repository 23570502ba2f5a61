"""Wires that bounce, stick, break and burn, and a program that hangs while a relay is up."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest
from harness.agent_process import REST_S, AgentProcess
from harness.notify_socket import NotifySocket
from harness.phones import phone, ring_latency
from harness.quick_door import PASSWORDS, QUICK, Door

from agent.commands.exits import HARDWARE
from agent.model.errors import PeerError

SHORT_HOLD = QUICK.replace("max_hold_s = 30", "max_hold_s = 1")
BROKEN = "the wire is torn"


def problem_of(agent: AgentProcess, endpoint: str) -> str:
    """What `portero status` says is wrong with it."""
    return next(str(row["problem"]) for row in agent.ask("status")["endpoints"] if row["name"] == endpoint)


async def test_a_worn_button_rings_once(door: Door) -> None:
    with door() as agent:
        async with phone(agent, "ana", PASSWORDS["ana"]) as app:
            for _ in range(3):
                agent.ask("sim", verb="bounce", endpoint="doorbell")
                assert (await app.alarm())["Cause"] == "Ring"
                assert await app.silent(0.2)
        assert len(agent.stored("button_pressed")) == 3
        assert len(agent.stored("button_released")) == 3


async def test_a_stuck_button_rings_once_and_keeps_nobody_out(door: Door) -> None:
    with door() as agent:
        async with phone(agent, "ana", PASSWORDS["ana"]) as app:
            agent.ask("sim", verb="tamper", endpoint="doorbell")  # a finger that is not taken away
            assert (await app.alarm())["Cause"] == "Ring"
            assert await app.silent(0.5)
            assert agent.unlock()["outcome"] == "done"
            assert agent.until_stored("button_held")["held_ms"] == 300
            assert agent.stored("button_released") == []
            agent.ask("sim", verb="calm", endpoint="doorbell")
            time.sleep(REST_S)
            assert await ring_latency(agent, app) < 1
        assert len(agent.stored("button_held")) == 1
        assert len(agent.stored("button_pressed")) == 2


@pytest.mark.slow
async def test_wires_torn_and_mended(door: Door) -> None:
    torn = ("doorbell", "siren", "strike.contact")
    with door() as agent:
        async with phone(agent, "ana", PASSWORDS["ana"]) as app:
            for name in torn:
                agent.ask("sim", verb="fail", endpoint=name, reason=BROKEN)
            agent.press()
            assert (await app.alarm())["Cause"] == "Ring"  # the press was heard, its end was not
            agent.ask("sim", verb="open", endpoint="strike")
            assert (await app.alarm())["Cause"] == "Door forced open"
            assert agent.portero("siren", "on", "siren").exit_code == HARDWARE
            for name in torn:
                agent.until_stored("hardware_failed", endpoint=name, reason=BROKEN)
                assert f"endpoint={name} failed reason={BROKEN}" in agent.log()
            status = agent.portero("status")
            assert status.exit_code == 1
            for name in torn:
                assert f"problem: {name}: {BROKEN}" in status.stdout
            # The rest of the door does not care.
            assert agent.unlock()["outcome"] == "done"
            agent.ask("sim", verb="tamper", endpoint="smoke")
            assert (await app.alarm())["Cause"] == "Smoke alarm"
            for name in torn:
                agent.ask("sim", verb="heal", endpoint=name)
            for name in torn[::2]:
                agent.until_stored("hardware_recovered", within_s=8, endpoint=name)
            assert agent.portero("siren", "on", "siren").exit_code == 0
            assert agent.relays()["siren"].energised
            assert (await app.alarm())["Cause"] == "Siren"
            assert await ring_latency(agent, app) < 1
        assert len(agent.stored("hardware_failed")) == len(torn), "each is told once"
        assert agent.portero("status").exit_code == 0
        assert "Traceback" not in agent.log()


@pytest.mark.slow
def test_a_relay_that_does_not_let_go_is_loud_and_tried_again(door: Door) -> None:
    with door(config=SHORT_HOLD) as agent:
        assert agent.unlock(hold_s=0.3)["outcome"] == "done"
        agent.ask("sim", verb="fail", endpoint="strike", reason=BROKEN)
        agent.until_stored("hardware_failed", endpoint="strike", reason=BROKEN)
        assert agent.relays()["strike"].energised
        assert problem_of(agent, "strike") == BROKEN
        refused = agent.portero("unlock", "strike")
        assert refused.exit_code == HARDWARE
        assert BROKEN in refused.stderr
        assert agent.until_stored("action_failed")["reason"] == BROKEN
        # The maximum of the hardware itself tries as well, in its own thread.
        agent.until_logged("relay cut-off failed endpoint=strike")
        assert agent.stored("lock_changed")[-1]["state"] == "unlocked", "it is not, so nobody may say so"
        agent.ask("sim", verb="heal", endpoint="strike")
        agent.until_relay("strike", energised=False, within_s=2.5)
        agent.until_stored("lock_changed", state="locked")
        agent.until_stored("hardware_recovered", within_s=8, endpoint="strike")
        assert problem_of(agent, "strike") == ""
        assert agent.unlock(hold_s=0.2)["outcome"] == "done"
        agent.until_relay("strike", energised=False)


def hang(agent: AgentProcess) -> None:
    """Ask for what is refused until the agent answers no more: each refusal is a line of its log."""
    nonsense = {"do": "unlock", "endpoint": "no such endpoint"}
    with agent.control() as control:
        for _ in range(200):
            try:
                control.ask("submit", action=nonsense, timeout_s=0.3)
            except PeerError:
                return
    raise AssertionError("the agent does not hang")


@pytest.mark.slow
def test_a_program_that_hangs_does_not_keep_the_door_open(door: Door, tmp_path: Path) -> None:
    """Nobody reads its log, so it hangs in the middle of a line: a real hang, made from outside."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    with NotifySocket(tmp_path / "notify") as manager:
        environ = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "300000"}
        agent = door(config=SHORT_HOLD, environ=environ, stderr=writer)
        try:
            agent.start()
            manager.until("WATCHDOG=1", 3)
            assert agent.unlock(hold_s=1)["outcome"] == "done"
            on = agent.relays()["strike"]
            assert on.energised
            hang(agent)
            assert time.monotonic() - on.changed_at < 1, "the lock was down when the program hung"
            off = agent.until_relay("strike", energised=False)
            assert off.changed_at - on.changed_at == pytest.approx(1.25, abs=0.25)
            fed = len(manager.times("WATCHDOG=1"))
            time.sleep(0.4)
            assert len(manager.times("WATCHDOG=1")) == fed
        finally:
            agent.kill()
            os.close(reader)
            os.close(writer)
    assert not agent.relays()["strike"].energised


async def test_no_chip_at_all(door: Door) -> None:
    """A real board that is not there: every endpoint says so, and everything else of the door works."""
    with door(simulated=False) as agent:
        problems = agent.ask("status")["problems"]
        names = {"doorbell", "strike", "strike.contact", "siren", "staircase", "smoke"}
        assert {problem.partition(":")[0] for problem in problems} == names
        assert {event["endpoint"] for event in agent.stored("hardware_failed")} == names
        async with phone(agent, "ana", PASSWORDS["ana"]) as app:
            rung = agent.portero("ring", "doorbell")
            assert rung.exit_code == 0, rung.stderr
            assert (await app.alarm())["Cause"] == "Ring"
        unlocked = agent.portero("unlock", "strike")
        assert unlocked.exit_code == HARDWARE
        assert problem_of(agent, "strike") in unlocked.stderr
        pressed = agent.portero("sim", "press")
        assert pressed.exit_code == 1
        assert "--sim" in pressed.stderr
        assert "Traceback" not in agent.log()
        assert agent.stop() == 0
