from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.runtime import EndpointInfo, EndpointKind
from agent.workers.zmes.monitors import assign_ids, decode_ids, encode_ids
from agent.workers.zmes.translate import Monitor


def info(name: str, kind: EndpointKind = "button", role: str = "", label: str = "") -> EndpointInfo:
    return EndpointInfo(name=name, label=label, kind=kind, role=role)


def test_endpoints_are_numbered_in_order_and_keep_their_numbers() -> None:
    _, numbers = assign_ids([info("bell"), info("lamp", "light"), info("door", "lock")], {}, {})
    assert numbers == {"bell": 1, "door": 2}
    table, again = assign_ids([info("new"), info("door", "lock"), info("siren", "siren")], {}, numbers)
    assert again == {"bell": 1, "door": 2, "new": 3, "siren": 4}
    assert {monitor.endpoint: monitor.id for monitor in table} == {"new": "3", "door": "2", "siren": "4"}


def test_configured_ids_win_and_push_others_aside() -> None:
    table, numbers = assign_ids([info("a"), info("b"), info("c")], {"b": 1}, {"a": 1, "c": 2})
    assert numbers == {"b": 1, "c": 2, "a": 3}
    assert table.of_id("1") == Monitor(id="1", endpoint="b", name="b")
    assert table.of_endpoint("a") == Monitor(id="3", endpoint="a", name="a")
    assert table.of_id("9") is None
    assert table.of_endpoint("zzz") is None


def test_an_unknown_configured_endpoint_is_said_and_reserved(caplog: pytest.LogCaptureFixture) -> None:
    table, _ = assign_ids([info("bell")], {"bel": 1}, {})
    assert "bel" in caplog.text
    assert [monitor.id for monitor in table] == ["2"]


def test_names_are_labels_and_detectors_are_never_muted() -> None:
    table, _ = assign_ids(
        [info("bell", label="Haustür"), info("fire", "contact", "smoke"), info("pir", "contact", "motion")],
        {},
        {},
    )
    assert [(monitor.name, monitor.never_muted) for monitor in table] == [
        ("Haustür", False),
        ("fire", True),
        ("pir", False),
    ]


def test_the_file() -> None:
    assert decode_ids(encode_ids({"bell": 1, "tür": 5})) == {"bell": 1, "tür": 5}


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"monitors":[]}', b'{"monitors":{"a":"1"}}', b'{"monitors":{"a":0}}',
     b'{"monitors":{"a":true}}', b'{"monitors":{"a":1,"b":1}}', b'{"monitors":{"a":1000000000}}'],
)  # fmt: skip
def test_files_that_make_no_sense(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_ids(data)


@given(st.binary(max_size=100))
def test_any_file(data: bytes) -> None:
    try:
        decode_ids(data)
    except MalformedMessage:
        pass
