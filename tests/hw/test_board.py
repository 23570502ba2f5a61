"""Opening and closing a board when things go wrong; ports themselves are in test_ports.py."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

import hw
from hw.board import Board, open_board, sim_endpoints
from hw.errors import HardwareError, PinConflict
from hw.fake import FakeInput, FakeLine, FakePins
from hw.pins import ButtonPins, EndpointPins, InputPins, LightPins, LockPins, OutputPins

ROOT = Path(str(hw.__file__)).parent.parent


class ExplodingPins(FakePins):
    """A pin source with a bug: one endpoint raises what nobody translates."""

    def open_input(self, name: str, pins: InputPins) -> FakeInput:
        if name == "tamper":
            raise ZeroDivisionError
        return super().open_input(name, pins)


class CountingPins(FakePins):
    """A pin source that knows which lines are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open_lines: set[str] = set()

    def open_line(self, name: str, pins: OutputPins) -> FakeLine:
        line = super().open_line(name, pins)
        self.open_lines.add(name)
        return line

    def let_go(self, name: str) -> None:
        super().let_go(name)
        self.open_lines.discard(name)


def test_a_bug_while_opening_closes_what_was_opened() -> None:
    class Both(ExplodingPins, CountingPins):
        pass

    pins = Both()
    with pytest.raises(ZeroDivisionError):
        open_board(sim_endpoints(), pins=pins)
    assert pins.output_names == ["siren", "staircase", "strike"]
    assert pins.open_lines == set()


def test_a_relay_that_cannot_be_de_energised_does_not_stop_the_close(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pins = CountingPins()
    with caplog.at_level(logging.ERROR), open_board(sim_endpoints(), pins=pins) as board:
        board.sirens["siren"].on()
        board.locks["strike"].energise()
        pins.fail("siren", "no answer", "drive")
    assert pins.open_lines == set()
    assert not pins.level("strike")
    assert "output not de-energised at close endpoint=siren reason=no answer" in caplog.text
    board.close()


def test_reopen_replaces_the_port() -> None:
    pins = FakePins()
    with open_board(sim_endpoints(), pins=pins) as board:
        before = board.locks["strike"]
        before.energise()
        board.reopen("strike")
        assert not pins.level("strike")
        assert board.locks["strike"] is not before
        pins.fail("doorbell")
        with pytest.raises(HardwareError):
            board.reopen("doorbell")
        assert "doorbell" not in board.inputs
        assert set(board.failed) == {"doorbell"}
        pins.heal("doorbell")
        board.reopen("doorbell")
        assert board.failed == {}
        with pytest.raises(KeyError):
            board.reopen("nobody")


def test_a_conflict_stays_a_conflict() -> None:
    endpoints: dict[str, EndpointPins] = {
        "bell": ButtonPins(pin=17),
        "door": LockPins(pin=17),
        "stairs": LightPins(pin=24),
    }
    with open_board(endpoints, pins=FakePins()) as board:
        assert isinstance(board.failed["door"], PinConflict)
        with pytest.raises(PinConflict, match="GPIO17 already belongs to bell"):
            board.reopen("door")
        assert set(board.inputs) == {"bell"}
        assert set(board.lights) == {"stairs"}


def test_a_cutoff_without_a_listener_is_silent() -> None:
    board = Board(sim_endpoints(), FakePins())
    names: list[str] = []
    board._cutoff("strike")
    board.listen_cutoff(names.append)
    board._cutoff("strike")
    board.listen_cutoff(None)
    board._cutoff("strike")
    assert names == ["strike"]


def test_a_simulated_board_is_lean() -> None:
    """gpiozero costs 60 ms and some megabytes that a simulated agent does not need."""
    script = (
        "import sys, hw.board, hw.chip, hw.edges, hw.fake, hw.ports\n"
        "print([name for name in ('gpiozero', 'lgpio', 'agent', 'native') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
