"""Alarms of foreign servers as events: texts mended, ends recognised, absurd ids refused."""

from __future__ import annotations

import pytest
from harness.event_server import mojibake
from hypothesis import example, given
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.model.events import CameraAlarm
from agent.workers.zmes.client_translate import (
    MAX_CAUSE_CHARS,
    MAX_MONITOR_CHARS,
    camera_alarm,
    filter_lists,
    repair_text,
    split_cause,
    websocket_url,
)
from agent.workers.zmes.wire import Alarm, AlarmItem, decode_reply


def layered(text: str, layers: int) -> str:
    for _ in range(layers):
        text = mojibake(text)
    return text


@pytest.mark.parametrize("layers", range(4))
@pytest.mark.parametrize(
    "text", ["Hof ü", "Straße", "Haustür (außen)", "玄関", "Вход", "Café £ 5", "🐈 gato", "São"]
)
def test_mends_up_to_three_extra_layers(text: str, layers: int) -> None:
    assert repair_text(layered(text, layers)) == text


def test_leaves_a_fourth_layer_alone() -> None:
    assert repair_text(layered("ü", 4)) == layered("ü", 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Front Door",
        "Hof ü",
        "Größe Ã¼ und ü",
        "NÃO",
        "CORAÇÃO",
        "MAÇÃ",
        "25 °C",
        "Ã",
        "玄関 Ã¼",
        "€ Ã¼",
        "caf\udce9",
    ],
)
def test_leaves_text_alone_that_is_not_wholly_mojibake(text: str) -> None:
    assert repair_text(text) == text


def test_a_reading_with_c1_controls_is_nobodys_name() -> None:
    # U+0085 encoded once more is two Latin-1 characters that would decode to a control character.
    assert repair_text("Â\x85") == "Â\x85"
    # But a control character on the way to a clean text is only another layer.
    assert repair_text("Ã\x83Â¼") == "ü"


@given(st.text())
def test_mending_never_fails_and_ascii_is_sacred(text: str) -> None:
    mended = repair_text(text)
    if text.isascii():
        assert mended == text


@given(st.text(st.characters(min_codepoint=0x100, exclude_categories=["Cs"]), min_size=1), st.integers(0, 3))
def test_text_beyond_latin_1_is_always_found_again(text: str, layers: int) -> None:
    assert repair_text(layered(text, layers)) == text


@pytest.mark.parametrize(
    ("cause", "ended", "rest"),
    [
        ("Motion: All", False, "Motion: All"),
        ("End:Motion: All", True, "Motion: All"),
        ("End:End:Motion: All", True, "Motion: All"),
        ("End:End:End:", True, ""),
        ("End: End: Motion", True, "Motion"),
        (" End:Motion", True, "Motion"),
        ("Ended early", False, "Ended early"),
        ("end:Motion", False, "end:Motion"),
        ("Motion End:", False, "Motion End:"),
        ("", False, ""),
    ],
)
def test_the_end_is_told_by_the_text(cause: str, ended: bool, rest: str) -> None:
    assert split_cause(cause) == (ended, rest)


def test_a_frame_of_6_1_29_becomes_an_event() -> None:
    reply = decode_reply(
        '{"event":"alarm","type":"","status":"Success","events":[{"EventId":"5060","MonitorId":"1",'
        '"Name":"Hof Ã¼","Cause":"End:End:[a] detected:person:91%  Motion: TÃ\\u0083Â¼r",'
        '"DetectionJson":[],"RulesObject":{}}],"supplementary":"true"}'
    )
    assert isinstance(reply, Alarm)
    assert camera_alarm("zm", reply.items[0]) == CameraAlarm(
        source="zm",
        monitor_id="1",
        monitor="Hof ü",
        cause="[a] detected:person:91% Motion: Tür",
        event_id="5060",
        ended=True,
    )


