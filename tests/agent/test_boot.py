from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.boot import EPOCH_S, next_boot


def minutes() -> int:
    return int(time.time() - EPOCH_S) // 60


def test_starts_are_counted(tmp_path: Path) -> None:
    boots = [next_boot(tmp_path) for _ in range(5)]
    assert [boot.number for boot in boots] == [1, 2, 3, 4, 5]
    assert len({boot.id for boot in boots}) == 5
    assert json.loads((tmp_path / "boot.json").read_bytes()) == {"number": 5, "id": boots[-1].id}
    assert [path.name for path in tmp_path.iterdir()] == ["boot.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"{}",
        b'{"number": null}',
        b'{"number": "x"}',
        b'{"number": Infinity}',
        b'{"number": NaN}',
        b'{"number": 1e999}',
        b'{"number": -5}',
        b'{"number": 0}',
        b'{"number": true}',
        b'{"number": 1.5}',
        b'{"number": 1' + b"0" * 30 + b"}",
        b'{"number": 1' + b"0" * 5000 + b"}",
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_broken_counter_goes_on_far_above_any_honest_count(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "boot.json").write_bytes(content)
    first, second = next_boot(tmp_path), next_boot(tmp_path)
    assert minutes() - 1 <= first.number <= minutes()
    assert second.number == first.number + 1


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_any_file_gives_a_number(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "boot.json").write_bytes(content)
    assert next_boot(tmp_path).number >= 1


def test_a_directory_that_cannot_be_written_does_not_keep_the_bell_from_ringing(tmp_path: Path) -> None:
    (tmp_path / "boot.new").mkdir()  # works for root too
    assert next_boot(tmp_path).number >= minutes() - 1
    assert next_boot(tmp_path / "missing").number >= minutes() - 1
    assert not (tmp_path / "boot.json").exists()


def test_a_clock_that_was_never_set_still_gives_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    (tmp_path / "boot.json").write_bytes(b"?")
    assert next_boot(tmp_path).number == 1
