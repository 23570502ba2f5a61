from __future__ import annotations

import math

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from agent.endpoints.hold import Hold


async def expiries(hold: Hold, moves: list[tuple[float, float | None]], until: float) -> list[float]:
    """When the hold expired while it was moved: (wait, hold for) in order, None to clear."""
    seen: list[float] = []

    async def watch() -> None:
        while True:
            await hold.expired()
            seen.append(round(trio.current_time() - begun, 6))

    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        for wait_s, for_s in moves:
            await trio.sleep(wait_s)
            if for_s is None:
                hold.clear()
            else:
                hold.set(trio.current_time() + for_s)
        await trio.sleep(until)
        nursery.cancel_scope.cancel()
    return seen


async def test_it_expires_once(autojump_clock: MockClock) -> None:
    assert await expiries(Hold(), [(0, 5)], 100) == [5]


async def test_it_can_be_extended_shortened_and_cleared(autojump_clock: MockClock) -> None:
    assert await expiries(Hold(), [(0, 5), (3, 5)], 100) == [8]
    assert await expiries(Hold(), [(0, 5), (1, 0)], 100) == [1]
    assert await expiries(Hold(), [(0, 5), (3, None)], 100) == []
    assert await expiries(Hold(), [(0, 5), (3, None), (10, 1)], 100) == [14]
    assert await expiries(Hold(), [(0, 5), (1, math.inf)], 100) == []


async def test_a_time_in_the_past_is_now(autojump_clock: MockClock) -> None:
    assert await expiries(Hold(), [(1, -50)], 10) == [1]


async def test_set_while_nobody_waits_is_not_lost(autojump_clock: MockClock) -> None:
    hold = Hold()
    hold.set(trio.current_time() + 1)
    await trio.sleep(3)
    with trio.fail_after(0.5):
        await hold.expired()
    assert hold.until == math.inf


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.one_of(st.none(), st.integers(0, 9))), min_size=1, max_size=12)
)
def test_it_expires_exactly_when_no_later_move_came_before(moves: list[tuple[int, int | None]]) -> None:
    async def main() -> list[float]:
        # Moves come at whole seconds, holds end at half ones: nothing happens at one instant.
        shifted = [(float(wait), None if hold is None else hold + 0.5) for wait, hold in moves]
        return await expiries(Hold(), shifted, 100)

    seen = trio.run(main, clock=MockClock(autojump_threshold=0))
    expected = []
    now = 0.0
    for index, (wait, hold) in enumerate(moves):
        now += wait
        following = moves[index + 1][0] if index + 1 < len(moves) else math.inf
        if hold is not None and hold + 0.5 < following:
            expected.append(now + hold + 0.5)
    assert seen == expected
