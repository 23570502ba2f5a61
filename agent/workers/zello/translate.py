"""From what somebody writes to what the door is asked, and from its answer to words; no state, no clock.

What happens at the door is told by events; an answer here never claims more than that the door was asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from agent.model.actions import (
    Action,
    AnswerCall,
    EndCall,
    Lock,
    SoundSiren,
    StopSiren,
    SwitchLight,
    Unlock,
)
from agent.model.outcomes import Busy, Done, Failed, Outcome, Refused
from agent.runtime import EndpointInfo, EndpointKind
from agent.workers.zello.config import CommandsConfig, RingConfig
from agent.workers.zello.words import CommandName, phrases, plain

MAX_COMMAND_CHARS: Final = 128  # longer is talk between people
MAX_REASON_CHARS: Final = 120
PIN_COMMANDS: Final[frozenset[CommandName]] = frozenset({"open", "siren_off"})
_PIN = re.compile(r"[\s:.,;-]+([0-9](?:[ -]?[0-9])*)", re.ASCII)
_PLACE = re.compile(r"\{(door|bell|time)\}")

_DONE: Final[dict[CommandName, str]] = {
    "open": "I am opening the door.",
    "close": "I am locking the door.",
    "light": "I am switching the light on.",
    "light_off": "I am switching the light off.",
    "siren": "I am sounding the siren.",
    "siren_off": "I am stopping the siren.",
    "accept": "You have the call.",
    "end": "I am ending the call.",
}


class TextCommand(Struct, frozen=True):
    """A command that somebody wrote. pin: its digits, empty when none were given."""

    name: CommandName
    pin: str

    def __repr__(self) -> str:
        return f"TextCommand({self.name!r}, pin={'<hidden>' if self.pin else 'none'})"


def parse_command(text: str, words: Mapping[CommandName, str]) -> TextCommand | None:
    """The command that a text is as a whole, or None: "open" and "Open 4711!", but not "open the window".

    words: the operator's, instead of the built-in ones. Only what is worth a PIN takes digits behind it.
    """
    if len(text) > MAX_COMMAND_CHARS:
        return None
    meaning, said = phrases(words), plain(text)
    if said in meaning:
        return TextCommand(meaning[said], "")
    for phrase, name in sorted(meaning.items(), key=lambda item: -len(item[0])):
        if name in PIN_COMMANDS and said.startswith(phrase) and (pin := _PIN.fullmatch(said, len(phrase))):
            return TextCommand(name, pin[1].replace(" ", "").replace("-", ""))
    return None


def action_for(
    command: TextCommand, endpoints: tuple[EndpointInfo, ...], config: CommandsConfig
) -> Action | None:
    """What the door is asked; None when it has nothing of the kind, or not under the configured name."""
    match command.name:
        case "accept":
            return AnswerCall()
        case "end":
            return EndCall()
        case "open" | "close":
            name = _endpoint("lock", config.lock, endpoints)
            if name is None:
                return None
            return Unlock(endpoint=name) if command.name == "open" else Lock(endpoint=name)
        case "light" | "light_off":
            name = _endpoint("light", config.light, endpoints)
            return None if name is None else SwitchLight(endpoint=name, on=command.name == "light")
        case "siren" | "siren_off":
            name = _endpoint("siren", config.siren, endpoints)
            if name is None:
                return None
            return SoundSiren(endpoint=name) if command.name == "siren" else StopSiren(endpoint=name)


def _endpoint(kind: EndpointKind, wanted: str, endpoints: tuple[EndpointInfo, ...]) -> str | None:
    return next((info.name for info in endpoints if info.kind == kind and wanted in ("", info.name)), None)


def words_of(command: TextCommand, outcome: Outcome) -> str:
    """The answer to somebody who may command the door. Holds no PIN: none gets into an outcome."""
    match outcome:
        case Done():
            return _DONE[command.name]
        case Refused(reason=reason):
            return f"I may not do that: {_short(reason)}."
        case Busy():
            return "I am busy with that. Try again in a moment."
        case Failed(reason=reason):
            return f"I could not do that: {_short(reason)}."


def ring_text(config: RingConfig, *, door: str, bell: str, clock: str) -> str:
    """The words of a ring: {door}, {bell} and {time} filled in once, any other brace as it stands."""
    values = {"door": door, "bell": bell, "time": clock}
    return _PLACE.sub(lambda place: values[place[1]], config.text)


def _short(reason: str) -> str:
    reason = reason.rstrip(".")
    return reason if len(reason) <= MAX_REASON_CHARS else reason[:MAX_REASON_CHARS] + "…"
