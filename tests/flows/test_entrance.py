"""A tag at the reader of a whole door: the relay moves, and the journal knows who it was."""

from __future__ import annotations

import time

from harness.quick_door import Door

READER = """
[readers.front_reader]
device = "sim"
kind = "wiegand"
opens = "strike"
"""
TAG = "123,45678"


def test_from_the_tag_to_the_relay_and_into_the_journal(door: Door) -> None:
    with door(more=READER) as agent:
        added = agent.portero("keys", "add", "--holder", "Ana", "--tag", TAG)
        assert added.exit_code == 0
        assert agent.portero("sim", "tag", TAG).exit_code == 0
        used = agent.until_stored("key_used", holder="Ana")
        opened = agent.until_stored("lock_changed", state="unlocked")
        assert opened["by"] == f"Ana (key {used['key_id']})"
        assert agent.relays()["strike"].energised
        agent.portero("sim", "tag", "1,2")
        agent.until_stored("key_refused", reason="not known")
        text = agent.portero("events", "--access").stdout
        assert f"opened with a tag of Ana (key {used['key_id']}) at front_reader" in text
        assert "7BB26E" not in text
        assert "front_reader  wiegand  strike" in agent.portero("status").stdout


def test_keys_outlive_a_kill_and_a_revoked_one_opens_nothing(door: Door) -> None:
    with door(more=READER) as agent:
        agent.portero("keys", "add", "--holder", "Ana", "--tag", TAG)
        agent.kill()
    with door(more=READER) as agent:
        agent.portero("sim", "tag", TAG)
        used = agent.until_stored("key_used")
        agent.portero("keys", "revoke", used["key_id"])
        agent.portero("sim", "type", "0815#")  # or the tag would still lie on the reader
        agent.until_stored("key_refused", method="code")
        time.sleep(1.1)
        agent.portero("sim", "tag", TAG)
        agent.until_stored("key_refused", method="tag", reason="not known")
        assert len(agent.stored("key_used")) == 1


ON_A_MICROCONTROLLER = """
[io.panel]
device = "sim"

[endpoints.gate]
kind = "io"
acts_as = "lock"
channel = 0
default_s = 0.5

[endpoints.gate_bell]
kind = "io"
acts_as = "button"
channel = 2

[readers.gate_reader]
device = "sim"
kind = "wiegand"
opens = "gate"
"""


def test_a_lock_and_a_bell_on_a_microcontroller(door: Door) -> None:
    with door(more=ON_A_MICROCONTROLLER) as agent:
        agent.portero("keys", "add", "--holder", "Ana", "--tag", TAG)
        agent.portero("sim", "tag", TAG, "--reader", "gate_reader")
        agent.until_stored("lock_changed", endpoint="gate", state="unlocked")
        agent.until_stored("lock_changed", endpoint="gate", state="locked", reason="time over")
        agent.portero("sim", "io", "panel", "on", "2")
        agent.until_stored("button_pressed", endpoint="gate_bell")
        agent.until_stored("call_changed", endpoint="gate_bell", state="ringing")
        assert agent.portero("unlock", "gate").exit_code == 0
        agent.portero("sim", "io", "panel", "unplug")
        agent.until_stored("hardware_failed", endpoint="gate")
        assert agent.portero("unlock", "gate").exit_code != 0
        agent.portero("sim", "io", "panel", "plug")
        agent.until_stored("hardware_recovered", endpoint="gate", within_s=12)
        assert agent.portero("unlock", "gate").exit_code == 0
        assert "portero-io" in agent.portero("status").stdout
