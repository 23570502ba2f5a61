"""Whoever has a webhook here, and the file that outlives the agent. A dead one keeps nobody waiting."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import trio
from msgspec import Struct
from msgspec.structs import replace

from agent.model.errors import AgentError
from agent.workers.netatmo.access import Grant
from agent.workers.netatmo.courier import Courier
from agent.workers.netatmo.destination import Destination, Rule, addresses_of, destination_of
from agent.workers.netatmo.push_body import Push
from agent.workers.netatmo.statefile import StateFile
from agent.workers.netatmo.subscriber import Subscriber, Subscription

FILE = "webhooks.json"
AFTER_BUG_S = 1.0

logger = logging.getLogger(__name__)


class WebhooksFile(Struct, frozen=True, kw_only=True):
    """webhooks.json. told_boot: the last start of the agent of which webhooks were told."""

    version: int = 1
    told_boot: int = 0
    subscriptions: tuple[Subscription, ...] = ()


class Subscribers:
    """All webhooks, and the file in which they outlive the agent.

    told_boot: the last start of the agent of which they were told. guard: see runtime.Context.
    """

    def __init__(
        self,
        state_dir: Path,
        rule: Rule,
        *,
        guard: Callable[[str], AbstractAsyncContextManager[None]],
        most: int,
        secret_of: Callable[[str], str | None],
        make_tls: Callable[[], ssl.SSLContext],
    ) -> None:
        self._file = StateFile(state_dir / FILE, WebhooksFile)
        self._rule = rule
        self._guard = guard
        self._most = most
        self._secret_of = secret_of
        self._make_tls = make_tls
        self._tls: ssl.SSLContext | None = None
        self._nursery: trio.Nursery | None = None
        self._to_store = trio.Event()
        self._tasks = 0
        self.all: dict[str, Subscriber] = {}
        self.told_boot = 0

    async def run(
        self,
        grants: Sequence[Grant],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Read the file, then own the tasks for ever; started() when it was read. Raises: PeerError."""
        stored = await self._file.load()
        by_id = {grant.id: grant for grant in grants}
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                if stored is not None:
                    self.told_boot = stored.told_boot
                    for subscription in stored.subscriptions[: self._most]:
                        grant = by_id.get(subscription.grant) or _other(subscription.key, grants)
                        if grant is not None:
                            await self._begin(replace(subscription, grant=grant.id), grant)
                task_status.started()
                while True:
                    await self._to_store.wait()
                    self._to_store = trio.Event()
                    await self.try_to_store()
            finally:
                self._nursery = None

    def tell(self, pushes: Sequence[Push], alive: frozenset[str]) -> None:
        """Offer pushes to everybody whose grant is alive; never waits."""
        for subscriber in self.all.values():
            if subscriber.subscription.grant in alive:
                for push in pushes:
                    subscriber.offer(push)

    async def check(self, url: str) -> Destination:
        """A URL that somebody wants told. Raises: ValueError, PeerError when it may not be used."""
        destination = destination_of(url)
        await addresses_of(destination, self._rule)
        return destination

    def is_full(self, key: str) -> bool:
        """Whether there is no room for one more."""
        return key not in self.all and len(self.all) >= self._most

    async def add(self, grant: Grant, url: str, hello: Push) -> None:
        """Have this URL told of everything from now on, in place of the one there was. Ends a ban.

        Raises: AgentError when it cannot be stored; then it is told all the same, until the agent ends.
        """
        subscription = Subscription(key=grant.subscriber, grant=grant.id, url=url)
        subscriber = await self._begin(subscription, grant)
        if subscriber is not None:
            logger.info("webhook added to=%s for=%s", subscriber.destination.where, grant.name)
            subscriber.offer(hello)
        await self.store()

    async def drop(self, key: str, goodbye: Push) -> bool:
        """Tell it no more; False when there was none. Raises: AgentError when that cannot be stored."""
        subscriber = self.all.pop(key, None)
        if subscriber is None:
            await trio.lowlevel.checkpoint()
            return False
        logger.info("webhook dropped to=%s", subscriber.destination.where)
        if self._tasks - len(self.all) <= self._most:
            subscriber.leave(goodbye)
        else:
            subscriber.stopped.cancel()
        await self.store()
        return True

    async def keep(self, grants: Sequence[Grant]) -> None:
        """Drop those whose grant is no more, without a word; a client's goes on under another of its own."""
        changed = False
        by_id = {grant.id for grant in grants}
        for key, subscriber in list(self.all.items()):
            if subscriber.subscription.grant in by_id:
                continue
            changed = True
            other = _other(key, grants)
            if other is not None:
                subscriber.subscription = replace(subscriber.subscription, grant=other.id)
                subscriber.scopes = frozenset(other.scopes)
            else:
                logger.info("webhook ended with its token to=%s", subscriber.destination.where)
                subscriber.stopped.cancel()
                del self.all[key]
        if changed:
            await self.try_to_store()

    async def store(self) -> None:
        """Have the file as it is now. Raises: AgentError."""
        await self._file.store(
            lambda: WebhooksFile(
                told_boot=self.told_boot,
                subscriptions=tuple(subscriber.subscription for subscriber in self.all.values()),
            )
        )

    async def try_to_store(self) -> None:
        """As `store`; what fails was logged, and stays as it is in memory."""
        try:
            await self.store()
        except AgentError:
            return

    async def _begin(self, subscription: Subscription, grant: Grant) -> Subscriber | None:
        """Start the task of a webhook; None for a URL that a later version of us might have taken."""
        try:
            destination = destination_of(subscription.url)
        except ValueError as error:
            logger.warning("webhook left out reason=%s", error)
            await trio.lowlevel.checkpoint()
            return None
        if destination.scheme == "https" and self._tls is None:
            self._tls = await trio.to_thread.run_sync(self._make_tls)
        subscriber = Subscriber(
            subscription,
            destination,
            Courier(destination, self._rule, self._tls),
            scopes=frozenset(grant.scopes),
            secret=self._secret_of(grant.client),
            changed=self._to_store_soon,
        )
        if self._nursery is None:
            await trio.lowlevel.checkpoint()
            return None
        before = self.all.get(subscription.key)
        if before is not None:
            before.stopped.cancel()
        self.all[subscription.key] = subscriber
        self._nursery.start_soon(self._run, subscriber)
        return subscriber

    async def _run(self, subscriber: Subscriber) -> None:
        self._tasks += 1
        try:
            with subscriber.stopped:
                over = False
                while not over:
                    async with self._guard(f"webhook {subscriber.destination.where}"):
                        await subscriber.run()
                        over = True
                    if not over:
                        await trio.sleep(AFTER_BUG_S)
        finally:
            self._tasks -= 1

    def _to_store_soon(self) -> None:
        self._to_store.set()


def _other(key: str, grants: Sequence[Grant]) -> Grant | None:
    """Another grant of the same client."""
    return next((grant for grant in reversed(grants) if grant.subscriber == key), None)
