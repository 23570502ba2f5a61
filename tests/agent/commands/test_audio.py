from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from harness.scripted_agent import ScriptedAgent

import hw.audio
from agent.commands.audio import _bar
from hw.audio import AudioDevice

Portero = Callable[..., Result]
CARD = AudioDevice(name="plughw:CARD=Device,DEV=0", description="USB Audio", capture=True, playback=False)


def test_devices_by_name(portero: Portero, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hw.audio, "list_devices", lambda: [CARD])
    assert "plughw:CARD=Device,DEV=0  yes" in portero("audio", "devices").stdout
    assert json.loads(portero("audio", "devices", "--json").stdout) == [
        {
            "name": "plughw:CARD=Device,DEV=0",
            "description": "USB Audio",
            "capture": True,
            "playback": False,
        }
    ]


def test_no_devices_is_said(portero: Portero, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hw.audio, "list_devices", lambda: [])
    assert "no sound devices" in portero("audio", "devices").stdout


def test_silence_in_the_test_is_said(portero: Portero, state: Path) -> None:
    with ScriptedAgent(state, audio_test={"heard": {"rms_dbfs": -80.0, "peak_dbfs": -70.0}}):
        done = portero("audio", "test")
    assert "heard -80.0 dBFS, peak -70.0" in done.stdout
    assert "silence" in done.stdout
    with ScriptedAgent(state, audio_test={"heard": {"rms_dbfs": -20.0, "peak_dbfs": -7.0}}):
        assert "silence" not in portero("audio", "test").stdout


def test_levels_need_an_agent(portero: Portero) -> None:
    assert portero("audio", "levels").exit_code == 3


@pytest.mark.parametrize(
    ("level", "filled"),
    [(None, 0), ({"rms_dbfs": -96.0}, 0), ({"rms_dbfs": -30.0}, 15), ({"rms_dbfs": 3.0}, 30)],
)
def test_a_bar_has_its_length(level: dict[str, float] | None, filled: int) -> None:
    assert _bar(level).count("#") == filled
