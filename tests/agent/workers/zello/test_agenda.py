from __future__ import annotations

import trio
import trio.testing

from agent.workers.zello.agenda import Agenda


async def test_everything_is_done_in_its_time_and_order(autojump_clock: trio.testing.MockClock) -> None:
    agenda = Agenda()
    done: list[tuple[float, str]] = []
    began = trio.current_time()

    def note(what: str) -> None:
        done.append((round(trio.current_time() - began, 3), what))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(agenda.run)
        agenda.after(2, lambda: note("late"))
        agenda.after(1, lambda: note("soon"))
        agenda.at(began - 5, lambda: note("overdue"))
        assert done == []
        cancelled = agenda.after(1, lambda: note("cancelled"))
        cancelled.cancel()
        assert not cancelled.pending
        await trio.sleep(0.5)
        agenda.after(0.1, lambda: note("sooner"))

        def again() -> None:
            agenda.after(1, lambda: note("from within"))

        agenda.after(1, again)
        await trio.sleep(5)
        agenda.after(0, lambda: note("after a pause"))
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert done == [
        (0, "overdue"),
        (0.6, "sooner"),
        (1, "soon"),
        (2, "late"),
        (2.5, "from within"),
        (5.5, "after a pause"),
    ]
