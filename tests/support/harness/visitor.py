"""A visitor at the simulated door: who speaks into its microphone and hears its loudspeaker."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any, TypeVar

import trio
from harness.agent_process import AgentProcess

SECOND_BYTES = 32_000
T = TypeVar("T")


def says(agent: AgentProcess, pcm: bytes) -> None:
    """Speak; the card hears it in real time after what was said before."""
    with agent.control() as control:
        for start in range(0, len(pcm), SECOND_BYTES):
            control.ask("sim_say", pcm=base64.b64encode(pcm[start : start + SECOND_BYTES]).decode())


def hears(agent: AgentProcess, *, forget: bool = False) -> bytes:
    """What the loudspeaker has played."""
    return base64.b64decode(agent.ask("sim_hear", forget=forget)["pcm"])


def voice(agent: AgentProcess) -> dict[str, Any]:
    """The page of the sound card."""
    page: dict[str, Any] = agent.ask("status")["voice"]
    return page


def until(found: Callable[[], T], within_s: float = 8.0) -> T:
    """What `found` gives once it is something. Raises: AssertionError."""
    deadline = time.monotonic() + within_s
    while not (value := found()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {value!r}"
        time.sleep(0.02)
    return value


def microphone_pairs(agent: AgentProcess) -> list[str]:
    """The reasons for which the microphone was on, in order; each was switched off before the next.

    Raises: AssertionError when one is not paired.
    """
    reasons, on = [], None
    for event in agent.stored("microphone_changed"):
        told = (event["reason"], event["call_id"])
        if event["on"]:
            assert on is None, f"on twice: {on}, {told}"
            on = told
            reasons.append(event["reason"])
        else:
            assert on == told, f"off without on: {told}, on was {on}"
            on = None
    assert on is None, f"never off: {on}"
    return reasons


async def told(
    agent: AgentProcess, kind: str, nth: int = 1, within_s: float = 8.0, **fields: Any
) -> dict[str, Any]:
    """The nth event with these fields in the journal, while residents go on. Raises: AssertionError."""
    deadline = trio.current_time() + within_s
    while True:
        found = agent.stored(kind)
        fitting = [event for event in found if all(event.get(key) == fields[key] for key in fields)]
        if len(fitting) >= nth:
            return fitting[nth - 1]
        assert trio.current_time() < deadline, f"no {kind} {fields} within {within_s:g} s; there are {found}"
        await trio.sleep(0.03)
