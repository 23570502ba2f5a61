from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from harness.scripted_agent import ScriptedAgent

from agent.cli import COMMANDS, cli
from agent.model.errors import (
    AgentError,
    AuthenticationError,
    ConfigError,
    ConfigErrors,
    EndpointError,
    PeerError,
)

PORTERO = [sys.executable, "-m", "agent"]
HEAVY = {"rich", "trio", "httpx", "msgspec", "cryptography", "agent.config", "agent.app", "sqlite3", "ssl"}


def commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))
    yield path, command


ALL = dict(commands(cli))


def test_help_lists_every_command_without_importing_one() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from agent.cli import cli, COMMANDS\n"
        "text = CliRunner().invoke(cli, ['--help']).output\n"
        "assert all(name in text and entry[2] in text for name, entry in COMMANDS.items()), text\n"
        "print(*sorted(name for name in sys.modules if name.startswith('agent')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "agent",
        "agent.cli",
        "agent.commands",
        "agent.commands.exits",
        "agent.commands.state",
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_list_says_what_the_command_says_of_itself(name: str) -> None:
    command = ALL[(name,)]
    assert command.name == name
    assert command.get_short_help_str(limit=200) == COMMANDS[name][2]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_each_command_has_help_and_takes_state(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, [*path, "--help"])
    assert done.exit_code == 0
    assert "--state DIR" in done.output
    assert ALL[path].help


@pytest.mark.parametrize(
    "path",
    [
        path
        for path, command in ALL.items()
        if not isinstance(command, click.Group)
        and path not in {("run",), ("completion",), ("netatmo", "picture")}
    ],
    ids=" ".join,
)
def test_each_command_can_speak_json(path: tuple[str, ...]) -> None:
    assert any(parameter.name == "as_json" for parameter in ALL[path].params)


def test_unlock_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; from agent.cli import main\n"
        "try: main()\n"
        "except SystemExit as leaving: print(leaving.code)\n"
        "print(*sys.modules)"
    )
    command = [sys.executable, "-c", program, "unlock", "strike", "--state", str(tmp_path)]
    with ScriptedAgent(tmp_path, submit={"outcome": "done", "action_id": "a1"}):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, code, modules = done.stdout.splitlines()
    assert (first, code) == ("strike: unlocked", "0")
    assert not HEAVY & set(modules.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--state", "{b}", "status"],
        ["status", "--state", "{b}"],
        ["--state", "{a}", "status", "--state", "{b}"],
    ],
)
def test_state_is_taken_before_and_after_the_command(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    second.mkdir()
    monkeypatch.setenv("PORTERO_STATE", str(tmp_path / "c"))
    filled = [argument.format(a=first, b=second) for argument in arguments]
    with ScriptedAgent(second) as agent:
        assert CliRunner().invoke(cli, filled).exit_code == 0
        assert agent.asked


def test_state_of_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORTERO_STATE", raising=False)
    (tmp_path / ".state").mkdir()
    (tmp_path / ".state" / "ready.json").write_text("{}")
    with ScriptedAgent(Path(".state")):
        assert CliRunner().invoke(cli, ["status"]).exit_code == 0


def test_system_state_is_the_last_resort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORTERO_STATE", raising=False)
    monkeypatch.setattr("agent.commands.state.SYSTEM_STATE", tmp_path / "var")
    done = CliRunner().invoke(cli, ["status"])
    assert done.exit_code == 3
    assert f"no agent is running in {tmp_path / 'var'}" in done.stderr


def test_misspelt_command_gets_a_suggestion() -> None:
    done = CliRunner().invoke(cli, ["unlok"])
    assert done.exit_code == 2
    assert "Did you mean 'unlock'?" in done.stderr
    done = CliRunner().invoke(cli, ["zzz"])
    assert done.exit_code == 2
    assert "No command 'zzz'" in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (
            ConfigErrors([ConfigError("a.b", "x"), ConfigError("c", "y")]),
            78,
            "portero: a.b: x\nportero: c: y\n",
        ),
        (ConfigError("state", "no"), 78, "portero: state: no\n"),
        (PeerError("gone"), 75, "portero: gone\n"),
        (EndpointError("strike", "stuck"), 5, "portero: strike: stuck\n"),
        (AuthenticationError("no"), 1, "portero: no\n"),
        (AgentError("odd\x1b[31m"), 1, "portero: odd\\x1b[31m\n"),
        (FileNotFoundError(2, "No such file", "/x"), 1, "portero: /x: No such file\n"),
        (PermissionError(13, "Permission denied", "/x"), 1, "sudo"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
    ],
)
def test_expected_error_becomes_a_text_and_a_code(
    error: BaseException, code: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**arguments: object) -> None:
        raise error

    monkeypatch.setattr(ALL[("version",)], "callback", fails)
    done = CliRunner().invoke(cli, ["version"])
    assert done.exit_code == code
    assert text in done.stderr
    assert bool(done.stderr) == bool(text)
    assert done.stdout == ""


def test_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ALL[("version",)], "callback", fails)
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(cli, ["version"], catch_exceptions=False)


def test_ctrl_c_is_quiet(tmp_path: Path) -> None:
    command = [*PORTERO, "events", "--follow", "--state", str(tmp_path)]
    waiting = threading.Event()
    with ScriptedAgent(tmp_path) as agent:
        agent.hold(waiting)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert waiting.wait(10)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert "Aborted" not in err


def test_broken_pipe_is_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # what is left in a buffer is the hard part
    reading, writing = os.pipe()
    os.close(reading)
    with ScriptedAgent(tmp_path):
        done = subprocess.run(
            [*PORTERO, "status", "--state", str(tmp_path)],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_terminal_gets_a_ruled_table(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "140"}
    with ScriptedAgent(tmp_path):
        done = subprocess.run(
            [*PORTERO, "status", "--state", str(tmp_path)],
            stdout=theirs,
            stderr=theirs,
            env=environ,
            check=False,
        )
    os.close(theirs)
    text = b""
    try:
        while chunk := os.read(ours, 65_536):
            text += chunk
    except OSError:
        pass  # Linux says EIO at the end of a terminal
    os.close(ours)
    assert done.returncode == 0
    assert "────" in text.decode()
    assert "Staircase light" in text.decode()


def test_exit_codes_stand_in_the_reference() -> None:
    from agent.commands import exits

    reference = Path(__file__).parents[2].joinpath("docs", "cli.md").read_text()
    codes = [value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)]
    assert len(codes) == 10
    assert not [code for code in codes if f"| {code} |" not in reference]


@pytest.mark.parametrize("path", [path for path in ALL if path], ids=" ".join)
def test_each_command_stands_in_the_reference(path: tuple[str, ...]) -> None:
    reference = Path(__file__).parents[2].joinpath("docs", "cli.md").read_text()
    command = ALL[path]
    assert f"portero {' '.join(path)}" in reference
    for parameter in command.params:
        for option in parameter.opts if isinstance(parameter, click.Option) else ():
            assert option in reference, f"{option} of {path} is nowhere in docs/cli.md"
