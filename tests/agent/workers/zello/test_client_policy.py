"""What follows from each way in which a connection or a message can fail."""

from __future__ import annotations

import socket

import pytest
import trio

from agent.model.errors import PeerError
from agent.net.websocket import connect_websocket
from agent.workers.zello.client_policy import (
    ADVICE,
    Cause,
    Pauses,
    SessionEnded,
    advice_on,
    ended_by_error,
    ended_by_peer,
    nobody_there,
)
from agent.workers.zello.errors import REACTIONS, ErrorCode

# What an error means: as the answer to a logon, and at any later time (None: the connection lives on).
MEANING: dict[ErrorCode, tuple[Cause, Cause | None]] = {
    ErrorCode.UNKNOWN_COMMAND: (Cause.CONFIGURATION, None),
    ErrorCode.INTERNAL: (Cause.LOST, None),
    ErrorCode.INVALID_JSON: (Cause.CONFIGURATION, None),
    ErrorCode.INVALID_REQUEST: (Cause.CONFIGURATION, None),
    ErrorCode.NOT_AUTHORIZED: (Cause.REFUSED, Cause.REFUSED),
    ErrorCode.NOT_LOGGED_IN: (Cause.LOST, Cause.LOST),
    ErrorCode.NOT_ENOUGH_PARAMS: (Cause.CONFIGURATION, None),
    ErrorCode.SERVER_CLOSED: (Cause.AFRESH, Cause.AFRESH),
    ErrorCode.CHANNEL_NOT_READY: (Cause.LOST, None),
    ErrorCode.LISTEN_ONLY: (Cause.CONFIGURATION, None),
    ErrorCode.FAILED_START: (Cause.LOST, None),
    ErrorCode.FAILED_STOP: (Cause.LOST, None),
    ErrorCode.FAILED_SEND: (Cause.LOST, None),
    ErrorCode.INVALID_AUDIO: (Cause.LOST, None),
    ErrorCode.CHANNELS_LIMIT: (Cause.PARKED, None),
    ErrorCode.CHANNEL_BUSY: (Cause.LOST, None),
    ErrorCode.NO_PHONE: (Cause.PARKED, None),
    ErrorCode.WOODPECKER: (Cause.LOST, None),
    ErrorCode.EMPTY_MESSAGE: (Cause.LOST, None),
    ErrorCode.INVALID_STREAM_ID: (Cause.LOST, None),
    ErrorCode.KICKED: (Cause.KICKED, Cause.KICKED),
    ErrorCode.UNABLE_TO_VERIFY: (Cause.BANNED, None),
    ErrorCode.INVALID_PASSWORD: (Cause.PARKED, None),
    ErrorCode.SUSPENDED: (Cause.PARKED, None),
    ErrorCode.BUSY: (Cause.LOST, None),
    ErrorCode.TAKEN: (Cause.LOST, None),
    ErrorCode.CHANNEL_NOT_FOUND: (Cause.PARKED, None),
}


@pytest.mark.parametrize("code", list(ErrorCode))
def test_each_error_has_its_consequence(code: ErrorCode) -> None:
    at_logon, later = MEANING[code]
    refused = ended_by_error(code, at_logon=True)
    assert refused is not None
    assert refused.cause is at_logon
    assert code in refused.reason
    ended = ended_by_error(f" {code.upper()} ", at_logon=False)
    assert (ended.cause if ended is not None else None) is later


def test_no_error_is_left_out() -> None:
    assert set(MEANING) == set(REACTIONS) == set(ErrorCode)


def test_an_error_that_nobody_documented_is_a_passing_failure() -> None:
    refused = ended_by_error("flux capacitor", at_logon=True)
    assert refused is not None
    assert refused.cause is Cause.LOST
    assert ended_by_error("flux capacitor", at_logon=False) is None
    assert advice_on("flux capacitor") == "flux capacitor"


@pytest.mark.parametrize("code", sorted(ADVICE))
def test_an_operator_is_told_what_to_do(code: ErrorCode) -> None:
    assert advice_on(code.upper()).startswith(f"{code.upper()}: ")


