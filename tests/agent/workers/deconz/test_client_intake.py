"""How fast a gateway may tell things: what is so is told in the end, what happened may be dropped."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from agent.workers.deconz.client_intake import Intake


def test_edges_over_the_rate_are_dropped_and_counted() -> None:
    told: list[object] = []
    intake = Intake(rate_hz=2, burst=3)
    for number in range(5):
        intake.edge(partial(told.append, number), 10.0)
    assert told == [0, 1, 2]
    assert intake.dropped == 2
    assert intake.edge(partial(told.append, 9), 10.5)
    assert not intake.edge(partial(told.append, 9), 10.6)


def test_states_over_the_rate_wait_and_the_newest_counts() -> None:
    late: list[bool] = []
    told: list[object] = []
    intake = Intake(rate_hz=2, burst=1, late=lambda: late.append(True))
    intake.state("a", partial(told.append, "a1"), 0.0)
    assert not late
    for number in range(2, 9):
        intake.state("a", partial(told.append, f"a{number}"), 0.1)
    intake.state("b", partial(told.append, "b1"), 0.1)
    intake.state("smoke", partial(told.append, "smoke"), 0.1, urgent=True)
    assert told == ["a1"]
    assert late
    assert intake.merged == 6
    assert intake.flush(0.1) == 0.4
    assert intake.flush(0.5) == 0.5
    assert told == ["a1", "smoke"]
    intake.state("b", partial(told.append, "b2"), 0.6)
    assert intake.flush(1.0) == 0.5
    assert intake.flush(1.5) is None
    assert told == ["a1", "smoke", "a8", "b2"]


def test_what_waits_may_be_forgotten() -> None:
    told: list[object] = []
    intake = Intake(rate_hz=1, burst=1)
    intake.state("a", partial(told.append, "a"), 0.0)
    intake.state("a", partial(told.append, "b"), 0.0)
    assert intake.forget("a")
    assert not intake.forget("a")
    assert intake.flush(9.0) is None
    assert told == ["a"]


def test_a_new_state_does_not_overtake_one_that_waits() -> None:
    told: list[object] = []
    intake = Intake(rate_hz=1, burst=1)
    for name in ("a", "b"):
        intake.state(name, partial(told.append, name), 0.0)
    intake.state("c", partial(told.append, "c"), 1.0)
    assert told == ["a"]
    assert intake.flush(1.0) == 1.0
    assert intake.flush(2.0) is None
    assert told == ["a", "b", "c"]


@given(st.lists(st.tuples(st.floats(0, 2), st.sampled_from("abc"), st.integers(0, 3), st.booleans())))
def test_the_last_state_of_each_is_told_at_last_and_never_too_fast(
    steps: list[tuple[float, str, int, bool]],
) -> None:
    intake, now = Intake(rate_hz=2, burst=3), 0.0
    told: list[tuple[float, str, int]] = []
    last: dict[str, int] = {}

    def tell(key: str, value: int) -> None:
        told.append((now, key, value))

    for pause, key, value, urgent in steps:
        now += pause
        last[key] = value
        intake.state(key, partial(tell, key, value), now, urgent=urgent)
    for _ in range(100):
        wait = intake.flush(now)
        if wait is None:
            break
        now += max(wait, 1e-6)
    for key, value in last.items():
        assert [v for _, k, v in told if k == key][-1] == value
    for index, (at, _, _) in enumerate(told):
        within = [one for one in told[: index + 1] if one[0] > at - 1.0]
        assert len(within) <= 3 + 2 + 1
