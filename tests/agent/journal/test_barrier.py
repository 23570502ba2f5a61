"""The barrier promises what is stored, and nothing else."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from agent.journal.barrier import REMEMBERED_GAPS, Barrier
from agent.model.errors import JournalError
from agent.model.records import Gap


async def test_it_waits_for_its_number_only(autojump_clock: trio.testing.MockClock) -> None:
    barrier = Barrier(None)
    woken: list[int] = []

    async def wait(seq: int) -> None:
        await barrier.wait(seq)
        woken.append(seq)

    async with trio.open_nursery() as nursery:
        for seq in (3, 1, 2):
            nursery.start_soon(wait, seq)
        await wait_all_tasks_blocked()
        barrier.advance(2, [])
        await wait_all_tasks_blocked()
        assert sorted(woken) == [1, 2]
        barrier.advance(3, [])
    assert sorted(woken) == [1, 2, 3]


async def test_a_failure_wakes_everybody_and_refuses_newcomers() -> None:
    barrier = Barrier(None)
    barrier.advance(4, [])

    async def wait() -> None:
        with pytest.raises(JournalError, match="disk on fire"):
            await barrier.wait(5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        barrier.fail("disk on fire")
    await wait()
    await barrier.wait(4)  # what is stored stays stored
    barrier.heal()
    barrier.advance(5, [])
    await barrier.wait(5)


async def test_it_starts_broken_when_nothing_could_be_opened() -> None:
    with pytest.raises(JournalError, match="no disk"):
        await Barrier("no disk").wait(1)


async def test_what_was_lost_never_counts_as_stored() -> None:
    barrier = Barrier(None)
    barrier.advance(20, [Gap(first=5, last=9)])
    for seq in (5, 7, 9):
        with pytest.raises(JournalError, match="lost"):
            await barrier.wait(seq)
    for seq in (4, 10, 20):
        await barrier.wait(seq)


async def test_a_forgotten_gap_is_not_taken_for_stored() -> None:
    barrier = Barrier(None)
    for number in range(REMEMBERED_GAPS + 1):
        barrier.advance(10 * number + 10, [Gap(first=10 * number + 1, last=10 * number + 2)])
    with pytest.raises(JournalError):
        await barrier.wait(1)
    with pytest.raises(JournalError):
        await barrier.wait(11)
    await barrier.wait(13)


async def test_the_end_refuses_what_is_not_stored() -> None:
    barrier = Barrier(None)
    barrier.advance(1, [])
    barrier.end()
    await barrier.wait(1)
    with pytest.raises(JournalError):
        await barrier.wait(2)


async def test_it_checkpoints() -> None:
    barrier = Barrier(None)
    barrier.advance(1, [])
    with trio.testing.assert_checkpoints():
        await barrier.wait(1)
