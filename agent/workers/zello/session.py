"""One connection of a client: its logon, and the answer to each thing that it says."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, assert_never

import trio

from agent.model.errors import MalformedMessage, TryLater
from agent.net.websocket import Peer, text_frame
from agent.quota import Quota
from agent.workers.zello.access import right_on
from agent.workers.zello.commands import (
    MAX_CHANNELS,
    MAX_TEXT_MESSAGE_BYTES,
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
    seq_of,
)
from agent.workers.zello.downlink import Downlink
from agent.workers.zello.errors import CloseCode, ErrorCode
from agent.workers.zello.events import ChannelStatus, ErrorTold, Reply, encode_told
from agent.workers.zello.gate import Admission
from agent.workers.zello.packets import HEADER_BYTES, MAX_IMAGE_BYTES
from agent.workers.zello.uplink import Uplink
from agent.workers.zello.wire import PATHS, TRANSITIONS, State, Step

if TYPE_CHECKING:
    from agent.workers.zello.door import Door
    from agent.workers.zello.hall import Hall

LOGON_S = 30.0  # a connection that does not log on
REFUSED_S = 5.0  # a refused client closes by itself; the makers' own tries again on a new connection
AUTH_WORK_S = 15.0
WINDOW_CHECK_S = 5.0  # how long a guest may stay too long when the clock is set
MAX_MALFORMED = 32  # in a row
MAX_LOGONS = 10  # refused on one connection
# What a stranger may cost: a long message takes tens of milliseconds to look at, and several may wait.
MAX_STRANGERS_BYTES = 32 * 1024
MAX_STRANGERS_MESSAGES = 32
CLOSE_POLICY = 1008
MAX_MESSAGE_BYTES = HEADER_BYTES + MAX_IMAGE_BYTES

logger = logging.getLogger(__name__)


class Session:
    """The server's side of a connection; belongs to the task that runs it.

    link: what is told here. account: who is logged on; empty before, and for somebody without an account.
    """

    def __init__(self, peer: Peer, hall: Hall, door: Door) -> None:
        self.peer = peer
        self.link = Downlink(peer, hall.agenda, hall.counters)
        self._hall = hall
        self._uplink = Uplink(self.link, hall, door)
        self._state = State.NEW
        self._admission: Admission | None = None
        self._malformed = 0
        self._refusals = 0
        self._before_logon = 0
        self._complaints = Quota(1, 1.0, trio.current_time())
        self._deadline = trio.current_time() + LOGON_S

    @property
    def account(self) -> str:
        """Whose connection this is."""
        return "" if self._admission is None else self._admission.account

    async def run(self) -> None:
        """Answer until somebody hangs up. Raises: PeerError when the connection is gone."""
        self.peer.limit_messages(MAX_STRANGERS_BYTES)
        path = self.peer.path.partition("?")[0]
        if not any(path == known or path.startswith(f"{known}/") for known in PATHS):
            await self.peer.close(CLOSE_POLICY, "no such path")
            return
        number = self._hall.enter(self)
        try:
            while self._state is not State.CLOSED:
                # Only waiting is timed: a slow password check of ours is not the client's fault.
                with trio.CancelScope(deadline=min(self._deadline, self._window_check_at())) as waiting:
                    message = await self.peer.receive()
                if self._ended():
                    break
                if self._is_over():
                    await self._hang_up(CloseCode.NOT_AUTHORIZED, ErrorCode.NOT_AUTHORIZED)
                elif waiting.cancelled_caught:
                    if trio.current_time() >= self._deadline:
                        await self._time_out()
                elif self._said_too_much():
                    await self._hang_up(CLOSE_POLICY, "no logon")
                elif isinstance(message, str):
                    await self._take_text(message)
                else:
                    self._take_packet(message)
        finally:
            self._leave()
            self._hall.leave(number)

    def end(self) -> None:
        """Take nothing more and tell nothing more; the caller closes the connection."""
        self._leave()

    def _leave(self) -> None:
        if self._state is not State.CLOSED:
            self._step(Step.ENDED)
        self._uplink.close()
        self.link.close()

    def _ended(self) -> bool:
        """True once closed; asked again after an await, in which somebody may have called `end`."""
        return self._state is State.CLOSED

    def _step(self, step: Step) -> None:
        self._state = TRANSITIONS[self._state, step]

    def _said_too_much(self) -> bool:
        """True when somebody who is not logged on goes on and on."""
        self._before_logon += not self._logged_on
        return self._before_logon > MAX_STRANGERS_MESSAGES

    @property
    def _logged_on(self) -> bool:
        return self._state in (State.LISTENING, State.TALKING)

    def _window_check_at(self) -> float:
        """When to look whether a guest's time is over: at its end, and before in case the clock is set."""
        end_ns = self._window_end_ns()
        if end_ns is None:
            return math.inf
        left_s = (end_ns - time.time_ns()) / 1e9
        return trio.current_time() + min(max(left_s, 0.0), WINDOW_CHECK_S)

    def _window_end_ns(self) -> int | None:
        principal = None if self._admission is None else self._admission.principal
        return None if principal is None else principal.grant.not_after_ns

    def _is_over(self) -> bool:
        end_ns = self._window_end_ns()
        return end_ns is not None and time.time_ns() >= end_ns

    async def _hang_up(self, code: int, reason: str) -> None:
        self._leave()
        await self.peer.close(code, reason)

    async def _time_out(self) -> None:
        if self._state is State.REFUSED:
            await self._hang_up(CloseCode.NOT_AUTHORIZED, ErrorCode.NOT_AUTHORIZED)
        else:
            await self._hang_up(CLOSE_POLICY, "no logon")

    def _complain(self, error: str) -> None:
        """An error that belongs to no request; at most one a second, whatever comes in."""
        if self._complaints.take(trio.current_time()):
            self.link.tell(text_frame(encode_told(ErrorTold(error=error))))

    def _answer(self, seq: int | None, outcome: Reply | str) -> None:
        """The reply to a request; without a seq, only an error is told, as an event."""
        if isinstance(outcome, str):
            if seq is None:
                self._complain(outcome)
                return
            outcome = Reply(seq=seq, error=outcome)
        if seq is not None:
            self.link.tell(text_frame(encode_told(outcome)))

    def _take_packet(self, data: bytes) -> None:
        error = self._uplink.packet(data) if self._logged_on else ErrorCode.NOT_LOGGED_IN
        if error:
            self._complain(error)

    async def _take_text(self, text: str) -> None:
        try:
            request = decode_request(text)
        except MalformedMessage as error:
            logger.debug("malformed peer=%s error=%s", self.peer.address, error)
            self._malformed += 1
            self._hall.counters.malformed += 1
            wrong = ErrorCode.INVALID_JSON if isinstance(error, NotJson) else ErrorCode.INVALID_REQUEST
            seq = seq_of(text)
            self._answer(seq, wrong)
            if self._malformed >= MAX_MALFORMED:
                await self._hang_up(CloseCode.UNABLE_TO_VERIFY, ErrorCode.UNABLE_TO_VERIFY)
            return
        self._malformed = 0
        await self._handle(request)

    async def _handle(self, request: Request) -> None:
        seq, command = request.seq, request.command
        if isinstance(command, Logon):
            await self._log_on(seq, command)
            return
        if isinstance(command, Keepalive):
            self._answer(seq, Reply(seq=seq or 0))
            return
        if not self._logged_on:
            self._answer(seq, ErrorCode.NOT_LOGGED_IN)
            return
        match command:
            case StartStream():
                outcome = self._uplink.start(command, seq)
            case StopStream():
                outcome = self._uplink.stop(command, seq)
            case SendImage():
                outcome = self._uplink.image(command, seq)
            case SendText():
                outcome = self._uplink.text(command, seq)
            case SendLocation():
                outcome = self._uplink.location(command, seq)
            case NotEnough():
                outcome = ErrorCode.NOT_ENOUGH_PARAMS
            case Illegal():
                outcome = ErrorCode.INVALID_REQUEST
            case UnknownCommand():
                outcome = ErrorCode.UNKNOWN_COMMAND
            case _:
                assert_never(command)
        self._answer(seq, outcome)

    async def _log_on(self, seq: int | None, logon: Logon) -> None:
        """The first one, or another on a live connection, whose streams go on."""
        if not logon.channels or not (logon.username or logon.auth_token or logon.refresh_token):
            await self._refuse(seq, ErrorCode.NOT_ENOUGH_PARAMS)
            return
        if len(logon.channels) > MAX_CHANNELS:
            await self._refuse(seq, ErrorCode.CHANNELS_LIMIT)
            return
        admission: Admission | None = None
        later = False
        with trio.move_on_after(AUTH_WORK_S) as work:
            try:
                admission = await self._hall.gate.admit(logon, self.peer.address)
            except TryLater:
                later = True
        if self._ended():
            # From outside, while the password was checked.
            return
        if later or work.cancelled_caught:
            # Not "not authorized": a client may take that for a wrong password and give up for good.
            self._answer(seq, ErrorCode.INTERNAL)
            await self._hang_up(CloseCode.TRY_LATER, "try again later")
            return
        if admission is None:
            await self._refuse(seq, ErrorCode.NOT_AUTHORIZED)
            return
        self._hall.counters.logons += 1
        self._deadline = math.inf
        self._refusals = 0
        self._step(
            Step.LOGGED_ON_LISTEN_ONLY if logon.listen_only or admission.principal is None else Step.LOGGED_ON
        )
        # Only who may show pictures may send what is as large as one.
        may_talk = self._state is State.TALKING
        self.peer.limit_messages(MAX_MESSAGE_BYTES if may_talk else MAX_TEXT_MESSAGE_BYTES)
        if seq is not None:
            token = self._hall.gate.renew(admission)
            self._answer(seq, Reply(seq=seq, refresh_token=token))
        self._settle(admission, logon)

    def _settle(self, admission: Admission, logon: Logon) -> None:
        """Take the place on each channel, and tell how it stands."""
        if self._admission is not None and admission.account != self.account:
            self._uplink.close()
            self.link.close()
        self._admission = admission
        self.link.account = admission.account
        self._make_room()
        self._uplink.settle(admission.principal, logon.channels, listen_only=self._state is State.LISTENING)
        for name in logon.channels:
            channel = self._hall.channels.get(name)
            right = None if channel is None else right_on(channel.config, admission.principal)
            if channel is None or right is None:
                error = ErrorCode.CHANNEL_NOT_FOUND if channel is None else ErrorCode.NOT_AUTHORIZED
                # The cloud is silent about a wrong name; nobody has ever liked that.
                status = ChannelStatus(channel=name, online=False, error=error, error_type="configuration")
                self.link.tell(text_frame(encode_told(status)))
            else:
                self._uplink.enter(channel, right)

    def _make_room(self) -> None:
        """End older connections of the same user: all of them, or what is too many."""
        others = [session for session in self._hall.of_account(self.account) if session is not self]
        allowed = 0 if self._hall.config.one_session else self._hall.config.max_per_user - 1
        for session in others[: max(0, len(others) - allowed)]:
            logger.info("older connection ended account=%r peer=%s", self.account, session.peer.address)
            self._hall.hang_up(session, CloseCode.KICKED, ErrorCode.KICKED)

    async def _refuse(self, seq: int | None, error: ErrorCode) -> None:
        self._hall.counters.bad_logons += 1
        self._hall.changed()
        self._refusals += 1
        self._answer(seq, error)
        if self._logged_on:
            return
        if self._state is not State.REFUSED:
            self._deadline = trio.current_time() + REFUSED_S
        self._step(Step.REFUSED)
        if self._refusals >= MAX_LOGONS:
            await self._hang_up(CloseCode.NOT_AUTHORIZED, error)
