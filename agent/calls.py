"""A call at the door: ringing, then answered or missed, then over. One id from the first press to the end."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Annotated

import trio
from msgspec import Meta, Struct

from agent.bus import EventLog
from agent.model.actions import Action, AnswerCall, EndCall
from agent.model.errors import EndpointError
from agent.model.events import ButtonPressed, CallChanged, CallState, LockChanged, TalkEnded, TalkStarted
from agent.model.principals import Principal
from agent.model.records import Gap

logger = logging.getLogger(__name__)


class CallsConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """ring_timeout_s: an unanswered call is missed after this. max_call_s: an answered one ends after this.
    quiet_call_s: one in which a resident spoke ends when none has for so long, and the microphone with it.
    unlock_answers: opening a door while the bell rings counts as answering it."""

    ring_timeout_s: Annotated[float, Meta(ge=1, le=600)] = 30.0
    max_call_s: Annotated[float, Meta(ge=5, le=7200)] = 600.0
    quiet_call_s: Annotated[float, Meta(ge=5, le=7200)] = 60.0
    unlock_answers: bool = True


class Call:
    """One call. quiet_at: when it has been quiet for too long, trio time; wait: of its timer, answered."""

    def __init__(self, call_id: str, endpoint: str) -> None:
        self.call_id = call_id
        self.endpoint = endpoint
        self.state: CallState = "ringing"
        self.over = trio.Event()
        self.quiet_at = math.inf
        self.wait = trio.CancelScope()
        self.ends_at = math.inf

    def talk(self, quiet_at: float) -> None:
        """Somebody speaks (`quiet_at` infinite), or has just ended."""
        self.quiet_at = quiet_at
        self.wait.deadline = min(self.ends_at, quiet_at)


class Calls:
    """At most one call per bell button; a press during a call belongs to that call."""

    def __init__(self, config: CallsConfig, *, log: EventLog, new_id: Callable[[], str]) -> None:
        self._config = config
        self._log = log
        self._new_id = new_id
        self._calls: dict[str, Call] = {}

    def open_calls(self) -> list[Call]:
        """Ringing and answered calls, oldest first."""
        return list(self._calls.values())

    async def run(self, *, after: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the log for ever; owns the timer of each call."""
        try:
            async with trio.open_nursery() as timers:
                task_status.started()
                async for item in self._log.follow(after=after):
                    if isinstance(item, Gap):
                        logger.error("missed entries first=%d last=%d", item.first, item.last)
                        continue
                    match item.event:
                        case ButtonPressed(endpoint=endpoint) if endpoint not in self._calls:
                            call = Call(self._new_id(), endpoint)
                            self._calls[endpoint] = call
                            self._tell(call)
                            timers.start_soon(self._time, call)
                        case LockChanged(state="unlocked", by=by) if by and self._config.unlock_answers:
                            for call in self.open_calls():
                                self._answer(call, by)
                                self._end(call, by, "unlocked")
                        case TalkStarted(by=by):
                            for call in self.open_calls():
                                self._answer(call, by)
                                call.talk(math.inf)
                        case TalkEnded():
                            for call in self.open_calls():
                                call.talk(trio.current_time() + self._config.quiet_call_s)
        finally:
            for call in self.open_calls():
                self._end(call, "", "the agent stopped")

    async def _time(self, call: Call) -> None:
        with trio.move_on_after(self._config.ring_timeout_s):
            await call.over.wait()
        if call.state == "ringing":
            self._end(call, "", "nobody answered", state="missed")
            return
        call.ends_at = trio.current_time() + self._config.max_call_s
        call.talk(call.quiet_at)
        with call.wait:
            await call.over.wait()
        self._end(call, "", "nobody spoke" if call.quiet_at < call.ends_at else "time limit")

    def _tell(self, call: Call, by: str = "", reason: str = "") -> None:
        self._log.publish(
            CallChanged(call_id=call.call_id, endpoint=call.endpoint, state=call.state, by=by, reason=reason)
        )

    def _answer(self, call: Call, by: str) -> None:
        if call.state == "ringing":
            call.state = "answered"
            self._tell(call, by)

    def _end(self, call: Call, by: str, reason: str, state: CallState = "ended") -> None:
        if call.over.is_set():
            return
        call.state = state
        call.over.set()
        del self._calls[call.endpoint]
        self._tell(call, by, reason)

    def _find(self, action: Action) -> Call | None:
        match action:
            case AnswerCall(call_id=wanted):
                candidates = [call for call in self.open_calls() if call.state == "ringing"]
            case EndCall(call_id=wanted):
                candidates = self.open_calls()
            case _:
                return None
        return next((call for call in candidates if not wanted or call.call_id == wanted), None)

    def refuse(self, action: Action) -> str | None:
        """There must be a call to answer or to end."""
        return None if self._find(action) is not None else "there is no such call"

    def acts_without_journal(self, action: Action, principal: Principal) -> bool:
        """Talking moves no metal."""
        return True

    def perform(self, action: Action, *, by: str, action_id: str) -> None:
        """Answer or end. Raises: EndpointError when the call ended while the action was written down."""
        call = self._find(action)
        if call is None:
            raise EndpointError("call", "the call is over")
        if isinstance(action, AnswerCall):
            self._answer(call, by)
        else:
            self._end(call, by, "hung up")
