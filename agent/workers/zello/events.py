"""What a server says on Zello's Channel API: replies and events. Encoded strictly, read leniently."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from agent.model.errors import MalformedMessage
from agent.wire.json import decode_any
from agent.workers.zello.commands import (
    MAX_ADDRESS_CHARS,
    MAX_NAME_CHARS,
    MAX_SIDE_PX,
    MAX_TEXT_BYTES,
    MAX_TEXT_MESSAGE_BYTES,
    MAX_TOKEN_CHARS,
)
from agent.workers.zello.fields import MAX_ID, clean, id_of, number_of, size_of, text_of
from agent.workers.zello.packets import CodecHeader, decode_codec_header, encode_codec_header

MAX_ERROR_CHARS = 256
MAX_USERS = 1_000_000


class Reply(Struct, frozen=True, kw_only=True):
    """The answer to the request with this `seq`. error: empty on success."""

    seq: int
    error: str = ""
    refresh_token: str = ""
    stream_id: int | None = None
    image_id: int | None = None

    @property
    def success(self) -> bool:
        return not self.error

    def __repr__(self) -> str:
        return f"Reply(seq={self.seq}, error={self.error!r}, stream_id={self.stream_id})"


class ChannelStatus(Struct, frozen=True, kw_only=True):
    """A channel came, went, or has other users now. error_type: `configuration` means do not hammer."""

    channel: str
    online: bool
    users_online: int = 0
    images: bool = False
    texts: bool = False
    locations: bool = False
    error: str = ""
    error_type: str = ""


class StreamStarted(Struct, frozen=True, kw_only=True):
    """Somebody begins to talk. codec: what they announce. recipient: set when it is for one user alone."""

    stream_id: int
    channel: str
    sender: str
    codec: CodecHeader = CodecHeader()
    packet_ms: int = 20
    recipient: str = ""


class StreamStopped(Struct, frozen=True, kw_only=True):
    """A stream is over; for a stream of our own: the server ended it."""

    stream_id: int


class ErrorTold(Struct, frozen=True, kw_only=True):
    """An error that belongs to no request."""

    error: str


class ImageAnnounced(Struct, frozen=True, kw_only=True):
    """Two binary messages with this id follow."""

    message_id: int
    channel: str
    sender: str
    width: int = 0
    height: int = 0
    source: Literal["camera", "library"] = "library"
    recipient: str = ""


class TextReceived(Struct, frozen=True, kw_only=True):
    """A text message."""

    message_id: int
    channel: str
    sender: str
    text: str
    recipient: str = ""


class LocationReceived(Struct, frozen=True, kw_only=True):
    """Somebody's position in degrees; accuracy in metres, 0 when not told."""

    message_id: int
    channel: str
    sender: str
    latitude: float
    longitude: float
    accuracy_m: float = 0.0
    address: str = ""
    recipient: str = ""


class UnknownEvent(Struct, frozen=True, kw_only=True):
    """An event that we do not have (transcriptions, dispatch calls, alerts): counted, never guessed at."""

    command: str


Event = (
    ChannelStatus
    | StreamStarted
    | StreamStopped
    | ErrorTold
    | ImageAnnounced
    | TextReceived
    | LocationReceived
    | UnknownEvent
)


