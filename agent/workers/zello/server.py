"""The channel server on the LAN: everything of it is put together, started and stopped here."""

from __future__ import annotations

import logging
from functools import partial

import trio

from agent.net.listeners import address_of, open_listeners
from agent.net.websocket import Limits, Peer, serve_websocket
from agent.runtime import Context
from agent.workers.zello.bell import Bell
from agent.workers.zello.config import ServerConfig, SnapshotConfig
from agent.workers.zello.door import Door
from agent.workers.zello.followed import follow_log
from agent.workers.zello.gate import Gate
from agent.workers.zello.hall import Hall
from agent.workers.zello.session import MAX_MESSAGE_BYTES, Session
from agent.workers.zello.tokens import RefreshTokens, TokenKeys

CLOSE_TIMEOUT_S = 2.0
INBOUND_MESSAGES = 8  # each may be a part of an image
PING_INTERVAL_S = 30.0
SILENCE_TIMEOUT_S = 60.0
# Two seconds of the shortest packets, and then some; downlinks drop sound long before.
OUTBOX_MESSAGES = 1024
OUTBOX_BYTES = 3 * 1024 * 1024  # an image of two parts behind what may wait already

logger = logging.getLogger(__name__)


async def serve(
    config: ServerConfig,
    snapshot: SnapshotConfig | None,
    context: Context,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve clients of the Channel API for ever; started() is called when the listener is bound.

    Raises: PeerError when the address cannot be bound; ConfigError for keys that cannot be read.
    Cancellation: every connection is closed with 1001 within CLOSE_TIMEOUT_S.
    """
    keys = await trio.to_thread.run_sync(TokenKeys.load, config.tokens)
    gate = Gate(config, context, keys, RefreshTokens())
    limits = Limits(
        max_message_bytes=MAX_MESSAGE_BYTES,
        max_connections=config.max_connections,
        max_per_peer=config.max_per_peer,
        close_timeout_s=CLOSE_TIMEOUT_S,
        outbox_messages=OUTBOX_MESSAGES,
        outbox_bytes=OUTBOX_BYTES,
        inbound_messages=INBOUND_MESSAGES,
        ping_interval_s=PING_INTERVAL_S,
        silence_timeout_s=SILENCE_TIMEOUT_S,
    )
    port = 0 if context.any_port else config.port
    listeners = await trio.to_thread.run_sync(open_listeners, config.host, port)
    host, port = address_of(listeners)
    async with trio.open_nursery() as nursery:
        hall = Hall(config, context, gate, errands=nursery)
        door = Door(hall)

        async def handle(peer: Peer) -> None:
            await Session(peer, hall, door).run()

        hall.show()
        nursery.start_soon(hall.agenda.run)
        nursery.start_soon(follow_log, hall, door, Bell(hall, door, snapshot))
        nursery.start_soon(door.speak)
        await nursery.start(
            partial(
                serve_websocket,
                handle,
                listeners,
                ssl_context=context.tls.server_context() if config.tls else None,
                limits=limits,
                guard=context.guard,
            )
        )
        logger.info("listening host=%s port=%d tls=%s", config.host, port, config.tls)
        context.ready("zello", f"{'wss' if config.tls else 'ws'}://{host}:{port}/ws")
        task_status.started()
