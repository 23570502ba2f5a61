"""What the tests of the commands share: a state directory, and a way to run one command in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import cli

Portero = Callable[..., Result]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def portero(state: Path, monkeypatch: pytest.MonkeyPatch) -> Portero:
    """Run `portero ARGUMENTS…` against the state directory, as main() would."""
    monkeypatch.setenv("PORTERO_STATE", str(state))

    def run(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(
            cli, list(arguments), input=stdin, prog_name="portero", catch_exceptions=False
        )

    return run
