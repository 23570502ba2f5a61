"""One connection of an app: who it is, what it wants to hear, and the answers to what it says."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Literal, assert_never

import trio

from agent.model.errors import MalformedMessage, TryLater
from agent.model.principals import Principal, in_force
from agent.net.websocket import Peer, text_frame
from agent.workers.zmes.filter import MonitorFilter
from agent.workers.zmes.wire import (
    TRANSITIONS,
    Auth,
    Category,
    ControlOther,
    EsControl,
    Filter,
    Message,
    PushBadge,
    PushOther,
    PushToken,
    State,
    Step,
    Unknown,
    Version,
    decode,
    encode_alarm,
    encode_auth_failure,
    encode_auth_success,
    encode_escontrol_failure,
    encode_filter_failure,
    encode_malformed,
    encode_not_supported,
    encode_push_failure,
    encode_version,
)

if TYPE_CHECKING:
    from agent.workers.zmes.escontrol import EsControlDesk
    from agent.workers.zmes.state import ServerState

AUTH_WORK_S = 15.0
WINDOW_CHECK_S = 5.0  # how long a guest may stay too long when the clock is set
CLOSE_POLICY = 1008
CLOSE_TRY_LATER = 1013

logger = logging.getLogger(__name__)


class Session:
    """The server's side of a connection; belongs to the task that runs it.

    filter: what delivery asks for every alarm. token: the phone this connection registered, or empty.
    superseded: the phone has registered on another connection since, which gets its alarms instead.
    """

    def __init__(self, peer: Peer, state: ServerState, desk: EsControlDesk) -> None:
        self.peer = peer
        self.filter = MonitorFilter()
        self.token = ""
        self.superseded = False
        self._server = state
        self._desk = desk
        self._state = State.PENDING_AUTH
        self._category: Category = "normal"
        self._principal: Principal | None = None
        self._monlist = ""
        self._intlist = ""
        self._appversion = ""
        self._malformed = 0
        self._deadline = trio.current_time() + state.config.auth_timeout_s

    def receives_alarms(self, at_ns: int) -> bool:
        """True when alarms of this moment (UTC) may be sent here."""
        return (
            self._state is State.VALID
            and not self.superseded
            and (self._principal is None or in_force(self._principal, at_ns))
        )

    @property
    def account(self) -> str:
        """Whose connection this is; empty before a log-in, and on the control channel."""
        return "" if self._principal is None else self._principal.name

    def end(self) -> None:
        """Take nothing more and tell nothing more; the caller closes the connection."""
        self._step(Step.ENDED)

    async def run(self) -> None:
        """Answer until somebody hangs up. Raises: PeerError when the connection is gone."""
        number = self._server.enter(self)
        try:
            while self._state is not State.CLOSED:
                # Only waiting is timed: a slow password check of ours is not the client's fault.
                with trio.CancelScope(deadline=min(self._deadline, self._window_check_at())) as waiting:
                    frame = await self.peer.receive()
                if self._ended():
                    break
                if self._is_over():
                    self._step(Step.ENDED)
                    await self.peer.close(CLOSE_POLICY, "no longer valid")
                elif waiting.cancelled_caught:
                    if trio.current_time() >= self._deadline:
                        await self._time_out()
                elif isinstance(frame, str):
                    await self._take(frame)
        finally:
            self._step(Step.ENDED)
            self._server.leave(number)

    def _ended(self) -> bool:
        """True once closed; asked again after an await, in which somebody may have called `end`."""
        return self._state is State.CLOSED

    def _window_check_at(self) -> float:
        """When to look whether a guest's time is over: at its end, and before in case the clock is set."""
        end_ns = None if self._principal is None else self._principal.grant.not_after_ns
        if end_ns is None:
            return math.inf
        left_s = (end_ns - time.time_ns()) / 1e9
        return trio.current_time() + min(max(left_s, 0.0), WINDOW_CHECK_S)

    def _is_over(self) -> bool:
        """True when the time that the principal was given has passed."""
        end_ns = None if self._principal is None else self._principal.grant.not_after_ns
        return end_ns is not None and time.time_ns() >= end_ns

    def _step(self, step: Step) -> None:
        self._state = TRANSITIONS[self._state, step]

    def _send(self, text: str) -> None:
        self.peer.send(text_frame(text.encode()))

    async def _time_out(self) -> None:
        was = self._state
        self._step(Step.TIMED_OUT)
        if was is State.PENDING_AUTH:
            self._send(encode_auth_failure("NOAUTH"))
            await self.peer.close(empty=True)
        else:
            await self.peer.close(CLOSE_POLICY)

    async def _take(self, frame: str) -> None:
        try:
            message = decode(frame)
        except MalformedMessage as error:
            logger.debug("malformed peer=%s error=%s", self.peer.address, error)
            self._malformed += 1
            self._server.counters.malformed += 1
            self._server.show()
            self._send(encode_malformed())
            if self._malformed >= self._server.config.max_malformed:
                self._step(Step.ENDED)
                await self.peer.close(CLOSE_POLICY)
            return
        self._malformed = 0
        await self._handle(message)

    async def _handle(self, message: Message) -> None:
        match message:
            case Auth():
                await self._authenticate(message)
            case Version():
                if self._state is State.VALID:
                    config = self._server.config
                    self._send(
                        encode_version(config.version, document_spelling=config.spelling == "document")
                    )
            case Filter():
                if self._state is State.VALID:
                    self._set_filter(message)
            case PushToken() | PushBadge() | PushOther():
                self._take_push(message)
            case EsControl():
                await self._control(message)
            case ControlOther():
                pass
            case Unknown():
                self._send(encode_not_supported(message.event))
            case _:
                assert_never(message)

    async def _authenticate(self, message: Auth) -> None:
        """Check credentials; the only await that may take long, and this peer's alone."""
        ok = later = False
        principal: Principal | None = None
        with trio.move_on_after(AUTH_WORK_S) as work:
            if message.category == "escontrol":
                if not self._server.config.escontrol:
                    self._refuse("ESCONTROLDISABLED")
                    return
                ok = await self._desk.authenticate(message.password, self.peer.address)
            elif message.user and message.password:
                context = self._server.context
                try:
                    principal = await context.authenticator.authenticate(
                        account=message.user,
                        secret=message.password,
                        via=context.name,
                        peer=self.peer.address,
                    )
                except TryLater:
                    later = True
                ok = principal is not None and in_force(principal, time.time_ns())
        if self._ended():
            # From outside, while the password was checked.
            return
        if later or work.cancelled_caught:
            # Not BADAUTH: an app takes that for a wrong password and gives up for good.
            self._step(Step.ENDED)
            await self.peer.close(CLOSE_TRY_LATER)
            return
        if not ok:
            self._refuse("BADAUTH")
            return
        again = self._state is State.VALID
        self._step(Step.AUTHENTICATED)
        self._deadline = math.inf
        self._category = message.category
        self._principal = principal
        self._appversion = message.appversion
        self.token = ""
        self.superseded = False
        self._use_lists(message.monlist, message.intlist)
        self._send(encode_auth_success(self._server.config.version))
        if not again and message.category == "normal":
            self._tell_burning()

    def _tell_burning(self) -> None:
        """A fire that broke out before somebody came is news to them."""
        for item in self._server.burning.values():
            if self.filter.wants(item.monitor_id):
                self._send(encode_alarm(item))
                self._server.counters.alarms_sent += 1

    def _refuse(self, reason: Literal["BADAUTH", "ESCONTROLDISABLED"]) -> None:
        self._server.counters.bad_auth += 1
        self._server.show()
        if self._state is not State.GRACE:
            self._deadline = trio.current_time() + self._server.config.bad_auth_grace_s
        self._step(Step.REFUSED)
        self._category = "normal"
        self._send(encode_auth_failure(reason))

    def _use_lists(self, monlist: str, intlist: str) -> None:
        self._monlist, self._intlist = monlist, intlist
        self.filter = MonitorFilter.parse(monlist, intlist)

    def _set_filter(self, message: Filter) -> None:
        document = self._server.config.spelling == "document"
        if message.monlist is None:
            self._send(encode_filter_failure("NOMONITORLIST" if document else "MISSINGMONITORLIST"))
        elif message.intlist is None:
            self._send(encode_filter_failure("NOINTERVALLIST" if document else "MISSINGINTERVALLIST"))
        else:
            self._use_lists(message.monlist, message.intlist)
            if self.token and not self.superseded:
                self._server.tokens.set_filter(self.token, message.monlist, message.intlist)

    def _take_push(self, message: PushToken | PushBadge | PushOther) -> None:
        if self._server.push is None:
            self._send(encode_push_failure("PUSHDISABLED"))
            return
        who = self._principal
        if self._state is not State.VALID or who is None or who.role == "guest":
            # A push token outlives the connection and so would outlive the guest; on the control channel
            # there is no account that it could end with.
            self._send(encode_push_failure("NOAUTH"))
            return
        match message:
            case PushToken():
                self._register(message)
            case PushBadge(badge=badge, token=token):
                for phone in {self.token, token} - {""}:
                    self._server.tokens.set_badge(phone, badge)
            case PushOther():
                pass

    def _register(self, message: PushToken) -> None:
        if not message.token or not message.token.isprintable():
            return
        if not message.platform:
            self._send(encode_push_failure("MISSINGPLATFORM"))
            return
        for other in self._server.sessions.values():
            if other is not self and other.token == message.token:
                other.superseded = True
        self.token = message.token
        self.superseded = False
        self._use_lists(
            self._monlist if message.monlist is None else message.monlist,
            self._intlist if message.intlist is None else message.intlist,
        )
        self._server.tokens.register(
            message.token,
            platform=message.platform,
            enabled=message.enabled,
            monlist=self._monlist,
            intlist=self._intlist,
            appversion=message.appversion or self._appversion,
            profile=message.profile,
            account=self.account,
        )

    async def _control(self, message: EsControl) -> None:
        if not self._server.config.escontrol:
            self._send(encode_escontrol_failure("ESCONTROLDISABLED"))
        elif self._category != "escontrol":
            self._send(encode_escontrol_failure("NOTCONTROL"))
        elif not message.has_data:
            self._send(encode_escontrol_failure("NODATA"))
        else:
            self._send(await self._desk.answer(message, self.peer.address))
            await self._desk.finish(message, self.peer.address)
