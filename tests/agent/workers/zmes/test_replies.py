from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.workers.zmes.replies import (
    MAX_ITEMS,
    Alarm,
    AlarmItem,
    AuthReply,
    ControlReply,
    EsControlReply,
    MalformedReply,
    PushFailure,
    PushReply,
    Reply,
    UnknownReply,
    decode_reply,
    encode_alarm,
    encode_auth_failure,
    encode_auth_success,
    encode_escontrol_failure,
    encode_escontrol_success,
    encode_filter_failure,
    encode_malformed,
    encode_not_supported,
    encode_push_failure,
    encode_version,
    text_of,
)

ITEM = AlarmItem(event_id="5060", monitor_id="1", name="Hof ü 門", cause="Ring")
SIX_KEYS = {
    "EventId": "5060",
    "MonitorId": "1",
    "Name": "Hof ü 門",
    "Cause": "Ring",
    "DetectionJson": [],
    "RulesObject": {},
}
PUSH_FAILURES: list[tuple[PushFailure, str]] = [
    ("PUSHDISABLED", ""), ("NOAUTH", ""), ("MISSINGPLATFORM", "token"),
]  # fmt: skip
REQUEST: dict[str, Any] = {"event": "escontrol", "data": {"command": "get", "extra": [1, None]}}

