"""The door as a home of the vendor's: its modules, their lasting ids, and what is told of them.

One BNCX is the agent itself; behind it is a BNEU for each button, a BNDL for each lock, a BNSL for each light
and a NIS for each siren. Endpoints that live at the vendor's are left out: they are there already.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import trio
from msgspec import Struct

from agent import __version__
from agent.runtime import Context, EndpointInfo, EndpointState
from agent.workers.netatmo.access import READ_CAMERA, READ_MX, WRITE_CAMERA, WRITE_MX
from agent.workers.netatmo.config import ServerConfig
from agent.workers.netatmo.statefile import StateFile

FILE = "home.json"
GATEWAY = "BNCX"
ALIAS = "NLP"
UNREACHABLE = 6
ALIAS_SCOPES = ("read_magellan", "write_magellan")
_KINDS = {"button": "BNEU", "lock": "BNDL", "light": "BNSL", "siren": "NIS"}
ZONE_FILE = Path("/etc/localtime")
_ZONES = "zoneinfo/"

Json = dict[str, object]


class Identity(Struct, frozen=True, kw_only=True):
    """Who the home is, for ever. mac: of the gateway, locally administered."""

    mac: str
    home_id: str
    user_id: str
    set_up_s: int


class Module(Struct, frozen=True, kw_only=True):
    """One thing that clients see. endpoint: empty for the gateway. kind: of the endpoint, not of the module.

    reads, writes: scopes, of which one is enough.
    """

    id: str
    type: str
    name: str
    endpoint: str = ""
    kind: str = ""
    reads: frozenset[str] = frozenset({READ_MX})
    writes: frozenset[str] = frozenset({WRITE_MX})

    @property
    def is_gateway(self) -> bool:
        """Whether the others are behind it."""
        return not self.endpoint


class Home:
    """Modules by id, and the bodies of homesdata and homestatus.

    used_s: when somebody last moved an endpoint, Unix time.
    """

    def __init__(
        self,
        config: ServerConfig,
        context: Context,
        identity: Identity,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._context = context
        self._clock = clock
        self._began = trio.current_time()
        self.identity = identity
        self.name = config.home_name or context.door
        self.gateway = Module(id=identity.mac, type=GATEWAY, name="Portero")
        self.modules: dict[str, Module] = {self.gateway.id: self.gateway}
        self.of_endpoint: dict[str, Module] = {}
        self.used_s: dict[str, int] = {}
        for info in context.endpoints:
            self._add(info)

    def _add(self, info: EndpointInfo) -> None:
        kind = _KINDS.get(info.kind)
        if kind is None or info.system == self._context.name or info.name in self._config.hide:
            return
        if info.kind == "lock":
            kind = self._config.locks_as.get(info.name, kind)
        elif info.kind == "light":
            kind = self._config.lights_as.get(info.name, kind)
        name = info.label or info.name
        camera = kind == "NIS"
        module = Module(
            id=module_id(self.identity.mac, info.name),
            type=kind,
            name=name,
            endpoint=info.name,
            kind=info.kind,
            reads=frozenset({READ_CAMERA if camera else READ_MX}),
            writes=frozenset({WRITE_CAMERA if camera else WRITE_MX}),
        )
        self.modules[module.id] = self.of_endpoint[info.name] = module
        if info.kind == "light" and self._config.alias_lights:
            alias = Module(
                id=module_id(self.identity.mac, f"{info.name} as a plug"),
                type=ALIAS,
                name=name,
                endpoint=info.name,
                kind=info.kind,
                reads=frozenset({READ_MX, ALIAS_SCOPES[0]}),
                writes=frozenset({WRITE_MX, ALIAS_SCOPES[1]}),
            )
            self.modules[alias.id] = alias

    @property
    def sirens(self) -> list[Module]:
        """The modules whose watching can be switched off."""
        return [module for module in self.modules.values() if module.type == "NIS"]

    def readable(self, scopes: Iterable[str]) -> list[Module]:
        """What may be told to somebody with these scopes, the gateway first."""
        given = frozenset(scopes)
        return [module for module in self.modules.values() if module.reads & given]

    def homesdata(self, scopes: Iterable[str]) -> Json:
        """What there is. Fields that clients turn into enumerations are valid numbers."""
        seen = self.readable(scopes)
        home: Json = {
            "id": self.identity.home_id,
            "name": self.name,
            "timezone": time_zone(),
            "rooms": [],
            "modules": [self._topology(module, seen) for module in seen],
            "persons": [],
            "schedules": [],
            "therm_schedules": [],
        }
        user: Json = {
            "id": self.identity.user_id,
            "email": "",
            "language": "en",
            "locale": "en-US",
            "feel_like_algorithm": 0,
            "unit_pressure": 0,
            "unit_system": 0,
            "unit_wind": 0,
        }
        return {"homes": [home], "user": user}

    def no_homes(self) -> Json:
        """For a client that looks for gateways which this is none of."""
        return {"homes": []}

    def _topology(self, module: Module, seen: list[Module]) -> Json:
        row: Json = {
            "id": module.id,
            "type": module.type,
            "name": module.name,
            "setup_date": self.identity.set_up_s,
        }
        if module.is_gateway:
            row["modules_bridged"] = [other.id for other in seen if not other.is_gateway]
            row["reachable"] = True
        else:
            row["bridge"] = self.gateway.id
        return row

    def homestatus(self, scopes: Iterable[str], local_ipv4: str) -> Json:
        """How it is now."""
        home: Json = {"id": self.identity.home_id, "modules": [], "rooms": [], "persons": []}
        errors: list[Json] = []
        rows: list[Json] = []
        for module in self.readable(scopes):
            if module.is_gateway:
                rows.append(self._gateway_row(local_ipv4))
                continue
            state = self._context.state_of(module.endpoint)
            rows.append(self.row(module, state))
            if state.problem:
                errors.append({"code": UNREACHABLE, "id": module.id})
        home["modules"] = rows
        return {"home": home} | ({"errors": errors} if errors else {})

    def _gateway_row(self, local_ipv4: str) -> Json:
        row: Json = {
            "id": self.gateway.id,
            "type": GATEWAY,
            "firmware_name": __version__,
            "firmware_revision": revision(__version__),
            "reachable": True,
            "last_seen": int(self._clock()),
            "uptime": int(trio.current_time() - self._began),
            # A door on a wire, seen by whoever asks: there is no radio to tell of.
            "wifi_strength": 40,
            "wifi_state": "full",
            "websocket_connected": True,
            "offload": False,
        }
        if local_ipv4:
            row["local_ipv4"] = local_ipv4
        return row

    def row(self, module: Module, state: EndpointState) -> Json:
        """One module in homestatus. Whether a door is open or a light lit, the vendor never tells."""
        row: Json = {
            "id": module.id,
            "type": module.type,
            "bridge": self.gateway.id,
            "reachable": not state.problem,
        }
        match module.type:
            case "NIS":
                row |= {
                    "status": "sound" if is_on(state) else "no_sound",
                    "monitoring": "on" if self.watched(module) else "off",
                    "last_seen": int(self._clock()),
                    "firmware_revision": revision(__version__),
                    "battery_state": "full",
                    "battery_level": 6000,
                    "rf_state": "full",
                    "rf_strength": 60,
                }
            case "BNDL" | "BNSL" if self._config.report_state:
                row |= self.told_state(module, on=is_on(state))
                if module.endpoint in self.used_s:
                    row["last_user_interaction"] = self.used_s[module.endpoint]
            case "NLP":
                # A client draws a switch of it: one that never tells how it stands would be none.
                row["on"] = is_on(state)
        return row

    def told_state(self, module: Module, *, on: bool) -> dict[str, object]:
        """The state in the module's own words."""
        return {"lock": not on} if module.type == "BNDL" else {"on": on}

    def watched(self, module: Module) -> bool:
        """Whether a siren is told of: `monitoring` is the house's own muting, the same for all protocols."""
        return self._context.notifications.mode(module.endpoint) != "mute"


