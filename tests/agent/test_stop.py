"""An orderly stop in processes of their own, with real signals, and what happens when something hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from agent import stop
from agent.stop import EXIT_FORCED, StopRequest
from hw.mirror import read_mirror

DOOR = """
import logging, signal, sys, threading, time
from pathlib import Path
import trio
from agent import stop
from hw.board import open_board
from hw.fake import FakePins
from hw.pins import LockPins, SirenPins

stop.FORCED_AFTER_S = 0.3
stop.DROP_S = 0.3
logging.basicConfig()
logger = logging.getLogger("agent.stop")
folder = Path(sys.argv[1])
endpoints = {"strike": LockPins(pin=27), "siren": SirenPins(pin=23)}
pins = FakePins(mirror=folder / "relays.sim")


def drop():
    board.close()
    (folder / "dropped").touch()


async def main():
    with stop.StopRequest(drop) as request:
        async with trio.open_nursery() as nursery:
            await nursery.start(request.watch_signals)
            board.locks["strike"].energise()
            board.sirens["siren"].on()
            print("ready", flush=True)
            await request.wait()
            print(request.reason, flush=True)
            ENDING
            nursery.cancel_scope.cancel()


with open_board(endpoints, pins=pins) as board:
    trio.run(main)
"""
HANG = "time.sleep(60)"


def run_door(
    folder: Path, ending: str, number: int = signal.SIGTERM, extra: str = ""
) -> tuple[int, str, float]:
    """The exit code, what it said, and how long it took after the signal."""
    script = (
        DOOR.replace("ENDING", ending)
        if not extra
        else DOOR.replace("ENDING", ending).replace("async def main", extra + "\n\n\nasync def main", 1)
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            assert process.stdout.readline() == "ready\n"
            assert {name for name, out in read_mirror(folder / "relays.sim").items() if out.energised} == {
                "strike",
                "siren",
            }
            begun = time.monotonic()
            process.send_signal(number)
            process.wait(10)
            return process.returncode, process.stdout.read(), time.monotonic() - begun
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_stop(tmp_path: Path, number: int) -> None:
    code, text, _ = run_door(tmp_path, "pass", number)
    assert code == 0
    assert text == signal.Signals(number).name + "\n"
    assert not any(out.energised for out in read_mirror(tmp_path / "relays.sim").values())


def test_a_stop_that_hangs_drops_the_relays_and_leaves(tmp_path: Path) -> None:
    code, text, took_s = run_door(tmp_path, HANG)
    assert code == EXIT_FORCED
    assert (tmp_path / "dropped").exists()
    assert "leaving now" in text
    assert took_s < 3


def test_a_clean_up_that_waits_for_ever_is_cut_short_too(tmp_path: Path) -> None:
    shielded = "with trio.CancelScope(shield=True): await trio.sleep_forever()"
    code, _, _ = run_door(tmp_path, shielded)
    assert code == EXIT_FORCED
    assert (tmp_path / "dropped").exists()


@pytest.mark.parametrize(
    "extra",
    [
        "def drop():\n    time.sleep(60)",  # a relay whose mutex is held by what hangs
        "def drop():\n    raise OSError('no board')",
        "logging.getLogger().handlers[0].acquire()",  # a log that nobody reads any more
    ],
)
def test_it_leaves_whatever_hangs(tmp_path: Path, extra: str) -> None:
    code, _, took_s = run_door(tmp_path, HANG, extra=extra)
    assert code == EXIT_FORCED
    assert took_s < 3
    assert not any(out.energised for out in read_mirror(tmp_path / "relays.sim").values())


async def test_a_stop_in_time_is_not_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "FORCED_AFTER_S", 0.05)
    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail("left"))
    with StopRequest(lambda: pytest.fail("dropped")) as request:
        request.ask("test")
        await request.wait()
    await trio.sleep(0.2)


async def test_the_first_reason_counts(autojump_clock: MockClock) -> None:
    with StopRequest(lambda: None) as request:
        with trio.move_on_after(100) as waiting:
            await request.wait()
        assert waiting.cancelled_caught
        request.ask("SIGTERM")
        request.ask("SIGINT")
        await request.wait()
        assert request.reason == "SIGTERM"


async def test_a_real_signal_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    with StopRequest(lambda: None) as request:
        async with trio.open_nursery() as nursery:
            await nursery.start(request.watch_signals)
            os.kill(os.getpid(), signal.SIGTERM)
            with trio.fail_after(2):
                await request.wait()
            os.kill(os.getpid(), signal.SIGTERM)  # a second one changes nothing
            await trio.sleep(0.05)
            nursery.cancel_scope.cancel()
    assert request.reason == "SIGTERM"
