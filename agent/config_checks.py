"""What is wrong with a configuration as a whole, though each table by itself is right."""

from __future__ import annotations

from typing import Any

from agent.alarm import DOOR, AlarmConfig
from agent.endpoints.io import IoConfig, IoEndpoint
from agent.entrance.config import SIMULATED, ReaderConfig
from agent.model.actions import (
    ALARM_TARGET,
    CALL_TARGET,
    TALK_TARGET,
    Lock,
    Ring,
    SetNotify,
    SoundSiren,
    StopSiren,
    SwitchLight,
    Unlock,
    target,
)
from agent.model.errors import ConfigError
from agent.notify import NEVER_MUTED, NotifyConfig
from agent.rules import RuleConfig
from agent.runtime import RemoteConfig
from hw.pins import EndpointPins, LockPins, check_conflicts

MOVED_BY: dict[type, str] = {
    Unlock: "lock",
    Lock: "lock",
    SoundSiren: "siren",
    StopSiren: "siren",
    SwitchLight: "light",
    Ring: "button",
}
NO_ALARM = "this door has no alarm system: give the door a table [alarm]"


def across(parts: dict[str, Any]) -> list[ConfigError]:
    """Mistakes that no single table shows."""
    endpoints: dict[str, Any] = parts.get("endpoints", {})
    errors = [ConfigError("endpoints", text) for text in check_conflicts(pins_of(endpoints))]
    errors += _across_remotes(endpoints, parts.get("workers", {}))
    errors += _across_io(parts.get("io", {}), endpoints)
    errors += _across_readers(parts.get("readers", {}), endpoints)
    alarm: AlarmConfig | None = parts.get("alarm")
    if alarm is not None:
        errors += _across_alarm(alarm, endpoints)
    for index, rule in enumerate(parts.get("rules", ())):
        errors += _across_rule(f"rules[{index}]", rule, endpoints, alarm)
    return errors + _across_notify(parts.get("notify", NotifyConfig()), endpoints)


def _across_remotes(endpoints: dict[str, Any], workers: dict[str, Any]) -> list[ConfigError]:
    """Endpoints whose foreign system is not spoken, or does not know where they should be."""
    errors = []
    for name, remote in endpoints.items():
        if not isinstance(remote, RemoteConfig) or isinstance(remote, IoEndpoint):
            continue
        system = _kind(remote)
        if system not in workers:
            errors.append(ConfigError(f"endpoints.{name}", f"nobody speaks {system}: add [workers.{system}]"))
        elif (reason := workers[system].misplaced(remote)) is not None:
            errors.append(ConfigError(f"endpoints.{name}", reason))
    return errors


def _across_io(devices: dict[str, IoConfig], endpoints: dict[str, Any]) -> list[ConfigError]:
    errors = []
    taken: dict[tuple[str, int], str] = {}
    for name, endpoint in endpoints.items():
        if not isinstance(endpoint, IoEndpoint):
            continue
        path = f"endpoints.{name}.io"
        if not devices:
            errors.append(ConfigError(path, "there is no Portero IO device: add [io.NAME]"))
        elif endpoint.io is None and len(devices) > 1:
            errors.append(ConfigError(path, f"say which device: {', '.join(devices)}"))
        elif endpoint.io is not None and endpoint.io not in devices:
            errors.append(ConfigError(path, unknown(endpoint.io, list(devices))))
        else:
            where = (endpoint.io or next(iter(devices)), endpoint.channel)
            if (other := taken.setdefault(where, name)) != name:
                errors.append(ConfigError(f"endpoints.{name}.channel", f"already belongs to {other}"))
    ports: dict[str, str] = {}
    for name, device in devices.items():
        if (other := ports.setdefault(device.device, name)) != name and device.device != SIMULATED:
            errors.append(ConfigError(f"io.{name}.device", f"already belongs to {other}"))
    return errors


def _across_readers(readers: dict[str, ReaderConfig], endpoints: dict[str, Any]) -> list[ConfigError]:
    errors = []
    devices: dict[str, str] = {}
    for name, reader in readers.items():
        path = f"readers.{name}"
        if name in endpoints:
            errors.append(ConfigError(path, "an endpoint has this name, choose another"))
        if reader.opens not in endpoints:
            errors.append(ConfigError(f"{path}.opens", unknown(reader.opens, list(endpoints))))
        elif (kind := _acts_as(endpoints[reader.opens])) != "lock":
            errors.append(ConfigError(f"{path}.opens", f"{reader.opens!r} is a {kind}, not a lock"))
        other = devices.setdefault(reader.device, name)
        if other != name and reader.device != SIMULATED:
            errors.append(ConfigError(f"{path}.device", f"already belongs to {other}"))
    return errors


