"""Mistakes that no single table shows; how they come to a person is in test_config.py."""

from __future__ import annotations

import pytest

from agent.config_checks import unknown


@pytest.mark.parametrize(("name", "hint"), [("strik", "did you mean 'strike'?"), ("zzz", "bell, strike")])
def test_what_is_not_known_has_a_hint(name: str, hint: str) -> None:
    assert hint in unknown(name, ["bell", "strike"])
