"""The `portero` command: one list of subcommands, each imported only when it is invoked.

Nothing but click is imported here: `portero unlock` has to start at once, also on a small Pi.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

import click

from agent import __version__
from agent.commands.exits import BROKEN_PIPE, INTERRUPTED, Failure
from agent.commands.state import state_option

SECTIONS: dict[str, dict[str, tuple[str, str, str]]] = {
    "The door": {
        "run": ("run", "run", "Run the door; --sim runs one made of software."),
        "status": ("status", "status", "Show endpoints, calls, protocols and problems."),
        "events": ("events", "events", "Show what happened, from the journal or as it happens."),
        "calls": ("calls", "calls", "Show calls, and the messages visitors left."),
        "listen": ("listen", "listen", "Be a client: print alarms as a phone gets them."),
        "talk": ("talk", "talk", "Speak through the door."),
    },
    "Actions": {
        "unlock": ("actuate", "unlock", "Open a lock for a while."),
        "lock": ("actuate", "lock", "End an unlock at once."),
        "siren": ("actuate", "siren", "Sound a siren or silence it."),
        "light": ("actuate", "light", "Switch a light on or off."),
        "ring": ("actuate", "ring", "Ring a bell as if its button was pressed."),
        "answer": ("call", "answer", "Take the ringing call."),
        "hangup": ("call", "hangup", "End the call, ringing or answered."),
        "arm": ("alarm", "arm", "Arm the alarm system."),
        "disarm": ("alarm", "disarm", "Disarm the alarm system, and end an alarm."),
        "mute": ("notify", "mute", "Stop notifications of endpoints."),
        "unmute": ("notify", "unmute", "Notify of endpoints whatever clients and quiet hours say."),
        "notify-default": ("notify", "notify_default", "Notify of endpoints as clients and quiet hours say."),
    },
    "People": {
        "user": ("user", "user", "Add, change, list and remove users."),
        "api-key": ("api_key", "api_key", "Add, list and revoke API keys."),
        "keys": ("keys", "keys", "Add, list, import and revoke tags and codes."),
        "vms": ("vms", "vms", "Follow a VMS: its state, and its keys."),
        "netatmo": ("netatmo", "netatmo", "Tokens for Netatmo clients, and Netatmo clouds."),
        "deconz": ("deconz", "deconz", "Let smart homes in, and pair with a gateway."),
    },
    "Care": {
        "check-config": ("check_config", "check_config", "Check the configuration without starting."),
        "doctor": ("doctor", "doctor", "Look for what is wrong, and say what to do."),
        "audio": ("audio", "audio", "List sound cards, watch levels, test the door's sound."),
        "ca": ("ca", "ca", "Show or export the certificate that clients must trust."),
        "sim": ("sim", "sim", "Play with the simulated board."),
        "completion": ("completion", "completion", "Print a completion script for a shell."),
        "version": ("version", "version", "Print the version."),
    },
}
COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Portero(click.Group):
    """A group that knows its commands by name and help text, and imports one when it is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"agent.commands.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"No command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for title, section in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), entry[2]) for name, entry in section.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; every error that can be expected becomes one text and one exit code."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(INTERRUPTED)
        except BrokenPipeError:
            ctx.exit(BROKEN_PIPE)
        except OSError as error:
            raise Failure.of_os_error(error) from error
        except _agent_error() as error:
            raise Failure.of_agent_error(error) from error


def _agent_error() -> type[Exception]:
    from agent.model.errors import AgentError

    return AgentError


@click.group(
    cls=Portero,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done, 1 problem or refusal, 2 usage, 3 no agent runs, 4 busy, 5 hardware, "
    "75 try again, 78 configuration. See docs/cli.md.",
)
@click.version_option(__version__, prog_name="portero", message="%(prog)s %(version)s")
@state_option
def cli() -> None:
    """The software of a door."""


def main() -> None:
    """Run the command line and exit."""
    try:
        cli(prog_name="portero")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except SystemExit as end:
        if end.code == BROKEN_PIPE:
            # What is still buffered can go nowhere; Python would try at its exit, complain, and end with 120.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
