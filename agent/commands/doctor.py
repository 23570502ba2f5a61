"""`portero doctor`: looks at everything around the door, and says what to do."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands.exits import NO_AGENT, PROBLEM, Failure
from agent.commands.output import folded, json_option, print_json
from agent.commands.state import JOURNAL_FILE, connect, state_dir, state_option

if TYPE_CHECKING:
    from agent.commands.finding import Finding
    from agent.config import Config

SIMULATED_FILE = "relays.sim"
_COLUMN = 20
_MARKS = {"ok": ("ok", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="PORTERO_CONFIG",
    help="The configuration file. Default: /etc/portero/portero.toml, for a simulated door none.",
)
@json_option
@state_option
@click.pass_context
def doctor(context: click.Context, path: Path | None, as_json: bool) -> None:
    """Look for what is wrong, and say what to do.

    It changes nothing. Exits with 1 when a line says FAIL.
    """
    findings = _findings(path)
    if as_json:
        import msgspec

        print_json([msgspec.to_builtins(finding) for finding in findings])
    else:
        for finding in findings:
            text, colour = _MARKS[finding.result]
            mark = click.style(f"{text:<4}", fg=colour)
            click.echo(f"{mark}  {finding.check:<12}  {folded(finding.found, _COLUMN, sys.stdout)}")
            if finding.todo:
                click.echo(f"{'':{_COLUMN}}{folded(finding.todo, _COLUMN, sys.stdout)}")
    if any(finding.result == "fail" for finding in findings):
        context.exit(PROBLEM)


def _findings(path: Path | None) -> list[Finding]:
    from agent.commands import door_checks, machine_checks
    from agent.commands.check_config import read_config
    from agent.commands.finding import Finding
    from agent.model.errors import ConfigErrors

    state = state_dir()
    status, trouble = _status()
    # A stopped door left its simulated relays behind if it had any. os.path: a folder that may not be looked
    # into is a finding below, not an error.
    simulated = bool(status["simulated"]) if status else os.path.exists(state / SIMULATED_FILE)
    read: Config | ConfigErrors
    try:
        read = read_config(path, simulated=simulated)
    except ConfigErrors as errors:
        read = errors
    cert_file = None if isinstance(read, ConfigErrors) else read.tls.cert_file
    found = [*door_checks.config(read)]
    if not simulated:
        found += machine_checks.gpio()
    if not isinstance(read, ConfigErrors):
        serial = {name: reader.device for name, reader in read.readers.items()}
        serial |= {name: device.device for name, device in read.io.items()}
        found += machine_checks.serial({name: port for name, port in serial.items() if port != "sim"})
    found += machine_checks.disk(state)
    if state.exists() and not os.access(state, os.R_OK | os.X_OK):
        text = f"{state}: this account may not look into it"
        return [*found, Finding(check="state", result="fail", found=text, todo="Run doctor with sudo.")]
    found += machine_checks.clock(state / JOURNAL_FILE)
    found += door_checks.certificates(state / "tls", cert_file)
    found += door_checks.permissions(state)
    found += door_checks.journal(state / JOURNAL_FILE, status)
    found += trouble or door_checks.agent(status, simulated=simulated)
    found += door_checks.listeners(status, read)
    found += machine_checks.sandbox(status)
    return found


def _status() -> tuple[dict[str, Any] | None, list[Finding]]:
    """The running agent's status, None without one, and the finding when it does not answer as it should."""
    from agent.commands.finding import Finding
    from agent.model.errors import AgentError

    try:
        with connect() as agent:
            return agent.ask("status"), []
    except Failure as failure:
        if failure.exit_code == NO_AGENT:
            return None, []
        return None, [Finding(check="agent", result="fail", found=failure.message, todo=failure.todo)]
    except AgentError as error:
        todo = "It hangs or is just starting: `systemctl restart portero` if this stays so."
        return None, [Finding(check="agent", result="fail", found=str(error), todo=todo)]
