from __future__ import annotations

from hw.readings import Presence, TagRead


def test_presence() -> None:
    presence = Presence(1.0)
    assert [presence.is_new("A", at) for at in (0, 0.9, 1.8, 2.9)] == [True, False, False, True]
    assert presence.is_new("B", 2.9)
    assert presence.is_new("A", 2.9), "another one was shown between"


def test_a_number_is_in_no_log_line() -> None:
    assert "62E3" not in repr(TagRead("62E3086CED", "em4100", 40))
