from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.commands.output import duration, fingerprint_rows, folded, local_time, print_table, printable


@given(st.text())
def test_nothing_reaches_the_terminal_that_it_would_obey(text: str) -> None:
    assert printable(text).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Tür", "Tür"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("two\nlines", "two\\x0alines"),
        ("\x9b31m", "\\x9b31m"),
        ("‮desrever", "\\u202edesrever"),
        ("\ud800", "\\ud800"),
        (7, "7"),
    ],
)
def test_table_of_texts(text: object, shown: str) -> None:
    assert printable(text) == shown


def test_columns_are_aligned_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "LONG NAME"), [("value", 1), ("x", "")])
    assert capsys.readouterr().out == "A      LONG NAME\nvalue  1\nx\n"
    print_table(("A",), [])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.5, "0.5 s"),
        (59.9, "59.9 s"),
        (60, "1 min 0 s"),
        (3_661, "1 h 1 min"),
        (93_784, "1 d 2 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(st.integers())
def test_any_stamp_can_be_shown(at_ns: int) -> None:
    assert local_time(at_ns)


def test_fingerprint_is_one_line_for_programs_and_two_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprint = bytes(range(32)).hex(":").upper()
    assert fingerprint_rows(fingerprint) == [fingerprint]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    rows = fingerprint_rows(fingerprint)
    assert [len(row.split(":")) for row in rows] == [16, 16]
    assert ":".join(rows) == fingerprint


def test_terminal_text_breaks_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = "Start one: `timedatectl set-ntp true` or chrony."
    assert folded(text, 10, sys.stdout) == text
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert folded(text, 10, sys.stdout) == ("Start one: `timedatectl\n          set-ntp true` or chrony.")
