from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result

Portero = Callable[..., Result]
GOOD = """
[endpoints.doorbell]
kind = "button"
pin = 17
[workers.zmes.server]
port = 9000
"""
BAD = """
[endpoints.doorbell]
kind = "button"
pin = 99
[dor]
name = "x"
"""


def test_good_file(portero: Portero, tmp_path: Path) -> None:
    path = tmp_path / "portero.toml"
    path.write_text(GOOD)
    done = portero("check-config", "--config", str(path))
    assert done.exit_code == 0
    assert done.stdout == f"{path}: sound\n  endpoints: doorbell\n  protocols: zmes\n"
    as_json = json.loads(portero("check-config", "--config", str(path), "--json").stdout)
    assert as_json == {
        "ok": True,
        "file": str(path),
        "errors": [],
        "endpoints": ["doorbell"],
        "workers": ["zmes"],
    }


def test_every_mistake_is_told(portero: Portero, tmp_path: Path) -> None:
    path = tmp_path / "portero.toml"
    path.write_text(BAD)
    done = portero("check-config", "--config", str(path))
    assert done.exit_code == 78
    assert "portero: endpoints.doorbell.pin: expected" in done.stderr
    assert "portero: dor: unknown; did you mean 'door'?" in done.stderr
    as_json = portero("check-config", "--config", str(path), "--json")
    assert as_json.exit_code == 78
    told = json.loads(as_json.stdout)
    assert told["ok"] is False
    assert {error["path"] for error in told["errors"]} == {"endpoints.doorbell.pin", "dor"}


def test_example_of_the_documentation(portero: Portero, tmp_path: Path) -> None:
    text = Path(__file__).parents[3].joinpath("docs", "operations.md").read_text()
    path = tmp_path / "portero.toml"
    path.write_text(text.split("```toml\n")[1].split("```")[0])
    done = portero("check-config", "--config", str(path))
    assert done.exit_code == 0, done.stderr
    shown = done.stdout.split("\n", 1)[1]
    assert shown in text


def test_missing_file(portero: Portero, tmp_path: Path) -> None:
    done = portero("check-config", "--config", str(tmp_path / "none.toml"))
    assert done.exit_code == 78
    assert "no such file" in done.stderr
    assert "portero run --sim" in done.stderr
