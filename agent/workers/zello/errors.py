"""The error strings of Zello's Channel API, what each means, and what a client does about it.

Source: Zello Channel API, "Error codes", for the documented ones; the others were reported by people who met
them (issues of the public API repository, third-party gateways). Strings are compared case-insensitively.
"""

from __future__ import annotations

from enum import Enum, StrEnum


class ErrorCode(StrEnum):
    """An error as it stands on the wire."""

    UNKNOWN_COMMAND = "unknown command"
    INTERNAL = "internal server error"
    INVALID_JSON = "invalid json"
    INVALID_REQUEST = "invalid request"
    NOT_AUTHORIZED = "not authorized"
    NOT_LOGGED_IN = "not logged in"
    NOT_ENOUGH_PARAMS = "not enough params"
    SERVER_CLOSED = "server closed connection"
    CHANNEL_NOT_READY = "channel is not ready"
    LISTEN_ONLY = "listen only connection"
    FAILED_START = "failed to start stream"
    FAILED_STOP = "failed to stop stream"
    FAILED_SEND = "failed to send data"
    INVALID_AUDIO = "invalid audio packet"
    CHANNELS_LIMIT = "channels limit exceeded"
    # Not in the document:
    CHANNEL_BUSY = "channel busy"
    NO_PHONE = "no phone"
    WOODPECKER = "woodpecker prohibited"
    EMPTY_MESSAGE = "empty message"
    INVALID_STREAM_ID = "invalid stream id"
    KICKED = "kicked"
    UNABLE_TO_VERIFY = "unable to verify"
    INVALID_PASSWORD = "invalid password"  # noqa: S105
    SUSPENDED = "suspended"
    BUSY = "busy"
    TAKEN = "taken"
    CHANNEL_NOT_FOUND = "channel not found"  # our own server's, friendlier than silence


class Reaction(Enum):
    """What a client does about an error."""

    LOG = "log, never the same again"
    RETRY = "try again, with back-off"
    RETRY_LATER = "this message failed, the next may work"
    REAUTHENTICATE = "use the refresh token once, then a long pause"
    RECONNECT = "connect and log on again"
    RECONNECT_AFRESH = "drop the refresh token, connect and log on again"
    WAIT_ONLINE = "wait until the channel is online"
    LISTEN_ONLY = "send nothing on this connection any more"
    IGNORE = "nothing"
    END_MESSAGE = "end this message"
    PARK = "an operator has to mend the configuration"
    PAUSE = "somebody else speaks, or we began too often: pause, then try again"
    SIMPLER = "announce 16 kHz, one frame of 60 ms, once"


REACTIONS: dict[ErrorCode, Reaction] = {
    ErrorCode.UNKNOWN_COMMAND: Reaction.LOG,
    ErrorCode.INTERNAL: Reaction.RETRY,
    ErrorCode.INVALID_JSON: Reaction.LOG,
    ErrorCode.INVALID_REQUEST: Reaction.SIMPLER,
    ErrorCode.NOT_AUTHORIZED: Reaction.REAUTHENTICATE,
    ErrorCode.NOT_LOGGED_IN: Reaction.RECONNECT,
    ErrorCode.NOT_ENOUGH_PARAMS: Reaction.LOG,
    ErrorCode.SERVER_CLOSED: Reaction.RECONNECT_AFRESH,
    ErrorCode.CHANNEL_NOT_READY: Reaction.WAIT_ONLINE,
    ErrorCode.LISTEN_ONLY: Reaction.LISTEN_ONLY,
    ErrorCode.FAILED_START: Reaction.RETRY_LATER,
    ErrorCode.FAILED_STOP: Reaction.IGNORE,
    ErrorCode.FAILED_SEND: Reaction.END_MESSAGE,
    ErrorCode.INVALID_AUDIO: Reaction.END_MESSAGE,
    ErrorCode.CHANNELS_LIMIT: Reaction.PARK,
    ErrorCode.CHANNEL_BUSY: Reaction.PAUSE,
    ErrorCode.NO_PHONE: Reaction.PARK,
    ErrorCode.WOODPECKER: Reaction.PAUSE,
    ErrorCode.EMPTY_MESSAGE: Reaction.IGNORE,
    ErrorCode.INVALID_STREAM_ID: Reaction.END_MESSAGE,
    ErrorCode.KICKED: Reaction.RECONNECT,
    ErrorCode.UNABLE_TO_VERIFY: Reaction.PARK,
    ErrorCode.INVALID_PASSWORD: Reaction.PARK,
    ErrorCode.SUSPENDED: Reaction.PARK,
    ErrorCode.BUSY: Reaction.PAUSE,
    ErrorCode.TAKEN: Reaction.IGNORE,
    ErrorCode.CHANNEL_NOT_FOUND: Reaction.PARK,
}


def reaction_to(error: str) -> Reaction:
    """What to do about an error string; one that nobody has documented is a failure of this message."""
    try:
        return REACTIONS[ErrorCode(error.strip().lower())]
    except ValueError:
        return Reaction.RETRY_LATER


class CloseCode:
    """Websocket close codes; those from 3001 are Zello's own, seen by others on its cloud."""

    GOING_AWAY = 1001
    TOO_BIG = 1009
    INTERNAL = 1011
    TRY_LATER = 1013
    UNABLE_TO_VERIFY = 3001
    NOT_AUTHORIZED = 3002
    KICKED = 3003
    BANNED = 3004
