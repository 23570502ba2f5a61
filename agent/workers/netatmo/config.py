"""What an operator may say about the Netatmo-compatible server, and the clouds that the door follows."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from msgspec import Meta, Struct

from agent.runtime import RemoteConfig
from agent.wire.url import check_trust, check_url

Name = Annotated[str, Meta(min_length=1, max_length=64)]
CloudName = Annotated[str, Meta(pattern=r"^[a-z0-9_-]{1,32}$")]
Identity = Annotated[str, Meta(min_length=1, max_length=128)]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ClientConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that may use OAuth2 at this door. redirect_uris: exactly those it may send a person back to.

    secret_file: its client secret, with which its webhooks are signed too.
    """

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    secret_file: str
    redirect_uris: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for uri in self.redirect_uris:
            check_url(uri, schemes=("https", "http"))


class ServerConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The door as a Classe 300 EOS with a siren, below /netatmo/ of the HTTPS listener (`[http]`).

    user, role: whose tokens are made; the user is made with this role when it is not there.
    home_name: absent, the door's name. locks_as, lights_as: endpoints that are another module than their kind
    says: a light that drives a second door is a lock to whoever may use it.
    report_state: also tell whether the door is open and the light lit, which the vendor never does.
    siren_prefix: of the siren's webhooks; some clients listen for a camera only. alias_lights: show each
    light a second time, as a plug that Home Assistant knows (`NLP`).
    webhook_networks: where webhooks may be sent, beyond private addresses and this machine.
    webhook_ca_file: the authorities that https webhooks are checked with; absent, the system's.
    per_10_s, per_hour: requests of one token.
    """

    user: Name = "smart-home"
    role: Literal["resident", "installer"] = "resident"
    home_name: Name | None = None
    locks_as: dict[Name, Literal["BNDL", "BNSL"]] = {}
    lights_as: dict[Name, Literal["BNSL", "BNDL"]] = {}
    report_state: bool = False
    siren_prefix: Literal["BNCX", "NACamera"] = "BNCX"
    alias_lights: bool = False
    hide: tuple[Name, ...] = ()
    clients: tuple[ClientConfig, ...] = ()
    webhook_networks: tuple[str, ...] = ()
    webhook_ca_file: str | None = None
    max_webhooks: Annotated[int, Meta(ge=1, le=256)] = 32
    per_10_s: Annotated[int, Meta(ge=1, le=10_000)] = 50
    per_hour: Annotated[int, Meta(ge=1, le=100_000)] = 500

    def __post_init__(self) -> None:
        if len({client.id for client in self.clients}) != len(self.clients):
            raise ValueError("two clients have the same id")
        for text in self.webhook_networks:
            try:
                ipaddress.ip_network(text, strict=False)
            except ValueError:
                raise ValueError(
                    f"webhook_networks: {text[:64]!r} is neither an address nor a network"
                ) from None

    def networks(self) -> tuple[Network, ...]:
        """Where webhooks may also be sent."""
        return tuple(ipaddress.ip_network(text, strict=False) for text in self.webhook_networks)


class CloudConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cloud account of the household whose devices the door follows.

    url: of the API; another door's /netatmo/ serves as well. client_id, client_secret_file: of the
    application that was made at the vendor's developer page. scopes: what is asked for at the log-in.
    home: id or name of the one home; absent where the account has one.
    webhook_url: an https address at which the vendor reaches /hooks/netatmo/ of this door; absent: polling
    alone. unsigned_webhooks: take them without signature, too.
    poll_s, poll_events_s: how often state and events are asked for when no webhook works.
    callback_port: of this machine, for the way back from the page of consent; 0: any free one. An application
    that names its redirect addresses at the vendor needs `http://127.0.0.1:PORT/` among them.
    """

    name: CloudName
    client_id: Identity
    client_secret_file: str
    url: str = "https://api.netatmo.com/"
    ca_file: str | None = None
    fingerprint: str | None = None
    scopes: tuple[str, ...] = ("read_mx", "write_mx", "read_camera", "write_camera", "read_doorbell")
    home: Identity | None = None
    webhook_url: str | None = None
    unsigned_webhooks: bool = False
    poll_s: Annotated[float, Meta(ge=60, le=3600)] = 120.0
    poll_events_s: Annotated[float, Meta(ge=60, le=3600)] = 120.0
    callback_port: Annotated[int, Meta(ge=0, le=65_535)] = 0

    def __post_init__(self) -> None:
        check_url(self.url, schemes=("https", "http"))
        check_trust(self.url, self.ca_file, self.fingerprint)
        if self.webhook_url is not None:
            check_url(self.webhook_url, schemes=("https",))


class NetatmoConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Netatmo Home + Security and BTicino: our server, and the clouds that we follow."""

    server: ServerConfig | None = None
    cloud: tuple[CloudConfig, ...] = ()

    def __post_init__(self) -> None:
        names = [cloud.name for cloud in self.cloud]
        if len(set(names)) != len(names):
            raise ValueError("two clouds have the same name")

    def misplaced(self, endpoint: RemoteConfig) -> str | None:
        """Why an endpoint of this house cannot be at any of the clouds, or None."""
        assert isinstance(endpoint, NetatmoEndpoint)
        names = [cloud.name for cloud in self.cloud]
        if endpoint.cloud is None:
            if len(names) == 1:
                return None
            if not names:
                return "there is no cloud: add [[workers.netatmo.cloud]]"
            return f"say which cloud: {', '.join(names)}"
        if endpoint.cloud not in names:
            return f"no cloud named {endpoint.cloud!r}; there are {', '.join(names) or 'none'}"
        return None


class NetatmoEndpoint(RemoteConfig, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="netatmo"):
    """An endpoint of this house that is a module at the vendor's.

    module: its id or name. A button is a door station or doorbell (BNEU, NDB), a lock a BNDL (or a BNSL that
    drives a door), a light a BNSL or a camera's floodlight, a siren an NIS or a camera's (told, never
    sounded: the vendor refuses that), a contact a detector or door tag.
    """

    module: Identity
    cloud: CloudName | None = None
