"""Every push of the vendor's page in its shape, with values of our own.

Source: the vendor's "Types of websocket pushes" (23.12), brackets restored; `socket` as laravel-echo-server
leaves it in. Each: (name, logical channel, event, payload).
"""

from __future__ import annotations

from typing import Any

USER, TOKEN, INDEX = "user.7", "token.TOKEN", "admin.intercom-index"
ADMIN, STATS, WORDS = "admin.admin", "admin.analytic-servers-index", "admin.dictionary-update"
GROUPS = {"detached": [3], "attached": [5, 8]}
CAMERA = {"id": 429, "group_id": 5, "status": "active", "name": "Gate", "lat": None, "user_status": "active"}
DOWNLOAD = {
    "id": 9, "name": "Gate.mp4", "type": "mp4", "url": "https://vms.example/d/9.mp4", "user_id": 7,
    "from": "2026-01-02 03:04:05", "to": "2026-01-02 03:05:05", "is_file_exists": True,
    "created_at": "2026-01-02T03:06:00.000000Z", "updated_at": "2026-01-02T03:06:00.000000Z",
}  # fmt: skip
FILE = "https://vms.example/reports/intercoms/intercom_Gate_keys_(2026-01-02).xlsx"


def _push(kind: str, data: Any, status: str = "ok", *, socket: bool = False, **inner: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "data": {"type": kind, "status": status, "data": data} | inner, "subject": None, "message": None,
    }  # fmt: skip
    return found | ({"socket": None} if socket else {})


def _event(name: str) -> str:
    return f"App\\Events\\{name}Push"


PUSHES: list[tuple[str, str, str, Any]] = [
    ("permissions_updated", USER, _event("User"), _push("permissions_updated", GROUPS)),
    ("admin_camera_groups_updated", USER, _event("User"), _push("admin_camera_groups_updated", GROUPS)),
    ("admin_intercom_groups_updated", USER, _event("User"), _push("admin_intercom_groups_updated", GROUPS)),
    ("dhcp_subnet_groups_updated", USER, _event("User"), _push("dhcp_subnet_groups_updated", GROUPS)),
    ("archive_generated ok", TOKEN, _event("Token"), _push("archive_generated", {"download": DOWNLOAD})),
    ("archive_generated error", TOKEN, _event("Token"),
     _push("archive_generated", {"download": DOWNLOAD | {"url": None}}, "error")),
    ("export_config ok", USER, _event("User"), _push("export_config", {"url": "https://vms.example/c"})),
    ("export_config error", USER, _event("User"), _push("export_config", [], "error")),
    ("import_config ok", USER, _event("User"), _push("import_config", [], message="12 cameras")),
    ("import_config error", USER, _event("User"), _push("import_config", [], "error", message="row 3")),
    ("generate_report ok", USER, _event("User"),
     _push("generate_report", {"report": {"name": "r.xlsx", "type": "xlsx", "url": "", "created_at": ""}})),
    ("generate_report error", USER, _event("User"), _push("generate_report", [], "error")),
    ("camera_config_apply ok", USER, _event("User"),
     _push("camera_config_apply", {"camera": CAMERA, "config_template": 2, "reason": None})),
    ("camera_config_apply error", USER, _event("User"),
     _push("camera_config_apply", {"camera": CAMERA, "config_template": 2, "reason": "offline"}, "error")),
    ("intercom_status_changed", INDEX, _event("User"),
     _push("intercom_status_changed", {"id": 18, "status": "inactive", "status_pretty": "Off"})),
    ("upload_dhcp_subnets ok", USER, _event("User"), _push("upload_dhcp_subnets", [])),
    ("upload_dhcp_subnets error", USER, _event("User"),
     _push("upload_dhcp_subnets", {"message": "row 4"}, "error")),
    ("upload_dhcp_subnets message", USER, _event("User"),
     _push("upload_dhcp_subnets", {"message": "half of it"}, "message")),
    ("binary_stats", STATS, _event("AdminStat"),
     {"data": {"binaryUid": "b-1", "coresUsed": 4, "cpuUsageAvg": 28, "streams": {
         "s-1": {"status": "WORKING", "frameProcessRate": 16.1, "uptime": 5, "camera_id": 9},
         "streamsCount": 1}}, "subject": "binary_stats", "message": None}),
    ("server_stats", STATS, _event("AdminStat"),
     {"data": {"cpu": {"cpu_count": 8, "cpu_loadavg_percent_1min": 2.9}, "ipaddress": "10.0.0.5",
               "memory": {"total_memory": 100, "used_percent_memory": 28.9}},
      "subject": "server_stats", "message": None}),
    ("camera_status_updated", ADMIN, _event("Admin"), _push("camera_status_updated", {"camera": CAMERA})),
    ("dictionary_update", WORDS, _event("Admin"), _push("dictionary_update", {"diff": {"door": "gate"}})),
    ("export_intercom_keys single", TOKEN, _event("Token"),
     _push("export_intercom_keys", {"path": FILE}, socket=True)),
    ("export_intercom_keys consolidated error", TOKEN, _event("Token"),
     _push("export_intercom_keys", {"path": ""}, "error", socket=True)),
    ("import_intercom_flats_users_keys_failed ok", TOKEN, _event("Token"),
     _push("import_intercom_flats_users_keys_failed", {"path": FILE}, socket=True)),
    ("import_intercom_flats_users_keys_failed error", TOKEN, _event("Token"),
     _push("import_intercom_flats_users_keys_failed", {"path": ""}, "error", socket=True)),
    ("import_intercom_flats_users_keys ok", TOKEN, _event("Token"),
     _push("import_intercom_flats_users_keys", [], socket=True)),
    ("import_intercom_flats_users_keys error", TOKEN, _event("Token"),
     _push("import_intercom_flats_users_keys", [], "error", socket=True)),
    ("intercom_sync_keys ok", USER, _event("User"), _push("intercom_sync_keys", {"id": 18})),
    ("intercom_sync_keys error", USER, _event("User"), _push("intercom_sync_keys", {"id": 18}, "error")),
    ("a push of tomorrow", USER, _event("User"), _push("door_sings", {"song": 1})),
]  # fmt: skip
