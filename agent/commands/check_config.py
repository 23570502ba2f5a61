"""`portero check-config`: every mistake of a configuration file, without starting anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.commands.exits import CONFIG
from agent.commands.output import json_option, print_json, print_line
from agent.commands.state import state_option

if TYPE_CHECKING:
    from agent.config import Config

CONFIG_FILE = Path("/etc/portero/portero.toml")


@click.command("check-config")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    default=CONFIG_FILE,
    envvar="PORTERO_CONFIG",
    show_default=True,
    help="The configuration file.",
)
@json_option
@state_option
@click.pass_context
def check_config(context: click.Context, path: Path, as_json: bool) -> None:
    """Check the configuration without starting.

    Exits with 78 when there are mistakes, and names them all.
    """
    from agent.model.errors import ConfigErrors

    try:
        config = read_config(path)
    except ConfigErrors as errors:
        if not as_json:
            raise
        mistakes = [{"path": error.path, "reason": error.reason} for error in errors.errors]
        print_json({"ok": False, "file": str(path), "errors": mistakes, "endpoints": [], "workers": []})
        context.exit(CONFIG)
    endpoints, workers = list(config.endpoints), list(config.workers)
    if as_json:
        print_json({"ok": True, "file": str(path), "errors": [], "endpoints": endpoints, "workers": workers})
        return
    print_line(f"{path}: sound")
    print_line(f"  endpoints: {', '.join(endpoints) or 'none, so there is nothing to press or to open'}")
    print_line(f"  protocols: {', '.join(workers) or 'none, so nobody is told of a ring'}")


def read_config(path: Path | None, *, simulated: bool = False) -> Config:
    """The configuration of a file; of the simulated door when there is none. Raises: ConfigErrors."""
    from agent import config
    from agent.registry import WORKERS

    workers = {spec.name: spec.config for spec in WORKERS}
    if path is None and simulated:
        return config.simulated(workers)
    remotes = {spec.name: spec.endpoint for spec in WORKERS if spec.endpoint is not None}
    return config.load(path or CONFIG_FILE, workers, remotes=remotes, simulated=simulated)