@pytest.mark.parametrize(
    ("error", "cause", "pause_s"),
    [
        (PeerError("gone"), Cause.LOST, 1.0),
        (PeerError("closed", close_code=1000), Cause.LOST, 1.0),
        (PeerError("closed", close_code=1006), Cause.LOST, 1.0),
        (PeerError("closed", close_code=3001), Cause.BANNED, 300.0),
        (PeerError("closed", close_code=3002), Cause.REFUSED, 45.0),
        (PeerError("closed", close_code=3003), Cause.KICKED, 30.0),
        (PeerError("closed", close_code=3004), Cause.BANNED, 300.0),
        (PeerError("HTTP", http_status=429), Cause.TOO_MANY, 900.0),
        (PeerError("HTTP", 1200, http_status=429), Cause.TOO_MANY, 1200.0),
        (PeerError("HTTP", 90_000, http_status=429), Cause.TOO_MANY, 3600.0),
        (PeerError("HTTP", http_status=503), Cause.LOST, 1.0),
        (PeerError("HTTP", 17, http_status=503), Cause.LOST, 17.0),
        (PeerError("HTTP", -3, http_status=503), Cause.LOST, 1.0),
        (PeerError("HTTP", float("nan"), http_status=503), Cause.LOST, 1.0),
    ],
)
def test_each_end_has_its_pause(error: PeerError, cause: Cause, pause_s: float) -> None:
    ended = ended_by_peer(error)
    assert ended.cause is cause
    assert Pauses(rng=lambda: 0.5).after(ended) == pause_s
    assert ended_by_peer(ended) is ended


def test_pauses_double_to_a_minute_and_start_over_once_online() -> None:
    pauses = Pauses(rng=lambda: 0.5)
    lost = SessionEnded(Cause.LOST, "")
    assert [pauses.after(lost) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    pauses.online()
    assert pauses.after(lost) == 1


def test_pauses_are_spread() -> None:
    lost = SessionEnded(Cause.LOST, "")
    assert Pauses(rng=lambda: 0.0).after(lost) == 0.5
    assert Pauses(rng=lambda: 0.999).after(lost) == pytest.approx(1.5, abs=0.01)


def test_refusals_double_to_a_quarter_of_an_hour() -> None:
    pauses = Pauses(rng=lambda: 0.9)
    refused = SessionEnded(Cause.REFUSED, "")
    assert [pauses.after(refused) for _ in range(7)] == [45, 90, 180, 360, 720, 900, 900]
    pauses.online()
    assert pauses.after(refused) == 45


def test_never_more_than_three_connections_a_minute() -> None:
    pauses = Pauses()
    for now in (0.0, 1.0, 2.0):
        assert pauses.until_allowed_s(now) == 0
        pauses.connecting(now)
    assert pauses.until_allowed_s(3.0) == 57
    assert pauses.until_allowed_s(60.0) == 0
    pauses.connecting(60.0)
    assert pauses.until_allowed_s(60.5) == 0.5


def test_a_door_that_starts_again_is_not_kept_waiting_for_a_minute() -> None:
    pauses = Pauses(rng=lambda: 0.5)
    for now in range(10):
        pauses.connecting(now)
        pauses.not_reached()
    assert pauses.until_allowed_s(10) == 0
    for now in range(10, 13):
        pauses.connecting(now)
    assert pauses.until_allowed_s(13) > 50


async def test_nobody_there_is_told_from_somebody_who_hangs_up() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(PeerError) as refused:
            async with connect_websocket(f"ws://127.0.0.1:{port}/ws"):
                pass
    assert nobody_there(refused.value)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, trio.SocketStream.aclose, listeners)
        with pytest.raises(PeerError) as hung_up:
            async with connect_websocket(f"ws://127.0.0.1:{port}/ws"):
                pass
        nursery.cancel_scope.cancel()
    assert not nobody_there(hung_up.value)
