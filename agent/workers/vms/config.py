"""What an operator may say about the VMS that administers this door."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from agent.wire.url import check_trust, check_url, is_loopback

Path = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._{}/-]{0,200})?$")]
Name = Annotated[str, Meta(min_length=1, max_length=128)]
Transport = Literal["pusher", "socketio", "auto"]


class VmsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An AIPIX VMS and our account there.

    url: https; http for a VMS on this machine only. login, password_file: of an administrator's account.
    source: under which name its keys and reports stand here. intercom_id: this door's own intercom there;
    camera_id: its camera; absent, nothing is said of one.
    transport: `pusher`, `socketio`, or `auto`: the first that works. channel_prefix: of private channels; an
    empty one asks for no authorisation. socketio_path, auth_path, and the paths of REST: they differ between
    releases; an empty one is never asked. origin: sent where a server insists on one.
    keys: whether the keys of this door are the VMS's. key_hosts: where key files may be fetched, beside the
    VMS itself. analytics: also hear what its analytics do, which is a lot.
    """

    url: str
    login: Name
    password_file: str
    source: Annotated[str, Meta(pattern="^[a-z0-9_-]{1,32}$")] = "vms"
    ca_file: str | None = None
    fingerprint: str | None = None
    intercom_id: Annotated[int, Meta(ge=1)] | None = None
    camera_id: Annotated[int, Meta(ge=1)] | None = None
    transport: Transport = "pusher"
    channel_prefix: Annotated[str, Meta(max_length=32)] = "private-"
    origin: str | None = None
    client: Annotated[str, Meta(pattern="^[a-z0-9-]{1,32}$")] = "web"
    token_path: Path = "/api/v1/token"  # noqa: S105
    wsurl_path: Path = "/api/v1/wsurl"
    auth_path: Path = "/broadcasting/auth"
    socketio_path: Path = "/socket.io"
    intercom_path: Path = "/api/admin/v1/intercoms/{id}"
    export_path: Path = "/api/admin/v1/intercoms/{id}/keys/export"
    keys: bool = True
    key_hosts: tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...] = ()
    analytics: bool = False

    def __post_init__(self) -> None:
        check_url(self.url, schemes=("https", "http"))
        check_trust(self.url, self.ca_file, self.fingerprint)
        parts = urlsplit(self.url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            raise ValueError(
                "http is for a VMS on this machine only: its password would be seen by everybody"
            )
        if self.origin is not None:
            check_url(self.origin, schemes=("https", "http"))

    def misplaced(self, endpoint: object) -> str | None:
        """No endpoint of this house lives there."""
        return "a VMS has no endpoints of this house"