def test_two_events_with_numbers_and_a_picture() -> None:
    reply = decode_reply(
        '{"event":"alarm","type":"","status":"Success","events":['
        '{"EventId":5060,"Name":"Garage","MonitorId":1},'
        '{"EventId":5061,"MonitorId":5,"Name":"Unfinished","MonitorName":"Cellar","Picture":"https://zm/5061"}]}'
    )
    assert isinstance(reply, Alarm)
    first, second = [camera_alarm("zm", item) for item in reply.items]
    assert first == CameraAlarm(source="zm", monitor_id="1", monitor="Garage", cause="", event_id="5060")
    assert second == CameraAlarm(source="zm", monitor_id="5", monitor="Cellar", cause="", event_id="5061")


@pytest.mark.parametrize(
    ("monitor_id", "event_id"), [("", "1"), ("1", ""), ("1" * 33, "1"), ("1", "1" * 33), ("1\n", "1")]
)
def test_alarms_without_sensible_ids_are_nothing(monitor_id: str, event_id: str) -> None:
    item = AlarmItem(event_id=event_id, monitor_id=monitor_id, name="Garage", cause="Motion")
    assert camera_alarm("zm", item) is None


def test_texts_are_one_line_and_bounded() -> None:
    item = AlarmItem(event_id="1", monitor_id="1", name="a\r\n\tb\x1b[0m" + "c" * 500, cause="d" * 2000)
    alarm = camera_alarm("zm", item)
    assert alarm is not None
    assert alarm.monitor.startswith("a b [0mc")
    assert len(alarm.monitor) == MAX_MONITOR_CHARS
    assert len(alarm.cause) == MAX_CAUSE_CHARS


texts = st.text(max_size=60) | st.text(max_size=20).map(
    lambda text: text.encode(errors="replace").decode("latin-1")
)


@given(st.builds(AlarmItem, event_id=texts, monitor_id=texts, name=texts, cause=texts, monitor_name=texts))
@example(AlarmItem(event_id="1", monitor_id="1", name="\ud800", cause="End:\ud800"))
def test_any_alarm_becomes_a_printable_event_or_nothing(item: AlarmItem) -> None:
    alarm = camera_alarm("zm", item)
    if alarm is None:
        return
    assert alarm.monitor_id == item.monitor_id
    assert alarm.event_id == item.event_id
    assert alarm.monitor.isprintable()
    assert alarm.cause.isprintable()
    assert not alarm.cause.startswith("End:")
    alarm.cause.encode()
    alarm.monitor.encode()


@given(
    st.dictionaries(
        st.sampled_from(["EventId", "MonitorId", "Name", "Cause", "DetectionJson", "MonitorName", "Picture"]),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=20) | st.lists(st.integers(), max_size=2) | st.just({}),
    )
)  # fmt: skip
def test_any_json_in_an_alarm_is_an_event_nothing_or_malformed(event: dict[str, object]) -> None:
    import json

    try:
        reply = decode_reply(json.dumps({"event": "alarm", "status": "Success", "events": [event]}))
    except MalformedMessage:
        return
    assert isinstance(reply, Alarm)
    for item in reply.items:
        assert isinstance(camera_alarm("zm", item), CameraAlarm | None)


def test_the_filter_has_a_zero_for_each_monitor() -> None:
    assert filter_lists(("1", "2", "15")) == ("1,2,15", "0,0,0")
    assert filter_lists(("7",)) == ("7", "0")


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("wss://zm.example:9000", "wss://zm.example:9000/"),
        ("https://zm.example:9000/es?a=b", "wss://zm.example:9000/es?a=b"),
        ("HTTP://zm.example", "ws://zm.example/"),
        ("ws://[::1]:9000/#top", "ws://[::1]:9000/"),
        ("wss://zm.example?x=1", "wss://zm.example/?x=1"),
        ("wss://zm.example?x=/1", "wss://zm.example/?x=/1"),
    ],
)
def test_urls_of_either_kind_mean_a_websocket(typed: str, url: str) -> None:
    assert websocket_url(typed) == url
