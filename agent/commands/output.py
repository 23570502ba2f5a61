"""What a command prints: JSON for programs, tables for people, and nothing that a terminal would obey."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TextIO, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def json_option(function: F) -> F:
    """`--json` as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(function)


def print_json(value: object) -> None:
    """A whole answer, indented; keys stay as they are, others may be added."""
    click.echo(json.dumps(value, indent=2))


def print_json_line(value: object) -> None:
    """One item of a sequence, on one line."""
    click.echo(json.dumps(value, separators=(",", ":")))


def printable(text: object) -> str:
    """Text for a terminal: what is not printable (escapes, line ends, bidi controls) is spelt out."""
    plain = str(text)
    if not plain.isprintable():
        plain = "".join(letter if letter.isprintable() else _spelt(letter) for letter in plain)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return plain.encode(encoding, "backslashreplace").decode(encoding)


def _spelt(letter: str) -> str:
    return (
        letter.encode("ascii", "backslashreplace").decode() if ord(letter) > 127 else f"\\x{ord(letter):02x}"
    )


def print_line(text: object) -> None:
    """One line for people."""
    click.echo(printable(text))


def folded(text: object, indent: int, stream: TextIO) -> str:
    """Text that begins in column `indent`; on a terminal it breaks between words and stays in that column."""
    plain = printable(text)
    if not stream.isatty():
        return plain
    width = shutil.get_terminal_size().columns - indent
    lines = textwrap.wrap(plain, max(width, 20), break_long_words=False, break_on_hyphens=False)
    return f"\n{'':{indent}}".join(lines)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table: ruled on a terminal, aligned columns elsewhere. Without rows it prints nothing."""
    if not rows:
        return
    cells = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*headings, box=SIMPLE_HEAD, pad_edge=False)
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(headings, *cells, strict=True)]
    for row in [list(headings), *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def fingerprint_rows(fingerprint: str) -> list[str]:
    """A SHA-256 fingerprint in two rows of 16 bytes on a terminal, where one would break anywhere."""
    if not sys.stdout.isatty():
        return [fingerprint]
    half = len("AB:") * 16
    return [row.rstrip(":") for row in (fingerprint[:half], fingerprint[half:]) if row]


def local_time(at_ns: int) -> str:
    """UTC nanoseconds as date and time of this place, to the second."""
    try:
        return f"{datetime.fromtimestamp(at_ns / 1e9).astimezone():%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return f"{at_ns} ns"


def duration(seconds: float) -> str:
    """A span of time in its two largest units."""
    left = int(seconds)
    if left < 60:
        return f"{seconds:g} s"
    parts: list[str] = []
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, unit_s)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
