"""`portero answer|hangup`: the call at the door."""

from __future__ import annotations

import click

from agent.commands.output import json_option
from agent.commands.state import connect, state_option
from agent.commands.submit import submit


@click.command()
@click.argument("call_id", required=False, default="")
@json_option
@state_option
def answer(call_id: str, as_json: bool) -> None:
    """Take the ringing call.

    Without CALL_ID the one that has been ringing longest; `portero status` lists the calls.
    """
    with connect() as agent:
        submit(agent, {"do": "answer_call", "call_id": call_id}, "call answered", as_json=as_json)


@click.command()
@click.argument("call_id", required=False, default="")
@json_option
@state_option
def hangup(call_id: str, as_json: bool) -> None:
    """End the call, ringing or answered.

    Without CALL_ID the oldest one; `portero status` lists the calls.
    """
    with connect() as agent:
        submit(agent, {"do": "end_call", "call_id": call_id}, "call ended", as_json=as_json)
