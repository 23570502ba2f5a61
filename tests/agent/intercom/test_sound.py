from __future__ import annotations

import wave
from functools import partial
from pathlib import Path

import pytest
import trio
from harness.door import Recorded
from harness.sound import align, speech
from harness.studio import decoded, receive

from agent.intercom.config import VoiceConfig
from agent.intercom.sound import Sound
from agent.model.events import CallChanged
from agent.voice import chime
from agent.voice.wav import WavWriter, read_wav


@pytest.mark.parametrize(
    ("device", "expected"),
    [("default", "sim"), ("plughw:CARD=X", "sim"), ("", ""), ("wav:/x.wav", "wav:/x.wav")],
)
def test_a_simulated_door_has_no_real_card(tmp_path: Path, device: str, expected: str) -> None:
    config = VoiceConfig(microphone=device, speaker=device)
    sound = Sound(config, log=Recorded(), recordings=tmp_path, simulated=True)
    assert sound.card is not None
    status = sound.intercom.status()
    assert (status["microphone"]["device"], status["speaker"]["device"]) == (expected, expected)
    real = Sound(config, log=Recorded(), recordings=tmp_path, simulated=False)
    assert real.card is None
    assert real.intercom.status()["microphone"]["device"] == device


async def test_files_for_a_card(tmp_path: Path) -> None:
    """In real time, with the real openers."""
    said = speech(1.0)
    with WavWriter(tmp_path / "in.wav") as wav:
        wav.write(said)
    log = Recorded()
    config = VoiceConfig(
        microphone=f"wav:{tmp_path / 'in.wav'}", speaker=f"wav:{tmp_path / 'out.wav'}", ring_message_s=1.5
    )
    sound = Sound(config, log=log, recordings=tmp_path / "recordings", simulated=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(sound.intercom.run, after=0))
        await trio.sleep(0.2)
        log.publish(CallChanged(call_id="c1", endpoint="bell", state="ringing"))
        with trio.fail_after(10):
            received = await receive(await sound.intercom.transmission(0))
        await trio.sleep(0.5)
        nursery.cancel_scope.cancel()
    assert align(said, decoded(received)).correlation > 0.9
    with wave.open(str(tmp_path / "out.wav")) as played:
        assert played.getframerate() == 16_000
    assert align(chime.ring(), read_wav(tmp_path / "out.wav")).correlation > 0.99
