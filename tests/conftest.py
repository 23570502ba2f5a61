"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# A machine that does something else as well is no reason for a property not to hold.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
