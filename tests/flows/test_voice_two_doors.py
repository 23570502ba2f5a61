"""Two doors of one house: the gate is a client of the front door's channel server."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.agent_process import AgentProcess
from harness.quick_door import QUICK, Door
from harness.residents import resident
from harness.sound import align, speech
from harness.visitor import hears, microphone_pairs, says, told, until

GATE_PASSWORD = "ein tor im garten"
PATIENT = QUICK.replace("ring_timeout_s = 1", "ring_timeout_s = 6").replace(
    "max_per_peer = 64", "max_per_peer = 64\nport = 0"
)
VOICE = """
[voice]
ring_message_s = 2
chimes = false
"""
SERVER = """
[workers.zello.server]
host = "127.0.0.1"
port = {port}
"""
CLOUD = """
[[workers.zello.cloud]]
name = "front"
url = "wss://127.0.0.1:{port}/ws"
username = "gate"
password_file = "{password}"
{trust}
channels = ["Front door"]
people = {{ ana = "ana", door = "ben" }}
"""


def a_free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def page(agent: AgentProcess) -> dict[str, Any]:
    values: dict[str, Any] = agent.ask("status")["workers"]["zello"]["page"]
    return values


Doors = Callable[..., tuple[AgentProcess, AgentProcess]]


@pytest.fixture
def doors(door: Door, tmp_path: Path) -> Doors:
    """The front door, and the gate which is a client of it, both started; the gate has come online."""

    def make(*, trust: str = "ca_file") -> tuple[AgentProcess, AgentProcess]:
        port = a_free_port()
        front = door("front", config=PATIENT, more=VOICE + SERVER.format(port=port), any_port=False).start()
        front.ask("user_add", name="gate", role="resident", password=GATE_PASSWORD)
        secret = tmp_path / "gate.password"
        secret.write_text(GATE_PASSWORD + "\n")
        secret.chmod(0o600)
        trusted = f'ca_file = "{front.ready["ca"]}"'
        if trust == "fingerprint":
            trusted = f'fingerprint = "{server_fingerprint(front)}"'
        more = VOICE + CLOUD.format(port=port, password=secret, trust=trusted)
        gate = door("gate", config=PATIENT, more=more).start()
        until(lambda: page(gate).get("cloud.front.state") == "online")
        return front, gate

    return make


def server_fingerprint(agent: AgentProcess) -> str:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import load_pem_x509_certificates

    pem = (agent.state_dir / "tls" / "server.pem").read_bytes()
    return load_pem_x509_certificates(pem)[0].fingerprint(SHA256()).hex()


@pytest.mark.parametrize("trust", ["ca_file", pytest.param("fingerprint", marks=pytest.mark.slow)])
async def test_one_house_hears_both_doors(doors: Doors, trust: str) -> None:
    at_gate, at_front, answer = speech(1.5, seed=1), speech(1.5, seed=2), speech(1.0, seed=3)
    front, gate = await trio.to_thread.run_sync(lambda: doors(trust=trust))
    async with resident(front, "ana") as ana:
        gate.press()
        says(gate, at_gate)
        heard = await ana.talk_of("gate")
        assert align(at_gate, heard.pcm, min_lag_s=-0.5, max_lag_s=1).correlation > 0.8
        assert any(text.sender == "gate" and "somebody is at the door" in text.text for text in ana.texts)
        await ana.say(answer)
        answered = await told(gate, "call_changed", state="answered")
        assert answered["by"] == "ana"
        await told(gate, "talk_ended", by="ana")
        assert align(answer, hears(gate), max_lag_s=1).correlation > 0.8
        assert gate.portero("hangup").exit_code == 0
        # And the other way round: who stands at the gate hears the front door's visitor.
        gate.ask("sim_hear", forget=True)
        front.press()
        says(front, at_front)
        await ana.talk_of("door")
        await told(gate, "talk_ended", by="ben")
        assert align(at_front, hears(gate), min_lag_s=-0.5, max_lag_s=1).correlation > 0.7
        assert front.portero("hangup").exit_code == 0
    assert microphone_pairs(gate)[0] == "ring"
    for agent in (gate, front):
        assert agent.stop() == 0
        assert "Traceback" not in agent.log()


async def test_a_pin_opens_the_gate_from_the_front_doors_channel(doors: Doors) -> None:
    front, gate = await trio.to_thread.run_sync(doors)
    done = gate.portero("user", "pin", "ana", "--pin-stdin", typed="4711\n")
    assert done.exit_code == 0, done.output
    async with resident(front, "ana") as ana, resident(front, "ben") as ben:

        async def gate_says(text: str) -> str:
            before = len(ana.texts)
            await ana.write(text, "gate")
            return await ana.until(
                lambda: next((each.text for each in ana.texts[before:] if each.sender == "gate"), "")
            )

        assert "needs your PIN" in await gate_says("open")
        assert "PIN is not right" in await gate_says("open 1234")
        assert not gate.relays()["strike"].energised
        assert "opening" in await gate_says("open 4711")
        unlocked = await told(gate, "lock_changed", state="unlocked")
        assert unlocked["by"] == "ana"
        before = len(ben.texts)
        await ben.write("open 4711", "gate")
        await trio.sleep(0.5)
        # Whom the gate does not know gets no answer, and nobody was shown a PIN.
        assert [text for text in ben.texts[before:] if text.sender == "gate"] == []
        assert not any("4711" in text.text for text in (*ana.texts, *ben.texts))
    assert "4711" not in gate.log() + front.log()
    for agent, times in ((gate, 1), (front, 0)):
        assert len([e for e in agent.stored("lock_changed") if e["state"] == "unlocked"]) == times


@pytest.mark.slow
async def test_the_first_door_starts_again(doors: Doors) -> None:
    front, gate = await trio.to_thread.run_sync(doors)
    assert front.stop() == 0
    until(lambda: page(gate)["cloud.front.state"] != "online")
    gate.press()  # nobody can be told
    time.sleep(3)
    front.start()
    begun = time.monotonic()
    until(lambda: page(gate)["cloud.front.state"] == "online", 20)
    print(f"online again after {time.monotonic() - begun:.1f} s")
    assert page(front)["logons"] <= 2
    gate.portero("hangup")
    said = speech(1.5, seed=9)
    async with resident(front, "ana") as ana:
        gate.press()
        says(gate, said)
        talk = await ana.talk_of("gate", within_s=12)
        assert align(said, talk.pcm, min_lag_s=-0.5, max_lag_s=2).correlation > 0.7
    # Nor does the gate storm a door that is away for long.
    front.kill()
    tries = []
    until(lambda: page(gate)["cloud.front.state"] != "online")
    for _ in range(40):
        tries.append(page(gate).get("cloud.front.disconnections", 0))
        time.sleep(0.5)
    assert tries[-1] - tries[0] <= 6
    assert gate.stop() == 0
    assert "Traceback" not in gate.log()
