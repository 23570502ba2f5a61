"""What a client says on Zello's Channel API: commands, decoded leniently and encoded strictly.

A value of a wrong type in an optional field counts as absent, as the cloud's many clients need it; one in a
field that a command cannot do without is `NotEnough`, which a server answers `not enough params`.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

from agent.model.errors import LocalProtocolError, MalformedMessage
from agent.wire.json import decode_any
from agent.workers.zello.fields import MAX_ID, clean, id_of, number_of, size_of, text_of
from agent.workers.zello.packets import CodecHeader, decode_codec_header, encode_codec_header

MAX_TEXT_MESSAGE_BYTES = 192 * 1024  # one JSON message; 30 KiB of text can be escaped to six times that
MAX_TEXT_BYTES = 30 * 1024
MAX_NAME_CHARS = 256
MAX_SECRET_CHARS = 1024
MAX_TOKEN_CHARS = 8192
MAX_CHANNELS = 100
MAX_ADDRESS_CHARS = 1024
MAX_SHORT_CHARS = 128
MAX_SIDE_PX = 16_384

ImageSource = Literal["camera", "library"]


class Logon(Struct, frozen=True, kw_only=True):
    """The first command, and again on a live connection before a token ends. Empty text: absent.

    channels: from `channels` or the older `channel`, in order, without repetition.
    """

    auth_token: str = ""
    refresh_token: str = ""
    username: str = ""
    password: str = ""
    channels: tuple[str, ...] = ()
    listen_only: bool = False
    version: str = ""
    platform_type: str = ""
    platform_name: str = ""
    language: str = ""

    def __repr__(self) -> str:
        return (
            f"Logon(username={self.username!r}, channels={self.channels!r}, listen_only={self.listen_only})"
        )


class StartStream(Struct, frozen=True, kw_only=True):
    """Ask for the floor. channel: empty means the connection's only one. recipient: the field `for`."""

    codec: CodecHeader = CodecHeader()
    packet_ms: int = 20
    channel: str = ""
    recipient: str = ""


class StopStream(Struct, frozen=True, kw_only=True):
    """The stream is over; `stream_id` is None when the start had been refused and the client stops anyway."""

    stream_id: int | None
    channel: str = ""


class SendImage(Struct, frozen=True, kw_only=True):
    """Announce two binary messages. Lengths, width and height are 0 when the client does not tell them."""

    width: int = 0
    height: int = 0
    source: ImageSource = "library"
    content_bytes: int = 0
    thumbnail_bytes: int = 0
    channel: str = ""
    recipient: str = ""


class SendText(Struct, frozen=True, kw_only=True):
    """A text message, at most 30 KiB of UTF-8."""

    text: str
    channel: str = ""
    recipient: str = ""


class SendLocation(Struct, frozen=True, kw_only=True):
    """Degrees and metres."""

    latitude: float
    longitude: float
    accuracy_m: float = 0.0
    address: str = ""
    channel: str = ""
    recipient: str = ""


class Keepalive(Struct, frozen=True):
    """Answered `success`; also the `ping` of a client's own invention."""


class NotEnough(Struct, frozen=True, kw_only=True):
    """A known command that lacks what it cannot do without."""

    command: str
    missing: str


class Illegal(Struct, frozen=True, kw_only=True):
    """A known command with a value that no server can serve: codec, text too long, off the globe."""

    command: str
    reason: str


class UnknownCommand(Struct, frozen=True, kw_only=True):
    """A command that we do not have."""

    command: str


Command = Logon | StartStream | StopStream | SendImage | SendText | SendLocation | Keepalive
Heard = Command | NotEnough | Illegal | UnknownCommand


class Request(Struct, frozen=True, kw_only=True):
    """A command with its `seq`, which is None when no answer is wanted; 0 wants one."""

    seq: int | None
    command: Heard


class NotJson(MalformedMessage):
    """Text that is no JSON: answered `invalid json`, anything else malformed `invalid request`."""


