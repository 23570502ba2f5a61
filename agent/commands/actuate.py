"""`portero unlock|lock|siren|light|ring`: what a hand at the door can do, from the keyboard."""

from __future__ import annotations

from typing import Literal

import click

from agent.commands.output import duration, json_option
from agent.commands.state import connect, state_option
from agent.commands.submit import DURATION_S, endpoint_argument, submit, the_endpoint

_ON_OFF = click.Choice(["on", "off"])


@click.command()
@endpoint_argument("lock")
@click.option("--hold", "hold_s", type=DURATION_S, metavar="S", help="Seconds; default: the lock's own time.")
@json_option
@state_option
def unlock(endpoint: str | None, hold_s: float | None, as_json: bool) -> None:
    """Open a lock for a while.

    ENDPOINT may be left out when the door has one lock. Unlocking again while it is open extends the time.
    """
    with connect() as agent:
        name = the_endpoint(agent, endpoint, "lock")
        done = f"{name}: unlocked" + (f" for {duration(hold_s)}" if hold_s else "")
        submit(agent, {"do": "unlock", "endpoint": name, "hold_s": hold_s}, done, as_json=as_json)


@click.command()
@endpoint_argument("lock")
@json_option
@state_option
def lock(endpoint: str | None, as_json: bool) -> None:
    """End an unlock at once.

    ENDPOINT may be left out when the door has one lock.
    """
    with connect() as agent:
        name = the_endpoint(agent, endpoint, "lock")
        submit(agent, {"do": "lock", "endpoint": name}, f"{name}: locked", as_json=as_json)


@click.command()
@click.argument("switch", type=_ON_OFF)
@endpoint_argument("siren")
@click.option("--for", "for_s", type=DURATION_S, metavar="S", help="Seconds; default: the siren's own time.")
@json_option
@state_option
def siren(switch: Literal["on", "off"], endpoint: str | None, for_s: float | None, as_json: bool) -> None:
    """Sound a siren or silence it.

    ENDPOINT may be left out when the door has one siren.
    """
    _on_only(switch, for_s)
    with connect() as agent:
        name = the_endpoint(agent, endpoint, "siren")
        action = {"do": "sound_siren", "endpoint": name, "duration_s": for_s}
        if switch == "off":
            action = {"do": "stop_siren", "endpoint": name}
        submit(agent, action, f"{name}: {switch}", as_json=as_json)


@click.command()
@click.argument("switch", type=_ON_OFF)
@endpoint_argument("light")
@click.option("--for", "for_s", type=DURATION_S, metavar="S", help="Seconds; default: the light's own time.")
@json_option
@state_option
def light(switch: Literal["on", "off"], endpoint: str | None, for_s: float | None, as_json: bool) -> None:
    """Switch a light on or off.

    ENDPOINT may be left out when the door has one light.
    """
    _on_only(switch, for_s)
    with connect() as agent:
        name = the_endpoint(agent, endpoint, "light")
        action = {"do": "switch_light", "endpoint": name, "on": switch == "on", "duration_s": for_s}
        submit(agent, action, f"{name}: {switch}", as_json=as_json)


@click.command()
@endpoint_argument("button")
@json_option
@state_option
def ring(endpoint: str | None, as_json: bool) -> None:
    """Ring a bell as if its button was pressed.

    ENDPOINT may be left out when the door has one button.
    """
    with connect() as agent:
        name = the_endpoint(agent, endpoint, "button")
        submit(agent, {"do": "ring", "endpoint": name}, f"{name}: rung", as_json=as_json)


def _on_only(switch: str, for_s: float | None) -> None:
    if switch == "off" and for_s is not None:
        raise click.UsageError("--for goes with on, not with off.")
