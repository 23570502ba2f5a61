"""From the button to the sound and back, in a process of its own."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.agent_process import AgentProcess
from harness.sound import align, rms_dbfs, speech

from agent.voice import chime

LEAN = "[workers.zmes.server]\n"
VOICE = """
calls.ring_timeout_s = 2

[voice]
ring_message_s = 1

[voice.recording]
max_s = 5
"""


def until(found: Callable[[], Any], most_s: float = 20) -> Any:
    """What `found` gives once it is something."""
    deadline = time.monotonic() + most_s
    while not (value := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def test_a_missed_visitor_is_heard_and_leaves_a_message(tmp_path: Path) -> None:
    config = tmp_path / "portero.toml"
    config.write_text(VOICE)
    said = speech(3.0)
    with AgentProcess(tmp_path / "state", config=config) as agent:
        agent.ask("sim", verb="press", endpoint="doorbell")
        until(lambda: agent.ask("status")["voice"]["transmission"])
        time.sleep(4)  # it was missed, and the door has said its three notes
        for start in range(0, len(said), 32_000):
            agent.ask("sim_say", pcm=base64.b64encode(said[start : start + 32_000]).decode())
        (row,) = until(lambda: agent.ask("recordings"))
        heard = base64.b64decode(agent.ask("sim_hear")["pcm"])
        assert align(chime.ring(), heard).correlation > 0.95
        assert rms_dbfs(heard[len(chime.ring()) :]) > -60
        part = agent.ask("recording_get", file=row["file"])
        assert base64.b64decode(part["data"]).startswith(b"OggS")
        agent.ask("recording_delete", file=row["file"])
        assert agent.ask("status")["problems"] == []


def test_a_door_without_sound_loads_nothing_of_it(tmp_path: Path) -> None:
    config = tmp_path / "portero.toml"
    config.write_text(LEAN)
    with AgentProcess(tmp_path / "state", config=config) as agent:
        assert agent.ask("status")["voice"] is None
        assert "_voice" not in Path(f"/proc/{agent.pid}/maps").read_text()
        outcome = agent.ask("submit", action={"do": "start_talk"})
        assert (outcome["outcome"], outcome["reason"]) == ("refused", "this door has no loudspeaker")


@pytest.mark.parametrize("signal", ["stop", "kill"])
def test_a_message_survives_the_end_of_the_agent(tmp_path: Path, signal: str) -> None:
    config = tmp_path / "portero.toml"
    config.write_text(VOICE)
    said = speech(6.0)
    with AgentProcess(tmp_path / "state", config=config) as agent:
        agent.ask("sim", verb="press", endpoint="doorbell")
        for start in range(0, len(said), 32_000):
            agent.ask("sim_say", pcm=base64.b64encode(said[start : start + 32_000]).decode())
        parts = tmp_path / "state" / "recordings"
        until(lambda: [part for part in parts.glob("*.part") if part.stat().st_size > 5000])
        agent.stop() if signal == "stop" else agent.kill()
    with AgentProcess(tmp_path / "state", config=config) as agent:
        (row,) = until(lambda: agent.ask("recordings"))
        assert row["duration_s"] >= 1
