from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import pytest
from click.testing import Result

Portero = Callable[..., Result]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_parses(shell: str, portero: Portero) -> None:
    done = portero("completion", shell)
    assert done.exit_code == 0
    assert "_PORTERO_COMPLETE" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True)


def test_completion_knows_three_shells(portero: Portero) -> None:
    done = portero("completion", "tcsh")
    assert done.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in done.stderr
