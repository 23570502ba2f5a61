"""`portero arm|disarm`: the house's own alarm system, from the keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agent.commands.exits import Failure
from agent.commands.output import json_option
from agent.commands.state import connect, state_option
from agent.commands.submit import submit

if TYPE_CHECKING:
    from agent.control_client import ControlClient


@click.command()
@click.argument("mode", type=click.Choice(["away", "stay", "night"]))
@json_option
@state_option
def arm(mode: str, as_json: bool) -> None:
    """Arm the alarm system.

    What is watched in which mode stands in the configuration. What is open or active when it becomes armed is
    ignored until it has been closed or calm once.
    """
    with connect() as agent:
        before = _alarm(agent)
        wait_s = before["seconds_left"] if before["mode"] == mode else before["exit_delay_s"]
        done = f"alarm system: armed ({mode})" + (f" in {wait_s} s" if wait_s else "")
        submit(agent, {"do": "set_alarm", "mode": mode}, done, as_json=as_json)


@click.command()
@json_option
@state_option
def disarm(as_json: bool) -> None:
    """Disarm the alarm system, and end an alarm."""
    with connect() as agent:
        _alarm(agent)
        submit(agent, {"do": "set_alarm", "mode": "disarmed"}, "alarm system: disarmed", as_json=as_json)


def _alarm(agent: ControlClient) -> dict[str, Any]:
    """The alarm system as it is now. Raises: Failure."""
    alarm: dict[str, Any] | None = agent.ask("status").get("alarm")
    if alarm is None:
        raise Failure(
            "this door has no alarm system", todo="Give it a table [alarm] in the configuration, and restart."
        )
    return alarm
