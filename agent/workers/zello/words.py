"""The words by which a text message is a command. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Final, Literal

CommandName = Literal["open", "close", "light", "light_off", "siren", "siren_off", "accept", "end"]

DEFAULT_WORDS: Final[dict[CommandName, str]] = {
    "open": "open",
    "close": "close",
    "light": "light",
    "light_off": "light off",
    "siren": "siren",
    "siren_off": "siren off",
    "accept": "accept",
    "end": "hang up",
}
_ENDS_OF_SENTENCES = " .!?,;:…¡¿"


def plain(text: str) -> str:
    """A text as commands are compared: without case, doubled spaces and the marks around a sentence."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(folded.split()).strip(_ENDS_OF_SENTENCES)


def phrases(words: Mapping[CommandName, str]) -> dict[str, CommandName]:
    """What each phrase means. words: replace the defaults; an empty one takes its command away.

    Raises: ValueError when one phrase would mean two things, or nothing could be compared with it.
    """
    meaning: dict[str, CommandName] = {}
    for name, default in DEFAULT_WORDS.items():
        wanted = words.get(name, default)
        if not wanted:
            continue
        phrase = plain(wanted)
        if not phrase:
            raise ValueError(f"{name}: expected a word")
        if phrase in meaning:
            raise ValueError(f"{name} and {meaning[phrase]} have the same word")
        meaning[phrase] = name
    return meaning
