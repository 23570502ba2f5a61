"""deCONZ: the smart home sees the door as a gateway, and the door follows gateways; docs/deconz.md."""

from __future__ import annotations

import trio

from agent.runtime import Context, WorkerSpec
from agent.workers.deconz.config import DeconzConfig, DeconzEndpoint

__all__ = ["WORKER"]


async def _run(
    config: DeconzConfig, context: Context, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """The server and one supervised client per gateway, for ever."""
    async with trio.open_nursery() as nursery:
        if config.server is not None:
            # Imported here so that reading a configuration costs no sockets and no HTTP libraries.
            from agent.workers.deconz.server import serve

            await nursery.start(serve, config.server, context)
        if config.gateway:
            from agent.workers.deconz.client_gateways import Gateways

            nursery.start_soon(Gateways(config, context).run)
        task_status.started()


WORKER = WorkerSpec(name="deconz", config=DeconzConfig, run=_run, endpoint=DeconzEndpoint)
