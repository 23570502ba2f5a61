"""Every push, and everything that is none."""

from __future__ import annotations

from typing import Any

import pytest
from harness.vms_pushes import CAMERA, FILE, PUSHES
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import MalformedMessage
from agent.workers.vms.wire import (
    CameraStatus,
    ConfigApplied,
    DictionaryChanged,
    FileReady,
    IntercomStatus,
    Notice,
    RightsChanged,
    ServerStats,
    StreamStats,
    Unknown,
    decode_push,
)

BY_NAME = {name: payload for name, _, _, payload in PUSHES}
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
KNOWN: dict[str, object] = {
    "permissions_updated": RightsChanged(
        kind="permissions_updated", status="ok", attached=(5, 8), detached=(3,)
    ),
    "archive_generated ok": FileReady(
        kind="archive_generated", status="ok", url="https://vms.example/d/9.mp4", name="Gate.mp4"
    ),
    "archive_generated error": FileReady(kind="archive_generated", status="error", name="Gate.mp4"),
    "export_config error": FileReady(kind="export_config", status="error"),
    "import_config error": Notice(kind="import_config", status="error", text="row 3"),
    "generate_report ok": FileReady(kind="generate_report", status="ok", name="r.xlsx"),
    "camera_config_apply error": ConfigApplied(status="error", camera_id=429, template=2, reason="offline"),
    "camera_config_apply ok": ConfigApplied(status="ok", camera_id=429, template=2),
    "intercom_status_changed": IntercomStatus(intercom_id=18, state="inactive", shown="Off"),
    "upload_dhcp_subnets ok": Notice(kind="upload_dhcp_subnets", status="ok"),
    "upload_dhcp_subnets message": Notice(kind="upload_dhcp_subnets", status="message", text="half of it"),
    "binary_stats": StreamStats(uid="b-1", cpu_pct=28.0, streams=1, working=1),
    "server_stats": ServerStats(address="10.0.0.5", load_pct=2.9, memory_pct=28.9),
    "camera_status_updated": CameraStatus(camera_id=429, state="active", name="Gate"),
    "dictionary_update": DictionaryChanged(diff={"door": "gate"}),
    "export_intercom_keys single": FileReady(
        kind="export_intercom_keys", status="ok", url=FILE, name="intercom_Gate_keys_(2026-01-02).xlsx"
    ),
    "export_intercom_keys consolidated error": FileReady(kind="export_intercom_keys", status="error"),
    "import_intercom_flats_users_keys ok": Notice(kind="import_intercom_flats_users_keys", status="ok"),
    "intercom_sync_keys error": Notice(kind="intercom_sync_keys", status="error", intercom_id=18),
    "a push of tomorrow": Unknown(kind="door_sings"),
}


@pytest.mark.parametrize("name", BY_NAME)
def test_every_push(name: str) -> None:
    push = decode_push(BY_NAME[name])
    assert isinstance(push, Unknown) == (name == "a push of tomorrow")
    if name in KNOWN:
        assert push == KNOWN[name]


def test_there_are_24_kinds() -> None:
    kinds = {name.split()[0] for name in BY_NAME} - {"a"}
    assert len(kinds) == 19, "of which some have several shapes: 24 rows and the one of 24.12"
    assert len(BY_NAME) == 31


def test_the_bare_shape() -> None:
    bare = {"type": "intercom_status_changed", "status": "ok", "data": {"id": 18, "status": "x"}}
    assert decode_push(bare) == IntercomStatus(intercom_id=18, state="x")
    assert decode_push({"data": {"x": 1}, "subject": "later"}) == Unknown(kind="later")
    assert decode_push({}) == Unknown(kind="")


def test_the_count_beside_the_streams() -> None:
    data = {"binaryUid": "b", "streams": {"s": {"status": "STOPPED"}}, "streamsCount": 1}
    push = decode_push({"data": data, "subject": "binary_stats"})
    assert push == StreamStats(uid="b", streams=1, working=0)


@pytest.mark.parametrize("payload", [None, [], "text", 5, True])
def test_what_is_no_push(payload: Any) -> None:
    with pytest.raises(MalformedMessage):
        decode_push(payload)


@given(anything)
def test_any_value(payload: Any) -> None:
    try:
        decode_push(payload)
    except MalformedMessage:
        assert not isinstance(payload, dict)


@given(st.sampled_from(sorted({name.split()[0] for name in BY_NAME})), anything, anything)
def test_any_content_of_a_known_type(kind: str, data: Any, status: Any) -> None:
    decode_push({"data": {"type": kind, "status": status, "data": data}})
    decode_push({"data": data, "subject": "binary_stats"})


def test_no_address_is_in_a_log_line() -> None:
    assert FILE not in repr(decode_push(BY_NAME["export_intercom_keys single"]))
    assert CAMERA["id"] == 429
