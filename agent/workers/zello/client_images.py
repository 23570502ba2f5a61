"""Images that a server elsewhere sends: paired, counted once, and dropped; nobody here looks at them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import trio

from agent.workers.zello.client_board import Board
from agent.workers.zello.wire import ImageAnnounced, ImagePacket

PARTS_S = 30.0
MAX_AWAITED = 16
MAX_REMEMBERED = 256


class SeenImages:
    """Which images came already, by their content: the cloud repeats undelivered ones at every logon.

    Lasts over connections. Parts may come in any order, alone, or not at all; nothing of them is kept.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._awaited: OrderedDict[int, float] = OrderedDict()
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def announced(self, image: ImageAnnounced) -> None:
        """Two messages with this id may follow within half a minute."""
        self._awaited[image.message_id] = trio.current_time() + PARTS_S
        while len(self._awaited) > MAX_AWAITED:
            self._awaited.popitem(last=False)

    def part(self, packet: ImagePacket) -> None:
        """One part; the full one is what counts."""
        until = self._awaited.get(packet.image_id)
        if until is None or trio.current_time() > until:
            self._awaited.pop(packet.image_id, None)
            self._board.count("image_parts_unknown")
            return
        if packet.part != "full":
            return
        digest = hashlib.sha256(packet.jpeg).digest()
        if digest in self._seen:
            self._board.count("images_repeated")
            return
        self._seen[digest] = None
        while len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)
        self._board.count("images_in")

    def reconnected(self) -> None:
        """Ids of the older connection are void."""
        self._awaited.clear()
