"""The pin map as it comes out of TOML, and what is refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

import hw
from hw.pins import (
    ButtonPins,
    ContactPins,
    DoorContactPins,
    EndpointName,
    EndpointPins,
    LedPins,
    LightPins,
    LockPins,
    SirenPins,
    check_conflicts,
    sim_endpoints,
    wires,
)


def parse(text: str) -> dict[str, Any]:
    return msgspec.convert(tomllib.loads(text)["endpoints"], dict[EndpointName, EndpointPins])


def test_a_whole_door_in_toml() -> None:
    endpoints = parse("""
        [endpoints.doorbell]
        kind = "button"
        pin = 17
        label = "Bell"

        [endpoints.front]
        kind = "lock"
        pin = 27
        active_low = true
        hold_s = 5
        door_contact = { pin = 22 }

        [endpoints.siren]
        kind = "siren"
        pin = 23

        [endpoints.stairs]
        kind = "light"
        pin = 24
        max_on_s = 600

        [endpoints.lid]
        kind = "contact"
        pin = 5
        role = "tamper"

        [endpoints.status]
        kind = "led"
        pin = 25
    """)
    assert endpoints == {
        "doorbell": ButtonPins(pin=17, label="Bell"),
        "front": LockPins(pin=27, active_low=True, hold_s=5.0, door_contact=DoorContactPins(pin=22)),
        "siren": SirenPins(pin=23),
        "stairs": LightPins(pin=24, max_on_s=600.0),
        "lid": ContactPins(pin=5, role="tamper"),
        "status": LedPins(pin=25),
    }
    assert check_conflicts(endpoints) == []


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ('kind = "lock"\npin = 28', "<= 27"),
        ('kind = "lock"\npin = -1', ">= 0"),
        ('kind = "lock"\npin = 27\nhold_s = 61', "<= 60"),
        ('kind = "lock"\npin = 27\nhold_s = 40', "longer than max_hold_s"),
        ('kind = "lock"\npin = 27\nmax_hold_s = 120', "<= 60"),
        ('kind = "lock"\npin = 27\nmode = "fail"', "Invalid enum value"),
        ('kind = "lock"\npin = 27\ndoor_contact = { pin = 22, kind = "contact" }', "unknown field `kind`"),
        ('kind = "siren"\npin = 27\ndefault_s = 200', "longer than max_on_s"),
        ('kind = "light"\npin = 27\nmax_on_s = 60', "longer than max_on_s"),
        ('kind = "light"\npin = 27\nmaximum = 60', "unknown field `maximum`"),
        ('kind = "contact"\npin = 27\nrole = "alarm"', "Invalid enum value"),
        ('kind = "button"\npin = 27\ndebounce_ms = 1001', "<= 1000"),
        ('kind = "button"\npin = 27\npull = "high"', "Invalid enum value"),
        ('kind = "door"\npin = 27', "Invalid value 'door'"),
        ("pin = 27", "missing required field `kind`"),
        ('kind = "led"', "missing required field `pin`"),
    ],
)
def test_bad_tables_are_refused(table: str, complaint: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=complaint):
        parse(f"[endpoints.door]\n{table}")


@pytest.mark.parametrize("name", ["Front", "1st", "front-door", "front.contact", "", "a" * 33])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        parse(f'[endpoints."{name}"]\nkind = "led"\npin = 25')


def test_a_lock_is_cut_off_unless_that_would_open_it() -> None:
    assert LockPins(pin=27, max_hold_s=20).cutoff_s == 20
    assert LockPins(pin=27, mode="fail_safe").cutoff_s is None


def test_wires_name_the_door_contact_after_its_lock() -> None:
    assert list(wires(sim_endpoints())) == [
        "doorbell",
        "strike",
        "strike.contact",
        "siren",
        "staircase",
        "tamper",
        "smoke",
        "motion",
        "status",
    ]


def test_the_simulated_door_has_no_conflicts() -> None:
    assert check_conflicts(sim_endpoints()) == []


@pytest.mark.parametrize(
    ("endpoints", "complaints"),
    [
        (
            {"bell": ButtonPins(pin=17), "door": LockPins(pin=17)},
            ["door: GPIO17 already belongs to bell"],
        ),
        (
            {"door": LockPins(pin=17, door_contact=DoorContactPins(pin=17))},
            ["door.contact: GPIO17 already belongs to door"],
        ),
        (
            {"a": LedPins(pin=4), "b": LedPins(pin=4), "c": LedPins(pin=4)},
            ["b: GPIO4 already belongs to a", "c: GPIO4 already belongs to a"],
        ),
        (
            {"bell": ButtonPins(pin=0)},
            ["bell: GPIO0 is the ID_SD line of add-on boards; choose another pin"],
        ),
        (
            {"bell": ButtonPins(pin=14)},
            [
                "bell: GPIO14 is the serial console's transmit line and moves at every boot; "
                "choose another pin"
            ],
        ),
        (
            {"door": LockPins(pin=2)},
            ["door: GPIO2 is an I2C line with a fixed pull-up, which would move a relay at boot"],
        ),
        (
            {"bell": ButtonPins(pin=3, pull="none")},
            ['bell: GPIO3 is an I2C line with a fixed pull-up: expected pull = "up"'],
        ),
        ({"bell": ButtonPins(pin=3)}, []),
    ],
)
def test_conflicts(endpoints: dict[str, EndpointPins], complaints: list[str]) -> None:
    assert check_conflicts(endpoints) == complaints


def test_the_examples_of_the_wiring_guide() -> None:
    guide = (Path(str(hw.__file__)).parent.parent / "docs" / "wiring.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    endpoints = parse("\n".join(blocks))
    assert check_conflicts(endpoints) == []
    assert {name: pins.pin for name, pins in sim_endpoints().items()}.items() <= {
        name: pins.pin for name, pins in endpoints.items()
    }.items()