BOTH_WAYS: list[tuple[str, dict[str, Any], Reply]] = [
    (
        encode_auth_success("6.1.29"),
        {"event": "auth", "type": "", "status": "Success", "reason": "", "version": "6.1.29"},
        AuthReply(ok=True, version="6.1.29"),
    ),
    *(
        (
            encode_auth_failure(reason),
            {"event": "auth", "type": "", "status": "Fail", "reason": reason},
            AuthReply(ok=False, reason=reason),
        )
        for reason in ("BADAUTH", "NOAUTH", "ESCONTROLDISABLED")
    ),
    (
        encode_version("6.1.29"),
        {"event": "control", "type": "version", "status": "Success", "reason": "", "version": "6.1.29"},
        ControlReply(kind="version", ok=True, version="6.1.29"),
    ),
    (
        encode_version("6.1.29", document_spelling=True),
        {
            "event": "control", "type": "version", "type:": "version", "status": "Success", "reason": "",
            "version": "6.1.29",
        },
        ControlReply(kind="version", ok=True, version="6.1.29"),
    ),
    *(
        (
            encode_filter_failure(reason),
            {"event": "control", "type": "filter", "status": "Fail", "reason": reason},
            ControlReply(kind="filter", ok=False, reason=reason),
        )
        for reason in ("MISSINGMONITORLIST", "MISSINGINTERVALLIST")
    ),
    *(
        (
            encode_push_failure(reason),
            {"event": "push", "type": kind, "status": "Fail", "reason": reason},
            PushReply(kind=kind, ok=False, reason=reason),
        )
        for reason, kind in PUSH_FAILURES
    ),
    (
        encode_malformed(),
        {"event": "malformed", "type": "", "status": "Fail", "reason": "BADJSON"},
        MalformedReply(),
    ),
    (
        encode_not_supported("dance"),
        {"event": "dance", "type": "", "status": "Fail", "reason": "NOTSUPPORTED"},
        UnknownReply({"event": "dance", "type": "", "status": "Fail", "reason": "NOTSUPPORTED"}),
    ),
    (
        encode_alarm(ITEM),
        {"event": "alarm", "type": "", "status": "Success", "events": [SIX_KEYS]},
        Alarm(items=(ITEM,)),
    ),
    (
        encode_alarm(ITEM, supplementary=True),
        {"event": "alarm", "type": "", "status": "Success", "events": [SIX_KEYS], "supplementary": "true"},
        Alarm(items=(ITEM,), supplementary=True),
    ),
    (
        encode_alarm(AlarmItem(
            event_id="1", monitor_id="2", name="n", cause="c", monitor_name="m", picture="https://p/1"
        )),
        {
            "event": "alarm", "type": "", "status": "Success",
            "events": [{
                "EventId": "1", "MonitorId": "2", "Name": "n", "Cause": "c", "DetectionJson": [],
                "RulesObject": {}, "MonitorName": "m", "Picture": "https://p/1",
            }],
        },
        Alarm(items=(AlarmItem(
            event_id="1", monitor_id="2", name="n", cause="c", monitor_name="m", picture="https://p/1"
        ),)),
    ),
    (
        encode_escontrol_failure("ESCONTROLDISABLED"),
        {"event": "escontrol", "type": "", "status": "Fail", "reason": "ESCONTROLDISABLED"},
        EsControlReply(kind="", ok=False, reason="ESCONTROLDISABLED"),
    ),
    *(
        (
            encode_escontrol_failure(reason),
            {"event": "escontrol", "type": "command", "status": "Fail", "reason": reason},
            EsControlReply(kind="command", ok=False, reason=reason),
        )
        for reason in ("NOTCONTROL", "NODATA")
    ),
    (
        encode_escontrol_failure("NOTSUPPORTED", REQUEST),
        {
            "event": "escontrol", "type": "command", "status": "Fail", "reason": "NOTSUPPORTED",
            "request": REQUEST,
        },
        EsControlReply(kind="command", ok=False, reason="NOTSUPPORTED", request=REQUEST),
    ),
    (
        encode_escontrol_success("get", REQUEST, {"notifications": {"1": 0}}),
        {
            "event": "escontrol", "type": "", "status": "Success", "request": REQUEST,
            "response": '{"notifications":{"1":0}}',
        },
        EsControlReply(kind="", ok=True, request=REQUEST, response='{"notifications":{"1":0}}'),
    ),
    *(
        (
            encode_escontrol_success(command, REQUEST),
            {"event": "escontrol", "type": kind, "status": "Success", "request": REQUEST},
            EsControlReply(kind=kind, ok=True, request=REQUEST),
        )
        for command, kind in (
            ("mute", ""), ("unmute", ""), ("edit", ""), ("restart", "command"), ("reset", "command"),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "plain", "reply"), BOTH_WAYS, ids=[f"{i}-{row[0][:60]}" for i, row in enumerate(BOTH_WAYS)]
)
def test_every_reply_both_ways(text: str, plain: dict[str, Any], reply: Reply) -> None:
    assert text.isascii()
    assert json.loads(text) == plain
    assert decode_reply(text) == reply
    assert decode_reply(text.encode()) == reply


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        (
            '{"event":"alarm","type":"","status":"Success","events":[{"EventId":"5060","Name":"Garage",'
            '"MonitorId":"1"},{"EventId":"5061","MonitorId":"5","Name":"Unfinished"}]}',
            Alarm(items=(
                AlarmItem(event_id="5060", monitor_id="1", name="Garage", cause=""),
                AlarmItem(event_id="5061", monitor_id="5", name="Unfinished", cause=""),
            )),
        ),
        (
            '{"event":"alarm","events":[{"EventId":7,"MonitorId":1,"Name":null,"Cause":null}]}',
            Alarm(items=(AlarmItem(event_id="7", monitor_id="1", name="", cause=""),)),
        ),
        (
            '{"event":"control","type:":"version","version":"0.2","status":"Success","reason":""}',
            ControlReply(kind="version", ok=True, version="0.2"),
        ),
        ('{"event":null,"type":"command","status":"Fail"}',
         UnknownReply({"event": None, "type": "command", "status": "Fail"})),
        ('{"event":"auth","status":"Success","version":7}', AuthReply(ok=True, version="7")),
    ],
    ids=["two events of the document", "numbers", "key of the document", "null event", "number version"],
)  # fmt: skip
def test_what_other_servers_send(text: str, reply: Reply) -> None:
    assert decode_reply(text) == reply


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", '{"event":"alarm"}', '{"event":"alarm","events":{}}',
        '{"event":"alarm","events":[1]}',
        json.dumps({"event": "alarm", "events": [{}] * (MAX_ITEMS + 1)}),
        '{"event":"escontrol","response":{}}',
    ],
    ids=range(8),
)  # fmt: skip
def test_garbage_is_malformed(text: str) -> None:
    with pytest.raises(MalformedMessage):
        decode_reply(text)


@given(st.binary(max_size=200) | st.text(max_size=200))
@settings(max_examples=200)
def test_any_bytes_or_text(data: bytes | str) -> None:
    try:
        decode_reply(data)
    except MalformedMessage:
        pass


@given(
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace").decode()),
    st.sampled_from(["auth", "alarm", "control", "push", "escontrol", "malformed"]),
    st.dictionaries(
        st.sampled_from(["type", "status", "reason", "version", "events", "request", "response"]),
        st.none() | st.integers() | st.text(max_size=5) | st.lists(st.dictionaries(st.text(), st.integers())),
    ),
)
@settings(max_examples=200)
def test_any_nearly_right_reply(extra: str, event: str, members: dict[str, Any]) -> None:
    try:
        decode_reply(json.dumps({"event": event, extra: 1, **members}))
    except MalformedMessage:
        pass


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (5, "5"), (5.0, "5"), (1.5, "1.5"), (True, "1"), (False, ""), (None, ""), ([], ""), ({}, ""),
     (10**30, ""), (-3, "-3")],
)  # fmt: skip
def test_text_of(value: object, text: str) -> None:
    assert text_of(value) == text
