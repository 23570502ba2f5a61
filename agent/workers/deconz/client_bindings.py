"""One endpoint of this house and the device at a gateway that it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from agent.runtime import Remote
from agent.workers.deconz.client_buttons import Button, Told
from agent.workers.deconz.client_debts import Debt
from agent.workers.deconz.client_device import Device, Scalar
from agent.workers.deconz.client_intake import Intake
from agent.workers.deconz.client_link import Link
from agent.workers.deconz.client_outputs import Output
from agent.workers.deconz.client_translate import TAMPER, find_device, main_fact
from agent.workers.deconz.config import DeconzEndpoint

RATE_HZ = 5.0
BURST = 20
NOT_READ = "not connected yet"
UNREACHABLE = "the gateway cannot reach the device"


class Binding:
    """device: what it is now, or why it is nothing. output: of a lock, siren or light.

    folder: where is kept what a lock owes.
    """

    def __init__(self, remote: Remote, link: Link, *, folder: Path | None, late: Callable[[], None]) -> None:
        config: DeconzEndpoint = remote.config
        self.remote = remote
        self.device: Device | str = NOT_READ
        self.intake = Intake(rate_hz=RATE_HZ, burst=BURST, late=late)
        self.button = Button(config.ring_on) if config.acts_as == "button" else None
        self.output: Output | None = None
        if config.acts_as in ("lock", "siren", "light"):
            kept = folder / f"owed-{remote.name}" if folder is not None and config.acts_as == "lock" else None
            self.output = Output(remote, link, lambda: self.device, Debt(kept))
        self._config = config
        self._shown: str | None = None

    def bind(self, devices: Iterable[Device], now_s: float) -> None:
        """Look for the device among those of the gateway; tell how it is when that is another one now."""
        before, self.device = self.device, find_device(devices, self._config)
        if isinstance(self.device, Device) and self.device is not before:
            self.take(None, now_s)

    @property
    def field(self) -> str | None:
        """The key of the device's state that is this endpoint's alone; None while there is none."""
        if not isinstance(self.device, Device):
            return None
        if self._config.acts_as == "contact":
            return TAMPER if self._config.tamper else main_fact(self.device)
        return None

    def rings(self, number: int) -> bool:
        """Whether it is this button of its device."""
        return self.button is not None and self._config.button == number

    def take(self, told: Mapping[str, Scalar] | None, now_s: float) -> None:
        """The device told something, or (None) was read."""
        device, field = self.device, self.field
        if not isinstance(device, Device):
            return
        if field is not None and (told is None or field in told):
            active = device.state.get(field)
            if isinstance(active, bool):
                self.intake.state("contact", partial(self.remote.contact, active), now_s, urgent=active)
        if self.output is not None and (told is None or self.output.minds(told)):
            self.intake.state("output", partial(self.output.confirm, device), now_s)

    def press(self, action: int, duration: object, now_s: float) -> None:
        """Its button did something; dropped when it does so too often."""
        if self.button is None:
            return
        for told in self.button.take(action, now_s, duration):
            self.intake.edge(partial(self._ring, told), now_s)

    def show(self, trouble: str, now_s: float) -> None:
        """Tell whether it can be used, when that changes. trouble: of the connection, empty for none."""
        if trouble:
            self.intake.forget("health")
            self._show(trouble)
            return
        problem = ""
        if isinstance(self.device, str):
            problem = self.device
        elif not self.device.reachable:
            problem = UNREACHABLE
        if problem == self._shown:
            self.intake.forget("health")
        else:
            self.intake.state("health", partial(self._show, problem), now_s)

    @property
    def is_missing(self) -> bool:
        """Whether the gateway has no such device."""
        return isinstance(self.device, str)

    def _show(self, problem: str) -> None:
        if problem == self._shown:
            return
        self._shown = problem
        if problem:
            self.remote.failed(problem)
        else:
            self.remote.works()

    def _ring(self, told: Told) -> None:
        match told:
            case Told(what="pressed"):
                self.remote.pressed()
            case Told(what="held", held_ms=held_ms):
                self.remote.held(held_ms)
            case Told(held_ms=held_ms):
                self.remote.released(held_ms)
