from __future__ import annotations

from agent.entrance.attempts import MAX_CLOSED_S, Attempts
from agent.entrance.config import EntranceConfig


def test_five_within_a_minute_close_the_codes() -> None:
    attempts = Attempts(EntranceConfig())
    assert [attempts.wrong(at) for at in range(5)] == [0, 0, 0, 0, 60]
    assert attempts.closed_s(4) == 60
    assert attempts.closed_s(64) == 0


def test_slow_mistakes_are_fingers() -> None:
    attempts = Attempts(EntranceConfig())
    assert [attempts.wrong(at * 20) for at in range(50)] == [0] * 50


def test_each_further_time_it_is_twice_as_long() -> None:
    attempts = Attempts(EntranceConfig(free_attempts=1))
    now, closed = 0.0, []
    for _ in range(6):
        closed.append(attempts.wrong(now))
        now += closed[-1] + 1
    assert closed == [60, 120, 240, 480, 900, 900]
    assert closed[-1] == MAX_CLOSED_S
    assert attempts.wrong(now + 5000) == 60, "after a calm hour it begins anew"


def test_a_right_code_forgives() -> None:
    attempts = Attempts(EntranceConfig())
    for at in range(4):
        attempts.wrong(at)
    attempts.right()
    assert attempts.wrong(5) == 0
