"""One strict TOML file, read once, into frozen structs.

Each struct is declared beside the code it configures; this module only joins them and turns every mistake
into a path, what was expected and what was found. Nothing is reloaded: change the file, restart.
"""

from __future__ import annotations

import operator
import re
import tomllib
import types
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from agent.access.config import AccessConfig
from agent.alarm import AlarmConfig
from agent.calls import CallsConfig
from agent.config_checks import across, pins_of, unknown
from agent.endpoints.io import IoConfig, IoEndpoint
from agent.entrance.config import SIMULATED, EntranceConfig, ReaderConfig
from agent.intercom.config import VoiceConfig
from agent.journal.config import JournalConfig
from agent.model.actions import (
    ALARM_TARGET,
    CALL_TARGET,
    NOTIFY_TARGET,
    TALK_TARGET,
)
from agent.model.errors import ConfigError, ConfigErrors
from agent.net.http_site import HttpConfig
from agent.net.tls import TlsConfig
from agent.notify import NotifyConfig
from agent.rules import RuleConfig
from agent.runtime import RemoteConfig
from hw.pins import EndpointName, EndpointPins, sim_endpoints

MAX_FILE_BYTES = 256 * 1024
FOUND_CHARS = 60
SIMULATED_WORKERS = ("zmes", "zello", "deconz")
RemoteKinds = Mapping[str, type[RemoteConfig]]


class DoorConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """name: what people call this door; it stands in certificates and pages."""

    name: Annotated[str, Meta(min_length=1, max_length=64)] = "Front door"


class BoardConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """chip_label: which GPIO chip carries the endpoints; absent: the 40-pin header of any Raspberry Pi."""

    chip_label: Annotated[str, Meta(min_length=1, max_length=32)] | None = None


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration; every setting has a default that works, a real door adds its endpoints.

    endpoints: the door's own hardware, and what lives on a foreign system but belongs to this door.
    alarm: the alarm system; without this table the door has none.
    voice: the sound card; without this table the door neither hears nor speaks.
    io: Portero IO devices, on which endpoints may live.
    readers: of tags and codes, beside locks. entrance: how wrong ones are taken.
    workers: one table per protocol; a worker without its table is not started.
    """

    door: DoorConfig = DoorConfig()
    board: BoardConfig = BoardConfig()
    endpoints: dict[EndpointName, EndpointPins | RemoteConfig] = {}
    calls: CallsConfig = CallsConfig()
    notify: NotifyConfig = NotifyConfig()
    alarm: AlarmConfig | None = None
    rules: tuple[RuleConfig, ...] = ()
    io: dict[EndpointName, IoConfig] = {}
    readers: dict[EndpointName, ReaderConfig] = {}
    entrance: EntranceConfig = EntranceConfig()
    journal: JournalConfig = JournalConfig()
    access: AccessConfig = AccessConfig()
    tls: TlsConfig = TlsConfig()
    http: HttpConfig = HttpConfig()
    voice: VoiceConfig | None = None
    workers: dict[str, Any] = {}

    @property
    def pins(self) -> dict[str, EndpointPins]:
        """The endpoints on this machine's own wires."""
        return pins_of(self.endpoints)


def simulated(workers: Mapping[str, type[Struct]]) -> Config:
    """The configuration of `portero run --sim` without a file."""
    plain = {
        "voice": {"microphone": "sim", "speaker": "sim"},
        "readers": {"front_reader": {"device": SIMULATED, "kind": "wiegand", "opens": "strike"}},
        "workers": {name: {"server": {}} for name in SIMULATED_WORKERS if name in workers},
    }
    return parse(plain, workers, simulated=True)


