"""The service: listens, restarts itself when asked to, and keeps delivery running across that."""

from __future__ import annotations

import logging
from functools import partial

import trio

from agent.net.listeners import address_of, open_listeners
from agent.net.websocket import Limits, Peer, serve_websocket
from agent.runtime import Context
from agent.workers.zmes.config import ServerConfig
from agent.workers.zmes.delivery import Delivery
from agent.workers.zmes.escontrol import EsControlDesk
from agent.workers.zmes.session import Session
from agent.workers.zmes.state import ServerState, load_state
from agent.workers.zmes.wire import MAX_MESSAGE_BYTES

CLOSE_TIMEOUT_S = 2.0
# Apps say little; a stranger who waits for a password check must not fill the memory meanwhile.
INBOUND_MESSAGES = 8

logger = logging.getLogger(__name__)


async def serve(
    config: ServerConfig,
    context: Context,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ZoneMinder apps for ever; started() is called when the listener is bound.

    Raises: PeerError when the address cannot be bound.
    Cancellation: every connection is closed with 1001 within CLOSE_TIMEOUT_S; the state files are written.
    """
    state = await load_state(config, context)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(state.run)
        nursery.start_soon(Delivery(state).run)
        await nursery.start(_listen, state)
        task_status.started()


async def _listen(
    state: ServerState, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Accept connections; on `restart` close all of them and listen again on the same port."""
    config, context = state.config, state.context
    desk = EsControlDesk(state)
    limits = Limits(
        max_message_bytes=MAX_MESSAGE_BYTES,
        max_connections=config.max_connections,
        max_per_peer=config.max_per_peer,
        close_timeout_s=CLOSE_TIMEOUT_S,
        inbound_messages=INBOUND_MESSAGES,
    )
    port = 0 if context.any_port else config.port

    async def handle(peer: Peer) -> None:
        await Session(peer, state, desk).run()

    told = False
    while True:
        listeners = await trio.to_thread.run_sync(open_listeners, config.host, port)
        host, port = address_of(listeners)
        state.restart = trio.Event()
        async with trio.open_nursery() as nursery:
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
            if not told:
                context.ready("zmes", f"{'wss' if config.tls else 'ws'}://{host}:{port}/")
                task_status.started()
                told = True
            await state.restart.wait()
            logger.warning("restarting the service on request")
            nursery.cancel_scope.cancel()
