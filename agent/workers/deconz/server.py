"""The server: REST on one port, the websocket on another, and what keeps both up to date."""

from __future__ import annotations

import logging
import socket
import time
from functools import partial

import trio

from agent.net.http_server import HttpLimits, serve_http
from agent.net.listeners import address_of, open_listeners
from agent.net.websocket import Limits, Peer, serve_websocket
from agent.runtime import Context
from agent.workers.deconz.about import Identity
from agent.workers.deconz.bridge import Bridge
from agent.workers.deconz.config import ServerConfig
from agent.workers.deconz.daylight import Daylight
from agent.workers.deconz.desk import Desk
from agent.workers.deconz.directory import load_directory, store_directory
from agent.workers.deconz.feed import Feed, follow
from agent.workers.deconz.link import LinkWindow
from agent.workers.deconz.rest import rest_app
from agent.workers.deconz.ssdp import EVERYWHERE, Announcer, can_be_found, lan_addresses
from agent.workers.deconz.state import Counters, ServerState

CLOSE_TIMEOUT_S = 2.0
MAX_TEXT_BYTES = 16_384  # of what a client says, which nobody reads
INBOUND_MESSAGES = 8

logger = logging.getLogger(__name__)


async def serve(
    config: ServerConfig,
    context: Context,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve deCONZ clients for ever; started() is called when both listeners are bound.

    Raises: PeerError when an address cannot be bound, or the state directory not be read.
    Cancellation: every websocket is closed with 1001 within CLOSE_TIMEOUT_S; what clients named is stored.
    """
    directory, file = await load_directory(context.state_dir)
    daylight = None
    if config.latitude is not None and config.longitude is not None:
        daylight = await trio.to_thread.run_sync(Daylight, config.latitude, config.longitude)
    sun = None if daylight is None else daylight.shown(time.time_ns())
    bridge = Bridge(config, context, directory, daylight=sun)
    await store_directory(context.state_dir, directory)
    feed = Feed()
    mac = ":".join(directory.mac[place : place + 2] for place in range(0, 12, 2))
    state = ServerState(
        config=config,
        context=context,
        bridge=bridge,
        link=LinkWindow(config.link_s),
        identity=Identity(
            bridge_id=directory.bridge_id(config.bridge_prefix),
            mac=mac,
            uuid=directory.uuid,
            name=context.door,
        ),
        networks=config.networks(),
        counters=Counters(),
        tell=feed.tell,
        clients=lambda: len(feed),
    )

    def link_moved() -> None:
        bridge.etags.touch()
        state.show()

    state.link.changed = link_moved
    listeners, ws_listeners = await _bind(config, context)
    host, port = address_of(listeners)
    bound = str(listeners[0].getsockname()[0])
    _, state.ws_port = address_of(ws_listeners)
    # For people: an address that they can type elsewhere.
    shown = (lan_addresses() or [host])[0] if bound in EVERYWHERE else host
    state.url = f"http://{shown}:{port}"
    state.ws_url = f"ws://{shown}:{state.ws_port}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(file.run)
        nursery.start_soon(state.link.run)
        nursery.start_soon(follow, state)
        if daylight is not None:
            nursery.start_soon(_follow_the_sun, daylight, state)
        await nursery.start(partial(_serve_websocket, feed, state, ws_listeners))
        await nursery.start(partial(_serve_http, state, listeners))
        logger.info(
            "listening host=%s port=%d ws_port=%d bridge_id=%s",
            config.host, port, state.ws_port, state.identity.bridge_id,
        )  # fmt: skip
        Desk(state)
        state.show()
        context.ready("deconz", f"http://{host}:{port}")
        context.ready("deconz_ws", f"ws://{host}:{state.ws_port}")
        if config.ssdp and can_be_found(bound):
            announcer = Announcer(state.identity, bound, port, networks=state.networks)
            nursery.start_soon(context.supervise, "ssdp", announcer.run)
        task_status.started()


async def _bind(config: ServerConfig, context: Context) -> tuple[list[socket.socket], list[socket.socket]]:
    """The listeners of both. Raises: PeerError."""
    port = 0 if context.any_port else config.port
    ws_port = 0 if context.any_port else config.ws_port
    listeners = await trio.to_thread.run_sync(open_listeners, config.host, port)
    try:
        return listeners, await trio.to_thread.run_sync(open_listeners, config.host, ws_port)
    except BaseException:
        for listener in listeners:
            listener.close()
        raise


async def _serve_websocket(
    feed: Feed,
    state: ServerState,
    listeners: list[socket.socket],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    async def handle(peer: Peer) -> None:
        await feed.listen(peer, state)

    await serve_websocket(
        handle,
        listeners,
        ssl_context=None,
        limits=Limits(
            max_message_bytes=MAX_TEXT_BYTES,
            max_connections=state.config.max_connections,
            max_per_peer=state.config.max_per_peer,
            close_timeout_s=CLOSE_TIMEOUT_S,
            inbound_messages=INBOUND_MESSAGES,
        ),
        guard=state.context.guard,
        task_status=task_status,
    )


async def _serve_http(
    state: ServerState,
    listeners: list[socket.socket],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    await serve_http(
        rest_app(state),
        listeners,
        ssl_context=None,
        limits=HttpLimits(
            max_connections=state.config.max_connections, max_per_peer=state.config.max_per_peer
        ),
        guard=state.context.guard,
        task_status=task_status,
    )


async def _follow_the_sun(daylight: Daylight, state: ServerState) -> None:
    """Tell when it gets light and dark, for ever."""
    while True:
        now_ns = time.time_ns()
        await state.tell(state.bridge.sun(daylight.shown(now_ns), now_ns))
        await trio.sleep(daylight.next_s(now_ns))
