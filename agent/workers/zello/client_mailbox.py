"""Text messages from a server elsewhere: a command of somebody the door knows, or nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from agent.model.errors import PeerError
from agent.workers.zello.client_line import Line
from agent.workers.zello.config import CloudConfig
from agent.workers.zello.wire import SendText, TextReceived

MAX_WAITING = 16
ANSWER_LATE_S = 30.0

Obey = Callable[[str, str, str], Awaitable[str | None]]  # text, account, peer -> answer


class Mailbox:
    """Obeys one text after the other; 16 may wait, what comes on top is dropped.

    Lasts over connections: what was begun is finished, and the answer goes the way that there is then.
    """

    def __init__(self, config: CloudConfig, line: Line, obey: Obey) -> None:
        self._config = config
        self._line = line
        self._board = line.board
        self._obey = obey
        self._letters, self._waiting = trio.open_memory_channel[TextReceived](MAX_WAITING)

    def received(self, text: TextReceived) -> None:
        """Called by the reader of a connection; never waits."""
        config = self._config
        self._board.count("texts_in")
        if not config.commands.enabled or config.door == "never" or text.sender == config.username:
            return
        if text.recipient and text.recipient != config.username:
            return
        if text.sender not in config.people:
            self._board.count("texts_of_strangers")
            return
        try:
            self._letters.send_nowait(text)
        except trio.WouldBlock:
            self._board.count("texts_dropped")

    async def run(self) -> None:
        """Obey for ever."""
        async for text in self._waiting:
            account = self._config.people[text.sender]
            answer = await self._obey(text.text, account, f"{self._config.name}:{text.sender}")
            if answer is not None:
                self._board.count("commands")
                with trio.move_on_after(ANSWER_LATE_S):
                    await self._answer(text, answer)

    async def _answer(self, text: TextReceived, answer: str) -> None:
        session = await self._line.ready(text.channel)
        if session is None:
            return
        try:
            reply = await session.request(SendText(text=answer, channel=text.channel, recipient=text.sender))
        except PeerError:
            self._board.count("answers_lost")
            return
        if reply.error:
            self._board.count("answers_lost")
            self._line.refused(session, text.channel, reply.error)
