"""One connection to a gateway: its events, and a full read now and then."""

from __future__ import annotations

import logging
import math
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import trio
from msgspec import UNSET

from agent.model.errors import AgentError, MalformedMessage, PeerError
from agent.net.websocket import ClientPeer, connect_websocket
from agent.workers.deconz.client_board import Board
from agent.workers.deconz.client_rest import Rest
from agent.workers.deconz.client_view import View
from agent.workers.deconz.wire import MAX_EVENT_BYTES, Added, Changed, Deleted, Event, decode_event

CONNECT_S = 10.0
PING_S = 15.0  # a gateway sends none, and half-open connections are its users' first complaint
SILENCE_S = 45.0
MAX_FRAME_BYTES = 4 * MAX_EVENT_BYTES  # one that is too long is counted, and does not end the connection
MAX_MALFORMED_IN_A_ROW = 20
READ_EVERY_S = 900.0
READ_MISSING_S = 60.0  # while an endpoint of this house has no device there
READ_GAP_S = 5.0
EVENTS_HZ = 200.0
EVENTS_AT_ONCE = 1000
REBIND_COSTS = 10  # in events: all devices are looked through for the endpoints of this house
COMPLAIN_EVERY_S = 60.0

logger = logging.getLogger(__name__)


class Session:
    """rest, key: of this gateway, proven good. live: called when events are flowing and all has been read."""

    def __init__(
        self, view: View, board: Board, rest: Rest, key: str, *, live: Callable[[], None] = lambda: None
    ) -> None:
        self._view = view
        self._board = board
        self._rest = rest
        self._key = key
        self._live = live
        self._wanted = trio.Event()
        self._failure: AgentError | None = None
        self._malformed_in_a_row = 0
        self._complained_at = -math.inf
        self._budget = float(EVENTS_AT_ONCE)
        self._counted_at = -math.inf

    async def run(self, url: str, tls: ssl.SSLContext | None) -> None:
        """Follow until the connection ends; never returns normally.

        Raises: PeerError; AuthenticationError when the key is not good any more.
        """
        try:
            connection = connect_websocket(
                url,
                ssl_context=tls,
                connect_timeout_s=CONNECT_S,
                ping_interval_s=PING_S,
                silence_timeout_s=SILENCE_S,
                max_message_bytes=MAX_FRAME_BYTES,
            )
        except ValueError as error:
            raise PeerError(f"{url}: {error}") from error
        raise await self._run(connection)

    def read_soon(self) -> None:
        """Read the full state again."""
        self._wanted.set()

    async def _run(self, connection: AbstractAsyncContextManager[ClientPeer]) -> AgentError:
        """Why it ended."""
        async with connection as peer, trio.open_nursery() as nursery:
            nursery.start_soon(self._read_for_ever, nursery.cancel_scope)
            try:
                await self._listen(peer)
            except PeerError as error:
                self._failure = self._failure or error
            nursery.cancel_scope.cancel()
        assert self._failure is not None
        return self._failure

    async def _read_for_ever(self, scope: trio.CancelScope) -> None:
        """The full state: at once, when something does not fit, and every quarter of an hour all the same."""
        is_first = True
        while True:
            self._wanted = trio.Event()
            self._view.mirror.begin_read()
            try:
                full = await self._rest.full_state(self._key)
            except AgentError as error:
                self._failure = error
                scope.cancel()
                return
            complete = self._view.read(full, trio.current_time(), live=True)
            self._show()
            if is_first:
                is_first = False
                self._live()
            if not complete:
                self._wanted.set()
            await trio.sleep(READ_GAP_S)
            with trio.move_on_after(READ_MISSING_S if self._view.misses_a_device else READ_EVERY_S):
                await self._wanted.wait()

    async def _listen(self, peer: ClientPeer) -> None:
        """Take events at a pace that leaves the door time for other things. Raises: PeerError."""
        while True:
            event = await self._next(peer)
            self._board.heard()
            if not self._view.take(event, trio.current_time()):
                self.read_soon()
            self._show()
            await self._pace(1 if _is_cheap(event) else REBIND_COSTS)

    async def _next(self, peer: ClientPeer) -> Event:
        while True:
            message = await peer.receive()
            try:
                if isinstance(message, bytes):
                    raise MalformedMessage("deconz event", "expected text, got a binary message")
                event = decode_event(message)
            except MalformedMessage as error:
                self._board.show(malformed=self._board.row.malformed + 1)
                self._malformed_in_a_row += 1
                if self._malformed_in_a_row >= MAX_MALFORMED_IN_A_ROW:
                    raise PeerError(
                        f"{self._malformed_in_a_row} unreadable messages in a row, the last: {error}"
                    ) from error
                self._complain(error)
                await self._pace()
                continue
            self._malformed_in_a_row = 0
            return event

    async def _pace(self, cost: int = 1) -> None:
        now = trio.current_time()
        gained = max(0.0, now - self._counted_at) * EVENTS_HZ
        self._budget = min(float(EVENTS_AT_ONCE), self._budget + gained)
        self._counted_at = now
        self._budget -= cost
        if self._budget < 0:
            await trio.sleep(-self._budget / EVENTS_HZ)

    def _show(self) -> None:
        view = self._view
        self._board.show(
            lights=view.mirror.count("lights"),
            sensors=view.mirror.count("sensors"),
            reported=view.reports.reported,
            dropped=view.dropped,
        )

    def _complain(self, error: MalformedMessage) -> None:
        now = trio.current_time()
        if now - self._complained_at >= COMPLAIN_EVERY_S:
            self._complained_at = now
            logger.warning("gateway=%s cannot read an event error=%s", self._board.row.name, error)


def _is_cheap(event: Event) -> bool:
    """False when it may change which devices there are, or their names."""
    if isinstance(event, Changed):
        return event.name is UNSET and event.attr is UNSET
    return not isinstance(event, Added | Deleted)
