"""The wall clock jumps, as on a board without one of its own: an hour back, ten years ahead, to 1970.

What lasts, lasts; what has an order keeps it; and only what is meant by the calendar follows the calendar.
"""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import trio
from harness.agent_process import AgentProcess
from harness.phones import Phone, phone, ring_latency
from harness.quick_door import PASSWORDS, Door

from agent.journal.database import PRUNE_ROWS
from agent.journal.query import export

CLOCK_FOLDER = Path(__file__).parents[1] / "support" / "harness" / "shifted_clock"
HOUR_S = 3600
DAY_S = 86_400
TEN_YEARS_S = 3650 * DAY_S
JUMPS_S = (-HOUR_S, TEN_YEARS_S, 0)
GUEST_PASSWORD = "nur bis sonntag"


class Clock:
    """The wall clock of one agent. environ: what makes the agent look at it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.environ = {"SHIFTED_CLOCK": str(path), "PYTHONPATH": str(CLOCK_FOLDER)}
        path.write_text("0".ljust(32))

    def set(self, ahead_s: float) -> None:
        """So far from the truth, from now on."""
        with self._path.open("r+") as file:
            file.write(str(int(ahead_s * 1e9)).ljust(32))


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


async def test_what_lasts_lasts(door: Door, clock: Clock) -> None:
    with door(environ=clock.environ) as agent:
        async with phone(agent, "ana", PASSWORDS["ana"]) as app:
            for ahead_s in JUMPS_S[:2]:
                assert agent.unlock(hold_s=0.6)["outcome"] == "done"
                on = agent.relays()["strike"]
                assert on.energised
                assert await ring_latency(agent, app) < 1
                clock.set(ahead_s)
                off = agent.until_relay("strike", energised=False)
                assert off.changed_at - on.changed_at == pytest.approx(0.6, abs=0.25)
                assert await ring_latency(agent, app) < 1
                while agent.ask("status")["calls"]:
                    await trio.sleep(0.02)
        assert agent.stop() == 0
        calls = agent.stored("call_changed")
        assert [call["state"] for call in calls] == ["ringing", "missed"] * 2


async def test_intervals_do_not_get_stuck(door: Door, clock: Clock) -> None:
    with door(environ=clock.environ) as agent:
        async with phone(agent, "ana", PASSWORDS["ana"]) as app:
            agent.press()
            bell = (await app.alarm())["MonitorId"]
            data = {"type": "filter", "monlist": bell, "intlist": "1800"}
            await app.say({"event": "control", "data": data})
            for ahead_s in JUMPS_S:
                agent.press()
                assert await app.silent(0.2), "the interval of half an hour is not over"
                clock.set(ahead_s)
                agent.press()
                assert (await app.alarm())["Cause"] == "Ring"


async def test_a_guests_window_follows_the_calendar(door: Door, clock: Clock) -> None:
    with door(environ=clock.environ) as agent:
        now_ns = time.time_ns()
        agent.ask(
            "user_add",
            name="gus",
            role="guest",
            password=GUEST_PASSWORD,
            valid_from_ns=now_ns - 1800 * 10**9,
            valid_until_ns=now_ns + 1800 * 10**9,
        )
        async with phone(agent, "gus", GUEST_PASSWORD) as guest, phone(agent) as other:
            assert await ring_latency(agent, guest) < 1
            clock.set(HOUR_S)
            agent.press()
            assert await guest.silent(0.2)
            assert (await other.log_in("gus", GUEST_PASSWORD))["reason"] == "BADAUTH"
            clock.set(-HOUR_S)
            assert (await other.log_in("gus", GUEST_PASSWORD))["reason"] == "BADAUTH"
            clock.set(0)
            assert (await other.log_in("gus", GUEST_PASSWORD))["status"] == "Success"


FORGETFUL = """
[journal]
max_age_days = 1
keep_newest = 100
"""
MANY = 260


def _ring(agent: AgentProcess, times: int) -> None:
    with agent.control() as control:
        for _ in range(times):
            control.ask("submit", action={"do": "ring", "endpoint": "doorbell"})


def _oldest_and_count(agent: AgentProcess) -> tuple[int, int]:
    path = agent.state_dir / "journal.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        oldest, count = connection.execute("SELECT min(id), count(*) FROM entries").fetchone()
    return int(oldest), int(count)


@pytest.mark.slow
def test_the_journal_keeps_its_order_and_its_past(door: Door, clock: Clock) -> None:
    agent = door(more=FORGETFUL, environ=clock.environ)
    with agent:
        oldest, _ = _oldest_and_count(agent)
        for ahead_s in (0, TEN_YEARS_S, -20 * 365 * DAY_S):
            clock.set(ahead_s)
            _ring(agent, MANY)
            time.sleep(0.2)
            assert _oldest_and_count(agent)[0] == oldest, f"entries were deleted at {ahead_s} s"
        clock.set(TEN_YEARS_S)
        assert agent.stop() == 0
        agent.start()
        _ring(agent, MANY)
        time.sleep(0.2)
        # A clock that lies consistently over a restart is believed for one small step per hour, no more.
        assert _oldest_and_count(agent)[0] <= oldest + PRUNE_ROWS
        rows = [msgspec.json.decode(line) for line in export(agent.state_dir / "journal.db")]
        assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)
        stamps = [row["at_ns"] for row in rows]
        assert stamps != sorted(stamps), "the clock has not jumped at all"
        assert agent.stop() == 0


@pytest.mark.slow
def test_a_month_ahead_is_believed(door: Door, clock: Clock) -> None:
    """The counterpart of the test above: without it that one could not fail."""
    with door(more=FORGETFUL, environ=clock.environ) as agent:
        oldest, _ = _oldest_and_count(agent)
        _ring(agent, MANY)
        clock.set(30 * DAY_S)
        _ring(agent, MANY)
        deadline = time.monotonic() + 5
        while _oldest_and_count(agent)[0] == oldest:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.slow
async def test_a_start_in_1970_and_one_in_the_far_future(door: Door, clock: Clock) -> None:
    agent = door(environ=clock.environ)
    clock.set(-time.time() + 100)
    with agent:
        async with phone(agent, "ana", PASSWORDS["ana"]) as app:
            assert await ring_latency(agent, app) < 1
            assert agent.unlock()["outcome"] == "done"
            clock.set(0)  # the time server answers at last
            assert await ring_latency(agent, app) < 1
            assert await _version(app)
        assert agent.stop() == 0
        clock.set(TEN_YEARS_S)
        agent.start()
        assert agent.unlock()["outcome"] == "done"
        assert agent.stop() == 0
        clock.set(0)
        agent.start()
        async with phone(agent, "ana", PASSWORDS["ana"]) as app:
            assert await ring_latency(agent, app) < 1
        assert agent.ask("status")["problems"] == []
        assert "Traceback" not in agent.log()


async def _version(app: Phone) -> bool:
    await app.say(json.dumps({"event": "control", "data": {"type": "version"}}))
    return str((await app.hear())["type"]) == "version"
