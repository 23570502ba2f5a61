"""A house in memory for testing one worker: everything behind its Context, without hardware or a journal."""

from __future__ import annotations

import functools
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
import trustme
from harness.voice import MemoryVoice
from msgspec import Struct

from agent.bus import EventLog
from agent.model.actions import Action, SetNotify, StartTalk
from agent.model.errors import AgentError, JournalError, TryLater
from agent.model.events import CameraAlarm, CloudReported, DeviceChanged, NotifyMode
from agent.model.outcomes import Done, Outcome
from agent.model.principals import Grant, Principal, Role
from agent.model.records import Entry
from agent.runtime import (
    AlarmStatus,
    Context,
    EndpointInfo,
    EndpointState,
    KeyFileResult,
    Question,
    Remote,
    Voice,
)

SAFETY = frozenset({"smoke", "co"})


class DictAuthenticator:
    """Accounts in a dict: name -> (secret, role); grants and pins by name, the owner of an API key in keys.

    delay_s: how long one check takes. overrun: nobody is looked at. calls: every (account, peer).
    busiest: most checks at one time.
    """

    def __init__(self, accounts: dict[str, tuple[str, Role]]) -> None:
        self.accounts = accounts
        self.grants: dict[str, Grant] = {}
        self.pins: dict[str, str] = {}
        self.keys: dict[str, str] = {}
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
        if secret in self.keys and account in ("", self.keys[secret]):
            return self._principal(self.keys[secret], via, peer, proven_locally=True)
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


class MemoryKey(Struct, frozen=True, kw_only=True):
    """See runtime.KeyInfo."""

    id: str
    name: str
    created_ns: int
    last_used_ns: int | None = None


class MemoryKeys:
    """API keys of a DictAuthenticator. broken: nothing can be stored."""

    def __init__(self, authenticator: DictAuthenticator) -> None:
        self._authenticator = authenticator
        self.issued: dict[str, tuple[str, MemoryKey]] = {}
        self.broken = False

    async def issue(self, *, user: str, role: Role, name: str, by: str) -> str:
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise AgentError("the disk is full")
        self._authenticator.accounts.setdefault(user, (secrets.token_hex(), role))
        number = len(self.issued) + 1
        key = f"pk_{number:08d}_{secrets.token_urlsafe(32)}"
        self._authenticator.keys[key] = user
        self.issued[key] = (user, MemoryKey(id=f"{number:08d}", name=name, created_ns=number))
        return key

    def listed(self, user: str) -> list[MemoryKey]:
        return [
            info
            for key, (owner, info) in self.issued.items()
            if owner == user and key in self._authenticator.keys
        ]

    async def revoke(self, key_id: str, *, user: str, by: str) -> bool:
        await trio.lowlevel.checkpoint()
        for key, (owner, info) in self.issued.items():
            if owner == user and info.id == key_id:
                return self._authenticator.keys.pop(key, None) is not None
        return False


class MemoryKeyFiles:
    """Takes key files. applied: (content, file, source) of each. broken: why none is taken."""

    def __init__(self) -> None:
        self.applied: list[tuple[bytes, str, str]] = []
        self.broken = ""
        self.slow_s = 0.0
        self.result = KeyFileResult(added=1)

    async def apply(self, content: bytes, *, file: str, source: str, by: str) -> KeyFileResult:
        await trio.sleep(self.slow_s)
        if self.broken:
            raise AgentError(self.broken)
        self.applied.append((content, file, source))
        return self.result


class MemoryHistory:
    """The log as the journal would have it. broken: the file cannot be read."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.broken = False

    async def page(self, *, before_seq: int | None, types: Sequence[str], limit: int) -> list[Entry]:
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise JournalError("journal.db cannot be read")
        found: list[Entry] = []
        reader = self._log.follow(after=0)
        while reader.cursor < self._log.last_seq:
            item = await anext(reader)
            if isinstance(item, Entry) and (before_seq is None or item.seq < before_seq):
                tag = str(type(item.event).__struct_config__.tag).partition("/")[0]
                if tag in types:
                    found.append(item)
        return found[::-1][:limit]


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
    voice: the ear and mouth of every context that is not given another. states: of endpoints by name, `calm`,
    `locked` ... where nothing is said. remotes: what lives on the worker's system. answers: by verb.
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
        self.reported: list[CameraAlarm | CloudReported | DeviceChanged] = []
        self.pages: dict[str, str | int | float | bool] = {}
        self.ready: dict[str, str] = {}
        self.guarded: list[str] = []
        self.answer: Callable[[Action, Principal], Outcome] | None = None
        self.states: dict[str, EndpointState] = {}
        self.alarm: AlarmStatus | None = None
        self.mounted: dict[str, Any] = {}
        self.remotes: tuple[Remote, ...] = ()
        self.keys = MemoryKeys(self.authenticator)
        self.key_files = MemoryKeyFiles()
        self.answers: dict[str, Callable[[Question], Awaitable[object]]] = {}
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
            state_of=self._state_of,
            alarm=lambda: self.alarm,
            history=MemoryHistory(self.log),
            mount=self._mount,
            remotes=self.remotes,
            keys=self.keys,
            key_files=self.key_files,
            answer=self.answers.__setitem__,
            state_dir=state_dir,
            any_port=True,
        )

    def _state_of(self, name: str) -> EndpointState:
        if name in self.states:
            return self.states[name]
        info = next(info for info in self.endpoints if info.name == name)
        at_rest = {"button": "released", "lock": "locked", "contact": "calm"}.get(info.kind, "off")
        return EndpointState(state=at_rest, door="closed" if info.has_door_contact else "")

    async def _mount(self, path: str, app: Any) -> str:
        await trio.lowlevel.checkpoint()
        self.mounted[path] = app
        return f"https://127.0.0.1:8443{path}/"

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
