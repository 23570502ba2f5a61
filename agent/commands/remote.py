"""A server that a command is a client of: its address, its certificate, and why it went away."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

import click

from agent.commands.ca import ca_path as own_ca_path
from agent.commands.exits import TRY_AGAIN, Failure
from agent.commands.state import ready

_CHANNEL_ADVICE = {
    "channel not found": "Upper and lower case count; `portero status` on the door names its first channel, "
    "[workers.zello.server] in its configuration the others.",
    "not authorized": "This account may not use the channel: its `roles` and `members` stand in "
    "[workers.zello.server] of the door's configuration.",
}
_GOING_AWAY = "closed by the peer with 1001"


def own_url(listener: str, *, what: str, table: str) -> str:
    """The address of a listener of the door on this machine. Raises: Failure when it has none."""
    listeners = ready().get("listeners", {})
    if listener not in listeners:
        raise Failure(
            f"the door on this machine serves no {what}",
            todo=f"Give it a table [{table}], or name another server with --url.",
        )
    return str(listeners[listener])


def tls_context(url: str, ca_path: Path | None) -> ssl.SSLContext | None:
    """How the server's certificate is checked; it always is.

    The own door's authority is trusted besides the system's ones, a given one instead of them.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("wss", "ws") and parts.hostname and parts.port != 0 and parts.username is None
    except ValueError:
        good = False
    if not good:
        raise click.BadParameter(f"expected wss://HOST:PORT, got {url[:80]!r}.", param_hint="--url")
    if parts.scheme == "ws":
        if parts.hostname not in ("127.0.0.1", "::1", "localhost"):
            click.echo("portero: ws:// sends the password in the clear; wss:// does not", err=True)
        return None
    if ca_path is not None:
        return _context(ca_path)
    context = ssl.create_default_context()
    own = own_ca_path()
    if own.exists():
        try:
            context.load_verify_locations(own)
        except ssl.SSLError as error:
            raise Failure(f"{own}: not a certificate in PEM form") from error
    return context


def _context(ca_path: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_path))
    except ssl.SSLError as error:
        raise Failure(f"{ca_path}: not a certificate in PEM form") from error


def cause_of(error: BaseException, *others: type[BaseException]) -> BaseException | None:
    """Of what ended the connection, together or alone, the one to tell; None for a bug.

    others: further kinds that are no bugs.
    """
    from agent.model.errors import AuthenticationError, PeerError
    from agent.supervise import leaves

    found = list(leaves(error))
    kinds: tuple[type[BaseException], ...] = (
        KeyboardInterrupt,
        *others,
        OSError,
        AuthenticationError,
        PeerError,
    )
    for kind in kinds:
        for leaf in found:
            if isinstance(leaf, kind):
                return leaf
    return None


def gone(error: BaseException, ca_path: Path | None) -> Failure:
    """What to tell of a connection that could not be made, or is over."""
    text = str(error)
    if text.startswith(_GOING_AWAY):
        return Failure(
            "the server went away (1001): it stops, or starts again",
            code=TRY_AGAIN,
            todo="Try again in a few seconds; `portero status` on the door tells how it is.",
        )
    for ending, advice in _CHANNEL_ADVICE.items():
        if text.startswith("channel ") and text.endswith(ending):
            return Failure(text, todo=advice)
    todo = "Is the door running? `portero status` on it tells."
    if "certificate" in text.lower() or "TLS" in text:
        todo = (
            "The server's certificate is not trusted here. On the door: `portero ca --export ca.pem`; "
            "then give --ca ca.pem here."
            if ca_path is None
            else "This server's certificate was not made by that authority, or not for that name."
        )
    return Failure(text, code=TRY_AGAIN, todo=todo)
