"""`portero vms`: the VMS that administers this door, and the keys that come from it."""

from __future__ import annotations

from typing import Any

import click

from agent.commands.output import json_option, print_json, print_line, print_table
from agent.commands.state import connect, state_option

ANSWER_S = 15.0


@click.group(short_help="Follow a VMS: its state, and its keys.")
@state_option
def vms() -> None:
    """Follow a VMS: its state, and its keys."""


@vms.command()
@json_option
@state_option
def status(as_json: bool) -> None:
    """Show the connection, each channel, and how the last file of keys went."""
    answer = _ask("vms_status")
    if as_json:
        print_json(answer)
        return
    problem = f" ({answer['problem']})" if answer.get("problem") else ""
    print_line(f"vms       {answer['vms']}: {answer.get('state', '')}{problem}")
    print_line(f"intercom  {answer.get('intercom', '-')}")
    print_line(f"keys      {answer.get('keys', 'no file yet')}")
    print_line(
        f"pushes    {answer.get('pushes', 0)}, unknown {answer.get('unknown', 0)}, "
        f"malformed {answer.get('malformed', 0)}"
    )
    rows = [(row["channel"], row["state"], row["reason"] or "-") for row in answer.get("channels", [])]
    print_table(("CHANNEL", "STATE", "REASON"), rows)


@vms.command()
@json_option
@state_option
def sync(as_json: bool) -> None:
    """Ask the VMS for a file of this door's keys, now."""
    answer = _ask("vms_sync")
    print_json(answer) if as_json else print_line("asked; `portero vms status` shows how it went")


def _ask(verb: str) -> Any:
    with connect() as agent:
        return agent.ask("worker", timeout_s=ANSWER_S, worker="vms", verb=verb)
