"""Killed at random moments, fifty times: nothing acknowledged is forgotten, no relay stays up."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import msgspec
import pytest
from harness.agent_process import AgentProcess

from agent.control_client import CommandFailed
from agent.journal.query import export
from agent.model.errors import PeerError

ROUNDS = int(os.environ.get("PORTERO_CHAOS_ROUNDS", "50"))
READY_WITHIN_S = 2.0


class Visitors:
    """Press the bell and unlock, over and over, noting every acknowledgement."""

    def __init__(self, agent: AgentProcess) -> None:
        self._agent = agent
        self._over = threading.Event()
        self.acknowledged: list[str] = []
        self.presses = 0
        self._threads = [
            threading.Thread(target=self._unlock, args=("unlock", "strike")),
            threading.Thread(target=self._unlock, args=("sound_siren", "siren")),
            threading.Thread(target=self._press),
        ]

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _unlock(self, do: str, endpoint: str) -> None:
        try:
            with self._agent.control() as control:
                while not self._over.is_set():
                    outcome = control.ask("submit", action={"do": do, "endpoint": endpoint})
                    if outcome["outcome"] == "done":
                        self.acknowledged.append(outcome["action_id"])
        except (PeerError, CommandFailed):
            pass

    def _press(self) -> None:
        try:
            with self._agent.control() as control:
                while not self._over.is_set():
                    control.ask("sim", verb="press", endpoint="doorbell", for_ms=10)
                    self.presses += 1
        except (PeerError, CommandFailed):
            pass


@pytest.mark.slow
def test_killed_again_and_again(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    acknowledged: list[str] = []
    slowest_s = 0.0
    presses = energised = 0
    agent = AgentProcess(tmp_path / "state")
    agent.start()  # the first start makes certificates and an account; it is not the one that is timed
    agent.kill()
    for _ in range(ROUNDS):
        agent.start()
        slowest_s = max(slowest_s, agent.ready_after_s)
        with Visitors(agent) as visitors:
            time.sleep(dice.uniform(0.05, 0.6))
            energised += agent.relays()["strike"].energised
            agent.kill()
        assert not any(output.energised for output in agent.relays().values())
        acknowledged += visitors.acknowledged
        presses += visitors.presses
    with agent:
        assert agent.ask("status")["journal"]["ok"]
    assert energised > ROUNDS // 4, "the relays were hardly ever up: the test proves nothing"
    assert presses
    assert len(acknowledged) > ROUNDS
    rows = (msgspec.json.decode(line) for line in export(tmp_path / "state" / "journal.db"))
    events = (row.get("event", {}) for row in rows)
    stored = {event["action_id"] for event in events if event.get("type") == "action_accepted/1"}
    missing = set(acknowledged) - stored
    assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged actions are not in the journal"
    assert "moved aside" not in agent.log()
    assert slowest_s <= READY_WITHIN_S
    print(f"{ROUNDS} kills, {len(acknowledged)} acknowledged, slowest start {slowest_s:.2f} s")
