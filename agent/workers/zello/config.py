"""What an operator may say about Zello: our own channel server on the LAN, and channels in the cloud."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from agent.model.principals import Role
from agent.wire.url import check_trust, check_url
from agent.workers.zello.words import CommandName, phrases

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]
PacketMs = Literal[20, 40, 60]


class SnapshotConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture of the visitor: from a program that writes a JPEG to its standard output, or from a URL.

    command: the program and its arguments, no shell. url: http(s), a camera of the LAN; its password, if any,
    is in password_file, its user in `user`. ca_file, fingerprint: for a camera with a certificate of its own.
    thumbnail: small copies are made with Pillow, which must be installed then.
    """

    command: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    url: str = ""
    user: str = ""
    password_file: str | None = None
    ca_file: str | None = None
    fingerprint: str | None = None
    timeout_s: Annotated[float, Meta(gt=0, le=30)] = 5.0
    thumbnail: bool = False

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.url):
            raise ValueError("expected either command or url")
        if self.url:
            check_url(self.url, schemes=("http", "https"))
        elif self.user or self.password_file is not None:
            raise ValueError("user and password_file belong to a url")
        if bool(self.user) != (self.password_file is not None):
            raise ValueError("user and password_file: both or neither")
        check_trust(self.url, self.ca_file, self.fingerprint)

    def __repr__(self) -> str:
        # Cameras take passwords in the query, programs as arguments.
        return f"SnapshotConfig({'command' if self.command else 'url'}=<hidden>)"


class RingConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a ring of the bell sends to a channel; {door}, {bell} and {time} are filled in.

    text: empty sends none. voice: the visitor is heard for the first seconds ([voice] ring_message_s).
    recipient: for this user alone; empty for all.
    """

    text: Annotated[str, Meta(max_length=500)] = "{bell}: somebody is at the door ({time})"
    voice: bool = True
    image: bool = True
    recipient: Annotated[str, Meta(max_length=128)] = ""


class CommandsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Words that do something when somebody who may writes them: "open", "light", "siren off", "accept".

    pin: who has to add the PIN of their account to open or to stop a siren ("open 4711"). lock, light, siren:
    the endpoints that are meant; empty: the only one of its kind, or the first. words: other words, each
    instead of the built-in one; an empty one takes its command away.
    """

    enabled: bool = True
    pin: tuple[Role, ...] = ("resident", "guest", "admin")
    lock: str = ""
    light: str = ""
    siren: str = ""
    words: dict[CommandName, Annotated[str, Meta(max_length=64)]] = {}

    def __post_init__(self) -> None:
        phrases(self.words)


class TokenKeyConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An issuer whose tokens (JWT, RS256) the server accepts: its name, and its public key as a PEM file."""

    issuer: Name
    public_key_file: str


class ChannelConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One channel of our server.

    door: `calls` plays what is said there at the door while a call is open, `always` at any time, `never`
    makes it a channel of the household alone, of which the door hears and tells nothing.
    members: accounts that may use it; empty: every account with one of `roles`.
    listeners: further accounts that may only listen. anonymous: anybody with a valid token may listen.
    """

    name: Name
    door: Literal["always", "calls", "never"] = "always"
    members: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ("resident", "admin")
    listeners: tuple[str, ...] = ()
    anonymous: bool = False
    images: bool = True
    texts: bool = True
    locations: bool = True
    ring: RingConfig = RingConfig()


class ServerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The channel server on the LAN.

    channels: default "Front door" (with the door in it) and "House" (without).
    door_user: the name under which the door speaks. one_session: a user's newer logon ends the older (3003).
    token_grace_s: an expired token of a known issuer is still good for so long (web clients keep theirs).
    max_stream_s: then the floor is taken. max_rate: packets faster than this times real time are dropped.
    """

    host: str = "::"
    port: Port = 8444
    tls: bool = True
    channels: tuple[ChannelConfig, ...] = (
        ChannelConfig(name="Front door"),
        ChannelConfig(name="House", door="never"),
    )
    door_user: Name = "door"
    tokens: tuple[TokenKeyConfig, ...] = ()
    token_grace_s: Annotated[float, Meta(ge=0, le=31_536_000)] = 86_400.0
    one_session: bool = False
    commands: CommandsConfig = CommandsConfig(pin=())
    packet_ms: PacketMs = 20
    max_stream_s: Annotated[float, Meta(ge=5, le=600)] = 60.0
    max_rate: Annotated[float, Meta(ge=1, le=10)] = 3.0
    max_connections: Annotated[int, Meta(ge=1, le=1024)] = 128
    max_per_peer: Annotated[int, Meta(ge=1, le=1024)] = 16
    max_per_user: Annotated[int, Meta(ge=1, le=64)] = 8

    def __post_init__(self) -> None:
        if not self.tls and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(
                f"tls = false sends passwords in the clear: allowed for host 127.0.0.1 or ::1 only, "
                f"not for {self.host[:64]!r}"
            )
        if not self.channels:
            raise ValueError("expected at least one channel")
        names = [channel.name for channel in self.channels]
        if len(set(names)) != len(names):
            raise ValueError("two channels have the same name")
        if any(channel.anonymous for channel in self.channels) and not self.tokens:
            raise ValueError("anonymous = true needs [[workers.zello.server.tokens]]: a token proves the app")


class CloudConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Channels on a server elsewhere: Zello's cloud, Zello Work, or another door.

    url: wss://zello.io/ws, wss://zellowork.io/ws/<network>, wss://<host>/ws/mesh.
    token_file: a ready-made token (a development token lasts 30 days; the file is read at each logon), or
    issuer with private_key_file: the door makes its own. Neither for Zello Work.
    username, password_file: both or neither (anonymous, listen only).
    people: whom of that server's users the door knows as which account of its own; nobody else may command
    or speak at the door. ca_file, fingerprint: for a server with a certificate of its own (another door).
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,32}$")]
    url: str = "wss://zello.io/ws"
    username: str = ""
    password_file: str | None = None
    token_file: str | None = None
    issuer: str = ""
    private_key_file: str | None = None
    channels: Annotated[tuple[Name, ...], Meta(min_length=1, max_length=100)]
    listen_only: bool = False
    people: dict[Name, Name] = {}
    door: Literal["always", "calls", "never"] = "always"
    ring: RingConfig = RingConfig()
    commands: CommandsConfig = CommandsConfig()
    packet_ms: PacketMs = 60
    platform_name: Annotated[str, Meta(max_length=64)] = "Door Gateway"
    language: Annotated[str, Meta(max_length=16)] = ""
    ca_file: str | None = None
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        check_url(self.url, schemes=("wss", "ws"))
        if bool(self.username) != (self.password_file is not None):
            raise ValueError("username and password_file: both or neither")
        if bool(self.issuer) != (self.private_key_file is not None):
            raise ValueError("issuer and private_key_file: both or neither")
        if self.token_file is not None and self.issuer:
            raise ValueError("token_file and issuer exclude each other")
        if not (self.username or self.token_file or self.issuer):
            raise ValueError("expected a user, a token, or both")
        check_trust(self.url, self.ca_file, self.fingerprint)


class ZelloConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Zello: our channel server on the LAN, and channels elsewhere."""

    server: ServerConfig | None = None
    cloud: tuple[CloudConfig, ...] = ()
    snapshot: SnapshotConfig | None = None

    def __post_init__(self) -> None:
        names = [cloud.name for cloud in self.cloud]
        if len(set(names)) != len(names):
            raise ValueError("two [[workers.zello.cloud]] have the same name")
