"""The rows of tests/fixtures/zello/*.jsonl: messages of Zello's Channel API and what they mean.

A file begins with a line that says where its knowledge is from (SOURCE). Every other line is one message:

row                     its name
covers                  the numbered deviations of docs/zello.md that it proves
message, text, hex      what stands on the wire: an object, a text as it came, a binary message
is, with                the class of its value, and the fields that are not at their default
seq                     the number that an answer is wanted for
both                    we say it in just that way, too
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from msgspec import Struct

FIXTURES = Path(__file__).parents[2] / "fixtures" / "zello"


class Row(Struct, frozen=True, kw_only=True):
    """One message. data: as it stands on the wire."""

    name: str
    data: bytes
    is_: str
    with_: dict[str, Any]
    seq: int | None
    both: bool
    covers: tuple[int, ...]

    def __str__(self) -> str:
        return self.name

    @property
    def plain(self) -> Any:
        """The JSON of it."""
        return json.loads(self.data)


def rows(name: str) -> list[Row]:
    """All rows of one file."""
    first, *lines = (FIXTURES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(first)["SOURCE"]
    return [_row(json.loads(line)) for line in lines]


def covered() -> set[int]:
    """The deviations that some row proves."""
    return {number for path in FIXTURES.glob("*.jsonl") for row in rows(path.stem) for number in row.covers}


def _row(plain: dict[str, Any]) -> Row:
    if "hex" in plain:
        data = bytes.fromhex(plain["hex"])
    elif "text" in plain:
        data = plain["text"].encode()
    else:
        data = json.dumps(plain["message"], ensure_ascii=False).encode()
    return Row(
        name=plain["row"],
        data=data,
        is_=plain["is"],
        with_=plain.get("with", {}),
        seq=plain.get("seq"),
        both=plain.get("both", False),
        covers=tuple(plain.get("covers", ())),
    )
