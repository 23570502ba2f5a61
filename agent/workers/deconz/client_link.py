"""The way to a gateway for everything that is to move there: where it is now, and not too fast."""

from __future__ import annotations

from collections.abc import Callable

import trio

from agent.model.errors import AgentError, PeerError
from agent.workers.deconz.client_rest import Rest
from agent.workers.deconz.client_translate import Order
from agent.workers.deconz.client_verdict import Verdict, unsure

PUT_EVERY_S = 0.1  # a gateway queues twenty commands


class Link:
    """Lives as long as its gateway is configured; `rest` and `key` are those of the newest connection.

    refused: called when the gateway does not know our key any more.
    """

    def __init__(self) -> None:
        self.rest: Rest | None = None
        self.key = ""
        self.refused: Callable[[], None] = lambda: None
        self._turn = trio.Lock()
        self._put_at = float("-inf")

    async def put(self, order: Order, *, begin_by: float, give_up_at: float) -> Verdict:
        """Carry out an order, once, when its turn comes; both are trio times. Never raises.

        Cancellation: it may act.
        """
        async with self._turn:
            await trio.sleep_until(self._put_at + PUT_EVERY_S)
            if trio.current_time() > begin_by:
                return Verdict(kind="refused", reason="too many commands for one gateway")
            self._put_at = trio.current_time()
        rest = self.rest
        if rest is None:
            return Verdict(kind="refused", reason="not connected to the gateway")
        try:
            with trio.fail_at(give_up_at):
                verdict = await rest.put(self.key, order)
        except trio.TooSlowError:
            return unsure("the gateway did not answer in time: it may have acted")
        except PeerError as error:
            return unsure(f"{error}: it may have acted")
        except AgentError as error:
            return unsure(str(error))
        if verdict.unauthorised:
            self.refused()
        return verdict
