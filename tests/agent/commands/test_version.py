from __future__ import annotations

import json
from collections.abc import Callable

from click.testing import Result

from agent import __version__

Portero = Callable[..., Result]


def test_version(portero: Portero) -> None:
    assert portero("version").stdout == f"portero {__version__}\n"
    assert portero("--version").stdout == f"portero {__version__}\n"
    assert json.loads(portero("version", "--json").stdout)["version"] == __version__
