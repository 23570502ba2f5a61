"""Zello's Channel API: our own channel server on the LAN, and channels elsewhere; docs/zello.md."""

from __future__ import annotations

import trio

from agent.runtime import Context, WorkerSpec
from agent.workers.zello.config import CloudConfig, ZelloConfig

__all__ = ["WORKER"]


async def _run(
    config: ZelloConfig, context: Context, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """The server and one supervised client per cloud, for ever."""
    async with trio.open_nursery() as nursery:
        if config.server is not None:
            # Imported here so that reading a configuration costs no sockets, TLS or client libraries.
            from agent.workers.zello.server import serve

            await nursery.start(serve, config.server, config.snapshot, context)
        for cloud in config.cloud:
            nursery.start_soon(_follow, cloud, config, context)
        task_status.started()


async def _follow(cloud: CloudConfig, config: ZelloConfig, context: Context) -> None:
    from agent.workers.zello.client import follow

    await context.supervise(f"cloud.{cloud.name}", lambda: follow(cloud, config, context))


WORKER = WorkerSpec(name="zello", config=ZelloConfig, run=_run)
