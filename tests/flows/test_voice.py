"""A visitor and residents, from the press to the last word: heard on both sides, answered, told, recorded."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.agent_process import AgentProcess
from harness.quick_door import QUICK, Door
from harness.residents import Resident, resident
from harness.sound import align, rms_dbfs, speech
from harness.visitor import hears, microphone_pairs, says, told, until, voice

from agent.voice.wav import WavWriter, read_wav

PATIENT = QUICK.replace("ring_timeout_s = 1", "ring_timeout_s = 8")
CALLS = """
[voice]
ring_message_s = 2
chimes = false

[workers.zello.server]
host = "127.0.0.1"
"""
RECORDING = """
[voice.recording]
max_s = 4
keep = 2
"""
ORDER = (
    "button_pressed",
    "call_changed",
    "microphone_changed",
    "talk_started",
    "talk_ended",
    "message_recorded",
)


def story(agent: AgentProcess) -> list[str]:
    """What happened in a call, one word each."""
    words = []
    for event in agent.stored(*ORDER):
        match str(event["type"]).partition("/")[0]:
            case "call_changed":
                words.append(event["state"])
            case "microphone_changed":
                words.append(f"{event['reason']} {'on' if event['on'] else 'off'}")
            case kind:
                words.append(kind)
    return words


def wav(path: Path, pcm: bytes) -> Path:
    with WavWriter(path) as writer:
        writer.write(pcm)
    return path


def listener(agent: AgentProcess, *arguments: str) -> subprocess.Popen[str]:
    """`portero listen …` in a process of its own, when it is online."""
    before = agent.ask("status")["workers"]["zello"]["page"]["users_online"]
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", "listen", "--state", str(agent.state_dir), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: agent.ask("status")["workers"]["zello"]["page"]["users_online"] > before)
    return process


def test_a_call_with_the_commands_alone(door: Door, tmp_path: Path) -> None:
    said, answer = speech(1.5, seed=1), speech(1.2, seed=2)
    with door(config=PATIENT, more=CALLS) as agent:
        recording = tmp_path / "visitor.wav"
        ear = listener(agent, "--voice", str(recording), "--count", "2", "--json")
        agent.press()
        says(agent, said)
        time.sleep(1.0)
        done = agent.portero("talk", str(wav(tmp_path / "answer.wav", answer)))
        assert done.exit_code == 0, done.stderr
        out, err = ear.communicate(timeout=10)
        assert ear.returncode == 0, err
        talks = [json.loads(line) for line in out.splitlines()]
        assert talks[0]["from"] == "door"
        assert talks[1]["duration_s"] == pytest.approx(1.2, abs=0.05)
        both = read_wav(recording)
        heard_s = talks[0]["duration_s"]
        assert heard_s > 0.8
        first = both[: round(heard_s * 16_000) * 2]
        # The card was opened while the visitor began to speak.
        assert align(said[: len(first) - 16_000], first, max_lag_s=0.6).correlation > 0.8
        assert align(answer, both[len(first) :]).correlation > 0.8
        door_wav = tmp_path / "door.wav"
        assert agent.portero("sim", "hear", str(door_wav)).exit_code == 0
        assert align(answer, read_wav(door_wav), max_lag_s=0.5).correlation > 0.8
        assert agent.portero("hangup").exit_code == 0
        agent.until_stored("call_changed", state="ended")
        (row,) = json.loads(agent.portero("calls", "--json").stdout)
        assert row["state"] == "ended"
        assert row["answered_by"].startswith("listen-")
        assert row["answered_by"] in agent.portero("calls").stdout
        assert "no calls" in agent.portero("calls", "--missed").stdout
        told = story(agent)
        assert told[:3] == ["button_pressed", "ringing", "ring on"]
        assert sorted(told[3:6]) == ["answered", "ring off", "talk_started"]
        assert told[6] == "talk_ended"
        assert told[-1] == "ended"
        assert microphone_pairs(agent)[0] == "ring"
        spoken = agent.stored("talk_ended")[0]
        assert spoken["duration_s"] == pytest.approx(1.2, abs=0.15)
        assert spoken["reason"] == ""


@pytest.mark.slow
async def test_a_conversation(door: Door) -> None:
    """Who speaks first is heard, whoever else listens hears both; the visitor is heard again afterwards."""
    question, answer, thanks = speech(1.0, seed=3), speech(1.0, seed=4), speech(1.5, seed=5)
    with door(config=PATIENT, more=CALLS) as agent:
        async with resident(agent, "ana") as ana, resident(agent, "ben") as ben:
            agent.press()
            await ana.until(lambda: any("somebody is at the door" in text.text for text in ana.texts))
            await ana.until(lambda: ana.talks)
            says(agent, question)
            await ana.until(lambda: ana.talks[0].seconds > 1.2)
            await ana.say(answer)
            opening = await ben.talk_of("door")
            assert align(question, opening.pcm, max_lag_s=1.5).correlation > 0.8
            between = await ben.talk_of("ana")
            assert align(answer, between.pcm).correlation > 0.8
            assert align(answer, hears(agent), max_lag_s=1).correlation > 0.8
            await trio.sleep(0.5)  # the microphone is deaf for a moment after the loudspeaker
            says(agent, thanks)
            for person in (ana, ben):
                reply = await person.talk_of("door", 1)
                assert align(thanks, reply.pcm, min_lag_s=-0.5, max_lag_s=1).correlation > 0.8
            page = voice(agent)
            assert page["playout"]["concealed_pct"] < 5
            assert page["playout"]["end_to_end_ms"] < 250
            await ana.write("hang up")
            await ana.until(lambda: len(ana.texts) > 1)
        agent.until_stored("call_changed", state="ended")
        assert microphone_pairs(agent) == ["ring", "visitor"]
        assert [event["by"] for event in agent.stored("talk_started")] == ["ana"]
        assert agent.stop() == 0
        assert "Traceback" not in agent.log()


@pytest.mark.parametrize("end", ["the resident vanishes", "the door is stopped"])
async def test_the_microphone_is_never_left_on(door: Door, end: str) -> None:
    with door(config=PATIENT, more=CALLS) as agent:
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def speak_for_ever(*, task_status: trio.TaskStatus[Resident]) -> None:
                with scope:
                    try:
                        async with resident(agent) as ana:
                            task_status.started(ana)
                            stream = await ana.start()
                            await ana.send(stream, speech(2.0) * 20)
                    except* Exception as gone:  # noqa: F841 - the door went away in the middle
                        pass

            agent.press()
            await nursery.start(speak_for_ever)
            await told(agent, "talk_started")
            await trio.sleep(0.5)
            if end == "the resident vanishes":
                scope.cancel()
                await told(agent, "talk_ended")
            else:
                assert await trio.to_thread.run_sync(agent.stop) == 0
            nursery.cancel_scope.cancel()
        if end == "the resident vanishes":
            assert agent.stop() == 0
        assert microphone_pairs(agent)[0] == "ring"
        assert len(agent.stored("talk_ended")) == len(agent.stored("talk_started")) == 1
        assert agent.stored("call_changed")[-1]["state"] == "ended"
        assert "Traceback" not in agent.log()


def beginnings(agent: AgentProcess) -> list[dict[str, Any]]:
    return [e for e in agent.stored("microphone_changed") if e["on"] and e["reason"] == "recording"]


def leave_a_message(agent: AgentProcess, pcm: bytes, nth: int = 1) -> str:
    """Ring in vain and speak after the announcement; the call."""
    agent.press()
    until(lambda: len([e for e in agent.stored("call_changed") if e["state"] == "missed"]) >= nth)
    until(lambda: len(beginnings(agent)) >= nth)
    says(agent, pcm)
    until(lambda: len(agent.stored("message_recorded")) >= nth, 12)
    return str(agent.stored("message_recorded")[-1]["call_id"])


@pytest.mark.slow
def test_messages(door: Door, tmp_path: Path) -> None:
    said = speech(3.0)
    with door(more=CALLS.replace("ring_message_s = 2", "ring_message_s = 0") + RECORDING) as agent:
        call = leave_a_message(agent, said)
        row = json.loads(agent.portero("calls", "--missed", "--json").stdout)[0]
        assert (row["call_id"], row["state"], row["file"]) == (call, "missed", f"{call}.ogg")
        assert f"{row['message_s']:.0f} s" in agent.portero("calls", "--missed").stdout
        copy = tmp_path / "a.ogg"
        assert agent.portero("calls", "save", call, str(copy)).exit_code == 0
        assert align(said, decoded(copy, tmp_path), max_lag_s=2).correlation > 0.8
        second = leave_a_message(agent, speech(1.0, seed=2), 2)
        third = leave_a_message(agent, speech(1.0, seed=3), 3)
        folder = agent.state_dir / "recordings"
        assert {path.name for path in folder.iterdir()} == {f"{second}.ogg", f"{third}.ogg"}
        gone = agent.portero("calls", "save", call, str(copy))
        assert gone.exit_code == 1
        assert "left no message" in gone.stderr
        assert agent.portero("calls", "delete", second).exit_code == 0
        assert {path.name for path in folder.iterdir()} == {f"{third}.ogg"}
        rows = {row["call_id"]: row for row in json.loads(agent.portero("calls", "--json").stdout)}
        assert [rows[one]["file"] for one in (call, second, third)] == ["", "", f"{third}.ogg"]
        assert set(microphone_pairs(agent)) == {"recording"}
        assert agent.stop() == 0


def decoded(path: Path, folder: Path, *, whole: bool = True) -> bytes:
    """What another program makes of an Ogg Opus file. whole: it has nothing to say about it either."""
    out = folder / "decoded.wav"
    try:
        subprocess.run(["opusdec", "--rate", "16000", str(path), str(out)], check=True, capture_output=True)
        info = subprocess.run(["opusinfo", str(path)], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("opus-tools are not installed")
    assert not whole or (info.returncode == 0 and "WARNING" not in info.stdout + info.stderr), info
    return read_wav(out)


@pytest.mark.slow
def test_a_power_cut_in_the_middle_of_a_message(door: Door, tmp_path: Path) -> None:
    said = speech(4.0)
    agent = door(
        more=CALLS.replace("ring_message_s = 2", "ring_message_s = 0")
        + RECORDING.replace("max_s = 4", "max_s = 8")
    )
    with agent:
        agent.press()
        missed = agent.until_stored("call_changed", state="missed")
        agent.until_stored("microphone_changed", reason="recording", on=True)
        says(agent, said)
        folder = agent.state_dir / "recordings"
        until(lambda: [part for part in folder.glob("*.part") if part.stat().st_size > 2500])
        agent.kill()
    (part,) = folder.iterdir()
    whole = decoded(part, tmp_path, whole=False)
    assert len(whole) > 32_000
    assert align(said[: len(whole) - 16_000], whole, max_lag_s=1).correlation > 0.8
    with agent:
        call = missed["call_id"]
        until(lambda: (folder / f"{call}.ogg").exists())
        copy = tmp_path / "a.ogg"
        until(lambda: agent.portero("calls", "save", call, str(copy)).exit_code == 0)
        assert len(decoded(copy, tmp_path, whole=False)) == len(whole)
        leave_a_message(agent, speech(1.0), 2)
        assert agent.ask("status")["problems"] == []
        assert rms_dbfs(whole) > -40
