"""Listening sockets: dual stack where the machine has it, with errors that say what to do."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from agent.model.errors import PeerError

BACKLOG = 128
_EVERYWHERE = ("", "::", "*")
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}  # noqa: S104


def open_listeners(host: str, port: int) -> list[socket.socket]:
    """Bound, listening, non-blocking sockets; port 0 takes any free one.

    host: "" or "::" listens on IPv6 and IPv4 alike, on IPv4 alone where the kernel has no IPv6. "0.0.0.0" is
    IPv4 only. A name is resolved here and now, which may block: configure addresses.
    Raises: PeerError when it cannot be bound, with the way out in its text.
    """
    if host in _EVERYWHERE:
        try:
            return [_bind(socket.AF_INET6, "::", port, dual=True)]
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise _explained(error, "::", port) from error
        host = "0.0.0.0"  # noqa: S104
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise PeerError(f"cannot listen on {host!r}: not an address of this machine ({error})") from error
    listeners: list[socket.socket] = []
    try:
        for family, _, _, _, address in found:
            # A name with an IPv4 and an IPv6 address gets one port on both.
            bound_port = port or (listeners[0].getsockname()[1] if listeners else 0)
            if (family, address[0]) in {(known.family, known.getsockname()[0]) for known in listeners}:
                continue
            try:
                listeners.append(_bind(family, str(address[0]), bound_port, dual=False, scope=address[2:]))
            except OSError as error:
                if listeners and error.errno == errno.EADDRNOTAVAIL:
                    continue
                raise _explained(error, host, port) from error
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def address_of(listeners: Sequence[socket.socket]) -> tuple[str, int]:
    """Host and port for a URL: an unspecified address becomes 127.0.0.1, IPv6 gets its brackets."""
    name = listeners[0].getsockname()
    host = str(name[0])
    host = _LOOPBACK.get(host, host)
    return (f"[{host}]" if ":" in host else host), int(name[1])


def _bind(family: int, host: str, port: int, *, dual: bool, scope: tuple[object, ...] = ()) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        sock.bind((host, port, *scope))
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _explained(error: OSError, host: str, port: int) -> PeerError:
    where = f"{host or '::'} port {port}"
    match error.errno:
        case errno.EADDRINUSE:
            return PeerError(
                f"cannot listen on {where}: in use by another program; stop it or set another port"
            )
        case errno.EACCES | errno.EPERM:
            return PeerError(
                f"cannot listen on {where}: not permitted; ports below 1024 need CAP_NET_BIND_SERVICE, "
                "set a port of 1024 or above"
            )
        case errno.EADDRNOTAVAIL:
            return PeerError(f"cannot listen on {where}: no interface of this machine has that address (yet)")
        case _:
            return PeerError(f"cannot listen on {where}: {error.strerror or error}")