def decode_request(text: str | bytes) -> Request:
    """What a client said.

    Raises: NotJson; MalformedMessage when it is JSON but no object with a command.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        plain = decode_any(raw, "zello command", max_bytes=MAX_TEXT_MESSAGE_BYTES)
    except MalformedMessage as error:
        raise NotJson(error.where, error.reason) from error
    if not isinstance(plain, dict):
        raise MalformedMessage("zello command", "expected an object")
    name = plain.get("command")
    if not isinstance(name, str) or not name:
        raise MalformedMessage("zello command", "expected a command")
    return Request(seq=id_of(plain, "seq"), command=_command(name, plain))


def seq_of(text: str | bytes) -> int | None:
    """The `seq` of an object that is no command, so that even that can be answered; None when it has none."""
    try:
        plain = decode_any(
            text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text,
            "zello command",
            max_bytes=MAX_TEXT_MESSAGE_BYTES,
        )
    except MalformedMessage:
        return None
    return id_of(plain, "seq") if isinstance(plain, dict) else None


def _command(name: str, plain: dict[str, Any]) -> Heard:
    channel = text_of(plain, "channel", MAX_NAME_CHARS)
    recipient = text_of(plain, "for", MAX_NAME_CHARS)
    match name:
        case "logon":
            return _logon(plain)
        case "start_stream":
            return _start_stream(plain, channel, recipient)
        case "stop_stream":
            return StopStream(stream_id=id_of(plain, "stream_id"), channel=channel)
        case "send_image":
            if text_of(plain, "type", MAX_SHORT_CHARS) not in ("", "jpeg"):
                return Illegal(command=name, reason="only jpeg")
            source = plain.get("source")
            return SendImage(
                width=size_of(plain, "width", MAX_SIDE_PX),
                height=size_of(plain, "height", MAX_SIDE_PX),
                source="camera" if source == "camera" else "library",
                content_bytes=size_of(plain, "content_length", MAX_ID),
                thumbnail_bytes=size_of(plain, "thumbnail_content_length", MAX_ID),
                channel=channel,
                recipient=recipient,
            )
        case "send_text_message":
            text = plain.get("text")
            if not isinstance(text, str) or not text:
                return NotEnough(command=name, missing="text")
            if len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT_BYTES:
                return Illegal(command=name, reason=f"more than {MAX_TEXT_BYTES} bytes of text")
            return SendText(text=clean(text), channel=channel, recipient=recipient)
        case "send_location":
            return _send_location(plain, channel, recipient)
        case "keepalive" | "ping":
            return Keepalive()
        case _:
            return UnknownCommand(command=name[:MAX_SHORT_CHARS])


def _logon(plain: dict[str, Any]) -> Heard:
    listed = plain.get("channels")
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    single = plain.get("channel")
    if isinstance(single, str):
        names.append(single)
    channels = tuple(dict.fromkeys(name for name in names if 0 < len(name) <= MAX_NAME_CHARS))
    return Logon(
        auth_token=text_of(plain, "auth_token", MAX_TOKEN_CHARS),
        refresh_token=text_of(plain, "refresh_token", MAX_TOKEN_CHARS),
        username=text_of(plain, "username", MAX_NAME_CHARS),
        password=text_of(plain, "password", MAX_SECRET_CHARS),
        channels=channels,
        listen_only=plain.get("listen_only") is True,
        version=text_of(plain, "version", MAX_SHORT_CHARS),
        platform_type=text_of(plain, "platform_type", MAX_SHORT_CHARS),
        platform_name=text_of(plain, "platform_name", MAX_SHORT_CHARS),
        language=text_of(plain, "language", MAX_SHORT_CHARS),
    )


def _start_stream(plain: dict[str, Any], channel: str, recipient: str) -> Heard:
    if plain.get("type") not in (None, "audio") or plain.get("codec") not in (None, "opus"):
        return Illegal(command="start_stream", reason="only opus audio")
    if plain.get("codec_header") is None:
        return NotEnough(command="start_stream", missing="codec_header")
    try:
        codec = decode_codec_header(plain["codec_header"])
    except MalformedMessage as error:
        return Illegal(command="start_stream", reason=error.reason)
    # Never more than a hint: the document's own example contradicts its codec header.
    packet_ms = size_of(plain, "packet_duration", 1000)
    return StartStream(codec=codec, packet_ms=packet_ms, channel=channel, recipient=recipient)


def _send_location(plain: dict[str, Any], channel: str, recipient: str) -> Heard:
    latitude, longitude = number_of(plain, "latitude"), number_of(plain, "longitude")
    if latitude is None or longitude is None:
        return NotEnough(command="send_location", missing="latitude, longitude")
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return Illegal(command="send_location", reason="not on this globe")
    return SendLocation(
        latitude=latitude,
        longitude=longitude,
        accuracy_m=max(0.0, number_of(plain, "accuracy") or 0.0),
        address=text_of(plain, "formatted_address", MAX_ADDRESS_CHARS)
        or text_of(plain, "rgl", MAX_ADDRESS_CHARS),
        channel=channel,
        recipient=recipient,
    )


def encode_request(command: Command, seq: int) -> str:
    """A command as we send it. Raises: LocalProtocolError for what no server takes."""
    match command:
        case Logon():
            body: dict[str, Any] = {"command": "logon", "seq": seq}
            for key in ("auth_token", "refresh_token", "username", "password"):
                if value := getattr(command, key):
                    body[key] = value
            body["channels"] = list(command.channels)
            if command.listen_only:
                body["listen_only"] = True
            for key in ("version", "platform_type", "platform_name", "language"):
                if value := getattr(command, key):
                    body[key] = value
        case StartStream():
            body = {
                "command": "start_stream",
                "seq": seq,
                "channel": command.channel,
                "type": "audio",
                "codec": "opus",
                "codec_header": encode_codec_header(command.codec),
                "packet_duration": command.packet_ms,
            }
        case StopStream():
            body = {
                "command": "stop_stream",
                "seq": seq,
                "stream_id": command.stream_id,
                "channel": command.channel,
            }
        case SendImage():
            if not (command.content_bytes > 0 and command.thumbnail_bytes > 0):
                raise LocalProtocolError("an image is announced with both lengths")
            body = {
                "command": "send_image",
                "seq": seq,
                "channel": command.channel,
                "type": "jpeg",
                "source": command.source,
                "width": command.width,
                "height": command.height,
                "thumbnail_content_length": command.thumbnail_bytes,
                "content_length": command.content_bytes,
            }
        case SendText():
            if not command.text or len(command.text.encode()) > MAX_TEXT_BYTES:
                raise LocalProtocolError(f"1..{MAX_TEXT_BYTES} bytes of text")
            body = {
                "command": "send_text_message",
                "seq": seq,
                "channel": command.channel,
                "text": command.text,
            }
        case SendLocation():
            body = {
                "command": "send_location",
                "seq": seq,
                "channel": command.channel,
                "latitude": command.latitude,
                "longitude": command.longitude,
                "accuracy": command.accuracy_m,
            }
            if command.address:
                body["formatted_address"] = command.address
        case Keepalive():
            body = {"command": "keepalive", "seq": seq}
    if recipient := getattr(command, "recipient", ""):
        body["for"] = recipient
    return msgspec.json.encode(body).decode()
