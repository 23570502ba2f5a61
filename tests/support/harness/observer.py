"""A Context for workers that only observe: what they report and show is kept, anything else fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio
from harness.door import Recorded

from agent.model.events import CameraAlarm
from agent.runtime import Context, Observation
from agent.supervise import supervise


class Observer:
    """events: what was reported, in order. page: the status values now. pages: every one ever shown."""

    def __init__(self, state_dir: Path) -> None:
        self.log = Recorded()
        self.page: dict[str, str | int | float | bool] = {}
        self.pages: list[tuple[str, str | int | float | bool]] = []
        self._changed = trio.lowlevel.ParkingLot()
        unused: Any = None
        self.context = Context(
            name="zmes",
            boot_number=1,
            events=self.log,
            endpoints=(),
            authenticator=unused,
            notifications=unused,
            voice=unused,
            submit=unused,
            report=self._report,
            page=self._show,
            ready=unused,
            supervise=self._supervise,
            guard=unused,
            tls=unused,
            state_of=unused,
            alarm=unused,
            history=unused,
            mount=unused,
            remotes=(),
            keys=unused,
            key_files=unused,
            answer=unused,
            state_dir=state_dir,
        )

    @property
    def alarms(self) -> list[CameraAlarm]:
        """The reported alarms so far."""
        return [event for event in self.log.events(CameraAlarm) if isinstance(event, CameraAlarm)]

    def shown(self, key: str) -> list[str | int | float | bool]:
        """Everything a status value ever was."""
        return [value for name, value in self.pages if name == key]

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait for something that a report or a status value brings about."""
        while not met():
            await self._changed.park()

    def _report(self, event: Observation) -> None:
        self.log.publish(event)
        self._changed.unpark_all()

    def _show(self, key: str, value: str | int | float | bool) -> None:
        self.page[key] = value
        self.pages.append((key, value))
        self._changed.unpark_all()

    async def _supervise(self, name: str, fn: Callable[[], Awaitable[None]]) -> None:
        async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            task_status.started()
            await fn()

        await supervise(name, run, report=self.log.publish, strict=True)
