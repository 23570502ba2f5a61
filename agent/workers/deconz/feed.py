"""The websocket: what changes, told to everybody who is connected, and all of it to who comes."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import trio

from agent.model.events import AccountChanged, ButtonHeld
from agent.model.records import Gap
from agent.net.websocket import Peer, fan_out, text_frame
from agent.quota import Quota
from agent.workers.deconz.doorman import is_admitted
from agent.workers.deconz.state import ServerState
from agent.workers.deconz.wire import Changed, encode_event

TEXTS_AT_ONCE = 100.0
TEXTS_HZ = 10.0
CLOSE_POLICY = 1008

logger = logging.getLogger(__name__)


class Feed:
    """Everybody who listens; the protocol has no key for them, and nothing that they could say."""

    def __init__(self) -> None:
        self._peers: set[Peer] = set()

    def __len__(self) -> int:
        return len(self._peers)

    async def tell(self, changed: Sequence[Changed]) -> None:
        """Tell everybody, in this order. Encoded and framed once; nobody waits for anybody.

        Cancellation: some may have heard it and others not.
        """
        await fan_out(self._peers if changed else (), frames(changed))

    async def listen(self, peer: Peer, state: ServerState) -> None:
        """One connection, until it ends. Raises: PeerError when it is gone."""
        if not is_admitted(peer.address, state.networks):
            state.counters.strangers += 1
            state.show()
            await peer.close(CLOSE_POLICY, "not admitted")
            return
        peer.send(frames(state.bridge.snapshot()))
        self._peers.add(peer)
        state.show()
        quota = Quota(TEXTS_AT_ONCE, TEXTS_HZ, trio.current_time())
        try:
            while True:
                await peer.receive()
                state.counters.texts += 1
                state.show()
                if not quota.take(trio.current_time()):
                    await peer.close(CLOSE_POLICY, "nobody reads this")
                    return
        finally:
            self._peers.discard(peer)
            state.show()


async def follow(state: ServerState) -> None:
    """Tell what happens at the door, for ever."""
    bridge, config, tell = state.bridge, state.config, state.tell
    async for item in state.context.events.follow(after=bridge.states_at):
        if isinstance(item, Gap):
            logger.error("missed entries first=%d last=%d", item.first, item.last)
            state.counters.missed += item.last - item.first + 1
            await tell(bridge.reread(time.time_ns()))
            state.show()
            continue
        changed = bridge.note(item)
        if changed:
            await tell(changed)
        match item.event:
            case ButtonHeld(endpoint=name) if name == config.link_button:
                state.link.open(f"button {name}")
            case AccountChanged():
                bridge.etags.touch()  # the whitelist is part of the full state


def frames(changed: Sequence[Changed]) -> bytes:
    """Websocket frames of one message each, to be sent at once."""
    return b"".join(text_frame(encode_event(change)) for change in changed)
