"""The earliest safe levels: lines of the firmware's config.txt that hold every relay at rest before Linux runs."""

from __future__ import annotations

import tomllib

NAME = "relays.txt"
OUTPUTS = ("lock", "siren", "light", "led")


def relay_lines(config: str) -> str:
    """The firmware's lines for a configuration of the agent; it must be sound TOML.

    Source: Raspberry Pi documentation, config.txt, "gpio": op is an output, dl drives it low, dh high.
    """
    endpoints = tomllib.loads(config).get("endpoints", {})
    lines = [
        f"# {name}\ngpio={table['pin']}=op,{'dh' if table.get('active_low') else 'dl'}\n"
        for name, table in sorted(endpoints.items())
        if isinstance(table, dict) and table.get("kind") in OUTPUTS and isinstance(table.get("pin"), int)
    ]
    return "# Written by the door from its configuration, at each start: do not edit.\n" + "".join(lines)
