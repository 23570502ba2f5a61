"""One endpoint of this house and the module at the cloud that it is."""

from __future__ import annotations

from collections.abc import Callable

from agent.model.events import ContactRole
from agent.runtime import Remote
from agent.workers.netatmo.client_api import Api
from agent.workers.netatmo.client_outputs import Output
from agent.workers.netatmo.client_state import Mirror, Module, uses
from agent.workers.netatmo.config import NetatmoEndpoint
from agent.workers.netatmo.translate import contact_read, contact_told, light_read, siren_read

NOT_READ = "not connected yet"
_GOOD_FOR: dict[str, tuple[str, ...]] = {
    "button": ("button", "station"),
    "lock": ("lock", "light"),  # a second door is at times wired as staircase light
    "light": ("light",),
    "siren": ("siren",),
    "contact": ("detector", "tag", "siren"),
}


class Binding:
    """module: what it is now, or why it is nothing. output: of a lock, light or siren."""

    def __init__(
        self, remote: Remote, mirror: Mirror, api: Callable[[], Api | None], wrote: Callable[[], None]
    ) -> None:
        config: NetatmoEndpoint = remote.config
        self.remote = remote
        self.kind: str = config.acts_as
        self.role: ContactRole = config.role
        self.module: Module | str = NOT_READ
        self.output: Output | None = None
        if self.kind in ("lock", "light", "siren"):
            self.output = Output(remote, mirror, api, lambda: self.module, wrote)
        self._wanted = config.module
        self._mirror = mirror
        self._shown: str | None = None

    def bind(self) -> None:
        """Look for its module, and tell how it is."""
        module = self._mirror.find(self._wanted)
        if module is None:
            self.module = f"the cloud has no module {self._wanted!r}"
        elif uses(module) and not set(uses(module)) & set(_GOOD_FOR[self.kind]):
            self.module = f"{module.label} is a {module.type}, which is no {self.kind}"
        else:
            self.module = module
            self._read(module)
        if isinstance(self.module, str):
            self.show(self.module)
        else:
            unreachable = self.module.reachable is False
            self.show("the cloud cannot reach the device" if unreachable else "")

    def show(self, problem: str) -> None:
        """It can be used, or why not."""
        if problem == self._shown:
            return
        self._shown = problem
        if problem:
            self.remote.failed(problem)
        else:
            self.remote.works()

    @property
    def is_lost(self) -> bool:
        """Whether it was told that it cannot be used."""
        return bool(self._shown)

    def is_of(self, device: str, module: str) -> bool:
        """Whether an event of this device and module is one of its own."""
        if not isinstance(self.module, Module):
            return self._wanted.lower() == (module or device)
        return self.module.id == (module or device)

    def take(self, kind: str, sub_type: int | str) -> None:
        """An event of its module."""
        module = self.module
        product = module.type if isinstance(module, Module) else ""
        if self.kind == "contact":
            active = contact_told(kind, sub_type, product, self.role)
            if active is not None:
                self.remote.contact(active)
        elif self.kind == "siren" and kind == "siren_sounding" and sub_type in (0, 1):
            self.remote.switched(sub_type == 1)
        elif self.kind == "light" and kind == "light_mode" and sub_type in ("on", "off"):
            self._light(sub_type == "on")

    def ring(self) -> None:
        """Somebody pressed it."""
        self.remote.pressed()
        self.remote.released(0)

    def _read(self, module: Module) -> None:
        match self.kind:
            case "contact":
                active = contact_read(module.values, module.type, self.role)
                if active is not None:
                    self.remote.contact(active)
            case "siren":
                sounds = siren_read(module.values, module.type)
                if sounds is not None:
                    self.remote.switched(sounds)
            case "light" if module.type == "NOC":
                shines = light_read(module.values)
                if shines is not None:
                    self._light(shines)
            case _:
                pass

    def _light(self, on: bool) -> None:
        self.remote.switched(on)
