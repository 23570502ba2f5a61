"""The webhook at the cloud: registered, watched for silence, and registered anew.

A webhook that the vendor has banned is still listed: silence is the only sign. So whatever the polled history
brings that no push had told is remembered, and when two such events in a row stay without their push for two
minutes, the webhook counts as silent: it is polled faster, and dropped and added again, once an hour at most.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import trio

from agent.model.errors import AuthenticationError, PeerError
from agent.net.backoff import Backoff
from agent.workers.netatmo.catalogue import WEBHOOK_LIMIT, WEBHOOK_PORTS
from agent.workers.netatmo.client_api import Api, ApiError
from agent.workers.netatmo.client_board import Webhook
from agent.workers.netatmo.wire import decode_webhooks

LATE_S = 120.0
VENDOR = "netatmo.com"
SILENT_AFTER = 2
ANEW_EVERY_S = 3600.0
LOOK_EVERY_S = 3600.0
MAX_PENDING = 200

logger = logging.getLogger(__name__)


class Watch:
    """What no push has told yet. Pure: times are trio's, as arguments."""

    def __init__(self) -> None:
        self._pending: dict[str, float] = {}
        self._in_a_row = 0

    def pushed(self, key: str) -> None:
        """A push came: it works, as far as anybody knows."""
        self._pending.pop(key, None)
        self._in_a_row = 0

    def polled(self, keys: Iterable[str], now_s: float) -> None:
        """Events that the history brought before their push."""
        for key in keys:
            if len(self._pending) < MAX_PENDING:
                self._pending.setdefault(key, now_s)

    def is_silent(self, now_s: float) -> bool:
        """Whether it has to be taken for silent."""
        late = [key for key, at in self._pending.items() if now_s - at >= LATE_S]
        for key in late:
            del self._pending[key]
        self._in_a_row += len(late)
        return self._in_a_row >= SILENT_AFTER

    def forget(self) -> None:
        """Begin anew."""
        self._pending.clear()
        self._in_a_row = 0


class Keeper:
    """Keeps one webhook registered. url: None: there is none. show: tells how it is, and why not better.

    cloud: the address of its API: the vendor's own pushes to a few ports only, another door to any.
    """

    def __init__(self, url: str | None, show: Callable[[Webhook, str], None], *, cloud: str) -> None:
        self.watch = Watch()
        self.state: Webhook = "none"
        self._url = url
        self._vendor = (urlsplit(cloud).hostname or "").endswith(VENDOR)
        self._show = show
        self._again = trio.Event()
        self._added_at = float("-inf")

    @property
    def works(self) -> bool:
        """Whether pushes are to be expected."""
        return self.state == "working"

    def activated(self, on: bool) -> None:
        """The cloud told that it was activated, or taken away."""
        if self._url is None:
            return
        if on:
            self._tell("working")
        elif trio.current_time() - self._added_at > LATE_S:  # not the echo of our own dropping
            self._tell("silent", "the cloud has taken it away")
            self._again.set()

    def look(self, keys: Iterable[str]) -> None:
        """The history was read; `keys` are of events that no push has told."""
        if self.state not in ("working", "silent"):
            return
        now = trio.current_time()
        self.watch.polled(keys, now)
        if self.watch.is_silent(now):
            self._tell("silent", "events come without their webhook: the vendor may have turned it off")
            self._again.set()

    def heard(self, key: str) -> None:
        """A push of an event came, signature and all."""
        self.watch.pushed(key)
        if self.state == "silent":
            self._tell("working")

    async def run(self, api: Api) -> None:
        """Keep it registered, for ever. Raises: AuthenticationError."""
        if self._url is None:
            await trio.sleep_forever()
            return
        port = urlsplit(self._url).port or 443
        if self._vendor and port not in WEBHOOK_PORTS:
            ports = ", ".join(map(str, sorted(WEBHOOK_PORTS)))
            self._tell("refused", f"webhook_url has port {port}, the vendor takes {ports} alone: polling")
            await trio.sleep_forever()
        backoff = Backoff(first_s=30.0, max_s=ANEW_EVERY_S)
        anew = False
        while True:
            self._again = trio.Event()
            try:
                await self._register(api, self._url, anew=anew)
                backoff.reset()
                if self.state != "working" and not (anew and self.state == "silent"):
                    self._tell("working")
            except AuthenticationError:
                raise
            except PeerError as error:
                self._tell("refused", str(error))
                await trio.sleep(max(backoff.next_s(), error.retry_after_s or 0.0))
                continue
            anew = False
            with trio.move_on_after(LOOK_EVERY_S):
                await self._again.wait()
                anew = True
                await trio.sleep_until(self._added_at + ANEW_EVERY_S)

    async def _register(self, api: Api, url: str, *, anew: bool) -> None:
        """Have it listed. anew: also when it is."""
        listed = decode_webhooks(await api.webhooks("GET"))
        if url in listed and not anew:
            return
        if self.state != "silent":
            self._tell("registering")
        self._added_at = trio.current_time()
        self.watch.forget()
        if listed:
            await api.webhooks("DELETE")
        try:
            await api.webhooks("POST", url)
        except ApiError as error:
            if error.code != WEBHOOK_LIMIT:
                raise
            await api.webhooks("DELETE")
            await api.webhooks("POST", url)
        logger.info("webhook registered again=%s", anew)

    def _tell(self, state: Webhook, problem: str = "") -> None:
        self.state = state
        self._show(state, problem)
