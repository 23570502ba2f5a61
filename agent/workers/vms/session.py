"""One connection to the pushes of a VMS, over either transport: heard, kept alive, its channels asked for."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from agent.model.errors import AuthenticationError, MalformedMessage, PeerError
from agent.net.websocket import ClientPeer
from agent.workers.vms.api import Api, Forbidden
from agent.workers.vms.channels import Channels
from agent.workers.vms.engineio import EngineIo
from agent.workers.vms.pusher import Pusher
from agent.workers.vms.signals import Noted, Opened, Pushed, Rejected, Subscribed

GREETING_S = 10.0
QUEUE = 64
STALLED_S = 10.0
MAX_MALFORMED = 20  # in a row: then it is not what we think it is

logger = logging.getLogger(__name__)


class Session:
    """Belongs to one connection.

    handle: takes one push at a time, in a task of its own: while it takes long, reading goes on until QUEUE
    pushes wait, and STALLED_S more; then the connection is given up, and everything is looked at anew.
    settled: called once each channel has been answered.
    """

    def __init__(
        self, peer: ClientPeer, protocol: Pusher | EngineIo, channels: Channels, api: Api, *, prefix: str,
        handle: Callable[[str, Any], Awaitable[None]], settled: Callable[[], None],
        note: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.opened = False
        self._failure: PeerError | AuthenticationError | None = None
        self._scope = trio.CancelScope()
        self._peer = peer
        self._protocol = protocol
        self._channels = channels
        self._api = api
        self._prefix = prefix
        self._handle = handle
        self._settled = settled
        self._note = note
        self._socket_id = ""
        self._told_settled = False
        self._changed = trio.Event()
        self._malformed = 0
        self._turn = trio.Lock()
        self._send, self._receive = trio.open_memory_channel[Pushed](QUEUE)

    async def run(self) -> None:
        """Until it ends. Raises: PeerError; AuthenticationError when the log-in has run out."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hand_on)
            self._scope = nursery.cancel_scope

            async def ask() -> None:
                try:
                    await self._ask_for_channels()
                except (PeerError, AuthenticationError) as error:
                    self.end(error)

            nursery.start_soon(ask)
            try:
                await self._listen()
            except (PeerError, AuthenticationError) as error:
                self.end(error)
        if self._failure is not None:
            raise self._failure

    def end(self, error: PeerError | AuthenticationError) -> None:
        """It is over, for this reason."""
        self._failure = self._failure or error
        self._scope.cancel()

    def retry_refused(self) -> None:
        """Our rights have changed."""
        self._channels.retry_refused()
        self._changed.set()

    # ----- one task listens -----

    async def _listen(self) -> None:
        greeted_by = trio.current_time() + GREETING_S
        while True:
            await self._flush()
            due_at = self._protocol.due_at()
            message: str | bytes | None = None
            with trio.move_on_at(due_at if self.opened else min(due_at, greeted_by)):
                message = await self._peer.receive()
            now = trio.current_time()
            if isinstance(message, str):
                await self._take(message, now)
            elif not self.opened and now >= greeted_by:
                raise PeerError(f"no greeting within {GREETING_S:g} s")
            if not self._protocol.tick(now):
                raise PeerError("silent for too long")

    async def _take(self, message: str, now: float) -> None:
        try:
            signals = self._protocol.receive(message, now)
        except MalformedMessage as error:
            self._malformed += 1
            self._note(f"malformed: {error.reason}")
            if not self.opened or self._malformed >= MAX_MALFORMED:
                raise PeerError(error.reason) from error
            return
        self._malformed = 0
        for signal in signals:
            match signal:
                case Opened(socket_id=socket_id):
                    self._socket_id, self.opened = socket_id, True
                case Subscribed(channel=channel):
                    self._channels.subscribed(channel)
                case Rejected(channel=channel, status=status):
                    logger.warning("channel refused status=%d", status)
                    if self._channels.rejected(channel, status, now):
                        raise AuthenticationError("the log-in has run out")
                case Noted(text=text):
                    self._note(text)
                case Pushed(channel=channel) if self._channels.is_ours(channel):
                    await self._queue(signal)
                case Pushed():
                    self._note("a push on a channel that is not ours")
            self._changed.set()

    async def _queue(self, push: Pushed) -> None:
        try:
            self._send.send_nowait(push)
        except trio.WouldBlock:
            try:
                with trio.fail_after(STALLED_S):
                    await self._send.send(push)
            except trio.TooSlowError:
                raise PeerError("pushes come faster than they are handled: beginning anew") from None

    async def _hand_on(self) -> None:
        async for push in self._receive:
            await self._handle(push.channel.removeprefix(self._prefix), push.payload)

    # ----- one task asks for channels -----

    async def _ask_for_channels(self) -> None:
        while True:
            self._changed = trio.Event()
            if self.opened:
                name = self._channels.next(trio.current_time())
                if name is not None:
                    await self._ask_for(name)
                    continue
                if self._channels.settled and not self._told_settled:
                    self._told_settled = True
                    self._settled()
            due_at = self._channels.due_at() if self.opened else trio.current_time() + GREETING_S
            with trio.move_on_at(max(due_at, trio.current_time() + 0.01)):
                await self._changed.wait()

    async def _ask_for(self, name: str) -> None:
        private = name.startswith(("private-", "presence-"))
        if isinstance(self._protocol, EngineIo):
            self._protocol.subscribe(name, self._api.headers() if private else {})
        else:
            auth = ""
            if private:
                try:
                    auth = await self._api.authorise(self._socket_id, name)
                except Forbidden:
                    self._channels.rejected(name, 403, trio.current_time())
                    return
                except PeerError as error:
                    self._note(str(error))
                    self._channels.rejected(name, 0, trio.current_time())
                    return
            self._protocol.subscribe(name, auth)
        await self._flush()

    async def _flush(self) -> None:
        async with self._turn:
            while self._protocol.send:
                await self._peer.send_text(self._protocol.send.pop(0))
