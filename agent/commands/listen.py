"""`portero listen`: a client as a phone has one, in a terminal."""

from __future__ import annotations

import ssl
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.commands.exits import Failure
from agent.commands.output import json_option, local_time, print_json_line, print_line, printable
from agent.commands.password import password_stdin_option, read_password
from agent.commands.remote import cause_of, gone, own_url, tls_context
from agent.commands.state import connect, state_option

if TYPE_CHECKING:
    from agent.net.websocket import ClientPeer
    from agent.workers.zmes.wire import AlarmItem, Auth, Reply

ANSWER_S = 15.0
SILENCE_S = 90.0
CLOSE_S = 1.0
LISTENER = "zmes"


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
@click.option(
    "--voice",
    "voice_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Listen to a voice channel instead and record it: FILE.wav, FILE.ogg or FILE.opus.",
)
@click.option("--channel", metavar="NAME", help="With --voice: which one. Default: the door's first.")
@click.option("-n", "--count", type=click.IntRange(min=1), metavar="N", help="End after N alarms (talks).")
@json_option
@state_option
def listen(
    url: str | None,
    user: str | None,
    password_stdin: bool,
    ca_path: Path | None,
    monitors: str | None,
    escontrol: bool,
    voice_file: Path | None,
    channel: str | None,
    count: int | None,
    as_json: bool,
) -> None:
    """Be a client: print alarms as a phone gets them.

    With a door running on this machine nothing has to be given. For another door give --url, --user and --ca
    (there: `portero ca --export ca.pem`). With --json one object per alarm and line.
    """
    if voice_file is not None:
        if monitors is not None or escontrol:
            raise click.UsageError("--voice goes neither with --monitors nor with --escontrol.")
        from agent.commands.channel_options import channel_address
        from agent.commands.listen_voice import record

        record(
            channel_address(
                channel=channel,
                url=url,
                user=user,
                password_stdin=password_stdin,
                ca_path=ca_path,
                talk=False,
            ),
            voice_file,
            count=count,
            as_json=as_json,
            ca_path=ca_path,
        )
        return
    if channel is not None:
        raise click.UsageError("--channel goes with --voice FILE.")
    monlist = _monlist(monitors)
    if url is not None and user is None and not escontrol:
        raise click.UsageError(
            "--url needs --user NAME; `portero user add NAME --role resident` on the door makes one."
        )
    if password_stdin and user is None and not escontrol:
        raise click.UsageError("--password-stdin needs --user NAME or --escontrol.")
    address = url or own_url(LISTENER, what="event clients", table="workers.zmes.server")
    context = tls_context(address, ca_path)
    auth = _auth(user, escontrol, password_stdin, monlist)

    import trio

    from agent.model.errors import AuthenticationError, PeerError

    try:
        trio.run(partial(_listen, address, context, auth, count, as_json))
    except (BaseExceptionGroup, AuthenticationError, PeerError) as error:
        match cause_of(error):
            case AuthenticationError() as refused:
                raise _login_failure(refused, user, escontrol) from error
            case PeerError() as lost:
                raise gone(lost, ca_path) from error
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