def load(
    path: Path,
    workers: Mapping[str, type[Struct]],
    *,
    remotes: RemoteKinds = types.MappingProxyType({}),
    simulated: bool = False,
) -> Config:
    """The configuration of a file.

    Raises: ConfigErrors with every mistake found; only what concerns several settings of one table at once is
    looked at when each of them is sound.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ConfigErrors(
            [
                ConfigError(
                    str(path), "no such file; write one (docs/operations.md) or try `portero run --sim`"
                )
            ]
        ) from None
    except OSError as error:
        raise ConfigErrors([ConfigError(str(path), f"cannot be read: {error.strerror}")]) from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigErrors([ConfigError(str(path), f"larger than {MAX_FILE_BYTES} bytes")])
    try:
        plain = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or a number of thousands of digits
        raise ConfigErrors([ConfigError(str(path), f"not TOML: {error}")]) from error
    return parse(plain, workers, remotes=remotes, simulated=simulated)


def parse(
    plain: dict[str, Any],
    workers: Mapping[str, type[Struct]],
    *,
    remotes: RemoteKinds = types.MappingProxyType({}),
    simulated: bool = False,
) -> Config:
    """The configuration of a plain dict. Worker tables come back as the workers' own structs.

    remotes: how each worker configures an endpoint that lives on its foreign system.

    simulated: without endpoints the simulated door's own stand in.
    Raises: ConfigErrors with every mistake found.
    """
    errors: list[ConfigError] = []
    parts: dict[str, Any] = {}
    known = {field.name: field for field in msgspec.structs.fields(Config)}
    for key, value in plain.items():
        if key not in known:
            errors.append(ConfigError(key, unknown(key, list(known))))
        elif key == "workers":
            parts[key] = _tables(key, value, workers, errors)
        elif key == "endpoints":
            parts[key] = _endpoints(value, remotes, errors)
        elif key == "rules":
            parts[key] = _rules(value, errors)
        else:
            parts[key] = _convert(key, value, known[key].type, errors)
    if simulated and not plain.get("endpoints"):
        parts["endpoints"] = sim_endpoints()
    if not errors:
        errors.extend(across(parts))
    if errors:
        raise ConfigErrors(errors)
    return Config(**parts)


def _tables(
    path: str, value: object, kinds: Mapping[str, type[Struct]], errors: list[ConfigError]
) -> dict[str, Any]:
    if not isinstance(value, dict):
        errors.append(ConfigError(path, "expected a table"))
        return {}
    tables = {}
    for name, table in value.items():
        if name in kinds:
            tables[name] = _convert(f"{path}.{name}", table, kinds[name], errors)
        else:
            errors.append(ConfigError(f"{path}.{name}", unknown(name, list(kinds))))
    return tables


def _endpoints(value: object, remotes: RemoteKinds, errors: list[ConfigError]) -> dict[str, Any]:
    if not isinstance(value, dict):
        errors.append(ConfigError("endpoints", "expected one table per endpoint"))
        return {}
    kinds = reduce(operator.or_, remotes.values(), EndpointPins | IoEndpoint)
    endpoints = {}
    for name, table in value.items():
        path = f"endpoints.{name}"
        if name in (CALL_TARGET, TALK_TARGET, NOTIFY_TARGET, ALARM_TARGET):
            errors.append(ConfigError(path, "this name has a meaning of its own, choose another"))
            continue
        _convert(path, name, EndpointName, errors)
        endpoints[name] = _convert(path, table, kinds, errors)
    return endpoints


def _rules(value: object, errors: list[ConfigError]) -> tuple[Any, ...]:
    if not isinstance(value, list):
        errors.append(ConfigError("rules", "expected [[rules]] tables"))
        return ()
    return tuple(_convert(f"rules[{index}]", rule, RuleConfig, errors) for index, rule in enumerate(value))


_AT = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>.*)`)?", re.DOTALL)
_TYPE_FOUND = re.compile(r", got `(?:str|int|float|bool)`$")


def _convert(path: str, value: object, kind: Any, errors: list[ConfigError]) -> Any:
    """The value as `kind`, or None and everything that is wrong with it and below."""
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, UnicodeError) as error:
        inside = _mistakes_inside(path, value, kind)
        errors.extend(inside or [_mistake(path, value, str(error))])
        return None


def _mistakes_inside(path: str, value: object, kind: Any) -> list[ConfigError]:
    """What is wrong with the parts of a table or list, each part by itself: msgspec stops at the first."""
    errors: list[ConfigError] = []
    options = _options(kind)
    tables = {str(option.__struct_config__.tag): option for option in options if _is_table(option)}
    if len(tables) > 1 and isinstance(value, dict):
        tag_field = str(next(iter(tables.values())).__struct_config__.tag_field)
        tag = value.get(tag_field)
        meant = tables.get(tag) if isinstance(tag, str) else None
        if meant is None:
            errors.append(ConfigError(f"{path}.{tag_field}", _not_one_of(tag, list(tables))))
        options = [] if meant is None else [meant]
    for option in options:
        origin, arguments = get_origin(option), get_args(option)
        if _is_table(option) and isinstance(value, dict):
            errors += _mistakes_in_table(path, value, option)
        elif origin is Literal and isinstance(value, str):
            errors.append(ConfigError(path, _not_one_of(value, [str(one) for one in arguments])))
        elif origin is dict and isinstance(value, dict):
            for key, item in value.items():
                _convert(f"{path}.{key}", key, arguments[0], errors)
                _convert(f"{path}.{key}", item, arguments[1], errors)
        elif origin in (list, tuple) and isinstance(value, list):
            for index, item in enumerate(value):
                _convert(f"{path}[{index}]", item, arguments[0], errors)
    return errors


def _mistakes_in_table(path: str, table: dict[str, Any], kind: type[Struct]) -> list[ConfigError]:
    errors: list[ConfigError] = []
    tag_field = kind.__struct_config__.tag_field
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key, value in table.items():
        if key in fields:
            _convert(f"{path}.{key}", value, fields[key].type, errors)
        elif key != tag_field and kind.__struct_config__.forbid_unknown_fields:
            errors.append(ConfigError(f"{path}.{key}", unknown(key, list(fields))))
    for name, field in fields.items():
        if field.required and name not in table:
            errors.append(ConfigError(f"{path}.{name}", "is missing"))
    return errors


def _options(kind: Any) -> list[Any]:
    """The members of a union, without the constraints around them."""
    if get_origin(kind) is Annotated:
        return _options(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [option for member in get_args(kind) for option in _options(member)]
    return [kind]


def _is_table(option: Any) -> bool:
    return isinstance(option, type) and issubclass(option, Struct)


def _mistake(path: str, value: object, text: str) -> ConfigError:
    """One mistake in the words of msgspec, with what was found."""
    match = _AT.fullmatch(text)
    assert match is not None
    inner = (match["path"] or "$").removeprefix("$")
    what = match["what"].replace(" | null`", "`").replace("`object`", "a table").replace("`array`", "a list")
    found = _found(value, inner)
    if found:
        what = _TYPE_FOUND.sub("", what)
    return ConfigError(path + inner, what[:1].lower() + what[1:] + found)


def _found(value: object, path: str) -> str:
    """`, got ...` for the value at a path such as `.server.port`, when it can be found."""
    for step in re.findall(r"\.([^.\[]+)|\[(\d+)\]", path):
        try:
            value = value[step[0]] if step[0] else value[int(step[1])]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return ""
    match value:
        case str():
            return f", got {value[:FOUND_CHARS]!r}"
        case bool():
            return f", got {str(value).lower()}"
        case int() if value.bit_length() > FOUND_CHARS:
            return ", got a number of many digits"
        case int() | float():
            return f", got {value}"
        case _:
            return ""


def _not_one_of(value: object, known: list[str]) -> str:
    if value is None:
        return f"is missing; expected one of {', '.join(known)}"
    import difflib  # a good file never needs it

    near = difflib.get_close_matches(str(value)[:FOUND_CHARS], known, n=1) if isinstance(value, str) else []
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"expected one of {', '.join(known)}{_found(value, '') or ', got something else'}{hint}"
