"""`portero mute|unmute|notify-default`: who is told, for every protocol alike."""

from __future__ import annotations

import click

from agent.commands.output import json_option
from agent.commands.state import connect, state_option
from agent.commands.submit import endpoint_argument, submit


@click.command()
@endpoint_argument(many=True)
@json_option
@state_option
def mute(endpoints: tuple[str, ...], as_json: bool) -> None:
    """Stop notifications of endpoints.

    Without ENDPOINT of all. Smoke and carbon monoxide cannot be muted. It lasts, also over a restart, until
    `notify-default` or `unmute`.
    """
    done = "muted" if endpoints else "muted (smoke and carbon monoxide never are)"
    _set("mute", endpoints, done, as_json)


@click.command()
@endpoint_argument(many=True)
@json_option
@state_option
def unmute(endpoints: tuple[str, ...], as_json: bool) -> None:
    """Notify of endpoints whatever clients and quiet hours say.

    Without ENDPOINT of all. To merely undo `mute`, use `notify-default`.
    """
    _set("force", endpoints, "notified always", as_json)


@click.command("notify-default")
@endpoint_argument(many=True)
@json_option
@state_option
def notify_default(endpoints: tuple[str, ...], as_json: bool) -> None:
    """Notify of endpoints as clients and quiet hours say.

    Without ENDPOINT of all. This undoes `mute` and `unmute`.
    """
    _set("default", endpoints, "as each client asked", as_json)


def _set(mode: str, endpoints: tuple[str, ...], done: str, as_json: bool) -> None:
    with connect() as agent:
        action = {"do": "set_notify", "mode": mode, "endpoints": endpoints}
        submit(agent, action, f"{', '.join(endpoints) or 'all endpoints'}: {done}", as_json=as_json)
