"""The wire of Zello's Channel API, both ways: what is said, the connection's states, and the deviations.

Document: "Zello Channel API" (API.md and AUTH.md of the public repository, 2026), and what the makers' own
    JavaScript client 1.4.0, their example programs and third-party clients really do.
Address: wss://zello.io/ws for consumers, wss://zellowork.io/ws/<network> for Zello Work,
    wss://<host>/ws/mesh for an enterprise server; our own server takes all three paths on its port (8444).
Framing: one JSON object per text message, one packet per binary message (packets.py). No subprotocol needed.
Authentication: the first command, `logon`; nothing else counts before it. See tokens.py.
Keep-alive: websocket pings of the server every 30 s; a JSON `keepalive` of newer clients is answered.
Limits: the MAX_* constants of commands.py and packets.py.
Deviations from the document, each seen on a wire or reported by several people:
    - Clients send `channel` at logon instead of `channels`, and leave it out everywhere else.
    - `refresh_token` is often missing in a real reply; the makers' examples need it. Ours has it.
    - `seq` may be 0. Requests without one get no reply.
    - packet_duration and codec header contradict each other, even in the document. The TOC is right.
    - `for` is absent, false or a string; on_image has `type` or `ct`; an address has two spellings.
    - Clients send packets with stream id 0 before they hear the reply to start_stream.
    - Errors and close codes beyond the document's list (errors.py).
"""

from __future__ import annotations

from enum import Enum

from agent.workers.zello.commands import (
    Command,
    Heard,
    Illegal,
    Keepalive,
    Logon,
    NotEnough,
    NotJson,
    Request,
    SendImage,
    SendLocation,
    SendText,
    StartStream,
    StopStream,
    UnknownCommand,
    decode_request,
    encode_request,
    seq_of,
)
from agent.workers.zello.errors import CloseCode, ErrorCode, Reaction, reaction_to
from agent.workers.zello.events import (
    ChannelStatus,
    ErrorTold,
    Event,
    ImageAnnounced,
    LocationReceived,
    Reply,
    StreamStarted,
    StreamStopped,
    TextReceived,
    UnknownEvent,
    decode_told,
    encode_told,
)
from agent.workers.zello.packets import (
    CodecHeader,
    ImagePacket,
    OtherPacket,
    VoicePacket,
    decode_codec_header,
    decode_packet,
    encode_codec_header,
    image_packet,
    voice_packet,
)

__all__ = [
    "TRANSITIONS", "ChannelStatus", "CloseCode", "CodecHeader", "Command", "ErrorCode", "ErrorTold",
    "Event", "Heard", "Illegal", "ImageAnnounced", "ImagePacket", "Keepalive", "LocationReceived", "Logon",
    "NotEnough", "NotJson", "OtherPacket", "Reaction", "Reply", "Request", "SendImage", "SendLocation",
    "SendText", "StartStream", "State", "Step", "StopStream", "StreamStarted", "StreamStopped",
    "TextReceived", "UnknownCommand", "UnknownEvent", "VoicePacket", "decode_codec_header", "decode_packet",
    "decode_request", "decode_told", "encode_codec_header", "encode_request", "encode_told", "image_packet",
    "reaction_to", "seq_of", "voice_packet",
]  # fmt: skip

DEFAULT_PORT = 8444
PATHS = ("/ws",)  # and anything below it


class State(Enum):
    """Where a connection to a server stands."""

    NEW = "new"
    LISTENING = "logged on, may only listen"
    TALKING = "logged on, may talk"
    REFUSED = "logon refused, waiting for the client to go"
    CLOSED = "closed"


class Step(Enum):
    """What moves a connection on."""

    LOGGED_ON = "logged on"
    LOGGED_ON_LISTEN_ONLY = "logged on, listen only"
    REFUSED = "refused"
    ENDED = "ended"


TRANSITIONS: dict[tuple[State, Step], State] = {
    **{
        (state, Step.LOGGED_ON): State.TALKING
        for state in (State.NEW, State.LISTENING, State.TALKING, State.REFUSED)
    },
    **{
        (state, Step.LOGGED_ON_LISTEN_ONLY): State.LISTENING
        for state in (State.NEW, State.LISTENING, State.TALKING, State.REFUSED)
    },
    # A logon that is refused on a live connection leaves it as it was: the older one still holds.
    (State.NEW, Step.REFUSED): State.REFUSED,
    (State.REFUSED, Step.REFUSED): State.REFUSED,
    (State.LISTENING, Step.REFUSED): State.LISTENING,
    (State.TALKING, Step.REFUSED): State.TALKING,
    **{(state, Step.ENDED): State.CLOSED for state in State},
}
