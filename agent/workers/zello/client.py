"""Follows channels on a server elsewhere: Zello's cloud, Zello Work, or another door.

Connects, logs on, waits for a channel to come online, and starts again when it ends; whoever has something to
say or to play lives over all connections and uses the one of the moment.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from urllib.parse import urlsplit

import trio

from agent.model.errors import AuthenticationError, ConfigError, PeerError
from agent.net.websocket import ClientPeer, connect_websocket
from agent.runtime import Context
from agent.workers.zello.client_board import Board
from agent.workers.zello.client_hearing import Hearing, OpenCalls
from agent.workers.zello.client_images import SeenImages
from agent.workers.zello.client_line import Line
from agent.workers.zello.client_logon import WARN_DAYS, ClockNotSet, Credentials, trust
from agent.workers.zello.client_mailbox import Mailbox
from agent.workers.zello.client_policy import Cause, Pauses, SessionEnded, ended_by_peer, nobody_there
from agent.workers.zello.client_ring import Ringing
from agent.workers.zello.client_session import Session
from agent.workers.zello.client_talk import Talk
from agent.workers.zello.config import CloudConfig, ZelloConfig
from agent.workers.zello.packets import HEADER_BYTES, MAX_IMAGE_BYTES
from agent.workers.zello.people import obey
from agent.workers.zello.snapshot import Picture, take
from agent.workers.zello.wire import (
    Event,
    ImageAnnounced,
    ImagePacket,
    StreamStarted,
    StreamStopped,
    TextReceived,
    VoicePacket,
)

CONNECT_S = 20.0
SEND_S = 30.0  # half a megabyte of picture over a slow line
PING_S = 60.0  # the server pings every 30 s; ours is for one that does not
SILENCE_S = 85.0
CLOCK_RETRY_S = 5.0
TOKEN_LOOK_S = 3600.0
ONCE_A_DAY = 24

Connect = Callable[[], AbstractAsyncContextManager[ClientPeer]]

logger = logging.getLogger(__name__)


async def follow(
    config: CloudConfig,
    zello: ZelloConfig,
    context: Context,
    *,
    now_s: Callable[[], float] = time.time,
    rng: Callable[[], float] = random.random,
) -> None:
    """Be in the channels for as long as possible; never returns normally.

    Keeps its own pauses between connections (client_policy), because only it knows when a channel was online.
    now_s: the time of day, UTC seconds. rng: gives numbers in [0, 1).
    Raises: ConfigError when a file of the configuration cannot be used, or the server says that the channels
    or the account are not set up; AuthenticationError when it refuses them for good.
    Cancellation: what is being said is stopped at the server, within two seconds.
    """
    client = Client(config, zello, context, now_s=now_s, rng=rng)
    await client.run()


class Client:
    """What lasts over the connections to one server."""

    def __init__(
        self,
        config: CloudConfig,
        zello: ZelloConfig,
        context: Context,
        *,
        now_s: Callable[[], float],
        rng: Callable[[], float],
    ) -> None:
        self._config = config
        self._zello = zello
        self._context = context
        self._board = Board(config.name, context)
        self._line = Line(self._board)
        self._calls = OpenCalls()
        self._credentials = Credentials(config, now_s=now_s)
        self._pauses = Pauses(rng=rng)
        self._images = SeenImages(self._board)
        self._mailbox = Mailbox(config, self._line, self._obey)
        self._talk = Talk(config, context, self._line)
        self._ringing = Ringing(
            config,
            context,
            self._line,
            self._talk,
            self._calls,
            call_changed=self._call_changed,
            take=self._take_picture,
            clock_ns=lambda: int(now_s() * 1e9),
        )
        self._hearing: Hearing | None = None

    async def run(self) -> None:
        """Everything, for ever; see `follow`."""
        tls = trust(self._config)
        host = urlsplit(self._config.url).hostname or ""
        if tls is None and host not in ("localhost", "127.0.0.1", "::1"):
            logger.warning("cloud=%s weakness=everything goes in the clear (ws://)", self._config.name)
        try:
            connect = partial(
                connect_websocket,
                self._config.url,
                ssl_context=tls,
                connect_timeout_s=CONNECT_S,
                send_timeout_s=SEND_S,
                ping_interval_s=PING_S,
                silence_timeout_s=SILENCE_S,
                max_message_bytes=MAX_IMAGE_BYTES + HEADER_BYTES,
            )
            connect()
        except ValueError as error:
            raise ConfigError(f"workers.zello.cloud.{self._config.name}.url", str(error)) from error
        failure: Exception | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ringing.run)
                nursery.start_soon(self._mailbox.run)
                nursery.start_soon(self._watch_token)
                if self._context.voice.enabled:
                    nursery.start_soon(self._talk.run)
                failure = await self._connect_for_ever(connect)
                nursery.cancel_scope.cancel()
        finally:
            self._board.state("parked" if failure is not None else "stopped", str(failure or ""))
        assert failure is not None
        raise failure

    async def _connect_for_ever(self, connect: Connect) -> Exception:
        """Connect again and again; gives the error after which only an operator can help."""
        while True:
            now = trio.current_time()
            if (wait_s := self._pauses.until_allowed_s(now)) > 0:
                await trio.sleep(wait_s)
            self._board.state("connecting")
            self._board.show("retry_s", 0)
            try:
                ended = await self._connection(connect)
            except ClockNotSet as error:
                self._board.state("offline", error.reason)
                await trio.sleep(CLOCK_RETRY_S)
                continue
            except ConfigError as error:
                return error
            if ended.cause is Cause.BANNED:
                return AuthenticationError(ended.reason)
            if ended.cause is Cause.PARKED:
                return ConfigError(f"workers.zello.cloud.{self._config.name}", ended.reason)
            pause_s = self._pauses.after(ended)
            self._board.count("disconnections")
            self._board.state("offline", ended.reason)
            self._board.show("retry_s", math.ceil(pause_s))
            await trio.sleep(pause_s)

    async def _connection(self, connect: Connect) -> SessionEnded:
        """One connection from its logon to its end. Raises: ConfigError, ClockNotSet."""
        logon = await self._credentials.logon()
        self._pauses.connecting(trio.current_time())
        try:
            async with connect() as peer, trio.open_nursery() as playing:
                session = Session(
                    peer,
                    self._config,
                    self._board,
                    self._line.changed,
                    may_send=self._credentials.may_send,
                    on_online=self._pauses.online,
                )
                self._hearing = Hearing(
                    self._config, self._context, self._board, playing, door_open=self._door_open
                )
                self._images.reconnected()
                self._line.connected(session, self._hearing)
                try:
                    ended = await session.run(logon, self)
                finally:
                    self._line.gone()
                    self._hearing = None
                playing.cancel_scope.cancel()
        except PeerError as error:
            if nobody_there(error):
                self._pauses.not_reached()
            return ended_by_peer(error)
        if ended.cause is Cause.LOST and session.refresh_token:
            self._credentials.keep(session.refresh_token)
        return ended

    # ----- what a session hears (client_session.Ear) -----

    def heard(self, event: Event) -> None:
        """An event that is about somebody else."""
        assert self._hearing is not None
        match event:
            case StreamStarted():
                self._hearing.started(event)
            case StreamStopped(stream_id=stream_id):
                self._hearing.stopped(stream_id)
            case TextReceived():
                self._mailbox.received(event)
            case ImageAnnounced():
                self._images.announced(event)
            case _:
                # Positions, transcriptions, dispatch calls, alerts: nobody at the door has a use for them.
                self._board.count("ignored")

    def voice(self, packet: VoicePacket) -> None:
        """A voice packet."""
        assert self._hearing is not None
        self._hearing.voice(packet)

    def image(self, packet: ImagePacket) -> None:
        """One part of an image."""
        self._images.part(packet)

    # ----- what the parts ask for -----

    def _door_open(self) -> bool:
        return self._config.door == "always" or (self._config.door == "calls" and bool(self._calls))

    def _call_changed(self) -> None:
        if self._hearing is not None and not self._door_open():
            self._hearing.door_closed()

    async def _take_picture(self) -> Picture | None:
        """A picture of the visitor, if the door has something to take one with."""
        if self._zello.snapshot is None:
            await trio.lowlevel.checkpoint()
            return None
        return await take(self._zello.snapshot)

    async def _obey(self, text: str, account: str, peer: str) -> str | None:
        """Do what a text says; None when it is no command."""
        who = self._context.authenticator.principal(account, via=self._context.name, peer=peer)
        return await obey(
            text,
            who=who,
            account=account,
            peer=peer,
            context=self._context,
            config=self._config.commands,
        )

    async def _watch_token(self) -> None:
        """Warn in time of the end of a ready-made token, which otherwise is noticed when it is too late."""
        looks = 0
        while True:
            try:
                days = self._credentials.token_days_left()
            except ConfigError:
                days = None  # the connection says so
            if days is not None:
                self._board.show("token_days_left", math.floor(days))
                if days < WARN_DAYS and looks % ONCE_A_DAY == 0:
                    logger.warning("cloud=%s token ends in days=%.1f", self._config.name, days)
            looks += 1
            await trio.sleep(TOKEN_LOOK_S)
