from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.model.events import NotifyMode
from agent.workers.zmes.settings import MAX_UNKNOWN, Settings, decode_settings
from agent.workers.zmes.translate import Monitor

MONITORS = (
    Monitor(id="1", endpoint="bell", name="Bell"),
    Monitor(id="2", endpoint="door", name="Door"),
    Monitor(id="3", endpoint="fire", name="Fire", never_muted=True),
)


def settings_of(unknown: dict[str, int] | None = None) -> tuple[Settings, list[str]]:
    changes: list[str] = []
    return Settings(unknown or {}, {}, lambda: changes.append("changed")), changes


def test_the_table_shows_the_houses_modes() -> None:
    settings, _ = settings_of({"9": -1})
    modes: dict[str, NotifyMode] = {"bell": "mute", "door": "force", "fire": "mute"}
    assert settings.table(MONITORS, lambda endpoint: modes[endpoint]) == {
        "notifications": {"9": -1, "1": -1, "2": 1, "3": 0}
    }


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        ("send_event_end_notification", "yes", True),
        ("send_event_end_notification", "No", True),
        ("send_event_end_notification", 1, True),
        ("send_event_end_notification", True, True),
        ("send_event_end_notification", "perhaps", False),
        ("send_event_end_notification", None, False),
        ("send_event_end_notification", [1], False),
        ("include_picture", "no", True),
        ("tag_alarm_event_id", "yes", True),
        ("cause_ring", "Es klingelt", True),
        ("cause_ring", "", False),
        ("cause_ring", "a\nb", False),
        ("cause_ring", "x" * 65, False),
        ("cause_ring", 5, False),
        ("cause_party", "x", False),
        ("use_hooks", "no", False),
        ("notifications", "x", False),
        ("enable", "no", False),
        ("escontrol_password", "x", False),
        ("use_escontrol_interface", "no", False),
        ("version", "1.0", False),
        ("timeout", 9999, False),
        ("", "x", False),
    ],
)
def test_only_harmless_settings_can_be_edited(key: str, value: Any, taken: bool) -> None:
    settings, changes = settings_of()
    assert settings.edit(key, value) is taken
    assert (len(changes) == 1) is taken
    table = settings.table((), lambda _: "default")
    assert table == {"notifications": {}, **({key: value} if taken else {})}


def test_edits_have_an_effect() -> None:
    settings, _ = settings_of()
    assert settings.flag("send_event_end_notification", True)
    assert not settings.flag("send_event_end_notification", False)
    settings.edit("send_event_end_notification", "YES")
    assert settings.flag("send_event_end_notification", False)
    settings.edit("send_event_end_notification", 0)
    assert not settings.flag("send_event_end_notification", True)
    settings.edit("cause_ring", "Ding")
    assert settings.causes({"ring": "Dong", "siren": "Tatü"}) == {"ring": "Ding", "siren": "Tatü"}


def test_marks_of_unknown_monitors_are_bounded() -> None:
    settings, _ = settings_of()
    settings.mark([str(number) for number in range(MAX_UNKNOWN + 10)], "mute")
    settings.mark(["0", "one more"], "force")
    notifications = settings.table((), lambda _: "default")["notifications"]
    assert len(notifications) == MAX_UNKNOWN
    assert notifications["0"] == 1
    assert notifications["1"] == -1
    assert "one more" not in notifications


def test_reset_forgets_everything() -> None:
    settings, changes = settings_of({"9": -1})
    settings.edit("include_picture", "no")
    settings.reset()
    assert settings.table(MONITORS, lambda _: "default") == {"notifications": {"1": 0, "2": 0, "3": 0}}
    assert len(changes) == 2


def test_the_file() -> None:
    settings, _ = settings_of()
    settings.mark(["front door", ""], "mute")
    settings.edit("include_picture", "no")
    assert decode_settings(settings.to_bytes()) == ({"front door": -1, "": -1}, {"include_picture": "no"})


def test_a_file_cannot_set_what_an_edit_cannot() -> None:
    data = {
        "notifications": {"1": 5, "2": True, "3": -1, "x" * 129: 1},
        "edits": {"enable": "no", "include_picture": "no"},
    }
    assert decode_settings(json.dumps(data).encode()) == ({"3": -1}, {"include_picture": "no"})


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"notifications":{},"edits":[]}', b'{"notifications":']
)
def test_files_that_make_no_sense(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_settings(data)


@given(st.binary(max_size=100))
def test_any_file(data: bytes) -> None:
    try:
        decode_settings(data)
    except MalformedMessage:
        pass
