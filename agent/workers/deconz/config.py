"""What an operator may say about the deCONZ-compatible server, the gateways that the door follows, and what
of theirs belongs to this door."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from agent.runtime import RemoteConfig
from agent.wire.url import check_trust, check_url

Port = Annotated[int, Meta(ge=0, le=65_535)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
GatewayName = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,32}$")]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ServerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The server that deCONZ clients such as Home Assistant connect to, as to a gateway.

    host: the address it listens on, in the clear, since the protocol's clients know nothing else: so it is
    this machine alone unless another address is named. ws_port: of the websocket.
    allow_from: addresses and networks ("192.168.1.20", "192.168.1.0/24") that may connect; empty: all. The
    protocol's websocket asks for no key, so whoever reaches it learns who rings.
    user, role: whose keys are handed out; the user is made with this role when it is not there.
    link_button: an endpoint whose long press opens the link window; not one that strangers reach. link_s: for
    how long it stays open.
    bridge_prefix: the first six hex digits of the bridge id; some clients look only for 00212E, the
    manufacturer's own.
    lock_as: `sensor` (ZHADoorLock, as current gateways) or `light` (Door Lock, as old ones).
    notify_all: tell all attributes of what changed, not only the changed ones; clients may switch it.
    hide: endpoints that are not shown. latitude, longitude: of the door, for the Daylight sensor.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    ws_port: Port = 8081
    allow_from: tuple[str, ...] = ()
    user: Name = "smart-home"
    role: Literal["resident", "installer"] = "resident"
    link_button: Name | None = None
    link_s: Annotated[float, Meta(ge=5, le=600)] = 60.0
    bridge_prefix: Annotated[str, Meta(pattern="^[0-9A-Fa-f]{6}$")] | None = None
    lock_as: Literal["sensor", "light"] = "sensor"
    notify_all: bool = True
    ssdp: bool = True
    hide: tuple[Name, ...] = ()
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    max_connections: Annotated[int, Meta(ge=1, le=1024)] = 64
    max_per_peer: Annotated[int, Meta(ge=1, le=1024)] = 16

    def __post_init__(self) -> None:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude go together")
        for text in self.allow_from:
            try:
                ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise ValueError(f"allow_from: {text[:64]!r} is neither an address nor a network") from None

    def networks(self) -> tuple[Network, ...]:
        """Who may connect; empty: everybody."""
        return tuple(ipaddress.ip_network(text, strict=False) for text in self.allow_from)


class GatewayConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A gateway of the household that the door listens to.

    url: its REST address ("http://192.168.1.5"); absent: looked for in the network (SSDP), which is right
    where there is one gateway. bridge_id: take this one only.
    key_file: holds the API key; absent: the one that `portero deconz pair` asked for is kept by the door.
    ws_port: of its websocket, where the port that it reports is not the one that can be reached.
    ca_file, fingerprint: for https, as everywhere.
    """

    name: GatewayName
    url: str | None = None
    bridge_id: Annotated[str, Meta(pattern="^[0-9A-Fa-f]{16}$")] | None = None
    key_file: str | None = None
    ws_port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    ca_file: str | None = None
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        if self.url is not None:
            check_url(self.url, schemes=("http", "https"))
            parts = urlsplit(self.url)
            if parts.path not in ("", "/") or parts.query:
                raise ValueError("expected the address alone, without /api and a key")
        check_trust(self.url or "https:", self.ca_file, self.fingerprint)


class DeconzConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """deCONZ: our server for the household's smart home, and the gateways that we follow."""

    server: ServerConfig | None = None
    gateway: tuple[GatewayConfig, ...] = ()

    def __post_init__(self) -> None:
        names = [gateway.name for gateway in self.gateway]
        if len(set(names)) != len(names):
            raise ValueError("two gateways have the same name")

    def misplaced(self, endpoint: RemoteConfig) -> str | None:
        """Why an endpoint of this house cannot be at any of the gateways, or None."""
        assert isinstance(endpoint, DeconzEndpoint)
        names = [gateway.name for gateway in self.gateway]
        if endpoint.gateway is None:
            if len(names) == 1:
                return None
            if not names:
                return "there is no gateway: add [[workers.deconz.gateway]]"
            return f"say which gateway: {', '.join(names)}"
        if endpoint.gateway not in names:
            return f"no gateway named {endpoint.gateway!r}; there are {', '.join(names) or 'none'}"
        return None


class DeconzEndpoint(RemoteConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="deconz"):
    """An endpoint of this house that is a device of a gateway.

    gateway: which, where there are several. device: the unique id of the light or sensor
    ("00:15:8d:00:02:c9:4d:3a-01-0500"), or the name that it has there.
    button: which one of a remote; ring_on: whether it rings as it goes down, which many remotes never tell,
    or when it is let go.
    tamper: a contact is the device's own tamper switch, not what it detects.
    """

    device: Annotated[str, Meta(min_length=1, max_length=128)]
    gateway: GatewayName | None = None
    button: Annotated[int, Meta(ge=1, le=27)] = 1
    ring_on: Literal["press", "release"] = "release"
    tamper: bool = False
