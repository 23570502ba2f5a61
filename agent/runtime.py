"""What a worker is, and the few things it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct

from agent.bus import EventLog
from agent.model.actions import Action
from agent.model.events import CameraAlarm, NotifyMode
from agent.model.outcomes import Outcome
from agent.model.principals import Principal

Observation = CameraAlarm
EndpointKind = Literal["button", "lock", "siren", "light", "contact", "led"]


class EndpointInfo(Struct, frozen=True, kw_only=True):
    """What a worker may know of an endpoint: its stable name, its human label, what it is."""

    name: str
    label: str
    kind: EndpointKind
    role: str = ""
    has_door_contact: bool = False


class Performer(Protocol):
    """Something that can be told to do something."""

    def refuse(self, action: Action) -> str | None:
        """Why this action makes no sense here now, or None."""

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        """The policy for a broken journal: act all the same, or not."""

    def perform(self, action: Action, *, by: str, action_id: str) -> None:
        """Do it, without awaiting. Raises: EndpointError."""


class Authenticator(Protocol):
    """Proves who somebody is against the door's own store."""

    async def authenticate(self, *, account: str, secret: str, via: str, peer: str) -> Principal | None:
        """The principal, or None for any failure; takes the same work for unknown accounts.

        Throttled per peer and per account; failures become `AccessDenied` events.
        Raises: TryLater when nobody looked, because of the mistakes or the number of others. A protocol says
        that in other words than "wrong": many an app takes a refusal for final.
        """

    def admits(self, account: str) -> bool:
        """True while this account may come in: it exists, is enabled, is within its window."""


class Notifications(Protocol):
    """Who may be notified of what: mute, force, default and quiet hours, for every protocol alike."""

    def mode(self, endpoint: str) -> NotifyMode:
        """The explicit mode of an endpoint."""

    def suppressed(self, endpoint: str) -> bool:
        """True when no client may be told now: muted, or quiet hours; never for smoke or CO."""


class Context(Struct, frozen=True, kw_only=True):
    """All that a worker gets.

    submit: asks the door for something on behalf of a principal; always answers.
    report: publishes what a foreign system observed; nothing else can be published by a worker.
    page: sets small status values (str, int, float, bool) for `portero status` and the local page.
    ready: tells the address of a bound listener for `ready.json`.
    supervise: runs `fn()` for ever as a named part of the worker, with its own retry, back-off and parking.
    guard: wraps one connection: a bug in it is logged and counted, and ends that connection alone.
    state_dir: the worker's own folder, mode 0700, exists.
    """

    name: str
    boot_number: int
    events: EventLog
    endpoints: tuple[EndpointInfo, ...]
    authenticator: Authenticator
    notifications: Notifications
    submit: Callable[[Action, Principal], Awaitable[Outcome]]
    report: Callable[[Observation], None]
    page: Callable[[str, str | int | float | bool], None]
    ready: Callable[[str, str], None]
    supervise: Callable[[str, Callable[[], Awaitable[None]]], Awaitable[None]]
    guard: Callable[[str], AbstractAsyncContextManager[None]]
    tls: TlsProvider
    state_dir: Path
    any_port: bool = False


class TlsProvider(Protocol):
    """The door's own certificate, renewed while running."""

    def server_context(self) -> Any:
        """The ssl.SSLContext that listeners use; the same object for ever, its chain is reloaded in place."""

    @property
    def ca_path(self) -> Path:
        """The PEM file of the authority that clients trust."""


class WorkerSpec(Struct, frozen=True, kw_only=True):
    """One protocol: its name, its configuration and its main function.

    run(config, context, *, task_status): calls task_status.started() when its listeners are bound.
    """

    name: str
    config: type[Struct]
    run: Callable[..., Awaitable[None]]
