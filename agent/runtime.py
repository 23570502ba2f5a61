"""What a worker is, and the few things it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from msgspec import Meta, Struct

from agent.bus import EventLog
from agent.model.actions import Action, AlarmMode
from agent.model.events import AlarmState, CameraAlarm, CloudReported, ContactRole, DeviceChanged, NotifyMode
from agent.model.outcomes import Outcome
from agent.model.principals import Principal, Role
from agent.model.records import Entry

Observation = CameraAlarm | CloudReported | DeviceChanged
EndpointKind = Literal["button", "lock", "siren", "light", "contact", "led"]
RemoteKind = Literal["button", "lock", "siren", "light", "contact"]


class EndpointInfo(Struct, frozen=True, kw_only=True):
    """What a worker may know of an endpoint: its stable name, its human label, what it is.

    system: the worker on whose foreign system it lives; empty for the door's own hardware.
    hold_s, max_s: how long an action lasts that does not say, and at most; None: without an end.
    """

    name: str
    label: str
    kind: EndpointKind
    role: str = ""
    has_door_contact: bool = False
    system: str = ""
    hold_s: float | None = None
    max_s: float | None = None


class EndpointState(Struct, frozen=True, kw_only=True):
    """How an endpoint is now.

    state: pressed, released; locked, unlocked; on, off; active, calm. door: open, closed, left_open, forced
    of a lock that has a door contact, else empty. problem: empty while the device works.
    """

    state: str
    problem: str = ""
    door: str = ""
    door_problem: str = ""


class RemoteConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """An endpoint of this house that lives on a foreign system; a worker declares its own kind of it.

    acts_as: what it is to everybody else. role: of a contact. default_s: how long an unlocking, a siren or
    a light lasts when the request does not say (absent: 5, 60, 120 s; 0, for a light: until switched off).
    max_on_s: the longest (absent: 30 s, 180 s, for a light without an end).
    """

    acts_as: RemoteKind
    label: Annotated[str, Meta(max_length=64)] = ""
    role: ContactRole = "generic"
    default_s: Annotated[float, Meta(ge=0, le=86_400)] | None = None
    max_on_s: Annotated[float, Meta(ge=0.1, le=86_400)] | None = None
    without_journal: Literal["local", "refuse"] = "local"

    def __post_init__(self) -> None:
        if self.default_s == 0 and self.acts_as != "light":
            raise ValueError("default_s = 0 is for a light only")
        longest_s = self.max_on_s or {"lock": 30.0, "siren": 180.0}.get(self.acts_as)
        if self.default_s is not None and longest_s is not None and self.default_s > longest_s:
            raise ValueError(f"default_s ({self.default_s:g}) is longer than max_on_s ({longest_s:g})")
        if self.acts_as in ("siren", "lock") and (self.max_on_s or 0) > 900:
            raise ValueError(f"max_on_s of a {self.acts_as} is at most 900 s")
        if self.role != "generic" and self.acts_as != "contact":
            raise ValueError("role is for a contact only")


class Command(Protocol):
    """One thing that a remote endpoint is to do; exactly one of `done` and `failed` is called in the end.

    on: unlock, sound or shine, else the opposite. duration_s: for how long, None: until told otherwise.
    expires_at: trio time after which it must not be begun: an old unlocking opens no door.
    """

    on: bool
    duration_s: float | None
    by: str
    action_id: str
    expires_at: float

    def done(self) -> None:
        """The foreign system took it on. Whether it happened, the device tells later."""

    def failed(self, reason: str) -> None:
        """It did not, or nobody knows."""


class Remote(Protocol):
    """A remote endpoint, as its worker sees it. Everything but `command` is synchronous and never raises."""

    name: str
    config: Any

    async def command(self) -> Command:
        """The next command; one that expired in the queue was refused already. One task at a time."""

    def works(self) -> None:
        """The device can be reached (again)."""

    def failed(self, reason: str) -> None:
        """It cannot; commands are refused with this reason until `works`."""

    def switched(self, on: bool, *, command: Command | None = None, reason: str = "") -> None:
        """A lock, siren or light is now so; told when that is a change, or the effect of a command."""

    def pressed(self) -> None:
        """A button went down, or was clicked: this rings."""

    def held(self, held_ms: int) -> None:
        """It has been down for so long and still is."""

    def released(self, held_ms: int) -> None:
        """It came up again."""

    def contact(self, active: bool) -> None:
        """A detector is active or calm; told when that is a change."""


class Pending(Protocol):
    """Something begun that a foreign system has yet to take on."""

    async def failure(self) -> str | None:
        """None when it was taken on, else why not. Cancellation: it may still happen."""


class Performer(Protocol):
    """Something that can be told to do something."""

    def refuse(self, action: Action) -> str | None:
        """Why this action makes no sense here now, or None."""

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        """The policy for a broken journal: act all the same, or not."""

    def perform(self, action: Action, *, by: str, action_id: str) -> Pending | None:
        """Do it, without awaiting; what a foreign system has to do is begun and Pending.

        Raises: EndpointError.
        """


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


class AlarmStatus(Struct, frozen=True, kw_only=True):
    """The alarm system now.

    mode: what it is armed for, also while it is arming. seconds_left: of the delay that runs, else 0.
    watched: the modes (`away`, `stay`, `night`) in which an endpoint sets it off.
    """

    state: AlarmState
    mode: AlarmMode
    seconds_left: int = 0
    exit_delay_s: int = 0
    entry_delay_s: int = 0
    trigger_s: int = 0
    watched: dict[str, tuple[AlarmMode, ...]] = {}


class History(Protocol):
    """What is on disk of the events of this door."""

    async def page(self, *, before_seq: int | None, types: Sequence[str], limit: int) -> Sequence[Entry]:
        """The newest entries of these types (tags without version) below a number, newest first.

        Entries that a newer version stored are left out. Raises: JournalError when it cannot be read.
        """


class KeyInfo(Protocol):
    """An API key without its secret; times are UTC nanoseconds."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def created_ns(self) -> int: ...
    @property
    def last_used_ns(self) -> int | None: ...


