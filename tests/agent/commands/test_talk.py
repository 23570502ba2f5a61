"""`portero talk` as a client of a real door."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from harness.agent_process import AgentProcess
from harness.quick_door import PASSWORDS
from harness.residents import resident
from harness.sound import speech

from agent.voice.wav import WavWriter

Portero = Callable[..., Result]
CONFIG = """
[voice]
chimes = false
[workers.zello.server]
host = "127.0.0.1"
"""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    folder = tmp_path_factory.mktemp("talk")
    config = folder / "portero.toml"
    config.write_text(CONFIG)
    with AgentProcess(folder / "state", config=config) as agent:
        for name, password in PASSWORDS.items():
            agent.ask("user_add", name=name, role="resident", password=password)
        until_ns = time.time_ns() + 3_600_000_000_000
        agent.ask("user_add", name="gus", role="guest", password="nur bis sonntag", valid_until_ns=until_ns)
        yield agent


@pytest.fixture
def sound(tmp_path: Path) -> str:
    path = tmp_path / "answer.wav"
    with WavWriter(path) as writer:
        writer.write(speech(0.3))
    return str(path)


def test_a_talk_with_an_account_and_without(agent: AgentProcess, sound: str) -> None:
    done = agent.portero("talk", sound)
    assert (done.exit_code, done.stdout) == (0, "Front door: 0.3 s spoken\n"), done.stderr
    arguments = ["--user", "ana", "--password-stdin", "--channel", "House", "--json"]
    done = agent.portero("talk", sound, *arguments, typed=PASSWORDS["ana"] + "\n")
    assert json.loads(done.stdout) == {"channel": "House", "duration_s": 0.3}


@pytest.mark.parametrize(
    ("arguments", "typed", "code", "words"),
    [
        (["--user", "ana", "--password-stdin"], "wrong\n", 1, "refused account ana (not authorized)"),
        (["--user", "gus", "--password-stdin"], "nur bis sonntag\n", 1, "may not use the channel"),
        (["--channel", "front DOOR"], "", 1, "Upper and lower case count"),
        (["--url", "wss://127.0.0.1:1/ws"], "", 2, "--url needs --user NAME and --channel NAME"),
        (["--url", "https://door"], "", 2, "--url needs"),
        (["--password-stdin"], "x\n", 2, "--password-stdin needs --user"),
        (
            ["--url", "wss://127.0.0.1:1/ws", "--user", "a", "--channel", "b", "--password-stdin"],
            "x\n",
            75,
            "connection refused",
        ),
    ],
)
def test_what_is_refused_is_explained(
    agent: AgentProcess, sound: str, arguments: list[str], typed: str, code: int, words: str
) -> None:
    done = agent.portero("talk", sound, *arguments, typed=typed)
    assert done.exit_code == code, done.stderr
    assert words in done.stderr
    assert "wrong" not in done.stderr
    assert not done.stdout


async def test_a_busy_channel_is_told_so(agent: AgentProcess, sound: str) -> None:
    import trio

    async with resident(agent, "ben", "House") as ben:
        stream = await ben.start()
        await ben.send(stream, speech(0.1))
        done = await trio.to_thread.run_sync(lambda: agent.portero("talk", sound, "--channel", "House"))
        await ben.stop(stream)
    assert done.exit_code == 4
    assert "somebody else speaks" in done.stderr
    assert "Try again when they are done" in done.stderr


def test_what_is_no_sound_is_not_sent(agent: AgentProcess, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF....WAVE")
    done = agent.portero("talk", str(bad))
    assert done.exit_code == 1
    assert "Give a WAV file with PCM sound" in done.stderr
    with WavWriter(tmp_path / "empty.wav"):
        pass
    done = agent.portero("talk", str(tmp_path / "empty.wav"))
    assert done.exit_code == 1
    assert "there is no sound in it" in done.stderr
    assert agent.portero("talk", str(tmp_path / "none.wav")).exit_code == 2


def test_a_microphone_that_is_not_there(agent: AgentProcess) -> None:
    done = agent.portero("talk", "--microphone", f"wav:{agent.state_dir / 'none.wav'}")
    assert done.exit_code == 1
    assert "`portero audio devices` lists" in done.stderr


def test_a_door_without_channels(portero: Portero, state: Path, sound: str) -> None:
    assert portero("talk", sound).exit_code == 3
    (state / "ready.json").write_text('{"pid": 1, "ca": "", "listeners": {}}')
    done = portero("talk", sound)
    assert done.exit_code == 1
    assert "serves no voice channels" in done.stderr
    assert "[workers.zello.server]" in done.stderr
