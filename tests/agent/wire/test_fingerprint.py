from __future__ import annotations

import pytest

from agent.wire.fingerprint import plain_fingerprint


@pytest.mark.parametrize("text", ["AB" * 32, ":".join(["ab"] * 32), " ".join(["aB"] * 32)])
def test_every_spelling_is_the_same(text: str) -> None:
    assert plain_fingerprint(text) == "ab" * 32


@pytest.mark.parametrize("text", ["", "ab" * 31, "ab" * 33, "xy" * 32, "ab" * 32 + ";", "٣" * 64])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        plain_fingerprint(text)
