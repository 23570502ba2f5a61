from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from trio.testing import MockClock

IDLE_S = 0.004  # bytes on their way through the kernel of a busy machine are not idle


@pytest.fixture
def patient_clock(monkeypatch: pytest.MonkeyPatch) -> MockClock:
    """A clock that jumps, but not while a thread works for us or bytes are on their way."""
    clock = MockClock(autojump_threshold=IDLE_S)
    run_sync = trio.to_thread.run_sync
    busy = 0

    async def wait_for_thread(*args: Any, **options: Any) -> Any:
        nonlocal busy
        busy += 1
        clock.autojump_threshold = math.inf
        try:
            return await run_sync(*args, **options)
        finally:
            busy -= 1
            if not busy:
                clock.autojump_threshold = IDLE_S

    monkeypatch.setattr(trio.to_thread, "run_sync", wait_for_thread)
    return clock
