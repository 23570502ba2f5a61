"""The bridge into trio, and debounced feeds on the fake board."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hw.edges import EDGE_BOUND, Bridge, EdgeFeed
from hw.errors import HardwareError
from hw.fake import FakePins
from hw.pins import ButtonPins
from hw.ports import Edge, Input

DEBOUNCE_S = 0.05


@pytest.fixture(params=["caller", "thread"])
def pins(request: pytest.FixtureRequest) -> FakePins:
    return FakePins(callbacks=request.param)


@pytest.fixture
def bell(pins: FakePins) -> Input:
    return pins.open_input("bell", ButtonPins(pin=17))


@pytest.fixture
async def feed(bell: Input) -> AsyncIterator[EdgeFeed]:
    async with EdgeFeed(bell, DEBOUNCE_S) as opened:
        yield opened


async def collect(feed: EdgeFeed, for_s: float) -> list[bool]:
    """The edges of the next for_s seconds of trio's clock."""
    edges = []
    with trio.move_on_after(for_s):
        while True:
            edges.append((await feed.receive()).active)
    return edges


async def test_a_press_is_delivered_at_once(
    pins: FakePins, feed: EdgeFeed, autojump_clock: MockClock
) -> None:
    before = time.monotonic()
    began = trio.current_time()
    pins.press("bell")
    edge = await anext(feed)
    assert edge.active
    assert before <= edge.at <= time.monotonic()
    assert trio.current_time() == began
    assert feed.active


async def test_a_release_inside_the_window(pins: FakePins, feed: EdgeFeed, autojump_clock: MockClock) -> None:
    began = trio.current_time()
    pins.press("bell")
    pins.release("bell")
    assert (await feed.receive()).active
    assert not (await feed.receive()).active
    assert trio.current_time() - began == pytest.approx(DEBOUNCE_S)
    assert not feed.active


async def test_a_bouncing_press_is_one_press(
    pins: FakePins, feed: EdgeFeed, autojump_clock: MockClock
) -> None:
    pins.bounce("bell")
    assert await collect(feed, 1.0) == [True]
    pins.bounce("bell")
    assert await collect(feed, 1.0) == [False]
    assert (feed.changes, feed.ignored, feed.dropped) == (18, 16, 0)


async def test_presses_apart_are_all_delivered(
    pins: FakePins, feed: EdgeFeed, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ring() -> None:
            for _ in range(3):
                await trio.sleep(0.5)
                await pins.hold("bell", 0.2)

        assert await collect(feed, 3.0) == [True, False] * 3


async def test_a_bounce_in_real_time_from_a_foreign_thread() -> None:
    pins = FakePins()
    bell = pins.open_input("bell", ButtonPins(pin=17))

    def chatter() -> None:
        until = time.monotonic() + 0.005
        while time.monotonic() < until:
            pins.press("bell")
            pins.release("bell")
        pins.press("bell")

    async with EdgeFeed(bell, 0.25) as feed:  # wide enough for a busy machine to stall in
        await trio.to_thread.run_sync(chatter)
        assert await collect(feed, 0.4) == [True]


async def test_a_stuck_chattering_contact(pins: FakePins, bell: Input, autojump_clock: MockClock) -> None:
    told: list[bool] = []
    edges: list[bool] = []

    async def listen(feed: EdgeFeed) -> None:
        edges.extend(await collect(feed, 20.0))

    async with EdgeFeed(bell, DEBOUNCE_S, on_chatter=told.append) as feed:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, feed)
            await wait_all_tasks_blocked()
            for _ in range(300):
                pins.bounce("bell", [0.001] * 9)  # each burst lasts 9 ms and ends where it began
                await trio.sleep(0.01)
            assert feed.chattering
            assert told == [True]
        assert edges == [True, False]
        assert not feed.chattering
        assert told == [True, False]
        assert feed.changes == 3000
        assert feed.dropped == 0


async def test_trio_wakes_once_per_window(autojump_clock: MockClock) -> None:
    contact = _CountingInput()
    edges: list[bool] = []

    async def listen(feed: EdgeFeed) -> None:
        edges.extend(await collect(feed, 3.0))

    async with EdgeFeed(contact, DEBOUNCE_S) as feed, trio.open_nursery() as nursery:
        nursery.start_soon(listen, feed)
        await wait_all_tasks_blocked()
        contact.reads = 0
        for _ in range(999):
            contact.move()
            await trio.sleep(0.001)
        assert contact.reads <= 1.0 / DEBOUNCE_S + 1
    assert edges == [True]


class _CountingInput:
    """An input whose every read is counted, moved by hand."""

    name = "contact"

    def __init__(self) -> None:
        self.reads = 0
        self.level = False
        self.callback: object = None

    @property
    def active(self) -> bool:
        self.reads += 1
        return self.level

    def listen(self, callback: object) -> None:
        self.callback = callback

    def stop_listening(self) -> None:
        self.callback = None

    def close(self) -> None:
        self.callback = None

    def move(self) -> None:
        self.level = not self.level
        assert callable(self.callback)
        self.callback(Edge(self.level, time.monotonic()))


