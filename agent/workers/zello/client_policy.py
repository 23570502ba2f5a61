"""What a client does after a connection ended: how long it stays away, and with which credentials it returns.

Only an online channel proves that a connection was good. A server that accepts the websocket and then sends
everybody away would else be asked thirty times in six minutes, and the address locked out for a quarter hour.
Source: Zello Channel API, "Error codes", for the meanings; close codes, the limit of 3 to 5 connections per
minute and their pauses were found by people who run gateways.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from enum import Enum

from agent.model.errors import PeerError
from agent.workers.zello.errors import CloseCode, ErrorCode, Reaction, reaction_to

FIRST_S = 1.0
MOST_S = 60.0
REFUSED_FIRST_S = 45.0
REFUSED_MOST_S = 900.0
KICKED_S = 30.0
TOO_MANY_S = 900.0
CONFIGURATION_S = 300.0
PATIENCE_S = 3600.0  # a server may ask for patience, not for oblivion
CONNECTS_PER_WINDOW = 3
WINDOW_S = 60.0
HTTP_TOO_MANY = 429


class Cause(Enum):
    """Why a connection ended, as far as it matters for the next one."""

    LOST = "lost"
    AFRESH = "the server lost its own connection"
    REFUSED = "refused"
    KICKED = "the same user logged on elsewhere"
    TOO_MANY = "too many connections"
    CONFIGURATION = "the channels or the account are not set up for this"
    PARKED = "an operator has to mend something"
    BANNED = "the account is refused for good"


class SessionEnded(PeerError):
    """A connection is over; `cause` decides what comes next."""

    def __init__(self, cause: Cause, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason, retry_after_s)
        self.cause = cause


ADVICE: dict[ErrorCode, str] = {
    ErrorCode.CHANNELS_LIMIT: "configure fewer channels, or several clouds with a user each",
    ErrorCode.NO_PHONE: "the channel asks for a verified phone number: verify the account in the Zello app",
    ErrorCode.INVALID_PASSWORD: "the API cannot join a channel that has a password: remove the password",
    ErrorCode.UNABLE_TO_VERIFY: "check user, password and token of this account",
    ErrorCode.SUSPENDED: "the network is suspended or its trial over: check account and url",
    ErrorCode.CHANNEL_NOT_FOUND: "check the channel's name: upper and lower case count",
    ErrorCode.NOT_ENOUGH_PARAMS: "this server wants a token (consumers), or user and password (Zello Work)",
}  # fmt: skip


def advice_on(error: str) -> str:
    """An error with what an operator can do about it."""
    try:
        advice = ADVICE.get(ErrorCode(error.strip().lower()), "")
    except ValueError:
        advice = ""
    return f"{error}: {advice}" if advice else error


def ended_by_error(error: str, *, at_logon: bool) -> SessionEnded | None:
    """What an error means for the whole connection; None when it may live on."""
    told = ("logon refused: " if at_logon else "") + advice_on(error)
    if error.strip().lower() == ErrorCode.KICKED:
        return SessionEnded(Cause.KICKED, told)
    if error.strip().lower() == ErrorCode.UNABLE_TO_VERIFY and at_logon:
        return SessionEnded(Cause.BANNED, told)
    match reaction_to(error):
        case Reaction.REAUTHENTICATE:
            return SessionEnded(Cause.REFUSED, told)
        case Reaction.RECONNECT:
            return SessionEnded(Cause.LOST, told)
        case Reaction.RECONNECT_AFRESH:
            return SessionEnded(Cause.AFRESH, told)
        case Reaction.PARK if at_logon:
            return SessionEnded(Cause.PARKED, told)
        case Reaction.LOG | Reaction.SIMPLER | Reaction.LISTEN_ONLY if at_logon:
            # The same logon will be refused again.
            return SessionEnded(Cause.CONFIGURATION, told)
        case _ if at_logon:
            return SessionEnded(Cause.LOST, told)
    return None


def ended_by_peer(error: PeerError) -> SessionEnded:
    """What a broken connection, a close code or an HTTP status means."""
    if isinstance(error, SessionEnded):
        return error
    if error.http_status == HTTP_TOO_MANY:
        return SessionEnded(Cause.TOO_MANY, error.reason, error.retry_after_s)
    match error.close_code:
        case CloseCode.UNABLE_TO_VERIFY | CloseCode.BANNED:
            return SessionEnded(Cause.BANNED, error.reason)
        case CloseCode.NOT_AUTHORIZED:
            return SessionEnded(Cause.REFUSED, error.reason)
        case CloseCode.KICKED:
            return SessionEnded(Cause.KICKED, error.reason)
        case _:
            return SessionEnded(Cause.LOST, error.reason, error.retry_after_s)


def nobody_there(error: PeerError) -> bool:
    """True when no TCP connection came about: trio gives the attempts on each address as a group."""
    cause = error.__cause__
    return isinstance(cause, OSError) and isinstance(cause.__cause__, ExceptionGroup)


class Pauses:
    """How long to stay away. rng: gives numbers in [0, 1)."""

    def __init__(self, *, rng: Callable[[], float] = random.random) -> None:
        self._rng = rng
        self._next_s = FIRST_S
        self._refused_s = REFUSED_FIRST_S
        self._connects: deque[float] = deque(maxlen=CONNECTS_PER_WINDOW)

    def online(self) -> None:
        """A channel is online: the past is forgotten."""
        self._next_s = FIRST_S
        self._refused_s = REFUSED_FIRST_S

    def connecting(self, now_s: float) -> None:
        """A connection is being opened."""
        self._connects.append(now_s)

    def not_reached(self) -> None:
        """It came to nothing before the server knew of it, as while another door starts again."""
        if self._connects:
            self._connects.pop()

    def until_allowed_s(self, now_s: float) -> float:
        """Seconds until one more connection keeps within three a minute."""
        if len(self._connects) < CONNECTS_PER_WINDOW:
            return 0.0
        return max(0.0, self._connects[0] + WINDOW_S - now_s)

    def after(self, ended: SessionEnded) -> float:
        """Seconds to wait after this end; each call moves on."""
        match ended.cause:
            case Cause.REFUSED:
                pause_s = self._refused_s
                self._refused_s = min(pause_s * 2, REFUSED_MOST_S)
            case Cause.KICKED:
                pause_s = KICKED_S
            case Cause.TOO_MANY:
                pause_s = TOO_MANY_S
            case Cause.CONFIGURATION | Cause.PARKED | Cause.BANNED:
                pause_s = CONFIGURATION_S
            case Cause.LOST | Cause.AFRESH:
                pause_s = self._next_s * (0.5 + self._rng())
                self._next_s = min(self._next_s * 2, MOST_S)
        asked_s = ended.retry_after_s or 0.0
        return max(pause_s, min(asked_s, PATIENCE_S)) if asked_s > 0 else pause_s
