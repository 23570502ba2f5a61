"""One suite for every implementation of the ports: gpiozero on mock pins, and the fake."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from harness.bench import Bench, FakeBench, MockBench
from msgspec.structs import replace

from hw.board import Board, open_board
from hw.errors import HardwareError
from hw.fake import FakePins
from hw.lamp import HALF_PERIODS_S
from hw.pins import (
    ButtonPins,
    ContactPins,
    DoorContactPins,
    EndpointPins,
    LedPins,
    LightPins,
    LockPins,
    SirenPins,
)
from hw.ports import Edge, LedPattern

WAIT_S = 5.0


def endpoints(*, inverted: bool) -> dict[str, EndpointPins]:
    """The same door twice: usual wiring, and everything the other way round."""
    door = DoorContactPins(pin=22, active_low=not inverted, pull="down" if inverted else "up")
    return {
        "bell": ButtonPins(pin=17, active_low=not inverted, pull="down" if inverted else "up"),
        "smoke": ContactPins(pin=6, role="smoke", normally_closed=not inverted),
        "front": LockPins(pin=27, active_low=inverted, door_contact=door, hold_s=0.1, max_hold_s=0.1),
        "gate": LockPins(pin=16, active_low=inverted, mode="fail_safe", hold_s=0.1, max_hold_s=0.1),
        "siren": SirenPins(pin=23, active_low=inverted, default_s=0.1, max_on_s=0.1),
        "stairs": LightPins(pin=24, active_low=inverted),
        "lamp": LedPins(pin=25, active_low=inverted),
    }


@pytest.fixture(params=["gpio", "gpio-inverted", "fake", "fake-inverted", "fake-thread"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    kind, _, variant = request.param.partition("-")
    if kind == "gpio":
        made: Bench = MockBench(endpoints(inverted=variant == "inverted"))
    else:
        made = FakeBench(FakePins(callbacks="thread" if variant == "thread" else "caller"))
    yield made
    made.pins.close()


@pytest.fixture
def door(request: pytest.FixtureRequest) -> dict[str, EndpointPins]:
    return endpoints(inverted="inverted" in request.node.callspec.id)


@pytest.fixture
def board(bench: Bench, door: dict[str, EndpointPins]) -> Iterator[Board]:
    with open_board(door, pins=bench.pins) as opened:
        for name in opened.inputs:
            bench.set(name, False)
        yield opened
    assert not any(bench.level(name) for name in ("front", "gate", "siren", "stairs", "lamp"))


def wait_for(condition: threading.Event) -> None:
    assert condition.wait(WAIT_S)


@pytest.mark.parametrize("name", ["bell", "smoke", "front.contact"])
class TestInput:
    def test_level_follows_the_wire(self, bench: Bench, board: Board, name: str) -> None:
        port = board.inputs[name]
        assert port.name == name
        assert port.active is False
        bench.set(name, True)
        assert port.active is True
        bench.set(name, False)
        assert port.active is False

    def test_changes_are_told_with_their_time(self, bench: Bench, board: Board, name: str) -> None:
        edges: list[Edge] = []
        board.inputs[name].listen(edges.append)
        before = time.monotonic()
        bench.set(name, True)
        bench.set(name, False)
        assert [edge.active for edge in edges] == [True, False]
        assert before <= edges[0].at <= edges[1].at <= time.monotonic()

    def test_no_change_no_edge(self, bench: Bench, board: Board, name: str) -> None:
        edges: list[Edge] = []
        board.inputs[name].listen(edges.append)
        bench.set(name, False)
        assert edges == []

    def test_a_second_listener_replaces_the_first(self, bench: Bench, board: Board, name: str) -> None:
        first: list[Edge] = []
        second: list[Edge] = []
        board.inputs[name].listen(first.append)
        board.inputs[name].listen(second.append)
        bench.set(name, True)
        assert (len(first), len(second)) == (0, 1)

    def test_stop_listening(self, bench: Bench, board: Board, name: str) -> None:
        edges: list[Edge] = []
        port = board.inputs[name]
        port.stop_listening()
        port.listen(edges.append)
        port.stop_listening()
        port.stop_listening()
        bench.set(name, True)
        assert edges == []
        assert port.active is True
        port.listen(edges.append)
        bench.set(name, False)
        assert [edge.active for edge in edges] == [False]

    def test_closed(self, bench: Bench, board: Board, name: str) -> None:
        edges: list[Edge] = []
        port = board.inputs[name]
        port.listen(edges.append)
        port.close()
        port.close()
        port.stop_listening()
        with pytest.raises(HardwareError) as caught:
            _ = port.active
        assert (caught.value.endpoint, caught.value.reason) == (name, "is closed")
        with pytest.raises(HardwareError):
            port.listen(edges.append)
        assert edges == []

    def test_broken_wire(self, bench: Bench, board: Board, name: str) -> None:
        bench.break_wire(name)
        with pytest.raises(HardwareError, match="broken on the bench"):
            _ = board.inputs[name].active
        bench.mend_wire(name)
        assert board.inputs[name].active is False


@pytest.mark.parametrize("name", ["front", "gate"])
class TestLock:
    def test_energise_and_release(self, bench: Bench, board: Board, name: str) -> None:
        lock = board.locks[name]
        assert lock.name == name
        assert not lock.energised
        lock.energise()
        assert lock.energised
        assert bench.level(name)
        lock.release()
        lock.release()
        assert not lock.energised
        assert not bench.level(name)

    def test_close_de_energises(self, bench: Bench, board: Board, name: str) -> None:
        lock = board.locks[name]
        lock.energise()
        lock.close()
        assert not bench.level(name)
        lock.close()
        lock.release()
        assert lock.energised is False
        with pytest.raises(HardwareError, match="is closed"):
            lock.energise()

    def test_release_of_a_broken_line_raises_only_when_energised(
        self, bench: Bench, board: Board, name: str
    ) -> None:
        lock = board.locks[name]
        bench.break_wire(name)
        lock.release()
        bench.mend_wire(name)
        lock.energise()
        bench.break_wire(name)
        with pytest.raises(HardwareError, match="broken on the bench"):
            lock.release()
        with pytest.raises(HardwareError):
            _ = lock.energised
        bench.mend_wire(name)
        lock.release()
        assert not bench.level(name)

    def test_energise_on_a_broken_line(self, bench: Bench, board: Board, name: str) -> None:
        lock = board.locks[name]
        bench.break_wire(name)
        with pytest.raises(HardwareError) as caught:
            lock.energise()
        assert caught.value.endpoint == name
        bench.mend_wire(name)
        assert not lock.energised
        lock.energise()
        assert bench.level(name)

    def test_opening_makes_no_pulse(self, bench: Bench, board: Board, name: str) -> None:
        assert True not in bench.levels(name)[1:]


def test_the_cut_off_needs_no_trio(bench: Bench, board: Board) -> None:
    struck = threading.Event()
    names: list[str] = []

    def on_cutoff(name: str) -> None:
        names.append(name)
        struck.set()

    board.listen_cutoff(on_cutoff)
    began = time.monotonic()
    board.locks["front"].energise()
    wait_for(struck)
    assert time.monotonic() - began >= 0.1
    assert names == ["front"]
    assert not bench.level("front")


def test_a_fail_safe_lock_is_never_cut_off(bench: Bench, board: Board) -> None:
    struck = threading.Event()
    board.listen_cutoff(lambda name: struck.set())
    board.locks["gate"].energise()
    board.sirens["siren"].on()
    wait_for(struck)
    assert not board.sirens["siren"].is_on
    assert board.locks["gate"].energised


def test_siren_and_light(bench: Bench, board: Board) -> None:
    for name, port in {**board.sirens, **board.lights}.items():
        assert port.name == name
        assert not port.is_on
        port.on()
        assert port.is_on
        assert bench.level(name)
        port.off()
        assert not port.is_on
        assert not bench.level(name)


def test_lamp_patterns(bench: Bench, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HALF_PERIODS_S, LedPattern.BLINK_FAST, 0.01)
    lamp = board.leds["lamp"]
    lamp.show(LedPattern.ON)
    assert bench.level("lamp")
    lamp.show(LedPattern.OFF)
    assert not bench.level("lamp")
    lamp.show(LedPattern.BLINK_FAST)
    assert bench.level("lamp")
    deadline = time.monotonic() + WAIT_S
    while len(bench.levels("lamp")) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    lamp.show(LedPattern.OFF)
    settled = len(bench.levels("lamp"))
    lamp.close()
    lamp.close()
    assert not bench.level("lamp")
    assert len(bench.levels("lamp")) <= settled + 1
    with pytest.raises(HardwareError, match="is closed"):
        lamp.show(LedPattern.ON)


def test_one_broken_endpoint_leaves_the_others(bench: Bench, door: dict[str, EndpointPins]) -> None:
    bench.break_wire("front")
    bench.break_wire("smoke")
    with open_board(door, pins=bench.pins) as board:
        assert set(board.failed) == {"front", "smoke"}
        assert board.failed["smoke"].endpoint == "smoke"
        bench.set("bell", True)
        assert board.inputs["bell"].active
        assert "front.contact" in board.inputs
        with pytest.raises(HardwareError):
            board.reopen("front")
        bench.mend_wire("front")
        board.reopen("front")
        assert set(board.failed) == {"smoke"}
        board.locks["front"].energise()
        assert bench.level("front")
    assert not bench.level("front")
    bench.mend_wire("smoke")


def test_a_board_can_be_opened_again(bench: Bench, door: dict[str, EndpointPins]) -> None:
    for _ in range(2):
        with open_board(door, pins=bench.pins) as board:
            assert board.failed == {}
            board.locks["front"].energise()
        assert not bench.level("front")


def test_an_exception_drops_every_relay(bench: Bench, door: dict[str, EndpointPins]) -> None:
    def die_at_work() -> None:
        with open_board(door, pins=bench.pins) as board:
            board.locks["front"].energise()
            board.locks["gate"].energise()
            board.sirens["siren"].on()
            board.lights["stairs"].on()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        die_at_work()
    assert not any(bench.level(name) for name in ("front", "gate", "siren", "stairs"))


def test_conflicting_pins_fail_alone(bench: Bench, door: dict[str, EndpointPins]) -> None:
    stairs = door["stairs"]
    assert isinstance(stairs, LightPins)
    door["stairs"] = replace(stairs, pin=27)
    with open_board(door, pins=bench.pins) as board:
        assert set(board.failed) == {"stairs"}
        assert "already belongs to front" in str(board.failed["stairs"])
