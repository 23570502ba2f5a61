"""The way to one server elsewhere over all its connections, for whoever wants to send something there."""

from __future__ import annotations

import trio

from agent.workers.zello.client_board import Board
from agent.workers.zello.client_hearing import Hearing
from agent.workers.zello.client_policy import Cause, SessionEnded, advice_on, ended_by_error
from agent.workers.zello.client_session import Session
from agent.workers.zello.errors import Reaction, reaction_to


class Line:
    """The connection of the moment, if there is one, and what its refusals mean.

    changed: woken whenever a session, a channel or a stream of ours comes or goes.
    """

    def __init__(self, board: Board) -> None:
        self.board = board
        self.changed = trio.lowlevel.ParkingLot()
        self.session: Session | None = None
        self._hearing: Hearing | None = None

    def connected(self, session: Session, hearing: Hearing) -> None:
        """There is a new connection, not logged on yet."""
        self.session, self._hearing = session, hearing
        self.changed.unpark_all()

    def gone(self) -> None:
        """There is none any more."""
        self.session = self._hearing = None
        self.changed.unpark_all()

    def somebody_talks(self, channel: str) -> bool:
        """True while a stream of somebody else is on this channel."""
        return self._hearing is not None and self._hearing.somebody_talks(channel)

    def barred(self, channel: str) -> str:
        """Why waiting for a channel is of no use on this connection; empty while it is."""
        session = self.session
        if session is None or session.ended:
            return ""
        return "this connection may only listen" if not session.may_send else session.barred.get(channel, "")

    async def ready(self, channel: str) -> Session | None:
        """A session in which this channel can be used, waiting for it; None when waiting is of no use."""
        await trio.lowlevel.checkpoint()
        while True:
            if self.barred(channel):
                return None
            if self.session is not None and not self.session.why_not(channel):
                return self.session
            await self.changed.park()

    def refused(self, session: Session, channel: str, error: str) -> Reaction:
        """Do what an error reply means for connection and channel; gives what it means for the message."""
        reaction = reaction_to(error)
        self.board.count("refusals")
        self.board.show("last_error", error)
        match reaction:
            case Reaction.RECONNECT | Reaction.RECONNECT_AFRESH:
                session.end(ended_by_error(error, at_logon=False) or SessionEnded(Cause.LOST, error))
            case Reaction.LISTEN_ONLY:
                session.may_send = False
                self.changed.unpark_all()
            case Reaction.REAUTHENTICATE | Reaction.PARK | Reaction.LOG:
                # Logged on, and yet not here: the others channels may be better.
                session.barred[channel] = advice_on(error)
                self.changed.unpark_all()
        if reaction is not Reaction.IGNORE and reaction is not Reaction.PAUSE:
            self.board.complain(f"refused in {channel}", advice_on(error))
        return reaction
