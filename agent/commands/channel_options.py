"""The options of commands that are a client of a voice channel, and the address they add up to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agent.commands.exits import Failure
from agent.commands.password import password_stdin_option, read_password
from agent.commands.remote import own_url, tls_context
from agent.commands.state import connect

if TYPE_CHECKING:
    from agent.commands.channel import ChannelAddress

LISTENER = "zello"

F = TypeVar("F", bound=Callable[..., Any])


def channel_options(function: F) -> F:
    """--channel, --url, --user, --password-stdin, --ca."""
    for option in reversed(
        (
            click.option("--channel", metavar="NAME", help="Default: the door's first channel."),
            click.option(
                "--url",
                metavar="URL",
                help="wss://HOST:PORT/ws of a channel server. Default: the door on this machine.",
            ),
            click.option("--user", metavar="NAME", help="Account. Default: a throw-away one."),
            password_stdin_option,
            click.option(
                "--ca",
                "ca_path",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                metavar="FILE",
                help="Authority to trust (PEM). Default: the one of the door on this machine.",
            ),
        )
    ):
        function = option(function)
    return function


def channel_address(
    *,
    channel: str | None,
    url: str | None,
    user: str | None,
    password_stdin: bool,
    ca_path: Path | None,
    talk: bool,
) -> ChannelAddress:
    """Where to log on. Without a user the agent on this machine is asked for a throw-away account.

    Raises: Failure, click.UsageError.
    """
    from agent.commands.channel import ChannelAddress

    if url is not None and (user is None or channel is None):
        raise click.UsageError("--url needs --user NAME and --channel NAME.")
    if password_stdin and user is None:
        raise click.UsageError("--password-stdin needs --user NAME.")
    address = url or own_url(LISTENER, what="voice channels", table="workers.zello.server")
    tls = tls_context(address, ca_path)
    account, password = user, ""
    if user is None or channel is None:
        with connect() as agent:
            if channel is None:
                channel = _first_channel(agent.ask("status"))
            if user is None:
                login = agent.ask("voice_login", talk=talk)
                account, password = str(login["account"]), str(login["secret"])
    if user is not None:
        password = read_password(
            f"Password of {user}", password_stdin, todo="Pipe it in with --password-stdin."
        )
    return ChannelAddress(
        url=address, tls=tls, user=account or "", password=password, channel=channel, listen_only=not talk
    )


def _first_channel(status: dict[str, Any]) -> str:
    page = status.get("workers", {}).get("zello", {}).get("page", {})
    name = page.get("channel")
    if not isinstance(name, str) or not name:
        raise Failure("the door does not tell its channels", todo="Name one with --channel NAME.")
    return name
