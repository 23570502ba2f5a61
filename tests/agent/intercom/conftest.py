"""What holds for every test of the intercom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio


@pytest.fixture(autouse=True)
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock clock runs on while a thread works, so what is for a thread is done at once."""

    async def run_sync(work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        await trio.lowlevel.checkpoint_if_cancelled()
        return work(*args)

    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)
