"""Asking the cloud how things are: topology seldom, status often, history where no webhook tells it."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable

import trio

from agent.model.errors import ConfigError, MalformedMessage, PeerError
from agent.net.backoff import Backoff
from agent.workers.netatmo import client_history
from agent.workers.netatmo.client_api import Api, ApiError
from agent.workers.netatmo.client_ears import Ears
from agent.workers.netatmo.client_state import Mirror
from agent.workers.netatmo.client_webhook import Keeper
from agent.workers.netatmo.config import CloudConfig
from agent.workers.netatmo.wire import decode_homes, decode_status, server_time

TOPOLOGY_S = 3600.0
TOPOLOGY_AGAIN_S = 300.0  # when a status names what no topology does
SAFETY_S = 600.0
SETTLE_S = 2.0
STALE_PERIODS = 2
FIRST_S = 5.0
MOST_S = 300.0

logger = logging.getLogger(__name__)


class Poller:
    """One account's. read: called after everything that changed the mirror. fine, trouble: how it goes.

    One of these per connection; what was told lives in the mirror and the ears.
    """

    def __init__(
        self, config: CloudConfig, api: Api, mirror: Mirror, ears: Ears, keeper: Keeper, *,
        read: Callable[[], None], fine: Callable[[], None], trouble: Callable[[str], None],
        rng: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self._config = config
        self._api = api
        self._mirror = mirror
        self._ears = ears
        self._keeper = keeper
        self._read = read
        self._fine = fine
        self._trouble = trouble
        self._backoff = Backoff(first_s=FIRST_S, max_s=MOST_S, rng=rng)
        self._wanted = trio.Event()
        self._soon_at = math.inf
        self._topology_at = self._status_at = self._events_at = float("-inf")
        self._topology_read_at = float("-inf")
        self._status_read_at = trio.current_time()
        self._continuous = False
        self._learnt = False

    def soon(self) -> None:
        """Something happened: read the status, once for all that happens within two seconds."""
        if math.isinf(self._soon_at):
            self._soon_at = trio.current_time() + SETTLE_S
            self._wanted.set()

    async def run(self) -> None:
        """Ask for ever, also through errors. Raises: AuthenticationError, ConfigError."""
        while True:
            try:
                await self._ask()
            except (PeerError, MalformedMessage) as error:
                self._continuous = False
                await self._recover(error)
                continue
            self._backoff.reset()
            self._fine()
            await self._wait()

    async def _ask(self) -> None:
        """What is due, in order."""
        now = trio.current_time()
        if self._mirror.topology_wanted:
            self._topology_at = min(self._topology_at, self._topology_read_at + TOPOLOGY_AGAIN_S)
        if now >= self._topology_at:
            await self._ask_topology()
        if now >= min(self._status_at, self._soon_at):
            self._soon_at = math.inf
            await self._ask_status()
        if now >= self._events_at or self._is_behind(now):
            await self._ask_events()

    async def _ask_topology(self) -> None:
        homes = decode_homes(await self._api.read("homesdata"))
        wanted = self._config.home
        found = [home for home in homes if wanted is None or wanted in (home.id, home.name)]
        names = ", ".join(home.name or home.id for home in homes)
        where = f"workers.netatmo.cloud.{self._config.name}.home"
        if not homes:
            raise PeerError("the account has no home that the granted scopes show")
        if not found:
            raise ConfigError(where, f"no home {wanted!r}; the account has {names}")
        if len(found) > 1:
            raise ConfigError(where, f"say which home: {names}")
        self._mirror.take_home(found[0])
        self._topology_read_at = trio.current_time()
        self._topology_at = self._topology_read_at + TOPOLOGY_S
        self._status_at = float("-inf")

    async def _ask_status(self) -> None:
        begun_at = trio.current_time()
        fields = {"home_id": self._mirror.home_id}
        answer = await self._api.read("homestatus", fields, video=True)
        self._mirror.take_status(decode_status(answer), begun_at)
        self._set_clock(server_time(answer))
        self._status_read_at = trio.current_time()
        self._status_at = self._status_read_at + self._config.poll_s
        self._read()

    async def _ask_events(self) -> None:
        found, clock = await client_history.newest(
            self._api, self._mirror.home_id, known=self._ears.knows, pages=1 if not self._learnt else 4
        )
        self._set_clock(clock)
        if not self._learnt:
            self._learnt = True
            if not self._ears.learnt:
                self._ears.learn(found)
                found = []
        fresh = self._ears.recall(found, clock or time.time())
        self._keeper.look(fresh if self._continuous else ())
        self._continuous = True
        self._events_at = trio.current_time() + (
            SAFETY_S if self._keeper.works else self._config.poll_events_s
        )

    def _is_behind(self, now: float) -> bool:
        """The webhook has stopped to work: what was to be asked in ten minutes is wanted now."""
        return not self._keeper.works and self._events_at - now > self._config.poll_events_s

    async def _recover(self, error: PeerError | MalformedMessage) -> None:
        now = trio.current_time()
        self._trouble(str(error))
        if now - self._status_read_at >= STALE_PERIODS * self._config.poll_s and not self._mirror.stale:
            self._mirror.stale = True
            self._read()
        if isinstance(error, ApiError) and error.code in (9, 21):
            self._topology_at = float("-inf")
        pause_s = max(self._backoff.next_s(), self._api.paused_until - now)
        if isinstance(error, PeerError):
            pause_s = max(pause_s, error.retry_after_s or 0.0)
        stale_at = self._status_read_at + STALE_PERIODS * self._config.poll_s
        if not self._mirror.stale and now < stale_at < now + pause_s:
            await trio.sleep_until(stale_at)
            self._mirror.stale = True
            self._read()
        await trio.sleep_until(now + pause_s)

    async def _wait(self) -> None:
        """Until something is due, or wanted."""
        while True:
            now = trio.current_time()
            due = min(self._status_at, self._soon_at, self._events_at, self._topology_at)
            if self._mirror.topology_wanted:
                due = min(due, self._topology_read_at + TOPOLOGY_AGAIN_S)
            if now >= due or self._is_behind(now):
                return
            self._wanted = trio.Event()
            with trio.move_on_at(due):
                await self._wanted.wait()

    def topology_changed(self) -> None:
        """The cloud says so: read it now."""
        self._topology_at = float("-inf")
        self.soon()

    def _set_clock(self, server_s: int) -> None:
        if server_s:
            self._ears.clock_offset_s = server_s - time.time()
