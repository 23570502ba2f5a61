"""`portero completion`: the script that teaches a shell our commands."""

from __future__ import annotations

from typing import Literal

import click
from click.shell_completion import get_completion_class

from agent.commands.state import state_option


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@state_option
@click.pass_context
def completion(context: click.Context, shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print a completion script for a shell.

    \b
    bash  portero completion bash > ~/.local/share/bash-completion/completions/portero
    zsh   portero completion zsh > ~/.zfunc/_portero    (with ~/.zfunc in fpath)
    fish  portero completion fish > ~/.config/fish/completions/portero.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root().command
    script = kind(root, {}, "portero", "_PORTERO_COMPLETE")
    click.echo(script.source_template % script.source_vars())
