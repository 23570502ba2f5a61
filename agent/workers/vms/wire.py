"""Pushes of an AIPIX VMS to its administrators: an envelope, and 24 kinds of messages in it. Pure.

The envelope is `{"data": {"type", "status", "data"}, "subject", "message"}`, at times without the outer
`data`; analytics have no type and name themselves in `subject`. `data` inside may be an object, null, missing
or the empty list that PHP makes of an empty object. Unknown types become `Unknown`. Pushes carry no id and
no time: whoever acts on them does so by looking again.
Source: the vendor's "Types of websocket pushes" (23.12), with the brackets that its page has lost; the push
`intercom_sync_keys` from 24.12.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from agent.model.errors import MalformedMessage

MAX_TEXT_CHARS = 256
MAX_URL_CHARS = 2048
MAX_IDS = 10_000

Rights = Literal[
    "permissions_updated", "admin_camera_groups_updated", "admin_intercom_groups_updated",
    "dhcp_subnet_groups_updated",
]  # fmt: skip
Notices = Literal[
    "import_config", "upload_dhcp_subnets", "import_intercom_flats_users_keys", "intercom_sync_keys",
]  # fmt: skip
Files = Literal[
    "archive_generated", "export_config", "generate_report", "export_intercom_keys",
    "import_intercom_flats_users_keys_failed",
]  # fmt: skip
RIGHTS: frozenset[str] = frozenset(Rights.__args__)  # type: ignore[attr-defined]
NOTICES: frozenset[str] = frozenset(Notices.__args__)  # type: ignore[attr-defined]
FILES: frozenset[str] = frozenset(Files.__args__)  # type: ignore[attr-defined]


class RightsChanged(Struct, frozen=True, kw_only=True):
    """Groups were given to or taken from our user."""

    kind: Rights
    status: str
    attached: tuple[int, ...] = ()
    detached: tuple[int, ...] = ()


class Notice(Struct, frozen=True, kw_only=True):
    """Something that was asked for has come to an end, or goes on. intercom_id: 0 where it names none."""

    kind: Notices
    status: str
    text: str = ""
    intercom_id: int = 0


class FileReady(Struct, frozen=True, kw_only=True):
    """A file can be fetched. url: empty when it cannot."""

    kind: Files
    status: str
    url: str = ""
    name: str = ""

    def __repr__(self) -> str:
        return f"FileReady(kind={self.kind!r}, status={self.status!r})"


class ConfigApplied(Struct, frozen=True, kw_only=True):
    """A template was applied to a camera, or not, for a reason."""

    status: str
    camera_id: int
    template: int = 0
    reason: str = ""


class IntercomStatus(Struct, frozen=True, kw_only=True):
    """An intercom is now in this state: `active`, or another of the VMS's words."""

    intercom_id: int
    state: str
    shown: str = ""


class CameraStatus(Struct, frozen=True, kw_only=True):
    """A camera is now in this state."""

    camera_id: int
    state: str
    name: str = ""


class StreamStats(Struct, frozen=True, kw_only=True):
    """What an analytics program does. streams: how many it has; working: of them."""

    uid: str
    cpu_pct: float = 0.0
    streams: int = 0
    working: int = 0


class ServerStats(Struct, frozen=True, kw_only=True):
    """How a server of the analytics is."""

    address: str
    load_pct: float = 0.0
    memory_pct: float = 0.0


class DictionaryChanged(Struct, frozen=True, kw_only=True):
    """Words of the VMS's pages changed."""

    diff: dict[str, str]


class Unknown(Struct, frozen=True, kw_only=True):
    """A type that a newer VMS has."""

    kind: str


Push = (
    RightsChanged | Notice | FileReady | ConfigApplied | IntercomStatus | CameraStatus | StreamStats
    | ServerStats | DictionaryChanged | Unknown
)  # fmt: skip


