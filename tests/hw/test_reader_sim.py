from __future__ import annotations

import pytest

from hw.reader_sim import SimulatedReader


@pytest.mark.parametrize("kind", ["rdm6300", "wiegand", "keypad"])
def test_a_hand_that_does_what_the_reader_cannot(kind: str) -> None:
    reader = SimulatedReader(kind)  # type: ignore[arg-type]
    for number in ("", "xyz", "0", "F" * 40):
        with pytest.raises(ValueError, match=r"expected|reads no"):
            reader.show(number)
    with pytest.raises(ValueError, match=r"expected|no keys"):
        reader.type("a")
    reader.close()
    reader.close()
    reader.send(b"into nothing")


def test_nobody_who_reads_is_no_reason_to_wait() -> None:
    reader = SimulatedReader("keypad")
    for _ in range(10_000):
        reader.type("0123456789")
    reader.close()
