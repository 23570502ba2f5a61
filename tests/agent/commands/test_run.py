from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from agent import app
from agent.cli import cli
from agent.commands.run import Greeter
from agent.model.errors import ConfigError

Portero = Callable[..., Result]
GREETING = app.Greeting(
    ready={"pid": 1, "ca": "/s/tls/ca.pem", "listeners": {"zmes": "wss://127.0.0.1:9000/"}},
    first_admin=("admin", "correct-horse"),
    fingerprint="AB:CD",
    simulated=True,
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What app.run was called with; the run itself is proven in tests/flows."""
    noted: list[dict[str, Any]] = []

    def run(config: Any, **arguments: Any) -> int:
        noted.append({"config": config, **arguments})
        arguments["greet"](GREETING)
        return 7

    monkeypatch.setattr(app, "run", run)
    monkeypatch.setattr("agent.logs.start_logging", lambda level: noted.append({"level": level}))
    return noted


def test_simulated_door_needs_nothing(
    calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("PORTERO_STATE", raising=False)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["run", "--sim", "--any-port"])
    assert done.exit_code == 7
    call = calls[-1]
    assert (call["state_dir"], call["simulated"], call["any_port"]) == (Path(".state"), True, True)
    assert "strike" in call["config"].endpoints
    assert call["greet"]._servers == {"zmes": "::", "zello": "::", "deconz": "127.0.0.1"}
    assert "wss://127.0.0.1:9000/" in done.stdout
    assert "AB:CD" in done.stdout


def test_real_door_reads_its_file(
    calls: list[dict[str, Any]], portero: Portero, state: Path, tmp_path: Path
) -> None:
    path = tmp_path / "portero.toml"
    path.write_text('[door]\nname = "Gate"\n')
    portero("run", "--config", str(path))
    call = calls[-1]
    assert (call["state_dir"], call["simulated"], call["any_port"]) == (state, False, False)
    assert call["config"].door.name == "Gate"


def test_file_may_be_tried_on_the_simulated_board(
    calls: list[dict[str, Any]], portero: Portero, tmp_path: Path
) -> None:
    path = tmp_path / "portero.toml"
    path.write_text('[door]\nname = "Gate"\n')
    portero("run", "--sim", "--config", str(path))
    assert calls[-1]["config"].door.name == "Gate"
    assert "doorbell" in calls[-1]["config"].endpoints


def test_bad_file_does_not_start(calls: list[dict[str, Any]], portero: Portero, tmp_path: Path) -> None:
    path = tmp_path / "portero.toml"
    path.write_text("[dor]\n")
    done = portero("run", "--config", str(path))
    assert done.exit_code == 78
    assert "did you mean 'door'?" in done.stderr
    assert not calls


def test_log_level(calls: list[dict[str, Any]], portero: Portero) -> None:
    portero("run", "--sim")
    portero("run", "--sim", "--verbose")
    assert [call["level"] for call in calls if "level" in call] == [logging.INFO, logging.DEBUG]


def test_state_directory_in_use(portero: Portero, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.logs.start_logging", lambda level: None)

    def run(config: Any, **arguments: Any) -> int:
        raise ConfigError("/s", "another agent is running on this state directory")

    monkeypatch.setattr(app, "run", run)
    done = portero("run", "--sim")
    assert done.exit_code == 78
    assert done.stderr == "portero: /s: another agent is running on this state directory\n"


def test_first_password_goes_to_a_terminal_and_into_no_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    greet = Greeter(Path("/somewhere"))
    greet(GREETING)
    logged = capsys.readouterr().out
    assert "correct-horse" not in logged
    assert "`portero user password admin --state /somewhere` sets its password" in logged
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    greet(GREETING)
    shown = capsys.readouterr().out
    assert "password correct-horse" in shown
    assert "portero sim press --state /somewhere" in shown


def test_terminal_is_told_the_addresses_for_other_devices(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("door", "door.local", "localhost", "127.0.0.1", "::1", "192.0.2.7", "fd00::7")
    monkeypatch.setattr("agent.net.addresses.own_names", lambda: names)
    Greeter(Path("/s"), servers={"zmes": "::"})(GREETING)
    assert "192.0.2.7" not in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    Greeter(Path("/s"), servers={"zmes": "::"})(GREETING)
    shown = capsys.readouterr().out
    assert (
        "  zmes      wss://127.0.0.1:9000/\n            wss://192.0.2.7:9000/ from other devices\n" in shown
    )
    assert "wss://[fd00::7]:9000/" in shown
    assert "localhost" not in shown
    Greeter(Path("/s"), servers={"zmes": "127.0.0.1", "web": "::"})(GREETING)
    shown = capsys.readouterr().out
    assert "192.0.2.7" not in shown
    assert "  web       does not listen yet: the log tells why\n" in shown


def test_commands_are_told_as_they_have_to_be_typed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "bin" / "portero"
    script.parent.mkdir()
    script.touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(script)])
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("PATH", "/nonexistent")
    Greeter(Path(".state"))(GREETING)
    assert "  bin/portero sim press   ring" in capsys.readouterr().out
    monkeypatch.setenv("PATH", str(script.parent))
    Greeter(Path(".state"))(GREETING)
    assert "  portero sim press   ring" in capsys.readouterr().out


def test_real_door_is_not_told_to_play(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    greeting = app.Greeting(ready=GREETING.ready, first_admin=None, fingerprint="AB", simulated=False)
    Greeter(Path("/var/lib/portero"))(greeting)
    shown = capsys.readouterr().out
    assert "sim" not in shown
    assert "password" not in shown
