"""The typed pin map: one frozen struct per kind of endpoint, as it stands in `[endpoints.<name>]`.

One table describes one endpoint, so the settings that the agent needs (labels, times, policies) are in it
beside the pin. Pin numbers are BCM numbers (GPIO17 is 17), never positions on the header.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

BcmPin = Annotated[int, Meta(ge=0, le=27)]
"""A BCM GPIO number of the 40-pin header. Some are refused later, with a reason: see `check_conflicts`."""

EndpointName = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,31}$")]
"""Lower case, digits and underscores: it becomes part of topics, URLs and log lines."""

Label = Annotated[str, Meta(max_length=64)]
"""What people read ("Front door"). Empty: the endpoint's name is shown."""

Pull = Literal["up", "down", "none"]
"""The resistor inside the chip. "none" needs one on the board: an open line reads at random."""

DebounceMs = Annotated[int, Meta(ge=0, le=1000)]
"""How long a line must be quiet before a further change counts. The first change counts at once."""

GlitchUs = Annotated[int, Meta(ge=0, le=50_000)]
"""0: off. Otherwise a level counts only when stable this long: deaf to spikes, later by as much."""

LockMode = Literal["fail_secure", "fail_safe"]
ContactRole = Literal["tamper", "motion", "smoke", "co", "generic"]
WithoutJournal = Literal["local", "refuse"]
"""When the journal cannot store the act: "local" acts for a credential proven here, "refuse" does not act."""

CONTACT_SUFFIX = ".contact"


def door_contact_name(lock: str) -> str:
    """The port name of a lock's door contact: "strike" -> "strike.contact"."""
    return lock + CONTACT_SUFFIX


