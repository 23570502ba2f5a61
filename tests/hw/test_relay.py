"""The cut-off of a relay under failure; the rest of its behaviour is in test_ports.py."""

from __future__ import annotations

import threading
import time

import pytest

import hw.relay
from hw.errors import HardwareError
from hw.relay import Relay, Switch

WAIT_S = 5.0


class ScriptedLine:
    """A line that remembers what it was told and fails while told to."""

    def __init__(self) -> None:
        self.level = False
        self.drives: list[bool] = []
        self.failing = False
        self.closed = False
        self.released = threading.Event()

    def drive(self, active: bool) -> None:
        self.drives.append(active)
        if self.failing:
            raise HardwareError("front", "does not answer")
        self.level = active
        if not active:
            self.released.set()

    def read(self) -> bool:
        return self.level

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def line() -> ScriptedLine:
    return ScriptedLine()


def test_a_cut_off_that_fails_tries_again(line: ScriptedLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hw.relay, "CUTOFF_RETRY_S", 0.01)
    struck = threading.Event()
    relay = Relay("front", line, max_on_s=0.01, on_cutoff=lambda name: struck.set())
    relay.energise()
    line.failing = True
    deadline = time.monotonic() + WAIT_S
    while line.drives.count(False) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert not struck.is_set()
    line.failing = False
    assert struck.wait(WAIT_S)
    assert not line.level


def test_a_release_that_fails_leaves_the_cut_off_armed(line: ScriptedLine) -> None:
    relay = Relay("front", line, max_on_s=0.2)
    relay.energise()
    line.failing = True
    with pytest.raises(HardwareError, match="front: does not answer"):
        relay.release()
    line.failing = False
    assert line.released.wait(WAIT_S)
    assert not line.level


def test_an_energise_that_fails_leaves_the_cut_off_armed(line: ScriptedLine) -> None:
    """The line may have been driven in spite of the error, and the release that follows failed as well."""
    relay = Relay("front", line, max_on_s=0.1)
    line.failing = True
    with pytest.raises(HardwareError):
        relay.energise()
    assert line.drives == [True, False]
    line.level = True
    line.failing = False
    assert line.released.wait(WAIT_S)
    assert not line.level


def test_a_second_energise_starts_the_maximum_anew(line: ScriptedLine) -> None:
    relay = Relay("front", line, max_on_s=0.4)
    relay.energise()
    time.sleep(0.25)
    relay.energise()
    time.sleep(0.25)
    assert relay.energised
    assert line.released.wait(WAIT_S)
    assert line.drives == [True, True, False]


def test_release_disarms(line: ScriptedLine) -> None:
    names: list[str] = []
    relay = Relay("front", line, max_on_s=0.05, on_cutoff=names.append)
    relay.energise()
    relay.release()
    time.sleep(0.15)
    assert names == []
    assert line.drives == [True, False]


def test_no_thread_no_energy(line: ScriptedLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    relay = Relay("front", line, max_on_s=5.0)
    with pytest.raises(HardwareError, match="no thread for its maximum"):
        relay.energise()
    assert line.drives == []


def test_closing_a_line_that_cannot_be_driven(line: ScriptedLine) -> None:
    relay = Relay("front", line, max_on_s=None)
    relay.energise()
    line.failing = True
    with pytest.raises(HardwareError):
        relay.close()
    assert line.closed
    relay.close()
    assert not relay.energised


def test_cut_off_threads_end_with_their_hold(line: ScriptedLine) -> None:
    siren = Switch("siren", line, max_on_s=60.0)
    siren.on()
    siren.on()
    siren.off()
    deadline = time.monotonic() + WAIT_S
    while any(thread.name == "cutoff siren" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
