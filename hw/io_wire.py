"""Messages of Portero IO: CBOR arrays to frozen structs and back (docs/portero-io.md, "Messages"); pure.

A message is an array whose first item is its type. It is made of unsigned integers, booleans, text and arrays
in them, all of definite length, three levels deep at most. Each direction has types of its own, so that a
line that is shorted to itself says nothing to anybody.
"""

from __future__ import annotations

import enum
from typing import Annotated, Any

import cbor2
import msgspec

from hw.errors import MalformedFrame
from hw.io_frame import MAX_PAYLOAD

VERSION = 1
BAUD = 115200
BEAT_S = 0.25
LOST_AFTER_S = 0.75
RESEND_S = 0.1
SENDS = 3
MAX_CHANNELS = 32
MAX_DEPTH = 3
NO_SESSION = 0

Number = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Session = Annotated[int, msgspec.Meta(ge=0, le=2**48 - 1)]
Channel = Annotated[int, msgspec.Meta(ge=0, lt=MAX_CHANNELS)]
Text = Annotated[str, msgspec.Meta(max_length=32)]


class Kind(enum.IntEnum):
    """What a channel is. Relays fall with the link; lamps go dark with it."""

    RELAY = 1
    INPUT = 2
    LAMP = 3


class Reason(enum.IntEnum):
    """Why a device does not do what it was told."""

    NO_CHANNEL = 1
    NO_OUTPUT = 2
    BAD_TIME = 3
    FAULT = 4
    TOO_OLD = 5


# ----- host to device -----


class Hello(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """Begin a session. nonce: of chance; the same in each repetition until it is answered."""

    version: Number
    nonce: Number


class SetOutput(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """Switch an output. for_ms: how long it stays on; 0 when off, and for a lamp without an end."""

    session: Session
    sequence: Number
    channel: Channel
    on: bool
    for_ms: Number


class Beat(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=3):
    """The host lives. number: goes up; heard: the number of the newest State that it has."""

    session: Session
    number: Number
    heard: Number


class InputAck(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=4):
    """The host has this change."""

    session: Session
    sequence: Number


class End(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=5):
    """The host stops in good order; outputs off."""

    session: Session


# ----- device to host -----


class Welcome(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=17):
    """The session has begun, all outputs are off.

    session: NO_SESSION when the version is not spoken, else never given before by this device. boots: how
    often it has started. kinds: of the channels, from 0. levels: bit n is channel n. max_on_ms: of a relay.
    """

    version: Number
    nonce: Number
    session: Session
    device: Text
    firmware: Text
    boots: Number
    kinds: Annotated[tuple[Kind, ...], msgspec.Meta(max_length=MAX_CHANNELS)]
    levels: Number
    max_on_ms: Number


class Ack(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=18):
    """The output is switched."""

    session: Session
    sequence: Number


class Nack(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=19):
    """It is not."""

    session: Session
    sequence: Number
    reason: Reason


class InputChanged(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=20):
    """An input is now so; repeated until it is acknowledged."""

    session: Session
    sequence: Number
    channel: Channel
    active: bool


class State(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=21):
    """The device lives, and this is how it is. heard: the number of the newest Beat that it has."""

    session: Session
    number: Number
    heard: Number
    levels: Number


class Ended(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=22):
    """This session is over, or never was; outputs are off."""

    session: Session


HostMessage = Hello | SetOutput | Beat | InputAck | End
DeviceMessage = Welcome | Ack | Nack | InputChanged | State | Ended
Message = HostMessage | DeviceMessage


def encode(message: Message) -> bytes:
    """The payload of a message."""
    return cbor2.dumps(msgspec.to_builtins(message))


def decode_host(payload: bytes) -> HostMessage:
    """What the host says. Raises: MalformedFrame."""
    message: HostMessage = _decode(payload, HostMessage)
    return message


def decode_device(payload: bytes) -> DeviceMessage:
    """What the device says. Raises: MalformedFrame."""
    message: DeviceMessage = _decode(payload, DeviceMessage)
    return message


def _decode(payload: bytes, kind: Any) -> Any:
    if len(payload) > MAX_PAYLOAD:
        raise MalformedFrame("a message too long")
    end = _item_end(payload, 0, 0)
    if end != len(payload):
        raise MalformedFrame("bytes after the message")
    try:
        return msgspec.convert(cbor2.loads(payload), kind)
    except (cbor2.CBORError, ValueError) as error:
        raise MalformedFrame("no message of this protocol") from error


def _item_end(payload: bytes, at: int, depth: int) -> int:
    """Where the CBOR item at `at` ends, if it is of the kinds that messages are made of.

    It is looked at before it is decoded: tags, floats, maps and endless lengths mean work that others choose.
    Raises: MalformedFrame.
    """
    if at >= len(payload):
        raise MalformedFrame("a message cut off")
    major, size = payload[at] >> 5, payload[at] & 0x1F
    at += 1
    if major == 7:
        if size not in (20, 21):  # false, true
            raise MalformedFrame("a kind of item that no message has")
        return at
    if size > 27 or major not in (0, 3, 4):
        raise MalformedFrame("a kind of item that no message has")
    width = 0 if size < 24 else 1 << (size - 24)
    if at + width > len(payload):
        raise MalformedFrame("a message cut off")
    value = int.from_bytes(payload[at : at + width], "big") if width else size
    at += width
    if major == 0:
        return at
    if value > len(payload) - at:
        raise MalformedFrame("a length beyond the message")
    if major == 3:
        return at + value
    if depth == MAX_DEPTH:
        raise MalformedFrame("arrays too deep")
    for _ in range(value):
        at = _item_end(payload, at, depth + 1)
    return at
