"""What the parts of the server share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from agent.runtime import Context
from agent.workers.deconz.about import Identity
from agent.workers.deconz.bridge import Bridge
from agent.workers.deconz.config import Network, ServerConfig
from agent.workers.deconz.link import LinkWindow
from agent.workers.deconz.wire import Changed


class Counters(Struct, kw_only=True):
    """What happened since the start, for `portero status`.

    strangers: not of `allow_from`. bad_keys: requests without a good key. texts: what websocket clients said,
    which nobody reads. missed: entries of the log that were overwritten before they were told.
    """

    strangers: int = 0
    bad_keys: int = 0
    texts: int = 0
    missed: int = 0


class ServerState(Struct, kw_only=True):
    """Made by `server.serve`; all on the trio thread.

    tell: sends what changed to every websocket. clients: how many there are.
    """

    config: ServerConfig
    context: Context
    bridge: Bridge
    link: LinkWindow
    identity: Identity
    networks: Sequence[Network]
    counters: Counters
    tell: Callable[[Sequence[Changed]], Awaitable[None]]
    clients: Callable[[], int]
    url: str = ""
    ws_url: str = ""
    ws_port: int = 0

    def show(self) -> None:
        """Put the figures on the status page."""
        page = self.context.page
        page("clients", self.clients())
        page("link", "open" if self.link.left_s else "closed")
        page("strangers", self.counters.strangers)
        page("bad_keys", self.counters.bad_keys)
        page("texts", self.counters.texts)
        page("events_missed", self.counters.missed)
