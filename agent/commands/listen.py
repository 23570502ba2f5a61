"""`portero listen`: a client as a phone has one, in a terminal."""

from __future__ import annotations

import ssl
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from agent.commands.ca import ca_path as own_ca_path
from agent.commands.exits import TRY_AGAIN, Failure
from agent.commands.output import json_option, local_time, print_json_line, print_line, printable
from agent.commands.password import password_stdin_option, read_password
from agent.commands.state import connect, ready, state_option

if TYPE_CHECKING:
    from agent.net.websocket import ClientPeer
    from agent.workers.zmes.wire import AlarmItem, Auth, Reply

ANSWER_S = 15.0
SILENCE_S = 90.0
CLOSE_S = 1.0
LISTENER = "zmes"
_GOING_AWAY = "closed by the peer with 1001"


@click.command()
@click.option(
    "--url", metavar="URL", help="wss://HOST:PORT of an event server. Default: the door on this machine."
)
@click.option("--user", metavar="NAME", help="Account. Default: a throw-away one, asked of the agent.")
@password_stdin_option
@click.option(
    "--ca",
    "ca_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Authority to trust (PEM). Default: the one of the door on this machine.",
)
@click.option("--monitors", metavar="1,2", help="Only alarms of these monitors.")
@click.option("--escontrol", is_flag=True, help="Log in to the control category; needs its password.")
@click.option("-n", "--count", type=click.IntRange(min=1), metavar="N", help="End after N alarms.")
@json_option
@state_option
def listen(
    url: str | None,
    user: str | None,
    password_stdin: bool,
    ca_path: Path | None,
    monitors: str | None,
    escontrol: bool,
    count: int | None,
    as_json: bool,
) -> None:
    """Be a client: print alarms as a phone gets them.

    With a door running on this machine nothing has to be given. For another door give --url, --user and --ca
    (there: `portero ca --export ca.pem`). With --json one object per alarm and line.
    """
    monlist = _monlist(monitors)
    if url is not None and user is None and not escontrol:
        raise click.UsageError(
            "--url needs --user NAME; `portero user add NAME --role resident` on the door makes one."
        )
    if password_stdin and user is None and not escontrol:
        raise click.UsageError("--password-stdin needs --user NAME or --escontrol.")
    address = url or _own_url()
    context = _tls(address, ca_path)
    auth = _auth(user, escontrol, password_stdin, monlist)

    import trio

    from agent.model.errors import AuthenticationError, PeerError

    try:
        trio.run(partial(_listen, address, context, auth, count, as_json))
    except (BaseExceptionGroup, AuthenticationError, PeerError) as error:
        match _cause(error):
            case AuthenticationError() as refused:
                raise _login_failure(refused, user, escontrol) from error
            case PeerError() as gone:
                raise _gone(gone, ca_path) from error
            case None:
                raise
            case other:
                raise other from None


