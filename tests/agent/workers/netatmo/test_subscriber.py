"""Delivery to one: order, deadlines, bans."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from agent.model.errors import PeerError
from agent.workers.netatmo.destination import destination_of
from agent.workers.netatmo.push_body import Push
from agent.workers.netatmo.subscriber import BAN_S, QUEUE, Subscriber, Subscription, signature

URL = "http://192.168.1.5/hook"


class FakeCourier:
    """Answers in turn: a status, None for no connection, or how long it hangs. posted: (type, trio time)."""

    def __init__(self, *answers: int | float | None) -> None:
        self.answers = list(answers)
        self.posted: list[tuple[str, float]] = []
        self.closed = False

    async def post(self, body: bytes, headers: Sequence[tuple[str, str]]) -> int:
        self.posted.append((body.decode(), trio.current_time()))
        answer = self.answers.pop(0) if self.answers else 200
        await trio.sleep(answer if isinstance(answer, float) else 0)
        if answer is None:
            raise PeerError("not reached")
        return 200 if isinstance(answer, float) else answer

    def close(self) -> None:
        self.closed = True


class Desk:
    """A subscriber at work. bans: how often one began."""

    def __init__(self, *answers: int | float | None, banned_until_s: float = 0.0) -> None:
        self.courier = FakeCourier(*answers)
        self.bans = 0
        subscription = Subscription(key="k", grant="g", url=URL, banned_until_s=banned_until_s)
        self.subscriber = Subscriber(
            subscription,
            destination_of(URL),
            self.courier,  # type: ignore[arg-type]
            scopes=frozenset({"read_mx"}),
            secret=None,
            changed=self._changed,
        )

    def _changed(self) -> None:
        self.bans += 1

    def offer(self, *names: str, ring: bool = False, reads: str = "") -> None:
        for name in names:
            self.subscriber.offer(
                Push(
                    type=name,
                    body=name.encode(),
                    at=trio.current_time(),
                    ring=ring,
                    reads=frozenset(reads.split()),
                )
            )

    def posted(self) -> list[str]:
        return [name for name, _ in self.courier.posted]


@asynccontextmanager
async def desk(*answers: int | float | None, banned_until_s: float = 0.0) -> AsyncIterator[Desk]:
    made = Desk(*answers, banned_until_s=banned_until_s)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.subscriber.run)
        yield made
        nursery.cancel_scope.cancel()
    assert made.courier.closed


async def quiet() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_in_order_one_after_the_other(autojump_clock: Any) -> None:
    async with desk(9.9) as made:
        made.offer("a", "b", "c")
        await trio.sleep(9.95)
        assert made.posted() == ["a", "b", "c"]
        assert (made.subscriber.sent, made.subscriber.failures) == (3, 0)


async def test_ten_seconds_for_an_answer(autojump_clock: Any) -> None:
    async with desk(100.0) as made:
        made.offer("a", "b")
        await trio.sleep(10.1)
        assert made.courier.posted == [("a", 0), ("b", 10)]
        assert (made.subscriber.failed, made.subscriber.sent, made.subscriber.failures) == (1, 1, 0)


@pytest.mark.parametrize("status", [500, 201, 204, 302, 404])
async def test_the_sixth_failure_in_a_row_bans_for_a_day(autojump_clock: Any, status: int) -> None:
    async with desk(*[status] * 6) as made:
        for number in range(6):
            assert not made.subscriber.banned_s
            made.offer(str(number))
            await quiet()
        assert made.subscriber.banned_s == pytest.approx(BAN_S)
        assert made.bans == 1
        assert made.subscriber.subscription.banned_until_s == pytest.approx(time.time() + BAN_S, abs=5)
        made.offer("in vain")
        await trio.sleep(BAN_S - 1)
        made.offer("in vain")
        await quiet()
        assert len(made.posted()) == 6
        await trio.sleep(2)
        made.offer("again")
        await quiet()
        assert made.posted()[6:] == ["again"]


async def test_one_200_resets_the_count(autojump_clock: Any) -> None:
    async with desk(*[500] * 5, 200, *[500] * 5) as made:
        made.offer(*"abcdefghijk")
        await quiet()
        assert (made.subscriber.failures, made.subscriber.banned_s) == (5, 0)


async def test_a_ban_outlives_the_agent(autojump_clock: Any) -> None:
    async with desk(banned_until_s=time.time() + 60) as made:
        assert 59 < made.subscriber.banned_s <= 60
    async with desk(banned_until_s=time.time() + 10 * BAN_S) as made:
        # A clock that was set back does not make it longer.
        assert made.subscriber.banned_s <= BAN_S
    async with desk(banned_until_s=time.time() - 60) as made:
        assert made.subscriber.banned_s == 0


async def test_a_ring_is_tried_once_more_after_a_second(autojump_clock: Any) -> None:
    async with desk(None) as made:
        made.offer("ring", ring=True)
        await trio.sleep(2)
        assert made.courier.posted == [("ring", 0), ("ring", 1)]
        assert (made.subscriber.sent, made.subscriber.failures) == (1, 0)
    async with desk(None, None) as made:
        made.offer("ring", ring=True)
        await trio.sleep(20)
        assert len(made.posted()) == 2
        assert made.subscriber.failures == 1


async def test_nothing_else_is_tried_twice(autojump_clock: Any) -> None:
    for answers, ring in (((None,), False), ((500,), True), ((100.0,), True)):
        async with desk(*answers) as made:
            made.offer("a", ring=ring)
            await trio.sleep(30)
            assert made.posted() == ["a"]


async def test_a_ring_that_is_late_is_not_sent(autojump_clock: Any) -> None:
    async with desk(9.0, 9.0) as made:
        made.offer("slow", "slow")
        made.offer("ring", ring=True)
        made.offer("after")
        await trio.sleep(30)
        assert made.posted() == ["slow", "slow", "after"]
        assert made.subscriber.dropped == 1
    async with desk(9.5, None) as made:
        made.offer("slow")
        made.offer("ring", ring=True)
        await trio.sleep(30)
        # Another try would come later than ten seconds after the press.
        assert made.posted() == ["slow", "ring"]


async def test_a_full_queue_loses_the_oldest_that_is_no_ring(autojump_clock: Any) -> None:
    async with desk(5.0) as made:
        made.offer("first")
        await quiet()
        made.offer("ring", ring=True)
        made.offer(*[f"old {number}" for number in range(QUEUE - 1)])
        made.offer("new")
        assert made.subscriber.dropped == 1
        await trio.sleep(6)
        assert made.posted()[:3] == ["first", "ring", "old 1"]
        assert made.posted()[-1] == "new"
        assert len(made.posted()) == QUEUE + 1


async def test_only_what_the_token_may_read(autojump_clock: Any) -> None:
    async with desk() as made:
        made.offer("camera", reads="read_camera")
        made.offer("mx", reads="read_mx read_magellan")
        made.offer("everybody")
        await quiet()
        assert made.posted() == ["mx", "everybody"]


async def test_goodbye_is_the_last(autojump_clock: Any) -> None:
    made = Desk(3.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.subscriber.run)
        made.offer("a", "b")
        await quiet()
        made.subscriber.leave(Push(type="bye", body=b"bye", at=0))
        made.offer("c")
    assert made.posted() == ["a", "bye"]
    assert made.courier.closed


def test_signature_of_a_known_vector() -> None:
    # RFC 4231, test case 2.
    assert signature("Jefe", b"what do ya want for nothing?") == "5bdcc146bf60754e6a042426089575c7" + (
        "5a003f089d2739839dec58b964ec3843"
    )
