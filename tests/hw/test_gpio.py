"""What only gpiozero's side has: resistors, glitch filter, error translation, and getting at lgpio."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from gpiozero.devices import Device
from gpiozero.pins.mock import MockFactory
from harness.bench import MockBench

import hw.gpio
from hw.errors import HardwareError
from hw.gpio import GpioPins, import_lgpio, open_factory
from hw.pins import ButtonPins, ContactPins, LockPins, Pull


@pytest.mark.parametrize(("pull", "resistor"), [("up", "up"), ("down", "down"), ("none", "floating")])
def test_pull(pull: Pull, resistor: str) -> None:
    factory = MockFactory()
    GpioPins(factory).open_input("bell", ButtonPins(pin=17, pull=pull))
    assert factory.pin(17).pull == resistor


@pytest.mark.parametrize(("glitch_us", "bounce"), [(0, None), (2500, 0.0025)])
def test_glitch_filter(glitch_us: int, bounce: float | None) -> None:
    factory = MockFactory()
    GpioPins(factory).open_input("bell", ButtonPins(pin=17, glitch_us=glitch_us))
    assert factory.pin(17).bounce == bounce


@pytest.mark.parametrize(
    ("active_low", "normally_closed", "active_at_high"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, True)],
)
def test_contact_polarity(active_low: bool, normally_closed: bool, active_at_high: bool) -> None:
    factory = MockFactory()
    pins = ContactPins(pin=5, active_low=active_low, normally_closed=normally_closed)
    port = GpioPins(factory).open_input("lid", pins)
    factory.pin(5).drive_high()
    assert port.active is active_at_high
    factory.pin(5).drive_low()
    assert port.active is not active_at_high


@pytest.mark.parametrize("active_low", [False, True])
def test_a_closed_relay_line_leans_towards_rest(active_low: bool) -> None:
    factory = MockFactory()
    line = GpioPins(factory).open_line("front", LockPins(pin=27, active_low=active_low))
    line.drive(True)
    line.close()
    line.close()
    pin = factory.pin(27)
    assert (pin.function, pin.pull) == ("input", "up" if active_low else "down")
    with pytest.raises(HardwareError, match="is closed"):
        line.drive(True)
    with pytest.raises(HardwareError, match="is closed"):
        line.read()


def test_library_errors_are_translated_with_their_cause() -> None:
    bench = MockBench({"front": LockPins(pin=27)})
    bench.break_wire("front")
    with pytest.raises(HardwareError) as caught:
        bench.pins.open_line("front", LockPins(pin=27))
    assert str(caught.value) == "front: broken on the bench"
    assert isinstance(caught.value.__cause__, OSError)
    bench.mend_wire("front")


def test_errors_of_the_library_below_are_translated() -> None:
    class Oops(Exception):
        pass

    class Factory:
        def pin(self, number: int) -> None:
            raise Oops

    with pytest.raises(HardwareError, match="front: Oops"):
        GpioPins(Factory(), errors=(Oops,)).open_line("front", LockPins(pin=27))
    with pytest.raises(Oops):
        GpioPins(Factory()).open_line("front", LockPins(pin=27))


def test_no_factory_becomes_global() -> None:
    with GpioPins(MockFactory()) as pins:
        pins.open_line("front", LockPins(pin=27)).drive(True)
    assert Device.pin_factory is None


def test_without_lgpio(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "lgpio", None)
    monkeypatch.delitem(sys.modules, "hw.lgpio_line", raising=False)
    monkeypatch.delitem(sys.modules, "gpiozero.pins.lgpio", raising=False)
    monkeypatch.setenv("LG_WD", str(tmp_path))
    with pytest.raises(HardwareError, match="lgpio is not installed") as caught:
        open_factory()
    assert caught.value.endpoint == "board"


class TestSideEffectsOfLgpio:
    """A stand-in for lgpio does at import what the real one does: change directory, leave a FIFO."""

    @pytest.fixture(autouse=True)
    def stand_in(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "lgpio.py").write_text(
            "import os\n"
            "os.chdir(os.environ['LG_WD'])\n"
            "os.mkfifo('.lgd-nfy0')\n"
            "raise ImportError('far enough')\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        for name in ("lgpio", "hw.lgpio_line", "gpiozero.pins.lgpio"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.setenv("LG_WD", "")  # so that what import_lgpio() sets is undone
        monkeypatch.delenv("LG_WD")

    def test_the_working_directory_is_put_back(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        runtime = tmp_path / "run"
        runtime.mkdir()
        monkeypatch.setenv("RUNTIME_DIRECTORY", f"{runtime}:/elsewhere")
        before = os.getcwd()
        with pytest.raises(HardwareError):
            import_lgpio()
        assert os.getcwd() == before
        assert [entry.name for entry in runtime.iterdir()] == [".lgd-nfy0"]

    def test_a_directory_that_is_given_is_kept(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("LG_WD", str(tmp_path / "gone"))
        with pytest.raises(HardwareError, match=r"writable directory, LG_WD=.*gone"):
            import_lgpio()


def test_persisting_outputs_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hw.gpio, "outputs_persist", lambda: True)
    hw.gpio.warn_of_persistence()
    assert "docs/wiring.md" in caplog.text