def pins_of(endpoints: dict[str, Any]) -> dict[str, EndpointPins]:
    return {name: pins for name, pins in endpoints.items() if not isinstance(pins, RemoteConfig)}


def _kind(endpoint: Any) -> str:
    return str(type(endpoint).__struct_config__.tag)


def _across_notify(notify: NotifyConfig, endpoints: dict[str, Any]) -> list[ConfigError]:
    errors = []
    for name in notify.quiet_for:
        path = f"notify.quiet_for.{name}"
        if name not in endpoints:
            errors.append(ConfigError(path, unknown(name, list(endpoints))))
        elif getattr(endpoints[name], "role", "") in NEVER_MUTED:
            errors.append(ConfigError(path, "smoke and CO alarms have no quiet times"))
    return errors


def _across_alarm(alarm: AlarmConfig, endpoints: dict[str, Any]) -> list[ConfigError]:
    errors = []
    sensors = {name: what for name, endpoint in endpoints.items() if (what := _senses(endpoint))}
    for name in alarm.watch or {}:
        path = f"alarm.watch.{name}"
        if name not in endpoints:
            errors.append(ConfigError(path, unknown(name, list(endpoints))))
        elif name not in sensors:
            kind = _acts_as(endpoints[name])
            what = f"{kind} without a door contact" if kind == "lock" else kind
            reason = f"{name!r} is a {what}: expected a contact, or a lock with a door_contact"
            errors.append(ConfigError(path, reason))
        elif sensors[name] in NEVER_MUTED:
            errors.append(ConfigError(path, "smoke and CO do not wait until somebody arms: give them a rule"))
    watched = alarm.watched(sensors)
    if not watched and not errors:
        errors.append(ConfigError("alarm.watch", "nothing would be watched: name contacts here"))
    for name in alarm.delayed or ():
        if name not in watched and f"alarm.watch.{name}" not in (error.path for error in errors):
            errors.append(ConfigError("alarm.delayed", f"{name!r} is not watched"))
    return errors


def _senses(endpoint: Any) -> str:
    """The role of a contact, `door` for a lock that has a door contact, else empty."""
    if isinstance(endpoint, LockPins):
        return DOOR if endpoint.door_contact is not None else ""
    return str(endpoint.role) if _acts_as(endpoint) == "contact" else ""


def _acts_as(endpoint: Any) -> str:
    """What an endpoint is, wherever it lives."""
    return endpoint.acts_as if isinstance(endpoint, RemoteConfig) else _kind(endpoint)


def _across_rule(
    path: str, rule: RuleConfig, endpoints: dict[str, Any], alarm: AlarmConfig | None
) -> list[ConfigError]:
    errors = []
    name = target(rule.then)
    if rule.on == "alarm_changed" and alarm is None:
        errors.append(ConfigError(f"{path}.on", NO_ALARM))
    if isinstance(rule.then, SetNotify):
        named: tuple[str, ...] = rule.then.endpoints
        missing = [name for name in named if name not in endpoints]
        errors += [ConfigError(f"{path}.then.endpoints", unknown(name, list(endpoints))) for name in missing]
    elif name == CALL_TARGET:
        pass
    elif name == ALARM_TARGET:
        if alarm is None:
            errors.append(ConfigError(f"{path}.then.do", NO_ALARM))
    elif name == TALK_TARGET:
        errors.append(ConfigError(f"{path}.then.do", "a rule has no voice"))
    elif name not in endpoints:
        errors.append(ConfigError(f"{path}.then.endpoint", unknown(name, list(endpoints))))
    elif (kind := _acts_as(endpoints[name])) != MOVED_BY[type(rule.then)]:
        do = rule.then.__struct_config__.tag
        errors.append(ConfigError(f"{path}.then.endpoint", f"{name!r} is a {kind}, it cannot {do}"))
    where = rule.where.get("endpoint")
    # Devices fail by the names of their wires (a door contact has its own), and not only endpoints fail.
    if where is not None and where not in endpoints and not rule.on.startswith("hardware_"):
        errors.append(ConfigError(f"{path}.where.endpoint", unknown(str(where), list(endpoints))))
    return errors


def unknown(name: str, known: list[str]) -> str:
    """What to say about a name that is none, with the nearest one that is."""
    import difflib  # a good file never needs it

    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"unknown; did you mean {near[0]!r}?"
    return f"unknown; known are {', '.join(sorted(known))}" if known else "unknown"