def decode_push(payload: Any) -> Push:
    """The push in what a transport delivered. Raises: MalformedMessage, and nothing else for any value."""
    if not isinstance(payload, dict):
        raise MalformedMessage("push", "expected an object")
    inner = payload.get("data")
    if isinstance(inner, dict) and isinstance(inner.get("type"), str):
        return _typed(inner)
    if isinstance(payload.get("type"), str):
        return _typed(payload)
    match payload.get("subject"):
        case "binary_stats":
            return _streams(_object(inner))
        case "server_stats":
            return _server(_object(inner))
        case str(subject):
            return Unknown(kind=_text(subject, 64))
        case _:
            return Unknown(kind="")


def _typed(push: dict[str, Any]) -> Push:
    kind, status, data = push["type"], _text(push.get("status"), 16), _object(push.get("data"))
    if kind in RIGHTS:
        return RightsChanged(
            kind=kind, status=status, attached=_ids(data.get("attached")), detached=_ids(data.get("detached"))
        )
    if kind in NOTICES:
        text = _text(push.get("message")) or _text(data.get("message"))
        return Notice(kind=kind, status=status, text=text, intercom_id=_whole(data.get("id")))
    if kind in FILES:
        return _file(kind, status, data)
    camera = _object(data.get("camera"))
    match kind:
        case "camera_config_apply":
            return ConfigApplied(
                status=status, camera_id=_whole(camera.get("id")),
                template=_whole(data.get("config_template")), reason=_text(data.get("reason")),
            )  # fmt: skip
        case "intercom_status_changed":
            return IntercomStatus(
                intercom_id=_whole(data.get("id")), state=_text(data.get("status"), 64),
                shown=_text(data.get("status_pretty"), 64),
            )  # fmt: skip
        case "camera_status_updated":
            return CameraStatus(
                camera_id=_whole(camera.get("id")), state=_text(camera.get("status"), 64),
                name=_text(camera.get("name"), 64),
            )  # fmt: skip
        case "dictionary_update":
            diff = _object(data.get("diff"))
            pairs = list(diff.items())[:MAX_IDS]
            return DictionaryChanged(diff={_text(key): _text(value) for key, value in pairs})
        case _:
            return Unknown(kind=_text(kind, 64))


def _file(kind: Any, status: str, data: dict[str, Any]) -> FileReady:
    """The address stands in another place for each kind."""
    found = _object(data.get("download")) or _object(data.get("report")) or data
    address = found.get("url") or found.get("path")
    url = address if isinstance(address, str) and len(address) <= MAX_URL_CHARS else ""
    name = _text(found.get("name")) or _text(url.partition("?")[0].rpartition("/")[2])
    return FileReady(kind=kind, status=status, url=url, name=name)


def _streams(data: dict[str, Any]) -> StreamStats:
    streams = [one for one in _object(data.get("streams")).values() if isinstance(one, dict)]
    return StreamStats(
        uid=_text(data.get("binaryUid"), 64),
        cpu_pct=_number(data.get("cpuUsageAvg")),
        streams=len(streams),
        working=sum(one.get("status") == "WORKING" for one in streams),
    )


def _server(data: dict[str, Any]) -> ServerStats:
    return ServerStats(
        address=_text(data.get("ipaddress"), 64),
        load_pct=_number(_object(data.get("cpu")).get("cpu_loadavg_percent_1min")),
        memory_pct=_number(_object(data.get("memory")).get("used_percent_memory")),
    )


def _object(value: Any) -> dict[str, Any]:
    """An object; PHP's empty list, null and what makes no sense are an empty one."""
    return value if isinstance(value, dict) else {}


def _text(value: Any, most: int = MAX_TEXT_CHARS) -> str:
    """One printable line."""
    if not isinstance(value, str):
        return ""
    return "".join(letter for letter in value[: most * 4] if letter.isprintable())[:most]


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else 0


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        return 0.0
    return float(value)


def _ids(value: Any) -> tuple[int, ...]:
    items = value[:MAX_IDS] if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, int) and not isinstance(item, bool))
