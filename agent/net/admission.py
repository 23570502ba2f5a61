"""Who may connect: one place accepts and counts connections, for every kind of server."""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from agent.model.errors import PeerError
from agent.net.addresses import network_of

ACCEPT_RETRY_S = 0.1
ACCEPTS_PER_WAKE = 16


class Counts(Protocol):
    """Of the connections of one server since its start."""

    open: int
    refused: int
    accept_errors: int


class Admission:
    """Takes connections in up to the limits of one server; more are closed at once, while that is cheap.

    One IPv6 /64, of which a stranger has every address, gets half of max_connections.
    """

    def __init__(self, *, max_connections: int, max_per_peer: int, counters: Counts) -> None:
        self._max_connections = max_connections
        self._max_per_peer = max_per_peer
        self._counters = counters
        self._per_address: Counter[str] = Counter()
        self._per_network: Counter[str] = Counter()

    async def accept(
        self,
        listener: socket.socket,
        nursery: trio.Nursery,
        serve: Callable[[socket.socket, str, int], Awaitable[None]],
    ) -> None:
        """Accept for ever; each connection becomes a task `serve(socket, address, port)` of the nursery.

        The socket is closed when the task ends. address: IPv4 in its plain form, also over a dual-stack
        listener. Raises: PeerError when the listener was closed.
        """
        while True:
            await trio.lowlevel.wait_readable(listener)
            for _ in range(ACCEPTS_PER_WAKE):
                try:
                    sock, name = listener.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno in (errno.EBADF, errno.EINVAL, errno.ENOTSOCK):
                        raise PeerError("the listening socket was closed") from error
                    # Out of descriptors or memory: the backlog waits with us. Anything else was the peer's.
                    self._counters.accept_errors += 1
                    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                        await trio.sleep(ACCEPT_RETRY_S)
                    break
                address = plain_address(name[0])
                if self._is_full(address):
                    self._counters.refused += 1
                    sock.close()
                    continue
                self._counters.open += 1
                self._per_address[address] += 1
                self._per_network[network_of(address)] += 1
                nursery.start_soon(self._keep, serve, sock, address, int(name[1]))

    async def _keep(
        self,
        serve: Callable[[socket.socket, str, int], Awaitable[None]],
        sock: socket.socket,
        address: str,
        port: int,
    ) -> None:
        try:
            await serve(sock, address, port)
        finally:
            sock.close()
            self._counters.open -= 1
            for counts, key in ((self._per_address, address), (self._per_network, network_of(address))):
                counts[key] -= 1
                if not counts[key]:
                    del counts[key]

    def _is_full(self, address: str) -> bool:
        """True when there is no room for one more from this address."""
        network = network_of(address)
        return (
            self._counters.open >= self._max_connections
            or self._per_address[address] >= self._max_per_peer
            or (network != address and self._per_network[network] >= max(1, self._max_connections // 2))
        )


def plain_address(host: object) -> str:
    """IPv4 in its plain form, also over a dual-stack listener."""
    return str(host).removeprefix("::ffff:")
