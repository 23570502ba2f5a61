"""What every benchmark returns, and the table it is printed in."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


class Row(Struct, frozen=True):
    """One measured figure. target: the budget in words, or empty; ok: it was met, or there is none."""

    name: str
    value: float
    unit: str
    target: str = ""
    ok: bool = True


def at_most(name: str, value: float, unit: str, limit: float) -> Row:
    """A figure with an upper budget."""
    return Row(name, value, unit, f"<= {limit:g}", value <= limit)


def table(rows: Iterable[Row]) -> str:
    """The rows as aligned text, a missed budget marked at the end of its line."""
    cells = [
        (
            row.name,
            f"{row.value:.3g}" if row.value < 100 else f"{row.value:.0f}",
            row.unit,
            row.target,
            row.ok,
        )
        for row in rows
    ]
    width = max((len(cell[0]) for cell in cells), default=0)
    return "\n".join(
        f"{name:<{width}}  {value:>8} {unit:<12} {target:<10}{'' if ok else ' MISSED'}".rstrip()
        for name, value, unit, target, ok in cells
    )
