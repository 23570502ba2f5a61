"""Netatmo and BTicino: the door as one of theirs, and the devices of the household; docs/netatmo.md."""

from __future__ import annotations

import trio

from agent.runtime import Context, WorkerSpec
from agent.workers.netatmo.config import NetatmoConfig, NetatmoEndpoint

__all__ = ["WORKER"]


async def _run(
    config: NetatmoConfig, context: Context, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """The server and one supervised client per cloud, for ever."""
    async with trio.open_nursery() as nursery:
        # Imported here so that reading a configuration costs no sockets and no HTTP libraries.
        if config.server is not None:
            from agent.workers.netatmo.server import serve

            await nursery.start(serve, config.server, context)
        if config.cloud:
            from agent.workers.netatmo.client import follow_all

            await nursery.start(follow_all, config.cloud, context)
        task_status.started()


WORKER = WorkerSpec(name="netatmo", config=NetatmoConfig, run=_run, endpoint=NetatmoEndpoint)
