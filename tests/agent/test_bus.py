from __future__ import annotations

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from agent.bus import EventLog
from agent.model.events import ButtonPressed
from agent.model.records import Entry, Gap


def log_of(size: int = 8, next_seq: int = 1) -> EventLog:
    return EventLog(boot_id="b", size=size, next_seq=next_seq, clock_ns=lambda: 7)


async def take(log: EventLog, count: int, after: int | None = None) -> list[Entry | Gap]:
    found: list[Entry | Gap] = []
    reader = log.follow(after=after)
    async for item in reader:
        found.append(item)
        if len(found) == count:
            break
    return found


async def test_entries_are_numbered_and_stamped() -> None:
    log = log_of(next_seq=41)
    assert log.last_seq == 40
    entry = log.publish(ButtonPressed(endpoint="bell"))
    assert (entry.seq, entry.at_ns, entry.boot_id) == (41, 7, "b")
    assert log.last_seq == 41


async def test_a_reader_gets_what_came_after_its_place() -> None:
    log = log_of()
    for name in "abc":
        log.publish(ButtonPressed(endpoint=name))
    items = await take(log, 2, after=1)
    assert [item.event.endpoint for item in items if isinstance(item, Entry)] == ["b", "c"]  # type: ignore[union-attr]


async def test_a_waiting_reader_is_woken(autojump_clock: MockClock) -> None:
    log = log_of()
    found: list[Entry | Gap] = []

    async def read() -> None:
        found.extend(await take(log, 1))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        log.publish(ButtonPressed(endpoint="bell"))
    assert len(found) == 1


async def test_a_lapped_reader_sees_the_gap_and_goes_on() -> None:
    log = log_of(size=4)
    for _ in range(10):
        log.publish(ButtonPressed(endpoint="bell"))
    items = await take(log, 5, after=0)
    assert items[0] == Gap(first=1, last=6)
    assert [item.seq for item in items[1:] if isinstance(item, Entry)] == [7, 8, 9, 10]


async def test_a_reader_lapped_in_the_middle_of_a_burst_sees_the_gap() -> None:
    log = log_of(size=4)
    for _ in range(3):
        log.publish(ButtonPressed(endpoint="bell"))
    reader = log.follow(after=0)
    first = await anext(reader)
    assert isinstance(first, Entry)
    for _ in range(8):
        log.publish(ButtonPressed(endpoint="bell"))
    second = await anext(reader)
    assert second == Gap(first=2, last=7)
    third = await anext(reader)
    assert isinstance(third, Entry)
    assert third.seq == 8


async def test_entries_before_this_boot_are_no_gap() -> None:
    log = log_of(next_seq=100)
    log.publish(ButtonPressed(endpoint="bell"))
    items = await take(log, 1, after=3)
    assert isinstance(items[0], Entry)
    assert items[0].seq == 100


async def test_one_slow_reader_costs_nobody_else(autojump_clock: MockClock) -> None:
    log = log_of(size=4)
    fast: list[int] = []

    async def read_fast() -> None:
        async for item in log.follow(after=0):
            assert isinstance(item, Entry)
            fast.append(item.seq)
            if item.seq == 20:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_fast)
        slow = log.follow(after=0)
        for _ in range(20):
            log.publish(ButtonPressed(endpoint="bell"))
            await trio.testing.wait_all_tasks_blocked()
    assert fast == list(range(1, 21))
    assert await anext(slow) == Gap(first=1, last=16)


@given(st.lists(st.integers(min_value=0, max_value=12), max_size=30), st.integers(min_value=1, max_value=8))
def test_every_number_is_seen_once_as_entry_or_in_a_gap(bursts: list[int], size: int) -> None:
    async def main() -> list[int]:
        log = log_of(size=size)
        seen: list[int] = []
        total = sum(bursts) + 1
        reader = log.follow(after=0)
        log.publish(ButtonPressed(endpoint="x"))
        for burst in bursts:
            for _ in range(burst):
                log.publish(ButtonPressed(endpoint="x"))
            if seen and seen[-1] == log.last_seq:
                continue
            item = await anext(reader)
            seen.extend(range(item.first, item.last + 1) if isinstance(item, Gap) else [item.seq])
        while not seen or seen[-1] < total:
            item = await anext(reader)
            seen.extend(range(item.first, item.last + 1) if isinstance(item, Gap) else [item.seq])
        return seen

    seen = trio.run(main)
    assert seen == list(range(1, sum(bursts) + 2))


async def test_publishing_from_wherever_trio_may_call_us_back() -> None:
    """A callback of the loop, an abort, a clean-up, and a reader in the middle of its turn."""
    log = log_of(size=64)
    seen: list[int] = []

    async def read() -> None:
        async for item in log.follow(after=0):
            assert isinstance(item, Entry)
            seen.append(item.seq)
            if item.event == ButtonPressed(endpoint="echo"):
                log.publish(ButtonPressed(endpoint="answer"))

    def abort(_: object) -> trio.lowlevel.Abort:
        log.publish(ButtonPressed(endpoint="abort"))
        return trio.lowlevel.Abort.SUCCEEDED

    async def waits() -> None:
        try:
            await trio.lowlevel.wait_task_rescheduled(abort)
        finally:
            log.publish(ButtonPressed(endpoint="clean-up"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        token = trio.lowlevel.current_trio_token()
        token.run_sync_soon(log.publish, ButtonPressed(endpoint="callback"))
        await trio.to_thread.run_sync(token.run_sync_soon, log.publish, ButtonPressed(endpoint="echo"))
        async with trio.open_nursery() as inner:
            inner.start_soon(waits)
            await trio.testing.wait_all_tasks_blocked()
            inner.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert log.last_seq == 6  # callback, echo, one answer of each reader, abort, clean-up
    assert sorted(seen) == sorted([*range(1, 7)] * 2)
