"""What the fake can do beyond the ports: bounce, break, remember."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from hw.board import open_board, sim_endpoints
from hw.errors import HardwareError
from hw.fake import BOUNCE_5_MS, HISTORY_BOUND, FakePins, stable_changes
from hw.pins import ButtonPins, LockPins
from hw.ports import Edge


def levels(edges: list[Edge]) -> list[bool]:
    return [edge.active for edge in edges]


def test_the_simulated_door_opens() -> None:
    pins = FakePins()
    with open_board(sim_endpoints(), pins=pins) as board:
        assert board.failed == {}
        assert pins.input_names == ["doorbell", "motion", "smoke", "strike.contact", "tamper"]
        assert pins.output_names == ["siren", "staircase", "status", "strike"]
        pins.press("doorbell")
        assert board.inputs["doorbell"].active
        assert pins.level("doorbell")


def test_a_bounce_is_a_bounce() -> None:
    pins = FakePins()
    edges: list[Edge] = []
    pins.open_input("bell", ButtonPins(pin=17)).listen(edges.append)
    pins.bounce("bell")
    assert levels(edges) == [True, False] * 4 + [True]
    gaps = [later.at - earlier.at for earlier, later in pairwise(edges)]
    assert gaps == pytest.approx(BOUNCE_5_MS)
    pins.release("bell")
    assert edges[-1].at >= edges[-2].at


def test_the_glitch_filter_swallows_spikes() -> None:
    pins = FakePins()
    edges: list[Edge] = []
    pins.open_input("bell", ButtonPins(pin=17, glitch_us=2000)).listen(edges.append)
    pins.bounce("bell", [0.001])
    assert edges == []
    pins.bounce("bell")
    assert levels(edges) == [True]
    assert len(pins.history("bell")) == 2 + 9


@pytest.mark.parametrize(
    ("changes", "stable"),
    [
        ([], []),
        ([(True, 1.0)], [(True, 1.5)]),
        ([(True, 1.0), (False, 1.2)], []),
        ([(True, 1.0), (False, 1.5)], [(True, 1.5), (False, 2.0)]),
        ([(True, 1.0), (False, 2.0), (True, 2.1)], [(True, 1.5)]),
        ([(True, 1.0), (False, 1.1), (True, 1.2), (False, 3.0)], [(True, 1.7), (False, 3.5)]),
    ],
)
def test_stable_changes(changes: list[tuple[bool, float]], stable: list[tuple[bool, float]]) -> None:
    found = stable_changes([Edge(*change) for change in changes], 0.5)
    assert levels(found) == [active for active, _ in stable]
    assert [edge.at for edge in found] == pytest.approx([at for _, at in stable])


@pytest.mark.parametrize("callbacks", ["caller", "thread"])
def test_which_thread_calls_back(callbacks: str) -> None:
    pins = FakePins(callbacks="thread" if callbacks == "thread" else "caller")
    threads: list[int] = []
    pins.open_input("bell", ButtonPins(pin=17)).listen(lambda edge: threads.append(threading.get_ident()))
    pins.press("bell")
    assert (threads == [threading.get_ident()]) == (callbacks == "caller")


async def test_hold(autojump_clock: MockClock) -> None:
    pins = FakePins()
    port = pins.open_input("bell", ButtonPins(pin=17))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pins.hold, "bell", 2.0)
        await trio.sleep(1.9)
        assert port.active
        await trio.sleep(0.2)
        assert not port.active
        nursery.start_soon(pins.hold, "bell", 2.0)
        await trio.sleep(1.0)
        assert port.active
        nursery.cancel_scope.cancel()
    assert not port.active


def test_unplugged_is_deaf_and_dead() -> None:
    pins = FakePins()
    edges: list[Edge] = []
    port = pins.open_input("bell", ButtonPins(pin=17))
    port.listen(edges.append)
    pins.unplug("bell")
    pins.press("bell")
    assert edges == []
    with pytest.raises(HardwareError, match="bell: is unplugged"):
        _ = port.active
    with pytest.raises(HardwareError, match="is unplugged"):
        pins.open_input("bell", ButtonPins(pin=17))
    pins.heal("bell")
    assert port.active


def test_a_stuck_relay_stays_until_its_line_is_closed() -> None:
    pins = FakePins()
    line = pins.open_line("front", LockPins(pin=27))
    line.drive(True)
    pins.fail("front", "welded", "drive")
    with pytest.raises(HardwareError, match="front: welded"):
        line.drive(False)
    assert line.read()
    line.close()
    assert not pins.level("front")


def test_history_is_bounded() -> None:
    pins = FakePins()
    pins.open_input("bell", ButtonPins(pin=17))
    for _ in range(HISTORY_BOUND):
        pins.press("bell")
        pins.release("bell")
    assert len(pins.history("bell")) == HISTORY_BOUND
    assert pins.history("nobody") == ()


def test_only_opened_inputs_can_be_moved() -> None:
    pins = FakePins()
    pins.open_line("front", LockPins(pin=27))
    for name in ("front", "nobody"):
        with pytest.raises(HardwareError, match="not an open input"):
            pins.press(name)
        with pytest.raises(HardwareError, match="not an open input"):
            pins.bounce(name)


def test_closing_the_pins_drops_every_relay() -> None:
    with FakePins() as pins:
        pins.open_line("front", LockPins(pin=27)).drive(True)
    assert not pins.level("front")
