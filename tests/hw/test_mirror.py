"""Relay levels seen from another process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import hw
from hw.board import open_board, sim_endpoints
from hw.errors import HardwareError
from hw.fake import FakePins
from hw.mirror import MAGIC, MAX_OUTPUTS, RECORD, Mirror, read_mirror

ROOT = Path(str(hw.__file__)).parent.parent


def energised(path: Path) -> set[str]:
    return {name for name, output in read_mirror(path).items() if output.energised}


def test_outputs_are_mirrored(tmp_path: Path) -> None:
    path = tmp_path / "relays"
    with FakePins(mirror=path) as pins, open_board(sim_endpoints(), pins=pins) as board:
        assert set(read_mirror(path)) == {"strike", "siren", "staircase", "status"}
        assert energised(path) == set()
        before = time.monotonic()
        board.locks["strike"].energise()
        board.lights["staircase"].on()
        assert energised(path) == {"strike", "staircase"}
        assert before <= read_mirror(path)["strike"].changed_at <= time.monotonic()
        board.locks["strike"].release()
        board.locks["strike"].release()
        assert energised(path) == {"staircase"}
        assert read_mirror(path)["strike"].changes == 2
        size = path.stat().st_size
        for _ in range(20):
            board.locks["strike"].energise()
            board.locks["strike"].release()
        assert path.stat().st_size == size
    assert energised(path) == set()


def test_a_killed_process_releases_everything(tmp_path: Path) -> None:
    path = tmp_path / "relays"
    script = (
        "import sys, pathlib, time\n"
        "from hw.board import open_board, sim_endpoints\n"
        "from hw.fake import FakePins\n"
        "board = open_board(sim_endpoints(), pins=FakePins(mirror=pathlib.Path(sys.argv[1])))\n"
        "board.locks['strike'].energise()\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert energised(path) == {"strike"}
        with pytest.raises(HardwareError, match="held by another process"):
            Mirror(path)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    assert energised(path) == set()
    assert read_mirror(path)["strike"].changes == 1
    Mirror(path).close()
    assert read_mirror(path) == {}


def test_missing_young_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "relays"
    assert read_mirror(path) == {}
    path.write_bytes(b"")
    assert read_mirror(path) == {}
    path.write_bytes(MAGIC + b"\0" * (RECORD.size - 1))
    assert read_mirror(path) == {}
    path.write_bytes(b"something else entirely")
    with pytest.raises(HardwareError, match="not a mirror file"):
        read_mirror(path)
    with pytest.raises(HardwareError, match="cannot be opened"):
        Mirror(tmp_path / "missing" / "relays")


def test_bounds(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "relays")
    for number in range(MAX_OUTPUTS):
        mirror.write(f"relay{number}", True, 1.0)
    assert len(read_mirror(tmp_path / "relays")) == MAX_OUTPUTS
    with pytest.raises(ValueError, match="more than 64"):
        mirror.write("one_more", True, 1.0)
    with pytest.raises(ValueError, match="longer than 40"):
        mirror.write("x" * 41, True, 1.0)
    mirror.close()
    mirror.close()
