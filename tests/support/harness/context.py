"""A house in memory for testing one worker: everything behind its Context, without hardware or a journal."""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio
import trustme
from harness.voice import MemoryVoice

from agent.bus import EventLog
from agent.model.actions import Action, SetNotify, StartTalk
from agent.model.errors import TryLater
from agent.model.events import CameraAlarm, NotifyMode
from agent.model.outcomes import Done, Outcome
from agent.model.principals import Grant, Principal, Role
from agent.runtime import Context, EndpointInfo, Voice

SAFETY = frozenset({"smoke", "co"})


class DictAuthenticator:
    """Accounts in a dict: name -> (secret, role); grants and pins by name.

    delay_s: how long one check takes. overrun: nobody is looked at. calls: every (account, peer).
    busiest: most checks at one time.
    """

    def __init__(self, accounts: dict[str, tuple[str, Role]]) -> None:
        self.accounts = accounts
        self.grants: dict[str, Grant] = {}
        self.pins: dict[str, str] = {}
        self.delay_s = 0.0
        self.overrun = False
        self.calls: list[tuple[str, str]] = []
        self.busy = 0
        self.busiest = 0

    def admits(self, account: str) -> bool:
        return account in self.accounts

    def principal(self, account: str, *, via: str, peer: str) -> Principal | None:
        return self._principal(account, via, peer, proven_locally=False) if self.admits(account) else None

    async def authenticate(self, *, account: str, secret: str, via: str, peer: str) -> Principal | None:
        await self._look(account, peer)
        expected = self.accounts.get(account)
        if expected is None or expected[0] != secret:
            return None
        return self._principal(account, via, peer, proven_locally=True)

    async def authenticate_pin(self, *, account: str, pin: str, via: str, peer: str) -> Principal | None:
        await self._look(account, peer)
        if account not in self.accounts or self.pins.get(account) != pin:
            return None
        return self._principal(account, via, peer, proven_locally=True)

    async def _look(self, account: str, peer: str) -> None:
        self.calls.append((account, peer))
        if self.overrun:
            raise TryLater("too many log-ins at once")
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            await trio.sleep(self.delay_s)
        finally:
            self.busy -= 1

    def _principal(self, account: str, via: str, peer: str, *, proven_locally: bool) -> Principal:
        return Principal(
            name=account,
            role=self.accounts[account][1],
            via=via,
            peer=peer,
            proven_locally=proven_locally,
            grant=self.grants.get(account, Grant()),
        )


class MemoryNotifications:
    """The table of modes. quiet: as if it was the middle of the night."""

    def __init__(self, endpoints: tuple[EndpointInfo, ...]) -> None:
        self.modes: dict[str, NotifyMode] = {}
        self.quiet = False
        self._safety = {info.name for info in endpoints if info.role in SAFETY}
        self._names = [info.name for info in endpoints]

    def mode(self, endpoint: str) -> NotifyMode:
        return self.modes.get(endpoint, "default")

    def suppressed(self, endpoint: str) -> bool:
        if endpoint in self._safety or self.mode(endpoint) == "force":
            return False
        return self.quiet or self.mode(endpoint) == "mute"

    def set(self, action: SetNotify) -> None:
        for name in action.endpoints or self._names:
            if not (action.mode == "mute" and name in self._safety):
                self.modes[name] = action.mode


class MemoryTls:
    """A throw-away authority and a leaf for loopback."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ca.pem"
        _authority().cert_pem.write_to_path(str(self._path))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _leaf().configure_cert(self._context)

    def server_context(self) -> ssl.SSLContext:
        return self._context

    @property
    def ca_path(self) -> Path:
        return self._path

    def client_context(self) -> ssl.SSLContext:
        """What a client needs that trusts this authority alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _authority().configure_trust(context)
        return context


class House:
    """Builds Contexts and remembers what workers did with them.

    submitted: (action, principal) in order; `SetNotify` takes effect, anything else only gets its answer.
    answer: replaces the outcome of `submit`. ready: url by listener name. pages: last value by key.
    voice: the ear and mouth of every context that is not given another.
    """

    def __init__(
        self,
        folder: Path,
        *,
        endpoints: tuple[EndpointInfo, ...] = (),
        accounts: dict[str, tuple[str, Role]] | None = None,
        log: EventLog | None = None,
        boot_number: int = 7,
        voice: MemoryVoice | None = None,
    ) -> None:
        self.log = log or EventLog(boot_id="boot")
        self.endpoints = endpoints
        self.boot_number = boot_number
        self.authenticator = DictAuthenticator(accounts or {})
        self.notifications = MemoryNotifications(endpoints)
        self.voice = voice or MemoryVoice()
        self.tls = MemoryTls(folder)
        self.submitted: list[tuple[Action, Principal]] = []
        self.reported: list[CameraAlarm] = []
        self.pages: dict[str, str | int | float | bool] = {}
        self.ready: dict[str, str] = {}
        self.guarded: list[str] = []
        self.answer: Callable[[Action, Principal], Outcome] | None = None
        self._folder = folder

    def context(self, name: str, *, voice: Voice | None = None) -> Context:
        """What the worker `name` is given; its state directory stays the same over calls."""
        state_dir = self._folder / name
        state_dir.mkdir(mode=0o700, exist_ok=True)
        return Context(
            name=name,
            boot_number=self.boot_number,
            events=self.log,
            endpoints=self.endpoints,
            authenticator=self.authenticator,
            notifications=self.notifications,
            voice=voice or self.voice,
            submit=self._submit,
            report=self.reported.append,
            page=self.pages.__setitem__,
            ready=self.ready.__setitem__,
            supervise=self._supervise,
            guard=self._guard,
            tls=self.tls,
            state_dir=state_dir,
            any_port=True,
        )

    async def _submit(self, action: Action, principal: Principal) -> Outcome:
        await trio.lowlevel.checkpoint()
        self.submitted.append((action, principal))
        outcome: Outcome = Done(action_id=f"a{len(self.submitted)}")
        if self.answer is not None:
            outcome = self.answer(action, principal)
        elif isinstance(action, SetNotify):
            self.notifications.set(action)
        if isinstance(action, StartTalk) and isinstance(outcome, Done):
            self.voice.asked.append(principal.name)
        return outcome

    async def _supervise(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        await run()

    @asynccontextmanager
    async def _guard(self, connection: str) -> AsyncIterator[None]:
        """Strict: a bug in a connection fails the test."""
        self.guarded.append(connection)
        yield


@functools.cache
def _authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def _leaf() -> trustme.LeafCert:
    return _authority().issue_cert("localhost", "127.0.0.1", "::1")
