"""The door's HTTPS listener: one for all protocols, each below a path of its own."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Annotated

import trio
from msgspec import Meta, Struct

from agent.model.errors import PeerError
from agent.net.http_request import App, Message, Receive, Send
from agent.net.http_server import HttpCounters, HttpLimits, serve_http
from agent.net.listeners import address_of, open_listeners
from agent.net.tls import Tls

BIND_S = 10.0
_NOT_FOUND = b'{"error":{"code":31,"message":"Method not found"}}'

logger = logging.getLogger(__name__)


class HttpConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[http]`: where protocols over HTTPS are served; nothing listens while none of them is configured."""

    host: str = "::"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8443
    max_connections: Annotated[int, Meta(ge=1, le=1024)] = 64
    max_per_peer: Annotated[int, Meta(ge=1, le=1024)] = 16


class HttpSite:
    """What is mounted, and the listener that the first mount brings about."""

    def __init__(
        self,
        config: HttpConfig,
        tls: Tls,
        *,
        guard: Callable[[str], AbstractAsyncContextManager[None]],
        any_port: bool = False,
    ) -> None:
        self._config = config
        self._tls = tls
        self._guard = guard
        self._port = 0 if any_port else config.port
        self._apps: dict[str, App] = {}
        self._wanted = trio.Event()
        self._bound = trio.Event()
        self._base = ""
        self.counters = HttpCounters()

    async def mount(self, path: str, app: App) -> str:
        """Serve `app` below `path`, in place of what was there; the URL, which ends in a slash.

        path: begins with a slash and does not end in one. The app finds it in `root_path`, as ASGI has it.
        Raises: PeerError when the listener cannot be bound now.
        """
        self._apps[path] = app
        self._wanted.set()
        try:
            with trio.fail_after(BIND_S):
                await self._bound.wait()
        except trio.TooSlowError:
            raise PeerError("the door's HTTPS listener is not there: see [http]") from None
        return f"{self._base}{path}/"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen from the first mount on, for ever. Raises: PeerError when the address cannot be bound."""
        task_status.started()
        await self._wanted.wait()
        listeners = await trio.to_thread.run_sync(open_listeners, self._config.host, self._port)
        host, self._port = address_of(listeners)
        self._base = f"https://{host}:{self._port}"
        limits = HttpLimits(
            max_connections=self._config.max_connections, max_per_peer=self._config.max_per_peer
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(
                partial(
                    serve_http,
                    self.answer,
                    listeners,
                    ssl_context=self._tls.server_context(),
                    limits=limits,
                    guard=self._guard,
                    counters=self.counters,
                )
            )
            logger.info("listening host=%s port=%d", host, self._port)
            self._bound.set()

    async def answer(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request to the app that its path belongs to; the longest one counts."""
        path: str = scope["path"]
        for mounted in sorted(self._apps, key=len, reverse=True):
            if path == mounted or path.startswith(f"{mounted}/"):
                inner = {**scope, "root_path": scope.get("root_path", "") + mounted}
                await self._apps[mounted](inner, receive, send)
                return
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(_NOT_FOUND)).encode()),
        ]
        await send({"type": "http.response.start", "status": 404, "headers": headers})
        await send({"type": "http.response.body", "body": _NOT_FOUND})
