from __future__ import annotations

import re

from agent.workers.deconz.etag import ETags


def test_a_change_moves_its_resource_its_list_and_everything() -> None:
    tags = ETags()

    def now() -> list[str]:
        return [
            tags.of(),
            tags.of("lights"),
            tags.of("lights", "1"),
            tags.of("lights", "2"),
            tags.of("sensors"),
        ]

    before = now()
    assert len(set(before)) == 5
    assert all(re.fullmatch("[0-9a-f]{32}", tag) for tag in before)
    assert now() == before
    tags.touch("lights", "1")
    moved = [new != old for new, old in zip(now(), before, strict=True)]
    assert moved == [True, True, True, False, False]


def test_what_is_only_in_the_full_state_moves_only_that() -> None:
    tags = ETags()
    before = [tags.of(), tags.of("lights")]
    tags.touch()
    assert tags.of() != before[0]
    assert tags.of("lights") == before[1]


def test_changes_within_one_moment_and_starts_differ() -> None:
    tags = ETags()
    seen = set()
    for _ in range(1000):
        tags.touch("sensors", "1")
        seen.add(tags.of("sensors", "1"))
    assert len(seen) == 1000
    assert ETags().of() != ETags().of()
    assert ETags("a").of() == ETags("a").of()
