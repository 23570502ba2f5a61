"""`portero run`: the agent itself, in the foreground."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from agent.commands.output import fingerprint_rows, print_line
from agent.commands.state import LOCAL_STATE, SYSTEM_STATE, chosen_state, state_option

if TYPE_CHECKING:
    from agent.app import Greeting
    from agent.config import Config

MAX_ADDRESSES = 3
_EVERYWHERE = ("::", "0.0.0.0")  # noqa: S104  # compared with, not bound


@click.command()
@click.option("--sim", "simulated", is_flag=True, help="Run a door made of software; needs no configuration.")
@click.option("--real-sound", is_flag=True, help="With --sim: use the sound cards that [voice] names.")
@click.option("--any-port", is_flag=True, help="Let every listener take any free port; see `portero status`.")
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="PORTERO_CONFIG",
    help="The configuration file. Default: /etc/portero/portero.toml, with --sim none.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log every message that clients send, too.")
@state_option
@click.pass_context
def run(
    context: click.Context,
    simulated: bool,
    real_sound: bool,
    any_port: bool,
    path: Path | None,
    verbose: bool,
) -> None:
    """Run the door; --sim runs one made of software.

    It runs until Ctrl-C or SIGTERM. Without --state a simulated door keeps its state in ./.state, a real
    one in /var/lib/portero.
    """
    from agent.commands.check_config import read_config

    config = read_config(path, simulated=simulated)
    import logging

    from agent import app
    from agent.logs import start_logging

    start_logging(logging.DEBUG if verbose else logging.INFO)

    state = chosen_state() or (LOCAL_STATE if simulated else SYSTEM_STATE)
    context.exit(
        app.run(
            config,
            state_dir=state,
            simulated=simulated,
            any_port=any_port,
            real_sound=real_sound,
            greet=Greeter(state, servers=_servers(config)),
        )
    )


class Greeter:
    """Tells the person who started the door where it is and what to do next."""

    def __init__(self, state: Path, *, servers: Mapping[str, str] | None = None) -> None:
        """servers: by name, the address that each listener was told to take."""
        self._state = state
        self._servers = servers or {}

    def __call__(self, greeting: Greeting) -> None:
        """Print where the door listens; the first password only to a terminal, never into a log."""
        print_line("The door is ready" + (" (simulated)." if greeting.simulated else "."))
        listeners = greeting.ready.get("listeners", {})
        for name in sorted(self._servers.keys() - listeners.keys()):
            print_line(f"  {name:<9} does not listen yet: the log tells why")
        for name, url in listeners.items():
            print_line(f"  {name:<9} {url}")
            if self._servers.get(name) in _EVERYWHERE and sys.stdout.isatty():
                for other in _elsewhere(url):
                    print_line(f"            {other} from other devices")
        print_line(f"  CA        {greeting.ready.get('ca', '')}")
        for title, part in zip(("SHA-256", ""), fingerprint_rows(greeting.fingerprint), strict=False):
            print_line(f"  {title:<9} {part}")
        if greeting.first_admin is not None:
            name, password = greeting.first_admin
            if sys.stdout.isatty():
                print_line(f"  account   {name}, password {password}")
                print_line(f"            shown this once; {self._new(name)} sets another")
            else:
                print_line(f"  account   {name}; {self._new(name)} sets its password")
        if greeting.simulated and sys.stdout.isatty():
            print_line("In another terminal:")
            print_line(f"  {self._command('listen')}      be a phone: alarms as they come")
            print_line(f"  {self._command('sim press')}   ring the bell")
            print_line(f"  {self._command('unlock')}      open the door")
            if "zello" in listeners:
                print_line(f"  {self._command('talk FILE.wav')}   speak to whoever stands there")
            print_line(f"  {self._command('status')}      look at it")

    def _new(self, name: str) -> str:
        return f"`{self._command(f'user password {name}')}`"

    def _command(self, words: str) -> str:
        """A command as it has to be typed here."""
        option = "" if self._state in (LOCAL_STATE, SYSTEM_STATE) else f" --state {self._state}"
        return f"{_program()} {words}{option}"


def _servers(config: Config) -> dict[str, str]:
    """The address that each protocol with a server of its own is to listen on."""
    return {
        name: str(worker.server.host)
        for name, worker in config.workers.items()
        if getattr(getattr(worker, "server", None), "host", None) is not None
    }


def _elsewhere(url: str) -> list[str]:
    """The URL with the addresses that this machine has in its own network, at most MAX_ADDRESSES."""
    from agent.net.addresses import is_address, own_names

    own = [ip_address(name) for name in own_names() if is_address(name)]
    parts = urlsplit(url)
    return [
        f"{parts.scheme}://{f'[{address}]' if address.version == 6 else address}:{parts.port}{parts.path}"
        for address in own
        if not address.is_loopback
    ][:MAX_ADDRESSES]


def _program() -> str:
    """The name of this program in a shell: with its path where the shell would not find it."""
    started = Path(sys.argv[0])
    if started.name != "portero":
        return "portero"
    found = shutil.which("portero")
    if found is not None and started.exists() and started.samefile(found):
        return "portero"
    return os.path.relpath(started) if started.absolute().is_relative_to(Path.cwd()) else str(started)
