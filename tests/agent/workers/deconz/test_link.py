from __future__ import annotations

import trio
import trio.testing

from agent.workers.deconz.link import MAX_KEYS, LinkWindow


async def test_it_is_closed_until_somebody_opens_it(autojump_clock: trio.testing.MockClock) -> None:
    window = LinkWindow(60)
    assert window.left_s == 0
    assert window.take() is False
    assert window.open("button bell") == 60
    assert window.left_s == 60
    await trio.sleep(59)
    assert window.take() is True
    await trio.sleep(1)
    assert window.left_s == 0
    assert window.take() is False


async def test_opening_again_begins_anew_and_closing_ends_it(autojump_clock: trio.testing.MockClock) -> None:
    window = LinkWindow(60)
    window.open("a")
    await trio.sleep(50)
    window.open("b")
    assert window.left_s == 60
    window.close()
    assert window.left_s == 0
    window.close()


async def test_a_stranger_does_not_get_keys_without_end(autojump_clock: trio.testing.MockClock) -> None:
    window = LinkWindow(60)
    window.open("a")
    assert [window.take() for _ in range(MAX_KEYS + 2)] == [True] * MAX_KEYS + [False] * 2
    assert window.left_s == 0
    window.open("a")
    assert window.take()


async def test_every_opening_and_closing_is_told(autojump_clock: trio.testing.MockClock) -> None:
    told: list[float] = []
    window = LinkWindow(60)
    window.changed = lambda: told.append(window.left_s)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(window.run)
        await trio.testing.wait_all_tasks_blocked()
        assert told == []
        window.open("a")
        await trio.sleep(30)
        window.open("b")
        await trio.sleep(59)
        assert told == [60, 60]
        await trio.sleep(2)
        assert told == [60, 60, 0]
        await trio.sleep(1000)
        assert told == [60, 60, 0]
        window.open("c")
        await trio.sleep(61)
        assert told == [60, 60, 0, 60, 0]
        nursery.cancel_scope.cancel()
