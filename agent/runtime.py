"""What a worker is, and the few things it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
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

    async def authenticate_pin(self, *, account: str, pin: str, via: str, peer: str) -> Principal | None:
        """As `authenticate`, by the account's PIN: for somebody whom another system has told apart."""

    def admits(self, account: str) -> bool:
        """True while this account may come in: it exists, is enabled, is within its window."""

    def principal(self, account: str, *, via: str, peer: str) -> Principal | None:
        """The principal of an account that another system vouches for, not `proven_locally`; None when it may
        not come in. The worker's configuration says whom that system may vouch for."""


class Notifications(Protocol):
    """Who may be notified of what: mute, force, default and quiet hours, for every protocol alike."""

    def mode(self, endpoint: str) -> NotifyMode:
        """The explicit mode of an endpoint."""

    def suppressed(self, endpoint: str) -> bool:
        """True when no client may be told now: muted, or quiet hours; never for smoke or CO."""


class EncodedVoice(Protocol):
    """One stream of the door's microphone, in voice packets of one size. Belongs to one task."""

    sample_rate_hz: int
    packet_ms: int

    async def packet(self, stream_id: int) -> bytes | None:
        """The next packet with its header (packet ids count from 0), or None when the transmission is over.

        What was said since the stream was made is kept until the first call, up to two seconds of it; later
        at most ten packets wait, the oldest are dropped. Sound that waits is given out without pacing.
        """


class Transmission(Protocol):
    """The door speaks: from the moment when somebody shall hear the visitor until nobody shall any more.

    number: goes up by one from transmission to transmission. reason: `ring` follows the press of the bell,
    `visitor` is the other side of an answered call, `announcement` is what the door itself has to say.
    """

    number: int
    call_id: str
    endpoint: str
    reason: Literal["ring", "visitor", "announcement"]

    @property
    def over(self) -> bool: ...

    async def wait_over(self) -> None:
        """Return when it is over."""

    def encoded(self, *, packet_ms: int = 20) -> AbstractContextManager[EncodedVoice]:
        """A stream of this transmission; 20, 40 or 60 ms a packet, 16 kHz, one frame each."""


class Playback(Protocol):
    """One stream of somebody's voice on its way to the loudspeaker."""

    def push(self, packet: bytes) -> None:
        """Give it a voice packet, header included; any bytes, at any time. Never waits, never raises."""

    async def finish(self) -> None:
        """No more will come: return when what came has been played, after two seconds at the latest."""

    @property
    def cut(self) -> str:
        """Why the door stopped to play it (time limit, sound card lost); empty while it does not."""


class Voice(Protocol):
    """The door's ear and mouth, for every protocol alike. Frames go here directly, they are no events.

    enabled: the door has a sound card (which may be broken now). interruptible: somebody who begins to speak
    ends the door's own transmission; else the visitor is heard out.
    """

    @property
    def enabled(self) -> bool: ...

    @property
    def interruptible(self) -> bool: ...

    async def transmission(self, after: int) -> Transmission:
        """The newest transmission with a number above `after` that is not over, waiting for it if need be."""

    def incoming(self, *, by: str, via: str) -> AbstractAsyncContextManager[Playback]:
        """Play somebody's voice; ends with the context, and cuts what was not played by then.

        Who may speak is asked before, with `submit(StartTalk())`. Publishes TalkEnded at its end.
        Raises on entry: EndpointError when there is no loudspeaker, or somebody else speaks.
        """


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
    voice: Voice
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
