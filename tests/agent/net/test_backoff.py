from __future__ import annotations

import pytest

from agent.net.backoff import Backoff


def test_doubles_up_to_the_cap_and_starts_over() -> None:
    backoff = Backoff(rng=lambda: 0.0)
    assert [backoff.next_s() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    backoff.reset()
    assert backoff.next_s() == 1


def test_jitter_shortens_by_at_most_a_quarter_at_the_cap_too() -> None:
    backoff = Backoff(rng=lambda: 1.0)
    assert [backoff.next_s() for _ in range(8)][-1] == pytest.approx(45)


def test_a_fleet_spreads_at_the_cap() -> None:
    delays = set()
    for _ in range(20):
        backoff = Backoff()
        for _ in range(10):
            delay = backoff.next_s()
        assert 45 <= delay <= 60
        delays.add(delay)
    assert len(delays) > 15


@pytest.mark.parametrize("arguments", [{"first_s": 0}, {"max_s": 0.5}, {"factor": 0.9}, {"jitter": 1.0}])
def test_refuses_nonsense(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Backoff(**arguments)  # type: ignore[arg-type]
