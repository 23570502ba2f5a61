from __future__ import annotations

import pytest

from agent.workers.zello.words import DEFAULT_WORDS, CommandName, phrases, plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Open", "open"),
        ("  OPEN!! ", "open"),
        ("siren   off.", "siren off"),
        ("hang\tup", "hang up"),
        ("¡Abre!", "abre"),
        ("TÜR AUF…", "tür auf"),
        ("Straße", "strasse"),
        ("ｏｐｅｎ", "open"),
        ("...", ""),
        ("", ""),
    ],
)
def test_how_texts_are_compared(text: str, expected: str) -> None:
    assert plain(text) == expected
    assert plain(expected) == expected


def test_the_words_without_a_configuration() -> None:
    assert phrases({}) == {word: name for name, word in DEFAULT_WORDS.items()}


def test_the_operators_words_replace_them() -> None:
    meaning = phrases({"open": "Tür AUF!", "siren": ""})
    assert meaning["tür auf"] == "open"
    assert "open" not in meaning
    assert "siren" not in meaning
    assert meaning["siren off"] == "siren_off"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"open": "Light!"}, "light and open"),
        ({"open": "auf", "light": "AUF"}, "light and open"),
        ({"open": " . "}, "open: expected a word"),
    ],
)
def test_words_that_make_no_sense(words: dict[CommandName, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        phrases(words)
