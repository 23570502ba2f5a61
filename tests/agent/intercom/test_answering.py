"""A visitor whom nobody answered leaves a message."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.sound import align, speech
from harness.studio import PERIOD_S, Studio
from trio.testing import MockClock

from agent.calls import CallsConfig
from agent.intercom import answering
from agent.model.actions import AnswerCall
from agent.model.events import HardwareFailed, HardwareRecovered, MessageRecorded
from agent.voice import chime
from agent.voice.codec import Codec
from agent.voice.ogg import read_ogg_opus
from agent.voice.wav import WavWriter
from hw.errors import HardwareError

QUICK = CallsConfig(ring_timeout_s=2)


def studio(folder: Path, **recording: Any) -> Studio:
    return Studio(folder, ring_message_s=1, calls=QUICK, recording=recording)


async def until_recording(studio: Studio) -> None:
    while (True, "recording") not in studio.microphone():
        await trio.sleep(PERIOD_S)


def sound(path: Path) -> bytes:
    codec = Codec(16_000, 20_000)
    header = b"\x01" + bytes(8)
    return b"".join(codec.decode_packet(header + packet)[1] for packet in read_ogg_opus(path).packets)


async def test_a_missed_call_leaves_a_message(tmp_path: Path, autojump_clock: MockClock) -> None:
    door = studio(tmp_path)
    async with door.running():
        door.press()
        await until_recording(door)
        assert align(chime.announcement(), door.card.heard(), max_lag_s=6).correlation > 0.99
        said = speech(4.0)
        door.card.say(said)
        await trio.sleep(4 + answering.SILENCE_ENDS_S + 1)
        assert door.microphone() == [
            (True, "ring"),
            (False, "ring"),
            (True, "recording"),
            (False, "recording"),
        ]
        (event,) = door.told(MessageRecorded)
        assert isinstance(event, MessageRecorded)
        assert (event.call_id, event.endpoint, event.file) == ("c1", "bell", "c1.ogg")
        assert event.duration_s == pytest.approx(9, abs=0.6)
        path = tmp_path / "recordings" / "c1.ogg"
        assert align(said, sound(path)).correlation > 0.9
        assert door.intercom.recordings is not None
        (message,) = door.intercom.recordings.messages()
        assert message.duration_s == event.duration_s


async def test_a_message_is_no_longer_than_configured(tmp_path: Path, autojump_clock: MockClock) -> None:
    door = studio(tmp_path, max_s=3)
    async with door.running():
        door.press()
        await until_recording(door)
        door.card.say(speech(5.0) * 3)
        await trio.sleep(4)
    (event,) = door.told(MessageRecorded)
    assert isinstance(event, MessageRecorded)
    assert event.duration_s == pytest.approx(3, abs=0.1)


async def test_silence_is_no_message(tmp_path: Path, autojump_clock: MockClock) -> None:
    door = studio(tmp_path)
    async with door.running():
        door.press()
        await trio.sleep(12)
        assert door.microphone()[-1] == (False, "recording")
    assert door.told(MessageRecorded) == []
    assert list((tmp_path / "recordings").iterdir()) == []


async def test_without_the_table_nothing_is_recorded(tmp_path: Path, autojump_clock: MockClock) -> None:
    door = Studio(tmp_path, ring_message_s=1, calls=QUICK)
    async with door.running():
        door.press()
        await trio.sleep(12)
    assert door.microphone() == [(True, "ring"), (False, "ring")]
    assert not (tmp_path / "recordings").exists()


async def test_an_answered_call_leaves_none(tmp_path: Path, autojump_clock: MockClock) -> None:
    door = studio(tmp_path)
    async with door.running():
        door.press()
        await trio.sleep(1.5)
        await door.do(AnswerCall())
        await trio.sleep(12)
    assert (True, "recording") not in door.microphone()


@pytest.mark.parametrize("interruption", ["press", "talk", "card", "stop"])
async def test_what_was_said_until_an_interruption_is_kept(
    tmp_path: Path, autojump_clock: MockClock, interruption: str
) -> None:
    door = studio(tmp_path)
    async with door.running():
        door.press()
        await until_recording(door)
        door.card.say(speech(3.0))
        await trio.sleep(2)
        match interruption:
            case "press":
                door.press()
            case "talk":
                async with door.talking():
                    pass
            case "card":
                door.card.fail()
        if interruption != "stop":
            await trio.sleep(0.2)
            assert (False, "recording") in door.microphone()
    (event,) = door.told(MessageRecorded)
    assert isinstance(event, MessageRecorded)
    assert event.duration_s == pytest.approx(2, abs=0.2)
    assert sorted(path.name for path in (tmp_path / "recordings").iterdir()) == ["c1.ogg"]
    story = door.microphone()
    assert [on for on, _ in story] == [True, False] * (len(story) // 2)


async def test_a_full_disk_is_told_and_over_with_the_next_message(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = studio(tmp_path)
    full = True

    def fdatasync(descriptor: int) -> None:
        if full:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    async with door.running():
        for _ in range(2):
            door.press()
            await trio.sleep(4.3)
            door.card.say(speech(2.0))
            await trio.sleep(10)
            assert (await door.intercom.test("ana"))["heard"]  # the door goes on
        (failed,) = door.told(HardwareFailed)
        assert isinstance(failed, HardwareFailed)
        assert (failed.endpoint, failed.reason) == ("recordings", "No space left on device")
        assert door.intercom.problems() == ["recordings: No space left on device"]
        assert list((tmp_path / "recordings").iterdir()) == []
        full = False
        door.press()
        await trio.sleep(4.3)
        door.card.say(speech(2.0))
        await trio.sleep(10)
    assert len(door.told(MessageRecorded)) == 1
    assert len(door.told(HardwareRecovered)) == 1
    assert door.intercom.problems() == []


async def test_an_announcement_of_the_household(tmp_path: Path, autojump_clock: MockClock) -> None:
    words = speech(1.5, seed=5)
    with WavWriter(tmp_path / "words.wav") as wav:
        wav.write(words)
    door = studio(tmp_path, announcement=str(tmp_path / "words.wav"))
    async with door.running():
        door.press()
        await until_recording(door)
        assert align(words, door.card.heard(), max_lag_s=6).correlation > 0.99


async def test_an_announcement_that_is_missing_is_told_and_replaced(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    door = studio(tmp_path, announcement=str(tmp_path / "absent.wav"))
    async with door.running():
        door.press()
        await until_recording(door)
        assert align(chime.announcement(), door.card.heard(), max_lag_s=6).correlation > 0.99
    assert len(door.told(HardwareFailed)) == 1


@pytest.mark.parametrize("trouble", ["no loudspeaker", "it fails before", "it fails meanwhile"])
async def test_nobody_is_recorded_without_being_told(
    tmp_path: Path, autojump_clock: MockClock, trouble: str
) -> None:
    more: dict[str, Any] = {"speaker": ""} if trouble == "no loudspeaker" else {}
    door = Studio(tmp_path, ring_message_s=1, calls=QUICK, recording={}, **more)
    broken = False
    open_sink = door.card.open_sink

    def open_unless_broken(**how: Any) -> Any:
        if broken:
            raise HardwareError("speaker", "no such device")
        return open_sink(**how)

    door.card.open_sink = open_unless_broken  # type: ignore[method-assign]
    async with door.running():
        broken = trouble == "it fails before"
        door.press()
        await trio.sleep(QUICK.ring_timeout_s + 0.4)
        if trouble == "it fails meanwhile":
            broken = True
            door.card.fail()
            door.card.heal()
        door.card.say(speech(4.0))
        await trio.sleep(12)
    assert (True, "recording") not in door.microphone()
    assert door.told(MessageRecorded) == []
    assert not list((tmp_path / "recordings").iterdir())