class Keys(Protocol):
    """API keys for programs that a protocol lets in; `Authenticator.authenticate` takes them, account empty.

    They are keys like all others: `portero api-key list` shows them, `portero api-key revoke` ends them.
    """

    async def issue(self, *, user: str, role: Role, name: str, by: str) -> str:
        """A new key of `user`, who is made with `role` and without a known password where there is none.

        The role of a user who exists is left as it is. Raises: AgentError when it cannot be stored.
        """

    def listed(self, user: str) -> Sequence[KeyInfo]:
        """The keys of a user that are good; none for an unknown one."""

    async def revoke(self, key_id: str, *, user: str, by: str) -> bool:
        """End a key of `user`; False when there is no such. Raises: AgentError when it cannot be stored."""


class KeyFileResult(Struct, frozen=True, kw_only=True):
    """What a key file changed; refused: rows that were left out, as sentences that name the row."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    refused: tuple[str, ...] = ()


class KeyFiles(Protocol):
    """What people open this door with (tags, codes), as whole files of a system that administers them."""

    async def apply(self, content: bytes, *, file: str, source: str, by: str) -> KeyFileResult:
        """Make the keys of `source` those of the file (.xlsx or .csv), all at once or not at all.

        Keys of other sources stay. file: its name, for people. source: who the keys belong to.
        Raises: AgentError with the reason; nothing has changed then.
        Cancellation: applied whole, or not at all.
        """


class Question(Protocol):
    """What a person asks a worker with a command of this machine (`portero deconz link`)."""

    @property
    def account(self) -> str:
        """`local:NAME` of who asks."""

    def get(self, name: str, kind: Any, default: Any = ...) -> Any:
        """A typed argument. Raises: MalformedMessage."""


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
    state_of: how an endpoint is at this moment; events after `events.last_seq` tell what changes from here.
    alarm: the alarm system now; None: this door has none. `AlarmChanged` tells what changes.
    history: past events, from the disk; what is younger than a few milliseconds may not be there yet.
    mount: serves an ASGI app below a path ("/netatmo") of the door's HTTPS listener, in place of one mounted
    there before; the URL of that path once it is bound. Raises: PeerError when it cannot be.
    remotes: the endpoints of this house that live on this worker's foreign system.
    keys: API keys for programs that this protocol lets in.
    key_files: the tags and codes of this door.
    answer: registers what a command of this machine may ask this worker; a handler may raise CommandError.
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
    state_of: Callable[[str], EndpointState]
    alarm: Callable[[], AlarmStatus | None]
    history: History
    mount: Callable[[str, Any], Awaitable[str]]
    remotes: tuple[Remote, ...]
    keys: Keys
    key_files: KeyFiles
    answer: Callable[[str, Callable[[Question], Awaitable[object]]], None]
    state_dir: Path
    door: str = "Front door"
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
    endpoint: how an endpoint of the house that lives on its foreign system is configured, with name as tag.
    """

    name: str
    config: type[Struct]
    run: Callable[..., Awaitable[None]]
    endpoint: type[RemoteConfig] | None = None