def _monlist(monitors: str | None) -> str:
    if monitors is None:
        return ""
    parts = [part.strip() for part in monitors.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise click.BadParameter("expected numbers such as 1,2.", param_hint="--monitors")
    return ",".join(parts)


def _own_url() -> str:
    listeners = ready().get("listeners", {})
    if LISTENER not in listeners:
        raise Failure(
            "the door on this machine serves no event clients",
            todo="Give it a table [workers.zmes.server], or name another server with --url.",
        )
    return str(listeners[LISTENER])


def _tls(url: str, ca_path: Path | None) -> ssl.SSLContext | None:
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


def _auth(user: str | None, escontrol: bool, password_stdin: bool, monlist: str) -> Auth:
    from agent.workers.zmes.wire import Auth

    if user is None and not escontrol:
        with connect() as agent:
            login = agent.ask("listen_login")
        return Auth(user=login["account"], password=login["secret"], appversion="portero", monlist=monlist)
    prompt = "Control password" if escontrol else f"Password of {user}"
    password = read_password(
        prompt,
        password_stdin,
        todo="Pipe it in with --password-stdin.\n"
        "No account yet? `portero user add NAME --role resident` on the door makes one.",
    )
    return Auth(
        user=user or "",
        password=password,
        category="escontrol" if escontrol else "normal",
        appversion="portero",
        monlist=monlist,
    )


async def _listen(
    url: str, context: ssl.SSLContext | None, auth: Auth, count: int | None, as_json: bool
) -> None:
    from agent.net.websocket import connect_websocket
    from agent.workers.zmes.wire import Alarm, EsControlReply

    async with connect_websocket(
        url, ssl_context=context, silence_timeout_s=SILENCE_S, close_timeout_s=CLOSE_S
    ) as peer:
        await _log_in(peer, auth)
        if sys.stderr.isatty():
            click.echo(f"listening to {printable(url)}; Ctrl-C ends it", err=True)
        seen = 0
        while True:
            match await _next(peer):
                case Alarm(items=items):
                    for item in items:
                        _print(item, as_json)
                        seen += 1
                        if seen == count:
                            return
                case EsControlReply() as reply if not as_json:
                    print_line(f"control: {reply.response or reply.reason}")


async def _log_in(peer: ClientPeer, auth: Auth) -> None:
    """Authenticate and choose monitors. Raises: AuthenticationError, PeerError."""
    import trio

    from agent.model.errors import AuthenticationError, PeerError
    from agent.workers.zmes.wire import AuthReply, EsControl, Filter, encode_request

    await peer.send_text(encode_request(auth))
    try:
        with trio.fail_after(ANSWER_S):
            reply = await _next(peer)
            while not isinstance(reply, AuthReply):
                reply = await _next(peer)
    except trio.TooSlowError as error:
        raise PeerError(f"the server did not answer within {ANSWER_S:g} s") from error
    if not reply.ok:
        raise AuthenticationError(reply.reason)
    if auth.monlist:
        intlist = ",".join("0" for _ in auth.monlist.split(","))
        await peer.send_text(encode_request(Filter(monlist=auth.monlist, intlist=intlist)))
    if auth.category == "escontrol":
        await peer.send_text(
            encode_request(EsControl(request={"event": "escontrol", "data": {"command": "get"}}))
        )


async def _next(peer: ClientPeer) -> Reply:
    from agent.model.errors import MalformedMessage, PeerError
    from agent.workers.zmes.wire import decode_reply

    message = await peer.receive()
    try:
        return decode_reply(message)
    except MalformedMessage as error:
        raise PeerError(f"this is no event server: {error}") from error


def _print(item: AlarmItem, as_json: bool) -> None:
    at_ns = time.time_ns()
    if as_json:
        print_json_line(
            {
                "received_at_ns": at_ns,
                "event_id": item.event_id,
                "monitor_id": item.monitor_id,
                "name": item.name,
                "cause": item.cause,
                "detection": item.detection,
                "rules": item.rules,
                "monitor_name": item.monitor_name,
                "picture": item.picture,
            }
        )
        return
    picture = f"  {printable(item.picture)}" if item.picture else ""
    click.echo(
        f"{local_time(at_ns)}  {printable(item.name)}: {printable(item.cause)}  "
        f"(monitor {printable(item.monitor_id)}, event {printable(item.event_id)}){picture}"
    )


def _cause(error: BaseException) -> BaseException | None:
    """Of what ended the connection, together or alone, the one to tell; None for a bug."""
    from agent.model.errors import AuthenticationError, PeerError
    from agent.supervise import leaves

    found = list(leaves(error))
    for kind in (KeyboardInterrupt, OSError, AuthenticationError, PeerError):
        for leaf in found:
            if isinstance(leaf, kind):
                return leaf
    return None


def _login_failure(error: BaseException, user: str | None, escontrol: bool) -> Failure:
    if str(error) == "ESCONTROLDISABLED":
        return Failure(
            "the server does not offer the control category",
            todo="Set escontrol = true and escontrol_password_file in [workers.zmes.server].",
        )
    what = "the control password" if escontrol else f"account {user} with this password"
    todo = (
        ""
        if escontrol
        else "`portero user list` on the door shows accounts, `portero user password NAME` resets one."
    )
    return Failure(f"the server refused {what} ({error})", todo=todo)


def _gone(error: BaseException, ca_path: Path | None) -> Failure:
    text = str(error)
    if text.startswith(_GOING_AWAY):
        return Failure(
            "the server went away (1001): it stops, or starts again",
            code=TRY_AGAIN,
            todo="Try again in a few seconds; `portero status` on the door tells how it is.",
        )
    todo = "Is the door running? `portero status` on it tells."
    if "certificate" in text.lower() or "TLS" in text:
        todo = (
            "The server's certificate is not trusted here. On the door: `portero ca --export ca.pem`; "
            "then give --ca ca.pem here."
            if ca_path is None
            else "This server's certificate was not made by that authority, or not for that name."
        )
    return Failure(text, code=TRY_AGAIN, todo=todo)
