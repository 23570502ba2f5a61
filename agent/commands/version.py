"""`portero version`."""

from __future__ import annotations

import platform

import click

from agent import __version__
from agent.commands.output import json_option, print_json
from agent.commands.state import state_option


@click.command()
@json_option
@state_option
def version(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__, "python": platform.python_version()})
    else:
        click.echo(f"portero {__version__}")
