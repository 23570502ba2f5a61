"""Cards that break, residents who misbehave, disks that are full, and doors that stop in mid-sentence."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from harness.agent_process import AgentProcess
from harness.quick_door import QUICK, Door
from harness.residents import Resident, resident
from harness.sound import align, rms_dbfs, speech
from harness.visitor import hears, microphone_pairs, says, told, until, voice

from agent.model.errors import PeerError
from agent.supervise import leaves

PATIENT = QUICK.replace("ring_timeout_s = 1", "ring_timeout_s = 8")
VOICE = """
[voice]
ring_message_s = 1
chimes = false
max_talk_s = 2

[workers.zello.server]
host = "127.0.0.1"
"""


def zello(agent: AgentProcess, name: str) -> int:
    """A number of the zello page."""
    return int(agent.ask("status")["workers"]["zello"]["page"][name])


@pytest.mark.parametrize("how", ["fail", pytest.param("stall", marks=pytest.mark.slow)])
async def test_the_card_breaks_in_the_middle_of_a_call_and_comes_back(door: Door, how: str) -> None:
    answer = speech(1.0, seed=2)
    with door(config=PATIENT, more=VOICE) as agent:
        async with resident(agent) as ana:
            agent.press()
            await ana.until(lambda: ana.talks)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ana.say, speech(1.8))
                await told(agent, "talk_started")
                await trio.sleep(0.4)
                agent.ask("sim", verb=how, endpoint="sound_card")
            ended = await told(agent, "talk_ended")
            assert "the loudspeaker failed" in ended["reason"]
            status = agent.portero("status")
            assert status.exit_code == 1
            assert "problem: speaker: " in status.stdout
            # Who talks now is told why nobody at the door hears it.
            before = len(ana.texts)
            await ana.say(answer)
            await ana.until(
                lambda: [text for text in ana.texts[before:] if "Not heard at the door" in text.text]
            )
            assert "does not work" in ana.texts[-1].text
            # The rest of the door does not notice.
            assert agent.unlock(hold_s=0.1)["outcome"] == "done"
            agent.press()
            agent.ask("sim", verb="heal", endpoint="sound_card")
            await told(agent, "hardware_recovered", endpoint="speaker", within_s=15)
            await told(agent, "hardware_recovered", endpoint="microphone", within_s=15)
            assert agent.ask("status")["problems"] == []
            agent.ask("sim_hear", forget=True)
            await ana.say(answer)
            await trio.sleep(0.3)
            assert align(answer, hears(agent), max_lag_s=1).correlation > 0.8
        microphone_pairs(agent)
        assert [e["endpoint"] for e in agent.stored("hardware_failed")].count("speaker") == 1
        assert "Traceback" not in agent.log()


@pytest.mark.slow
async def test_two_talk_at_once_and_one_never_stops(door: Door) -> None:
    with door(config=PATIENT, more=VOICE) as agent:
        async with resident(agent, "ana") as ana, resident(agent, "ben") as ben:
            agent.press()
            await told(agent, "call_changed", state="ringing")
            stream = await ana.start()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ana.send, stream, speech(4.0))
                await told(agent, "talk_started")
                assert await ben.refused() == "channel busy"
                ended = await told(agent, "talk_ended")
                assert ended["reason"] == "time limit"
                assert ended["duration_s"] == pytest.approx(2.0, abs=0.4)
            # Others on the channel go on hearing ana; only the door has had enough.
            await ana.stop(stream)
            heard = await ben.talk_of("ana")
            assert heard.seconds == pytest.approx(4.0, abs=0.1)
            await ben.say(speech(0.6, seed=3))
            await told(agent, "talk_ended", by="ben")
        assert [event["by"] for event in agent.stored("talk_started")] == ["ana", "ben"]
        microphone_pairs(agent)


@pytest.mark.slow
async def test_the_server_takes_the_floor_from_who_never_stops(door: Door) -> None:
    more = VOICE + "max_stream_s = 5\n"
    with door(config=PATIENT, more=more) as agent:
        async with resident(agent, "ana") as ana, resident(agent, "ben") as ben:
            stream = await ana.start()
            await ana.send(stream, speech(7.0))
            heard = await ben.talk_of("ana")
            assert heard.seconds == pytest.approx(5.0, abs=0.4)
            assert stream in ana.stopped
            await ben.say(speech(0.5))


@pytest.mark.slow
async def test_a_talker_in_a_hurry(door: Door) -> None:
    """Three times too fast: heard at its right pace, nothing repeated, and its end is soon told."""
    said = speech(1.5, seed=6)
    with door(config=PATIENT, more=VOICE) as agent:
        async with resident(agent, "ana") as ana, resident(agent, "ben") as ben:
            agent.press()
            await told(agent, "call_changed", state="ringing")
            agent.ask("sim_hear", forget=True)
            await ana.say(said, pace=3)
            await told(agent, "talk_ended")
            assert align(said, hears(agent), max_lag_s=1).correlation > 0.7
            heard = await ben.talk_of("ana")
            assert heard.packets == 75
            # One out of its mind, thirty times too fast, is cut down and does not keep the door.
            await trio.sleep(0.5)
            await ana.say(speech(9.0), pace=30)
            await told(agent, "talk_ended", nth=2, within_s=6)
            assert zello(agent, "packets_fast") > 100
            await ben.say(speech(0.5))
            await told(agent, "talk_ended", by="ben")
        assert "Traceback" not in agent.log()


QUIET = """
[notify]
quiet_for = { doorbell = ["00:00-12:00", "12:00-00:00"] }
"""


@pytest.mark.parametrize("how", [pytest.param("quiet hours", marks=pytest.mark.slow), "mute"])
async def test_nobody_is_disturbed_and_the_visitor_hears_the_chime(door: Door, how: str) -> None:
    more = VOICE.replace("chimes = false", "chimes = true") + (QUIET if how == "quiet hours" else "")
    with door(config=PATIENT, more=more) as agent:
        if how == "mute":
            assert agent.portero("mute", "doorbell").exit_code == 0
        async with resident(agent) as ana:
            agent.press()
            says(agent, speech(1.0))
            await told(agent, "call_changed", state="ringing")
            await trio.sleep(2.0)
            assert rms_dbfs(hears(agent)) > -40
            assert (ana.talks, ana.texts) == ([], [])
            # Whoever comes to the door of their own will is heard all the same.
            await ana.say(speech(0.5))
            await told(agent, "call_changed", state="answered")


async def test_a_second_press_is_written_down_and_not_sent(door: Door) -> None:
    with door(config=PATIENT, more=VOICE) as agent:
        async with resident(agent) as ana:
            for _ in range(3):
                agent.press()
            await ana.talk_of("door")
            await trio.sleep(0.5)
            assert len(ana.texts) == len(ana.talks) == 1
        assert len(agent.stored("button_pressed")) == 3
        assert len(agent.stored("call_changed")) == 1
        assert microphone_pairs(agent) == ["ring"]


async def test_a_stop_in_mid_sentence_is_told_to_everybody(door: Door) -> None:
    heard: list[Resident] = []
    with door(config=PATIENT, more=VOICE.replace("ring_message_s = 1", "ring_message_s = 8")) as agent:
        with pytest.RaisesGroup(PeerError, flatten_subgroups=True, match=None) as gone:
            async with resident(agent, "ana") as ana:
                heard.append(ana)
                agent.press()
                says(agent, speech(4.0))
                await ana.until(lambda: ana.talks and ana.talks[0].seconds > 0.5)
                assert await trio.to_thread.run_sync(agent.stop) == 0
                await trio.sleep(1)
        assert [str(leaf) for leaf in leaves(gone.value)] == ["closed by the peer with 1001"]
        assert heard[0].live == 0
        assert microphone_pairs(agent) == ["ring"]
        assert agent.stored("call_changed")[-1]["state"] == "ended"
        assert "agent_stopping/1" in [str(e["type"]) for e in agent.stored()][-4:]
        assert "Traceback" not in agent.log()


RECORDING = """
[voice.recording]
max_s = 20
"""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this account may not mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_the_disk_is_full_while_a_message_is_recorded(door: Door) -> None:
    """The recordings are on a disk of their own here, so that the journal can tell of it."""
    agent = door(more=VOICE.replace("ring_message_s = 1", "ring_message_s = 0") + RECORDING)
    with small_disk(agent.state_dir / "recordings") as folder, agent:
        agent.press()
        agent.until_stored("microphone_changed", reason="recording", on=True)
        says(agent, speech(8.0))
        until(lambda: [part for part in folder.glob("*.part") if part.stat().st_size > 3000])
        filler = folder / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 10, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass
        failed = agent.until_stored("hardware_failed", endpoint="recordings", within_s=12)
        assert "No space left" in failed["reason"]
        assert "problem: recordings: No space left" in agent.portero("status").stdout
        assert agent.stored("message_recorded") == []
        assert [path.name for path in folder.iterdir()] == ["filler"]
        agent.press()  # rings as ever
        until(lambda: len(agent.stored("call_changed")) == 4)
        filler.unlink()
        until(lambda: not voice(agent)["transmission"])
        agent.press()
        until(lambda: [e for e in agent.stored("call_changed") if e["state"] == "missed"][2:])
        says(agent, speech(1.5, seed=4))
        agent.until_stored("message_recorded", within_s=15)
        agent.until_stored("hardware_recovered", endpoint="recordings")
        assert agent.ask("status")["problems"] == []
        assert set(microphone_pairs(agent)) == {"recording"}
        assert "Traceback" not in agent.log()


def _door_has_talked(person: Resident, times: int) -> bool:
    return len([talk for talk in person.talks if talk.sender == "door"]) >= times


@pytest.mark.slow
async def test_many_calls_leave_nothing_behind(door: Door) -> None:
    with door(config=PATIENT, more=VOICE) as agent:

        def held() -> tuple[int, int]:
            tasks = list(Path(f"/proc/{agent.pid}/task").iterdir())
            return len(list(Path(f"/proc/{agent.pid}/fd").iterdir())), len(tasks)

        async def calls(count: int) -> None:
            for group in range(count // 5):
                # Two starts a second are granted to an account.
                async with resident(agent, ("ana", "ben")[group % 2]) as ana:
                    for number in range(5):
                        says(agent, speech(0.2))
                        agent.ask("submit", action={"do": "ring", "endpoint": "doorbell"})
                        await ana.until(partial(_door_has_talked, ana, number + 1))
                        stream = await ana.start()
                        await ana.send(stream, speech(0.1), pace=3)
                        await ana.stop(stream)
                        assert agent.ask("submit", action={"do": "end_call"})["outcome"] == "done"
                        await trio.sleep(0.1)
                agent.ask("sim_hear", forget=True)  # the ears of the simulation are no part of the door

        long = "PORTERO_LONG" in os.environ
        await calls(90 if long else 20)  # with ninety the ring of events is full
        await trio.sleep(3)
        rss, (descriptors, threads) = agent.rss_bytes(), held()
        begun = time.monotonic()
        await calls(200 if long else 30)
        took_s = time.monotonic() - begun
        await trio.sleep(3)
        after, (more_descriptors, more_threads) = agent.rss_bytes(), held()
        print(f"calls in {took_s:.0f} s: {rss / 1e6:.1f} MB -> {after / 1e6:.1f} MB")
        assert after < rss * 1.1
        assert more_descriptors <= descriptors + 1
        assert more_threads <= threads + 1
        microphone_pairs(agent)
        assert agent.ask("status")["problems"] == []
        assert "Traceback" not in agent.log()


@pytest.mark.slow
def test_an_idle_door_with_a_voice_costs_nothing(door: Door) -> None:
    with door(more=VOICE) as agent:

        def cpu_s() -> float:
            fields = Path(f"/proc/{agent.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / 100

        agent.press()
        agent.until_stored("call_changed", state="missed")
        time.sleep(4)  # the card is closed
        before = cpu_s()
        time.sleep(10)
        share = (cpu_s() - before) / 10
        print(f"idle {share:.2%}, {agent.rss_bytes() / 1e6:.1f} MB")
        assert share <= 0.005
