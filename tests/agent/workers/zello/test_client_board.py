"""What a server elsewhere can make us write into the log."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from harness.zello_door import door_at_cloud
from trio.testing import MockClock

from agent.workers.zello.client_board import LINES


@pytest.fixture
def clock() -> MockClock:
    """Jumps when nothing moves, also not in a socket on loopback."""
    return MockClock(autojump_threshold=0.002)


async def test_a_server_that_comes_and_goes_does_not_fill_the_log(
    tmp_path: Path, clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="agent")
    async with door_at_cloud(tmp_path) as door:
        await door.online()
        for number in range(200):
            status = {"command": "on_channel_status", "channel": "door", "users_online": 1}
            await door.cloud.now.tell(**status, status="online" if number % 2 else "offline")
        await door.until(lambda: door.page("users.door") == 1)
        await door.online()
        lines = [record for record in caplog.records if " state=" in record.getMessage()]
        assert 3 <= len(lines) <= LINES[0] + 5
