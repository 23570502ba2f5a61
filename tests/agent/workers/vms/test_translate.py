"""What each push does at a door."""

from __future__ import annotations

import pytest
from harness.vms_pushes import PUSHES

from agent.workers.vms.translate import NOTHING, Effect, effect_of
from agent.workers.vms.wire import decode_push

REPORTED = {
    "intercom_status_changed", "camera_config_apply ok", "camera_config_apply error", "camera_status_updated",
    "export_intercom_keys consolidated error", "import_intercom_flats_users_keys_failed ok",
    "import_intercom_flats_users_keys_failed error", "import_intercom_flats_users_keys ok",
    "import_intercom_flats_users_keys error", "intercom_sync_keys ok", "intercom_sync_keys error",
    "import_config ok", "import_config error",
}  # fmt: skip


def effect(name: str, *, intercom: int | None = 18, camera: int | None = 429) -> Effect:
    payload = next(payload for known, _, _, payload in PUSHES if known == name)
    return effect_of(decode_push(payload), source="vms", intercom_id=intercom, camera_id=camera)


@pytest.mark.parametrize("name", [name for name, *_ in PUSHES])
def test_what_is_told(name: str) -> None:
    report = effect(name).report
    assert (report is not None) == (name in REPORTED)
    if report is not None:
        assert (report.source, report.product, report.kind) == ("vms", "VMS", name.split()[0])


def test_what_is_done() -> None:
    assert effect("permissions_updated") == Effect(retry=True, reconcile=True)
    assert effect("admin_intercom_groups_updated") == Effect(reconcile=True)
    assert effect("export_intercom_keys single").fetch is not None
    assert effect("import_intercom_flats_users_keys ok").new_keys
    assert not effect("import_intercom_flats_users_keys error").new_keys
    assert effect("intercom_status_changed").status == "inactive"


def test_others_are_none_of_our_business() -> None:
    for name in ("intercom_status_changed", "intercom_sync_keys ok", "camera_status_updated"):
        assert effect(name, intercom=19, camera=1) == NOTHING
    assert effect("intercom_status_changed", intercom=None) == NOTHING


@pytest.mark.parametrize(
    "name", ["dhcp_subnet_groups_updated", "archive_generated ok", "export_config ok", "a push of tomorrow"]
)
def test_what_means_nothing(name: str) -> None:
    assert effect(name) == NOTHING
