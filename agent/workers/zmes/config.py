"""What an operator may say about the ZoneMinder-compatible server and the servers it listens to."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from agent.wire.fingerprint import plain_fingerprint
from agent.wire.url import check_url, is_loopback

AlarmKind = Literal["ring", "contact", "door", "siren", "lock"]
CauseKey = Literal[
    "ring", "tamper", "motion", "smoke", "co", "generic", "forced", "left_open", "siren", "unlocked"
]  # fmt: skip
MonitorId = Annotated[int, Meta(ge=1, le=999_999_999)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(min_length=1, max_length=64)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]


class PushConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Delivery to phones through Firebase (FCM HTTP v1).

    url: the `messages:send` address of your project. key_file: holds the bearer token; read again for every
    message, so whatever renews it only has to replace the file.
    """

    url: str
    key_file: str
    monthly_limit: Annotated[int, Meta(ge=1, le=1_000_000)] = 8000

    def __post_init__(self) -> None:
        check_url(self.url, schemes=("https", "http"))
        parts = urlsplit(self.url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError("url must be https: it carries your push key")


class ServerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server that ZoneMinder apps connect to.

    version: what clients are told; zmNinja wants at least 6.0.
    monitors: fixed monitor ids of endpoints; all others are numbered once and keep their number.
    alarm_on: what becomes an alarm. Smoke and carbon monoxide always do.
    causes: other words for the causes, e.g. {ring = "Es klingelt"}.
    end_messages: also tell the end of an alarm (`End:`). max_age_s: older events are not sent.
    spelling: `document` answers with the reason names of the developer document instead of the real server's.
    picture_url: sent along as Picture; the word EVENTID in it becomes the event's id. Everybody who is
    notified sees it: no passwords.
    """

    host: str = "::"
    port: Port = 9000
    tls: bool = True
    version: Annotated[str, Meta(pattern=r"^\d{1,3}(\.\d{1,4}){1,3}$")] = "6.1.29"
    spelling: Literal["server", "document"] = "server"
    auth_timeout_s: Seconds = 20.0
    bad_auth_grace_s: Seconds = 5.0
    max_malformed: Annotated[int, Meta(ge=1, le=1000)] = 20
    max_connections: Annotated[int, Meta(ge=1, le=1024)] = 128
    max_per_peer: Annotated[int, Meta(ge=1, le=1024)] = 16
    escontrol: bool = False
    escontrol_password_file: str | None = None
    monitors: dict[Name, MonitorId] = {}
    alarm_on: tuple[AlarmKind, ...] = ("ring", "contact", "door", "siren")
    causes: dict[CauseKey, Text] = {}
    end_messages: bool = False
    picture_url: str | None = None
    max_age_s: Seconds = 30.0
    push: PushConfig | None = None

    def __post_init__(self) -> None:
        if not self.tls and not is_loopback(self.host):
            raise ValueError(
                f"tls = false sends passwords in the clear: allowed for host 127.0.0.1 or ::1 only, "
                f"not for {self.host[:64]!r}"
            )
        if self.escontrol and not self.escontrol_password_file:
            raise ValueError("escontrol = true needs escontrol_password_file")
        if len(set(self.monitors.values())) != len(self.monitors):
            raise ValueError("two endpoints in monitors have the same id")
        if self.picture_url is not None:
            check_url(self.picture_url, schemes=("https", "http"))


class UpstreamConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event server elsewhere whose alarms become events of this house.

    url: wss:// (or https://, the same); ws:// sends the password in the clear.
    monitors: ids to listen to, all when empty. verify: check its certificate, against ca_file when given.
    fingerprint: the SHA-256 of its certificate, in hex with or without colons; nothing else is checked then,
    which is right for the self-signed certificates that most event servers have.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,32}$")]
    url: str
    user: str
    password_file: str
    ca_file: str | None = None
    verify: bool = True
    fingerprint: str | None = None
    monitors: tuple[Annotated[str, Meta(pattern=r"^[0-9]{1,9}$")], ...] = ()

    def __post_init__(self) -> None:
        check_url(self.url, schemes=("wss", "ws", "https", "http"))
        if self.fingerprint is not None:
            plain_fingerprint(self.fingerprint)
        if self.fingerprint is not None and self.ca_file is not None:
            raise ValueError("ca_file and fingerprint exclude each other: a pinned one needs no authority")
        if not self.verify and (self.fingerprint is not None or self.ca_file is not None):
            raise ValueError("verify = false contradicts ca_file and fingerprint")
        if not self.user:
            raise ValueError("user must not be empty")


class ZmesConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """ZoneMinder event notification: our server, and others' servers we follow."""

    server: ServerConfig | None = None
    upstream: tuple[UpstreamConfig, ...] = ()

    def __post_init__(self) -> None:
        names = [upstream.name for upstream in self.upstream]
        if len(set(names)) != len(names):
            raise ValueError("two upstream servers have the same name")
