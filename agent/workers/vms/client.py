"""The door follows a VMS: logs in, hears pushes, looks again after every silence, keeps its keys in step.

All that a push says is looked up or done in a way that may be done twice, because the VMS repeats nothing
that was missed. Without a VMS the door goes on with the keys it has.
"""

from __future__ import annotations

import logging
import random
import secrets
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import trio

from agent.model.errors import AuthenticationError, ConfigError, MalformedMessage, PeerError
from agent.net.backoff import Backoff
from agent.net.http_client import HttpClient
from agent.net.trust import client_context, read_secret
from agent.net.websocket import connect_websocket
from agent.runtime import Context
from agent.statefile import read_file, replace_file
from agent.wire.fingerprint import plain_fingerprint
from agent.workers.vms import engineio, pusher
from agent.workers.vms.api import Api, WsUrl
from agent.workers.vms.board import Board
from agent.workers.vms.channels import Channels
from agent.workers.vms.config import VmsConfig
from agent.workers.vms.keysync import MAX_FILE_BYTES, KeySync
from agent.workers.vms.session import Session
from agent.workers.vms.signals import Ending
from agent.workers.vms.translate import effect_of
from agent.workers.vms.wire import (
    CameraStatus,
    DictionaryChanged,
    ServerStats,
    StreamStats,
    Unknown,
    decode_push,
)

FIRST_S = 1.0
MOST_S = 60.0
REFUSED_S = 300.0
HEALTHY_S = 60.0
CONNECT_S = 15.0
PING_S = 25.0
SILENCE_S = 75.0
EXPORT_EVERY_S = 300.0
LOOK_GAP_S = 2.0
FRAME_BYTES = 1024 * 1024
ADMIN_CHANNELS = ("admin.intercom-index",)
ANALYTICS_CHANNEL = "admin.analytic-servers-index"
CAMERA_CHANNEL = "admin.admin"
DICTIONARY_CHANNEL = "admin.dictionary-update"

logger = logging.getLogger(__name__)


