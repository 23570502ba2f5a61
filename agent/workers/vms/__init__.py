"""The administrator's side of an AIPIX VMS: its pushes, and the keys of the residents that it administers."""

from __future__ import annotations

import trio

from agent.runtime import Context, Question, WorkerSpec
from agent.workers.vms.client import Follower, host_of
from agent.workers.vms.config import VmsConfig

__all__ = ["WORKER"]


async def _run(
    config: VmsConfig, context: Context, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    follower = Follower(config, context)

    async def status(question: Question) -> object:
        await trio.lowlevel.checkpoint()
        return {"vms": host_of(config), "source": config.source} | follower.board.status()

    async def sync(question: Question) -> object:
        await trio.lowlevel.checkpoint()
        follower.sync()
        return {"source": config.source}

    context.answer("vms_status", status)
    context.answer("vms_sync", sync)
    task_status.started()
    await follower.run()


WORKER = WorkerSpec(name="vms", config=VmsConfig, run=_run)
