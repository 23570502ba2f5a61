"""What a push means at a door. Pure: a push has no id and no time, so all of it may be done twice."""

from __future__ import annotations

from msgspec import Struct

from agent.model.events import CloudReported
from agent.workers.vms.wire import (
    CameraStatus,
    ConfigApplied,
    FileReady,
    IntercomStatus,
    Notice,
    Push,
    RightsChanged,
)

PRODUCT = "VMS"
KEY_FILE = "export_intercom_keys"
FAILED_ROWS = "import_intercom_flats_users_keys_failed"


class Effect(Struct, frozen=True, kw_only=True):
    """What is to be done.

    report: for the journal. status: of our own intercom, empty: not told. fetch: a file of keys.
    reconcile: look again at what the VMS has. retry: ask again for channels that were refused. new_keys: the
    VMS's keys are others now.
    """

    report: CloudReported | None = None
    status: str = ""
    fetch: FileReady | None = None
    reconcile: bool = False
    retry: bool = False
    new_keys: bool = False


NOTHING = Effect()


def effect_of(push: Push, *, source: str, intercom_id: int | None, camera_id: int | None) -> Effect:
    """What a push does here."""
    match push:
        case RightsChanged(kind="permissions_updated"):
            return Effect(retry=True, reconcile=True)
        case RightsChanged(kind="admin_intercom_groups_updated"):
            return Effect(reconcile=True)
        case IntercomStatus(intercom_id=number, state=state) if number and number == intercom_id:
            report = _report(source, "intercom_status_changed", state, number, push.shown)
            return Effect(report=report, status=state)
        case CameraStatus(camera_id=number, state=state) if number and number == camera_id:
            return Effect(report=_report(source, "camera_status_updated", state, number, push.name))
        case ConfigApplied(camera_id=number, status=status) if number and number == camera_id:
            return Effect(report=_report(source, "camera_config_apply", status, number, push.reason))
        case FileReady(kind=kind) if kind == KEY_FILE and push.status == "ok" and push.url:
            return Effect(fetch=push)
        case FileReady(kind=kind) if kind in (KEY_FILE, FAILED_ROWS):
            return Effect(report=_report(source, kind, push.status, 0, push.name))
        case Notice(kind="import_intercom_flats_users_keys", status=status):
            report = _report(source, push.kind, status, 0, push.text)
            return Effect(report=report, new_keys=status == "ok")
        case Notice(kind="intercom_sync_keys", intercom_id=number, status=status):
            if number and number != intercom_id:
                return NOTHING
            return Effect(report=_report(source, push.kind, status, number, push.text))
        case Notice(kind="import_config", status=status):
            return Effect(report=_report(source, push.kind, status, 0, push.text))
        case _:
            return NOTHING


def _report(source: str, kind: str, sub_type: str, number: int, message: str) -> CloudReported:
    return CloudReported(
        source=source,
        product=PRODUCT,
        kind=kind,
        sub_type=sub_type,
        unique_id=str(number) if number else "",
        message=message,
    )
