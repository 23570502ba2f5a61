"""The door of the flow tests: everything on it, and short times."""

from __future__ import annotations

from collections.abc import Callable

from harness.agent_process import AgentProcess

PASSWORDS = {"ana": "cuatro gatos en el portal", "ben": "zweite tür links"}
QUICK = """
[calls]
ring_timeout_s = 1

[endpoints.doorbell]
kind = "button"
pin = 17
label = "Bell"
hold_ms = 300

[endpoints.strike]
kind = "lock"
pin = 27
label = "Front door"
hold_s = 0.5
max_hold_s = 30
left_open_after_s = 0.5
door_contact = { pin = 22 }

[endpoints.siren]
kind = "siren"
pin = 23

[endpoints.staircase]
kind = "light"
pin = 24

[endpoints.smoke]
kind = "contact"
role = "smoke"
pin = 6

[workers.zmes.server]
host = "127.0.0.1"
max_per_peer = 64
"""

Door = Callable[..., AgentProcess]
