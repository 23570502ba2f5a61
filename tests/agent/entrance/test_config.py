from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.entrance.config import ReaderConfig


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "rdm6300", "accepts": "both"}, {"kind": "rdm6300", "accepts": "code"},
        {"kind": "keypad", "accepts": "tag"}, {"kind": "x"}, {"code_digits": 3}, {"device": ""},
        {"hold_s": 0}, {"unknown": 1}, {"direction": "up"},
    ],
)  # fmt: skip
def test_what_is_refused(wrong: dict[str, Any]) -> None:
    plain = {"device": "/dev/ttyUSB0", "kind": "wiegand", "opens": "strike"}
    assert msgspec.convert(plain, ReaderConfig).accepts == "either"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(plain | wrong, ReaderConfig)