class Follower:
    """One VMS, for as long as the worker runs. rng: gives numbers in [0, 1)."""

    def __init__(
        self, config: VmsConfig, context: Context, *, rng: Callable[[], float] = random.random
    ) -> None:
        self._config = config
        self._context = context
        self.board = Board(context.page)
        self._backoff = Backoff(first_s=FIRST_S, max_s=MOST_S, rng=rng)
        self._channels = Channels()
        self._kind = "pusher" if config.transport == "auto" else config.transport
        self._api: Api
        self._keys: KeySync
        self._tls: ssl.SSLContext | None = None
        self._use_tls = False
        self._session: Session | None = None
        self._look = trio.Event()
        self._keys_due = True
        self._exported_at = float("-inf")
        self._hurried = False

    async def run(self) -> None:
        """Follow for ever. Raises: ConfigError for files that cannot be used; AuthenticationError for a login
        that is refused."""
        config, context = self._config, self._context
        password = read_secret(config.password_file, "workers.vms.password_file")
        device = await trio.to_thread.run_sync(_device_id, context)
        if config.url.startswith("https"):
            pinned = plain_fingerprint(config.fingerprint) if config.fingerprint else None
            fingerprint = bytes.fromhex(pinned) if pinned else None
            self._tls = client_context(ca_file=config.ca_file, fingerprint=fingerprint, where="workers.vms")
        async with HttpClient(
            timeout_s=60.0, max_body_bytes=MAX_FILE_BYTES + 1024, ssl_context=self._tls
        ) as http:
            self._api = Api(http, config, password=password, device=device)
            self._keys = KeySync(config, http, self._api, context.key_files, show=self.board.keys_went)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keys.run)
                nursery.start_soon(self._look_for_ever)
                await self._follow()

    def sync(self) -> None:
        """Ask for the keys now."""
        self._keys_due = True
        self._exported_at = float("-inf")
        self._look.set()

    # ----- connections -----

    async def _follow(self) -> None:
        while True:
            begun = trio.current_time()
            ending = await self._attempt()
            if trio.current_time() - begun >= HEALTHY_S:
                self._backoff.reset()
                self._hurried = False
            self._use_tls = self._use_tls or ending.tls
            self._api.forget_wsurl() if ending.refused else None
            if ending.refused and self._config.transport == "auto":
                self._kind = "socketio" if self._kind == "pusher" else "pusher"
            self.board.state("refused" if ending.refused else "offline", ending.reason)
            if ending.after == "at_once" and not self._hurried:
                self._hurried = True  # once; whoever closes at once again is given time
                continue
            await trio.sleep(REFUSED_S if ending.after == "slowly" else self._backoff.next_s())

    async def _attempt(self) -> Ending:
        """One log-in if need be, one connection, until its end. Raises: AuthenticationError."""
        self.board.state("connecting", "")
        try:
            if self._api.session is None:
                await self._log_in()
            where = await self._api.wsurl()
        except PeerError as error:
            if error.retry_after_s:
                await trio.sleep(min(error.retry_after_s, 3600.0))
            return Ending("soon", str(error))
        return await self._connect(where)

    async def _log_in(self) -> None:
        session = await self._api.login()
        names = [f"user.{session.user_id}", f"token.{session.token_id}", *ADMIN_CHANNELS, DICTIONARY_CHANNEL]
        if self._config.camera_id is not None:
            names.append(CAMERA_CHANNEL)
        if self._config.analytics:
            names.append(ANALYTICS_CHANNEL)
        self._channels.rename([self._config.channel_prefix + name for name in names])

    async def _connect(self, where: WsUrl) -> Ending:
        is_pusher = self._kind == "pusher"
        path = (
            pusher.path_of(where.path, where.app_key)
            if is_pusher
            else engineio.path_of(self._config.socketio_path)
        )
        base = where.base.replace("ws://", "wss://", 1) if self._use_tls else where.base
        headers = [] if self._config.origin is None else [("Origin", self._config.origin)]
        now = trio.current_time()
        protocol = pusher.Pusher(now) if is_pusher else engineio.EngineIo(now)
        self._channels.reset(silence_is_yes=not is_pusher)
        try:
            connection = connect_websocket(
                base + path, ssl_context=self._tls, headers=headers, max_message_bytes=FRAME_BYTES,
                connect_timeout_s=CONNECT_S, ping_interval_s=PING_S, silence_timeout_s=SILENCE_S,
            )  # fmt: skip
        except ValueError as error:
            return Ending("slowly", str(error), True)
        try:
            async with connection as peer:
                self._session = Session(
                    peer, protocol, self._channels, self._api, prefix=self._config.channel_prefix,
                    handle=self._handle, settled=self._is_settled, note=self.board.note,
                )  # fmt: skip
                await self._session.run()
        except AuthenticationError as error:
            self._api.session = None  # a new log-in, and with it another channel of its token
            return Ending("at_once", str(error))
        except PeerError as error:
            last = protocol.last_error if isinstance(protocol, pusher.Pusher) else None
            if is_pusher:
                ending = pusher.ending(error.close_code, last, error.http_status)
            else:
                ending = engineio.ending(error.close_code, error.http_status)
            return Ending(ending.after, f"{ending.reason} ({error})", ending.refused, ending.tls)
        finally:
            self._session = None
        return Ending("soon", "connection lost")

    # ----- pushes -----

    def _is_settled(self) -> None:
        """Every channel has been answered: what was missed is looked up."""
        self.board.state("connected", "")
        self.board.channels(self._channels, self._kind)
        self._keys_due = True
        self._look.set()

    async def _handle(self, channel: str, payload: Any) -> None:
        await trio.lowlevel.checkpoint()
        try:
            push = decode_push(payload)
        except MalformedMessage as error:
            self.board.note(f"malformed: {error.reason}")
            return
        self.board.pushed(push)
        if isinstance(push, Unknown | DictionaryChanged | StreamStats | ServerStats | CameraStatus):
            self.board.seen(push)
        if self.board.unassigned and not channel.startswith(("user.", "token.")):
            return
        effect = effect_of(
            push, source=self._config.source, intercom_id=self._config.intercom_id,
            camera_id=self._config.camera_id,
        )  # fmt: skip
        if effect.report is not None:
            self._context.report(effect.report)
        if effect.status:
            self.board.intercom(effect.status)
        if effect.fetch is not None and self._config.keys:
            self._keys.want(effect.fetch)
        if effect.retry and self._session is not None:
            self._session.retry_refused()
        if effect.new_keys:
            self._keys_due = True
            self._exported_at = float("-inf")
        if effect.reconcile or effect.new_keys:
            self._look.set()

    # ----- what is looked up -----

    async def _look_for_ever(self) -> None:
        """Our own intercom, and our keys: after every connection, and when a push says that they changed."""
        looked_at = float("-inf")
        while True:
            waits = self._keys_due and self._config.keys
            waits = waits and self.board.is_connected and not self.board.unassigned
            again_at = max(self._exported_at + EXPORT_EVERY_S, looked_at + LOOK_GAP_S)
            with trio.move_on_at(again_at if waits else float("inf")):
                await self._look.wait()
            self._look = trio.Event()
            if self.board.is_connected:
                looked_at = trio.current_time()
                await self._reconcile()
                await trio.sleep(LOOK_GAP_S)

    async def _reconcile(self) -> None:
        try:
            status = await self._api.intercom_status()
            if status is not None:
                self.board.intercom(status)
            if self._config.keys and self._keys_due and not self.board.unassigned:
                now = trio.current_time()
                if now - self._exported_at >= EXPORT_EVERY_S:
                    self._exported_at = now
                    self._keys_due = False
                    await self._api.ask_for_keys()
        except (PeerError, AuthenticationError) as error:
            self._keys_due = True
            self.board.note(f"not looked up: {error}")
            if isinstance(error, AuthenticationError) and self._session is not None:
                self._session.end(error)  # and begin anew, with another log-in
        self.board.reconciled()


def _device_id(context: Context) -> str:
    """The name by which the VMS tells this device from others, the same for ever. Raises: ConfigError."""
    path = context.state_dir / "device"
    try:
        data = read_file(path, 64)
        if data is not None and len(data) == 32 and data.isalnum():
            return data.decode("ascii", "replace")
        device = secrets.token_hex(16)
        replace_file(path, device.encode())
    except OSError as error:
        raise ConfigError(str(path), f"cannot be used: {error.strerror}") from error
    return device


def host_of(config: VmsConfig) -> str:
    """The VMS's host, for people."""
    return urlsplit(config.url).hostname or ""