def decode_told(text: str | bytes) -> Reply | Event:
    """What a server said.

    Raises: MalformedMessage when it is no object with a command or a `seq`, or lacks what it is about.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    plain = decode_any(raw, "zello event", max_bytes=MAX_TEXT_MESSAGE_BYTES)
    if not isinstance(plain, dict):
        raise MalformedMessage("zello event", "expected an object")
    name = plain.get("command")
    if name is None:
        return _reply(plain)
    if not isinstance(name, str):
        raise MalformedMessage("zello event", "expected a command")
    return _event(name, plain)


def _reply(plain: dict[str, Any]) -> Reply:
    seq = id_of(plain, "seq")
    if seq is None:
        raise MalformedMessage("zello reply", "expected a seq or a command")
    error = text_of(plain, "error", MAX_ERROR_CHARS)
    if plain.get("success") is not True and not error:
        error = "unknown error"  # neither success nor a reason
    return Reply(
        seq=seq,
        error=error,
        refresh_token=text_of(plain, "refresh_token", MAX_TOKEN_CHARS),
        stream_id=id_of(plain, "stream_id"),
        image_id=id_of(plain, "image_id"),
    )


def _event(name: str, plain: dict[str, Any]) -> Event:
    channel = text_of(plain, "channel", MAX_NAME_CHARS)
    sender = text_of(plain, "from", MAX_NAME_CHARS)
    recipient = text_of(plain, "for", MAX_NAME_CHARS)
    match name:
        case "on_channel_status":
            return ChannelStatus(
                channel=channel,
                online=plain.get("status") == "online",
                users_online=size_of(plain, "users_online", MAX_USERS),
                images=plain.get("images_supported") is True,
                texts=plain.get("texting_supported") is True,
                locations=plain.get("locations_supported") is True,
                error=text_of(plain, "error", MAX_ERROR_CHARS),
                error_type=text_of(plain, "error_type", MAX_ERROR_CHARS),
            )
        case "on_stream_start":
            try:
                codec = decode_codec_header(plain.get("codec_header"))
            except MalformedMessage:
                codec = CodecHeader()  # a sloppy sender; each packet tells its own duration
            return StreamStarted(
                stream_id=_needed_id(plain, "stream_id"),
                channel=channel,
                sender=sender,
                codec=codec,
                packet_ms=size_of(plain, "packet_duration", 1000),
                recipient=recipient,
            )
        case "on_stream_stop":
            return StreamStopped(stream_id=_needed_id(plain, "stream_id"))
        case "on_error":
            return ErrorTold(error=text_of(plain, "error", MAX_ERROR_CHARS) or "unknown error")
        case "on_image":
            return ImageAnnounced(
                message_id=_needed_id(plain, "message_id"),
                channel=channel,
                sender=sender,
                width=size_of(plain, "width", MAX_SIDE_PX),
                height=size_of(plain, "height", MAX_SIDE_PX),
                source="camera" if plain.get("source") == "camera" else "library",
                recipient=recipient,
            )
        case "on_text_message":
            text = plain.get("text")
            if not isinstance(text, str) or len(text.encode("utf-8", "surrogatepass")) > 2 * MAX_TEXT_BYTES:
                raise MalformedMessage("on_text_message", "expected a text of a bearable length")
            return TextReceived(
                message_id=id_of(plain, "message_id") or 0,
                channel=channel,
                sender=sender,
                text=clean(text),
                recipient=recipient,
            )
        case "on_location":
            latitude, longitude = number_of(plain, "latitude"), number_of(plain, "longitude")
            if latitude is None or longitude is None:
                raise MalformedMessage("on_location", "expected latitude and longitude")
            if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
                raise MalformedMessage("on_location", "not on this globe")
            return LocationReceived(
                message_id=id_of(plain, "message_id") or 0,
                channel=channel,
                sender=sender,
                latitude=latitude,
                longitude=longitude,
                accuracy_m=max(0.0, number_of(plain, "accuracy") or 0.0),
                address=text_of(plain, "formatted_address", MAX_ADDRESS_CHARS)
                or text_of(plain, "rgl", MAX_ADDRESS_CHARS),
                recipient=recipient,
            )
        case _:
            return UnknownEvent(command=name[:MAX_NAME_CHARS])


def _needed_id(plain: dict[str, Any], key: str) -> int:
    number = id_of(plain, key)
    if number is None:
        raise MalformedMessage("zello event", f"expected {key} of 0..{MAX_ID}")
    return number


def encode_told(told: Reply | Event) -> bytes:
    """A reply or event as our server says it, in UTF-8: no `seq` in an event, no `command` in a reply."""
    match told:
        case Reply():
            body: dict[str, Any] = {"seq": told.seq}
            if told.error:
                body["error"] = told.error
            else:
                body["success"] = True
            if told.refresh_token:
                body["refresh_token"] = told.refresh_token
            if told.stream_id is not None:
                body["stream_id"] = told.stream_id
            if told.image_id is not None:
                body["image_id"] = told.image_id
        case ChannelStatus():
            body = {
                "command": "on_channel_status",
                "channel": told.channel,
                "status": "online" if told.online else "offline",
                "users_online": told.users_online,
                "images_supported": told.images,
                "texting_supported": told.texts,
                "locations_supported": told.locations,
            }
            if told.error:
                body["error"] = told.error
                body["error_type"] = told.error_type or "unknown"
        case StreamStarted():
            body = {
                "command": "on_stream_start",
                "type": "audio",
                "codec": "opus",
                "codec_header": encode_codec_header(told.codec),
                "packet_duration": told.packet_ms,
                "stream_id": told.stream_id,
                "channel": told.channel,
                "from": told.sender,
            }
            if told.recipient:
                body["for"] = told.recipient
        case StreamStopped():
            body = {"command": "on_stream_stop", "stream_id": told.stream_id}
        case ErrorTold():
            body = {"command": "on_error", "error": told.error}
        case ImageAnnounced():
            # `ct` is what the document's example has, `type` what the apps need.
            body = {
                "command": "on_image",
                "channel": told.channel,
                "from": told.sender,
                "for": told.recipient or False,
                "message_id": told.message_id,
                "type": "jpeg",
                "ct": "jpeg",
                "source": told.source,
                "width": told.width,
                "height": told.height,
            }
        case TextReceived():
            body = {
                "command": "on_text_message",
                "channel": told.channel,
                "from": told.sender,
                "for": told.recipient or False,
                "message_id": told.message_id,
                "text": told.text,
            }
        case LocationReceived():
            body = {
                "command": "on_location",
                "channel": told.channel,
                "from": told.sender,
                "for": told.recipient or False,
                "message_id": told.message_id,
                "latitude": told.latitude,
                "longitude": told.longitude,
                "accuracy": told.accuracy_m,
                "formatted_address": told.address,
                "rgl": told.address,
            }
        case UnknownEvent():
            body = {"command": told.command}
    return msgspec.json.encode(body)