async def load_identity(state_dir: Path, *, clock: Callable[[], float] = time.time) -> Identity:
    """Who this home is; made at the first start. Raises: PeerError, AgentError when it cannot be kept."""
    file = StateFile(state_dir / FILE, Identity)
    identity = await file.load()
    if identity is None:
        mac = bytes([0x02]) + secrets.token_bytes(5)
        made = Identity(
            mac=mac.hex(":"),
            home_id=secrets.token_hex(12),
            user_id=secrets.token_hex(12),
            set_up_s=int(clock()),
        )
        await file.store(lambda: made)
        identity = made
    return identity


def module_id(mac: str, endpoint: str) -> str:
    """`c0002f-aa6f-c73e6db3f186`: the end of the gateway's MAC, then what the endpoint's name gives.

    Made from the name alone, so that an endpoint that was away for a time is the same to its clients.
    """
    made = sha256(f"{mac} {endpoint}".encode()).hexdigest()
    return f"{mac.replace(':', '')[6:]}-{made[:4]}-{made[4:16]}"


def is_on(state: EndpointState) -> bool:
    """Whether something is unlocked, lit or sounding."""
    return state.state in ("unlocked", "on")


def revision(version: str) -> int:
    """1.2.3 as 10203, the way the vendor numbers firmware."""
    parts = [int(part) if part.isdigit() else 0 for part in version.split(".")[:3]]
    return sum(part * factor for part, factor in zip(parts, (10_000, 100, 1), strict=False))


def time_zone() -> str:
    """This machine's, as `Europe/Lisbon`; UTC where it does not say."""
    _, found, name = str(ZONE_FILE.resolve()).partition(_ZONES)
    return name if found else "Etc/UTC"


def words(row: Mapping[str, object]) -> str:
    """The state of a row for a table."""
    hidden = {"id", "type", "bridge"}
    return " ".join(f"{key}={value}" for key, value in row.items() if key not in hidden)
