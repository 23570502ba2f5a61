"""What the two transports tell in the same words; pure."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

After = Literal["at_once", "soon", "slowly"]


class Opened(Struct, frozen=True):
    """The server has greeted us. socket_id: for the authorisation of channels, may be empty."""

    socket_id: str = ""


class Subscribed(Struct, frozen=True):
    """A channel is live. Names are the wire's."""

    channel: str


class Rejected(Struct, frozen=True):
    """A channel was refused. status: as HTTP has it, 0: nobody was asked. channel: empty: any that waits."""

    channel: str
    status: int


class Pushed(Struct, frozen=True):
    """An event on a channel. payload: parsed."""

    channel: str
    event: str
    payload: Any


class Noted(Struct, frozen=True):
    """Something that is for the log alone."""

    text: str


Signal = Opened | Subscribed | Rejected | Pushed | Noted


class Ending(Struct, frozen=True):
    """What the end of a connection means. after: when to come again; reason: for people.

    refused: nothing but a change of configuration will help. tls: come with TLS.
    """

    after: After
    reason: str
    refused: bool = False
    tls: bool = False
