"""Which requests of ours still wait for their reply, and what to do with one that comes too late."""

from __future__ import annotations

import trio

from agent.workers.zello.wire import Command, Reply, StartStream

MAX_LATE = 16


class Waiting:
    """One request. reply: None until it came, and for ever when the connection went first."""

    def __init__(self, seq: int, command: Command) -> None:
        self.seq = seq
        self.command = command
        self.reply: Reply | None = None
        self.done = trio.Event()


class Replies:
    """The requests of one connection by their `seq`. Each is there for as long as somebody waits.

    Of starts that nobody waits for any more the last sixteen are remembered: a stream that the server
    begins after all has to be stopped.
    """

    def __init__(self) -> None:
        self._seq = 0
        self._waiting: dict[int, Waiting] = {}
        self._late: dict[int, str] = {}

    def next_seq(self) -> int:
        """A number that was not used on this connection."""
        self._seq += 1
        return self._seq

    def expect(self, command: Command) -> Waiting:
        """A new request."""
        waiting = Waiting(self.next_seq(), command)
        self._waiting[waiting.seq] = waiting
        return waiting

    def give_up(self, waiting: Waiting) -> None:
        """Nobody waits any more, with or without a reply."""
        del self._waiting[waiting.seq]
        if waiting.reply is None and isinstance(waiting.command, StartStream):
            self._late[waiting.seq] = waiting.command.channel
            while len(self._late) > MAX_LATE:
                del self._late[next(iter(self._late))]

    def came(self, reply: Reply) -> Waiting | None:
        """Hand a reply to whoever waits for it; None when nobody does, or it came already."""
        waiting = self._waiting.get(reply.seq)
        if waiting is None or waiting.reply is not None:
            return None
        waiting.reply = reply
        waiting.done.set()
        return waiting

    def late(self, reply: Reply) -> str | None:
        """The channel of a start that was given up, if this is its reply and has a stream; only once."""
        channel = self._late.pop(reply.seq, None)
        return channel if reply.stream_id else None

    def hang_up(self) -> None:
        """No reply will come any more."""
        for waiting in self._waiting.values():
            waiting.done.set()