class _Pins(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    pin: BcmPin
    label: Label = ""


class ButtonPins(_Pins, frozen=True, kw_only=True, tag="button"):
    """A bell button.

    active_low: pressing pulls the line low (button between pin and ground, the usual wiring).
    hold_ms: a press at least this long is also a long press; 0: there are no long presses.
    """

    pull: Pull = "up"
    active_low: bool = True
    debounce_ms: DebounceMs = 50
    glitch_us: GlitchUs = 0
    hold_ms: Annotated[int, Meta(ge=0, le=30_000)] = 1500


class ContactPins(_Pins, frozen=True, kw_only=True, tag="contact"):
    """A contact or detector with a dry contact: tamper loop, motion, smoke, carbon monoxide.

    active_low: a closed circuit pulls the line low. normally_closed: at rest the circuit is closed, so that
    opening it is the alarm; a cut wire then alarms too, which is why it is the default.
    """

    role: ContactRole = "generic"
    pull: Pull = "up"
    active_low: bool = True
    normally_closed: bool = True
    debounce_ms: DebounceMs = 50
    glitch_us: GlitchUs = 0


class DoorContactPins(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contact that tells whether a lock's door is open: active is open.

    normally_closed: closed circuit while the door is shut, as a reed contact with its magnet is.
    """

    pin: BcmPin
    pull: Pull = "up"
    active_low: bool = True
    normally_closed: bool = True
    debounce_ms: DebounceMs = 100
    glitch_us: GlitchUs = 0


class LockPins(_Pins, frozen=True, kw_only=True, tag="lock"):
    """A strike, bolt or magnet behind a relay.

    active_low: the relay board closes on a low level. mode: fail_secure is locked without power (strike:
    energised is unlocked); fail_safe is unlocked without power (magnet: energised is locked).
    hold_s: how long an Unlock lasts. max_hold_s: the longest a fail_secure relay stays energised whatever the
    program does; an Unlock may not ask for more. A fail_safe lock has no such cut-off: it would unlock.
    left_open_after_s: the door contact open this long is reported; 0: never.
    forced_detection: opening without an Unlock is reported as forced.
    """

    active_low: bool = False
    mode: LockMode = "fail_secure"
    hold_s: Annotated[float, Meta(ge=0.1, le=60)] = 5.0
    max_hold_s: Annotated[float, Meta(ge=0.1, le=60)] = 30.0
    door_contact: DoorContactPins | None = None
    left_open_after_s: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
    forced_detection: bool = True
    without_journal: WithoutJournal = "local"

    def __post_init__(self) -> None:
        if self.hold_s > self.max_hold_s:
            raise ValueError(f"hold_s ({self.hold_s:g}) is longer than max_hold_s ({self.max_hold_s:g})")

    @property
    def cutoff_s(self) -> float | None:
        """The hardware maximum of the relay, None for a fail_safe lock."""
        return self.max_hold_s if self.mode == "fail_secure" else None


class SirenPins(_Pins, frozen=True, kw_only=True, tag="siren"):
    """A sounder behind a relay.

    default_s: how long it sounds when the request does not say. max_on_s: the longest whatever the program
    does; many places forbid more than three minutes outdoors.
    """

    active_low: bool = False
    default_s: Annotated[float, Meta(ge=0.1, le=900)] = 60.0
    max_on_s: Annotated[float, Meta(ge=0.1, le=900)] = 180.0
    without_journal: WithoutJournal = "local"

    def __post_init__(self) -> None:
        if self.default_s > self.max_on_s:
            raise ValueError(f"default_s ({self.default_s:g}) is longer than max_on_s ({self.max_on_s:g})")


class LightPins(_Pins, frozen=True, kw_only=True, tag="light"):
    """A lamp behind a relay, such as the staircase light.

    default_s: how long it shines when the request does not say; 0: until switched off. max_on_s: the longest
    whatever the program does; absent: no limit.
    """

    active_low: bool = False
    default_s: Annotated[float, Meta(ge=0, le=86_400)] = 120.0
    max_on_s: Annotated[float, Meta(ge=0.1, le=86_400)] | None = None
    without_journal: WithoutJournal = "local"

    def __post_init__(self) -> None:
        if self.max_on_s is not None and self.default_s > self.max_on_s:
            raise ValueError(f"default_s ({self.default_s:g}) is longer than max_on_s ({self.max_on_s:g})")


class LedPins(_Pins, frozen=True, kw_only=True, tag="led"):
    """A status lamp driven directly, through its resistor."""

    active_low: bool = False


EndpointPins = ButtonPins | LockPins | SirenPins | LightPins | ContactPins | LedPins
InputPins = ButtonPins | ContactPins | DoorContactPins
OutputPins = LockPins | SirenPins | LightPins | LedPins

_RESERVED_PINS = {
    0: "GPIO0 is the ID_SD line of add-on boards",
    1: "GPIO1 is the ID_SC line of add-on boards",
    14: "GPIO14 is the serial console's transmit line and moves at every boot",
    15: "GPIO15 is the serial console's receive line",
}
_PULLED_UP_PINS = frozenset({2, 3})


def wires(endpoints: Mapping[str, EndpointPins]) -> dict[str, InputPins | OutputPins]:
    """Every line of the map by port name, in order; a lock's door contact follows its lock."""
    lines: dict[str, InputPins | OutputPins] = {}
    for name, pins in endpoints.items():
        lines[name] = pins
        if isinstance(pins, LockPins) and pins.door_contact is not None:
            lines[door_contact_name(name)] = pins.door_contact
    return lines


def find_conflicts(endpoints: Mapping[str, EndpointPins]) -> dict[str, str]:
    """Port name -> why it cannot have its pin. Of two endpoints on one pin, the later one loses."""
    conflicts: dict[str, str] = {}
    taken: dict[int, str] = {}
    for name, pins in wires(endpoints).items():
        pin = pins.pin
        if pin in taken:
            conflicts[name] = f"GPIO{pin} already belongs to {taken[pin]}"
            continue
        taken[pin] = name
        if pin in _RESERVED_PINS:
            conflicts[name] = f"{_RESERVED_PINS[pin]}; choose another pin"
        elif pin in _PULLED_UP_PINS:
            if isinstance(pins, OutputPins):
                conflicts[name] = (
                    f"GPIO{pin} is an I2C line with a fixed pull-up, which would move a relay at boot"
                )
            elif pins.pull != "up":
                conflicts[name] = f'GPIO{pin} is an I2C line with a fixed pull-up: expected pull = "up"'
    return conflicts


def check_conflicts(endpoints: Mapping[str, EndpointPins]) -> list[str]:
    """What is wrong with the pin map as a whole, one sentence per endpoint; empty when it is sound."""
    return [f"{name}: {reason}" for name, reason in find_conflicts(endpoints).items()]


def sim_endpoints() -> dict[str, EndpointPins]:
    """The pin map of the simulated door, and a fair start for a real one."""
    return {
        "doorbell": ButtonPins(pin=17, label="Bell"),
        "strike": LockPins(pin=27, label="Front door", door_contact=DoorContactPins(pin=22)),
        "siren": SirenPins(pin=23, label="Siren"),
        "staircase": LightPins(pin=24, label="Staircase light"),
        "tamper": ContactPins(pin=5, role="tamper", label="Tamper loop"),
        "smoke": ContactPins(pin=6, role="smoke", label="Smoke detector"),
        "motion": ContactPins(pin=13, role="motion", label="Motion at the door"),
        "status": LedPins(pin=25, label="Status lamp"),
    }
