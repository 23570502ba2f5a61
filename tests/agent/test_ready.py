from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agent.ready import Ready


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ready.json"


def test_it_exists_only_while_everything_is_bound(path: Path) -> None:
    path.write_text("{}")  # of an agent that was killed
    ready = Ready(path)
    assert not path.exists()
    ready.ca = "/state/tls/ca.pem"
    ready.listening("zmes", "wss://127.0.0.1:9000/")
    assert not path.exists()
    ready.write()
    assert json.loads(path.read_text()) == {
        "pid": os.getpid(),
        "ca": "/state/tls/ca.pem",
        "listeners": {"zmes": "wss://127.0.0.1:9000/"},
    }
    ready.listening("zmes", "wss://127.0.0.1:9001/")
    ready.listening("web", "https://127.0.0.1:8443/")
    assert json.loads(path.read_text())["listeners"] == {
        "zmes": "wss://127.0.0.1:9001/",
        "web": "https://127.0.0.1:8443/",
    }
    ready.remove()
    ready.remove()
    assert not path.exists()
    ready.listening("late", "x")
    assert not path.exists()
    assert list(path.parent.iterdir()) == []


def test_a_disk_that_cannot_take_it_stops_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.with_suffix(".new").mkdir()
    ready = Ready(path)
    ready.write()
    ready.listening("zmes", "x")
    assert "not written" in caplog.text
    path.mkdir()
    ready.remove()
    assert "not removed" in caplog.text
    Ready(path)