async def test_a_change_between_reading_and_listening(autojump_clock: MockClock) -> None:
    class Moves(_CountingInput):
        def listen(self, callback: object) -> None:
            super().listen(callback)
            self.level = True

    async with EdgeFeed(Moves(), DEBOUNCE_S) as feed:
        assert not feed.active
        assert (await feed.receive()).active


async def test_a_reader_that_was_away_gets_the_level_right(
    pins: FakePins, bell: Input, autojump_clock: MockClock
) -> None:
    async with EdgeFeed(bell, 0.0) as feed:
        for _ in range(EDGE_BOUND + 5):
            pins.press("bell")
            pins.release("bell")
        pins.press("bell")
        assert feed.dropped == 2 * (EDGE_BOUND + 5) + 1 - EDGE_BOUND
        edges = await collect(feed, 1.0)
        assert edges == [index % 2 == 0 for index in range(len(edges))]
        assert len(edges) == EDGE_BOUND + 1
        assert edges[-1] is True
        pins.release("bell")
        assert await collect(feed, 1.0) == [False]


async def test_reading_fails_after_a_change(
    pins: FakePins, feed: EdgeFeed, autojump_clock: MockClock
) -> None:
    pins.press("bell")
    assert (await feed.receive()).active
    pins.fail("bell", "wire is cut", "read")
    began = trio.current_time()
    for _ in range(3):
        with pytest.raises(HardwareError, match="wire is cut"):
            await feed.receive()
    assert trio.current_time() - began == pytest.approx(3 * DEBOUNCE_S)
    pins.heal("bell")
    pins.release("bell")
    assert not (await feed.receive()).active


async def test_opening_on_a_broken_input(pins: FakePins, bell: Input) -> None:
    pins.unplug("bell")
    with pytest.raises(HardwareError, match="is unplugged"):
        async with EdgeFeed(bell, DEBOUNCE_S):
            raise AssertionError("opened")


async def test_an_unplugged_input_catches_up_after_healing(
    pins: FakePins, feed: EdgeFeed, autojump_clock: MockClock
) -> None:
    pins.unplug("bell")
    pins.press("bell")
    assert await collect(feed, 1.0) == []
    pins.heal("bell")
    pins.release("bell")
    pins.press("bell")
    assert await collect(feed, 1.0) == [True]


async def test_cancellation_loses_no_edge(pins: FakePins, feed: EdgeFeed, autojump_clock: MockClock) -> None:
    with trio.move_on_after(1.0):
        await feed.receive()
    pins.press("bell")
    with trio.CancelScope() as scope:
        scope.cancel()
        await feed.receive()
    assert (await feed.receive()).active


async def test_a_closed_feed_hears_nothing(pins: FakePins, bell: Input, autojump_clock: MockClock) -> None:
    async with EdgeFeed(bell, DEBOUNCE_S) as feed:
        pass
    pins.press("bell")
    await trio.testing.wait_all_tasks_blocked()
    assert feed.changes == 0
    async with EdgeFeed(bell, DEBOUNCE_S) as feed:
        assert feed.active
        pins.release("bell")
        assert not (await feed.receive()).active


async def test_bridge_drops_the_newest() -> None:
    bridge: Bridge[int] = Bridge(bound=4)
    for item in range(6):
        bridge.post(item)
    assert bridge.dropped == 2
    await wait_all_tasks_blocked()
    for item in range(6, 12):
        bridge.post(item)
    await wait_all_tasks_blocked()
    assert bridge.dropped == 2 + 2 + 4
    assert [await bridge.receive() for _ in range(4)] == [0, 1, 2, 3]
    bridge.close()
    bridge.post(12)
    await wait_all_tasks_blocked()
    with pytest.raises(trio.ClosedResourceError):
        await bridge.receive()


async def test_bridge_from_many_threads() -> None:
    bridge: Bridge[int] = Bridge()
    received = 0

    def post() -> None:
        for item in range(100):
            bridge.post(item)

    threads = [threading.Thread(target=post) for _ in range(4)]
    for thread in threads:
        thread.start()
    with trio.fail_after(5):
        for thread in threads:
            await trio.to_thread.run_sync(thread.join)
        await wait_all_tasks_blocked()
        with trio.move_on_after(0.05):
            while True:
                await bridge.receive()
                received += 1
    assert 0 < received <= EDGE_BOUND
    assert received + bridge.dropped == 400


def test_bridge_after_the_run() -> None:
    async def make() -> Bridge[int]:
        return Bridge()

    bridge = trio.run(make)
    bridge.post(1)
    assert bridge.dropped == 0
