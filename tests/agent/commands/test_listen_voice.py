"""`portero listen --voice FILE` as a client of a real door."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from harness.agent_process import AgentProcess
from harness.quick_door import PASSWORDS
from harness.residents import resident
from harness.sound import align, speech

from agent.voice.ogg import read_ogg_opus
from agent.voice.wav import read_wav

Portero = Callable[..., Result]
CONFIG = """
[voice]
chimes = false
[workers.zello.server]
host = "127.0.0.1"
"""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    folder = tmp_path_factory.mktemp("listen")
    config = folder / "portero.toml"
    config.write_text(CONFIG)
    with AgentProcess(folder / "state", config=config) as agent:
        for name, password in PASSWORDS.items():
            agent.ask("user_add", name=name, role="resident", password=password)
        yield agent


@pytest.mark.parametrize("ending", ["wav", "ogg", "opus"])
async def test_talks_are_recorded_and_told(agent: AgentProcess, tmp_path: Path, ending: str) -> None:
    import trio

    path, said = tmp_path / f"house.{ending}", speech(0.8)
    command = [sys.executable, "-m", "agent", "listen", "--state", str(agent.state_dir), "--json", "-n", "2"]
    command += ["--voice", str(path), "--channel", "House"]
    async with resident(agent, "ben", "House") as ben:
        before = agent.ask("status")["workers"]["zello"]["page"]["logons"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            while agent.ask("status")["workers"]["zello"]["page"]["logons"] == before:
                await trio.sleep(0.05)
            await ben.say(said)
            await ben.say(said)
            out, err = await trio.to_thread.run_sync(lambda: process.communicate(timeout=10))
    assert process.returncode == 0, err
    talks = [json.loads(line) for line in out.splitlines()]
    assert [(talk["channel"], talk["from"], talk["duration_s"]) for talk in talks] == [
        ("House", "ben", 0.8),
        ("House", "ben", 0.8),
    ]
    if ending == "wav":
        assert align(said, read_wav(path)[:25_600]).correlation > 0.8
    else:
        assert read_ogg_opus(path).duration_us == pytest.approx(1_600_000, abs=25_000)


def test_ctrl_c_leaves_a_whole_file(agent: AgentProcess, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    command = [sys.executable, "-m", "agent", "listen", "--state", str(agent.state_dir), "--voice", str(path)]
    before = agent.ask("status")["workers"]["zello"]["page"]["logons"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while agent.ask("status")["workers"]["zello"]["page"]["logons"] == before:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, "", "")
    assert read_wav(path) == b""


@pytest.mark.parametrize(
    ("arguments", "typed", "code", "words"),
    [
        (["--voice", "x.mp3"], "", 2, "expected FILE.wav, FILE.ogg or FILE.opus, got '.mp3'"),
        (["--voice", "x"], "", 2, "got 'no ending'"),
        (["--channel", "House"], "", 2, "--channel goes with --voice"),
        (["--voice", "x.wav", "--escontrol"], "", 2, "neither with --monitors nor with --escontrol"),
        (["--voice", "none/x.wav"], "", 1, "No such file or directory"),
        (["--voice", "x.wav", "--channel", "Garden"], "", 1, "Upper and lower case count"),
        (
            ["--voice", "x.wav", "--user", "ana", "--password-stdin"],
            "wrong\n",
            1,
            "refused to let this account",
        ),
    ],
)
def test_what_is_refused_is_explained(
    agent: AgentProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    typed: str,
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = agent.portero("listen", *arguments, typed=typed)
    assert done.exit_code == code, done.stderr
    assert words in done.stderr
    assert "wrong" not in done.stderr
