"""ZoneMinder event notification ("ES"): apps that speak it are told of the door; docs/zmes.md."""

from __future__ import annotations

import trio

from agent.runtime import Context, WorkerSpec
from agent.workers.zmes.config import UpstreamConfig, ZmesConfig

__all__ = ["WORKER"]


async def _run(
    config: ZmesConfig, context: Context, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """The server and one supervised client per upstream, for ever."""
    async with trio.open_nursery() as nursery:
        if config.server is not None:
            # Imported here so that reading a configuration costs no sockets, TLS or client libraries.
            from agent.workers.zmes.server import serve

            await nursery.start(serve, config.server, context)
        for upstream in config.upstream:
            nursery.start_soon(_follow, upstream, context)
        task_status.started()


async def _follow(upstream: UpstreamConfig, context: Context) -> None:
    from agent.workers.zmes.client import follow
    from agent.workers.zmes.client_intake import Intake

    intake = Intake()
    await context.supervise(f"upstream.{upstream.name}", lambda: follow(upstream, context, intake=intake))


WORKER = WorkerSpec(name="zmes", config=ZmesConfig, run=_run)
