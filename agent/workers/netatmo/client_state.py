"""The modules and persons of one home as they were told last: topology, status, and pushes in between. Pure.

A poll and a push cross on their way. What a push told after a poll was begun stands, whatever that poll says.
Times are trio's, as arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from agent.workers.netatmo.catalogue import PRODUCTS, UNREACHABLE
from agent.workers.netatmo.loose import Scalar
from agent.workers.netatmo.wire import Home, HomeStatus, ModuleInfo, ModuleStatus, Person

MAX_MODULES = 500
MAX_FIELDS = 96


class Module(Struct, kw_only=True):
    """A module. values: of its state by the vendor's names. told_at: when a push told them.

    reachable: None while nothing says. read: whether a status has ever listed it.
    """

    id: str
    type: str = ""
    name: str = ""
    bridge: str = ""
    setup_date: int = 0
    room: str = ""
    category: str = ""
    variant: str = ""
    values: dict[str, Scalar] = {}
    told_at: dict[str, float] = {}
    reachable: bool | None = None
    read: bool = False

    @property
    def label(self) -> str:
        """Its name, or what it can be told by."""
        return self.name or self.id


class Mirror:
    """One home. stale: what is known is older than it should be. topology_wanted: something does not fit."""

    def __init__(self) -> None:
        self.home_id = ""
        self.home_name = ""
        self.stale = True
        self.topology_wanted = True
        self._modules: dict[str, Module] = {}
        self._persons: dict[str, Person] = {}

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __len__(self) -> int:
        return len(self._modules)

    def get(self, module_id: str) -> Module | None:
        """A module by its id."""
        return self._modules.get(module_id)

    def find(self, wanted: str) -> Module | None:
        """A module by its id or its name; a name that two have finds none."""
        module = self._modules.get(wanted.lower())
        if module is not None:
            return module
        found = [one for one in self if one.name == wanted]
        return found[0] if len(found) == 1 else None

    def gateway_of(self, module: Module) -> Module:
        """What it hangs on, or itself."""
        return self._modules.get(module.bridge, module)

    @property
    def persons(self) -> tuple[Person, ...]:
        """Whom the cameras know."""
        return tuple(self._persons.values())

    def names(self) -> dict[str, str]:
        """Their names by id."""
        return {person.id: person.name for person in self.persons if person.name}

    # ----- what is told -----

    def take_home(self, home: Home) -> None:
        """homesdata: which modules there are; what was known of them stays."""
        if home.id != self.home_id:
            self._modules, self._persons = {}, {}
        self.home_id, self.home_name = home.id, home.name
        modules: dict[str, Module] = {}
        for info in home.modules[:MAX_MODULES]:
            modules[info.id] = self._named(info)
        self._modules = modules
        known, self._persons = self._persons, {}
        for person in home.persons:
            before = known.get(person.id, person)
            self._persons[person.id] = Person(
                id=person.id, name=person.name, last_seen=before.last_seen, away=before.away
            )
        self.topology_wanted = False

    def take_status(self, status: HomeStatus, begun_at: float) -> None:
        """homestatus, asked for at `begun_at`. A missing field keeps its value, but for `reachable`."""
        if status.home_id and status.home_id != self.home_id:
            return
        gone = {module for module, code in status.errors.items() if code == UNREACHABLE}
        listed = set()
        for row in status.modules:
            module = self._known(row)
            if module is None:
                continue
            listed.add(module.id)
            module.read = True
            self._merge(module, row, begun_at)
            if module.told_at.get("reachable", -1.0) < begun_at:
                told = row.values.get("reachable")
                module.reachable = told if isinstance(told, bool) else True
        for module in self:
            unreachable = module.id in gone or module.bridge in gone
            if unreachable:
                module.reachable = False
            elif module.read and listed and module.id not in listed:
                module.reachable = False  # it was there, and is not any more
        for person in status.persons:
            self._seen(person)
        self.stale = False

    def take_push(self, changes: Iterable[ModuleStatus], now_s: float) -> list[Module]:
        """States that a push told; the modules that they are of."""
        found = []
        for row in changes:
            module = self._modules.get(row.id)
            if module is None:
                self.topology_wanted = True
                continue
            for key, value in row.values.items():
                self._set(module, key, value)
                module.told_at[key] = now_s
            if isinstance(row.values.get("reachable"), bool):
                module.reachable = bool(row.values["reachable"])
            found.append(module)
        return found

    def tell(self, module_id: str, values: Mapping[str, Scalar], now_s: float) -> None:
        """What an event implies of a module's state."""
        self.take_push([ModuleStatus(id=module_id, values=dict(values))], now_s)

    def set_away(self, ids: Iterable[str], away: bool) -> None:
        """Persons came or left."""
        for one in ids:
            person = self._persons.get(one)
            if person is not None:
                self._persons[one] = Person(id=one, name=person.name, last_seen=person.last_seen, away=away)

    # ----- parts -----

    def _named(self, info: ModuleInfo) -> Module:
        module = self._modules.get(info.id) or Module(id=info.id)
        module.type = info.type or module.type
        module.name, module.bridge, module.room = info.name, info.bridge, info.room
        module.setup_date, module.category, module.variant = info.setup_date, info.category, info.variant
        return module

    def _known(self, row: ModuleStatus) -> Module | None:
        module = self._modules.get(row.id)
        if module is not None:
            module.type = module.type or row.type
            module.bridge = module.bridge or row.bridge
            return module
        self.topology_wanted = True
        if len(self._modules) >= MAX_MODULES:
            return None
        module = Module(id=row.id, type=row.type, bridge=row.bridge)
        self._modules[row.id] = module
        return module

    def _merge(self, module: Module, row: ModuleStatus, begun_at: float) -> None:
        for key, value in row.values.items():
            if module.told_at.get(key, -1.0) < begun_at:
                self._set(module, key, value)

    def _set(self, module: Module, key: str, value: Scalar) -> None:
        if key in module.values or len(module.values) < MAX_FIELDS:
            module.values[key] = value

    def _seen(self, person: Person) -> None:
        known = self._persons.get(person.id)
        if known is None:
            self._persons[person.id] = person
        else:
            self._persons[person.id] = Person(
                id=person.id,
                name=known.name or person.name,
                last_seen=person.last_seen or known.last_seen,
                away=known.away if person.away is None else person.away,
            )


def uses(module: Module) -> tuple[str, ...]:
    """What a module is good for; nothing is known of an unknown one."""
    product = PRODUCTS.get(module.type)
    return product.uses if product is not None else ()
