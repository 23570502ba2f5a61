from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.commands import machine_checks
from agent.commands.finding import Finding
from agent.journal.opening import open_database
from agent.journal.rows import entry_row
from agent.model.events import ButtonPressed
from agent.model.records import Entry


def results(found: list[Finding]) -> list[tuple[str, str]]:
    for finding in found:
        assert finding.result == "ok" or finding.todo, finding
    return [(finding.check, finding.result) for finding in found]


def test_gpio_needs_a_pi(tmp_path: Path) -> None:
    found = [*machine_checks.gpio(devices=tmp_path, model=tmp_path / "none")]
    assert results(found) == [("gpio", "warn")]
    model = tmp_path / "model"
    model.write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    found = [*machine_checks.gpio(devices=tmp_path, model=model)]
    assert results(found) == [("gpio", "fail")]
    assert "pinctrl-bcm2711" in found[0].found


def test_gpio_of_a_pi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model"
    model.write_bytes(b"Raspberry Pi 4 Model B Rev 1.4\0")
    monkeypatch.setattr("hw.chip.find_chip", lambda labels, *, devices: 3)
    monkeypatch.setattr("hw.chip.outputs_persist", lambda: True)
    found = [*machine_checks.gpio(devices=tmp_path, model=model)]
    assert results(found) == [("gpio", "ok"), ("gpio", "warn")]
    assert found[0].found == "Raspberry Pi 4 Model B Rev 1.4: /dev/gpiochip3"
    assert "strict_gpiod" in found[1].todo


def test_clock(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = state / "journal.db"
    monkeypatch.setattr(machine_checks, "_synchronised", lambda: True)
    assert results([*machine_checks.clock(journal)]) == [("clock", "ok"), ("clock sync", "ok")]
    database = open_database(journal)
    later_ns = time.time_ns() + 3_600_000_000_000
    later = Entry(boot_id="b", seq=1, at_ns=later_ns, event=ButtonPressed(endpoint="bell"))
    database.commit([entry_row(later)])
    database.close()
    monkeypatch.setattr(machine_checks, "_synchronised", lambda: False)
    assert results([*machine_checks.clock(journal)]) == [("clock", "warn"), ("clock sync", "warn")]
    monkeypatch.setattr(time, "time_ns", lambda: 7_000_000_000)
    found = [*machine_checks.clock(journal)]
    assert results(found)[0] == ("clock", "fail")
    assert "1970-01-01" in found[0].found


def test_asking_the_kernel_for_its_time_service_works_here() -> None:
    assert machine_checks._synchronised() in (True, False)


@pytest.mark.parametrize(("free_mib", "result"), [(10_000, "ok"), (100, "warn"), (5, "fail")])
def test_disk(free_mib: int, result: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free_mib * 1024**2))
    assert results([*machine_checks.disk(tmp_path / "not" / "there")]) == [("disk", result)]


@pytest.mark.parametrize(
    ("text", "result", "found"),
    [
        ("Uid:\t0\t0\t0\t0\nNoNewPrivs:\t0\nSeccomp:\t0\n", "warn", "root"),
        ("Uid:\t999\t999\t999\t999\nNoNewPrivs:\t1\nSeccomp:\t0\n", "warn", "any system call"),
        ("Uid:\t999\t999\t999\t999\nNoNewPrivs:\t1\nSeccomp:\t2\n", "ok", "own account"),
    ],
)
def test_sandbox(text: str, result: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "47").mkdir()
    (tmp_path / "47" / "status").write_text(text)
    report = [*machine_checks.sandbox({"pid": 47}, processes=tmp_path)]
    assert results(report) == [("sandbox", result)]
    assert found in report[0].found


def test_sandbox_of_nobody(tmp_path: Path) -> None:
    assert not [*machine_checks.sandbox(None)]
    assert not [*machine_checks.sandbox({"pid": 47}, processes=tmp_path)]
    assert not [*machine_checks.sandbox({"pid": 47, "simulated": True}, processes=tmp_path)]


def test_serial_devices(tmp_path: Path) -> None:
    port = tmp_path / "ttyUSB0"
    port.touch()
    there = ["/dev/serial/by-id/usb-A"]
    assert [one.result for one in machine_checks.serial({"front": str(port)}, there)] == ["warn"]
    (gone,) = machine_checks.serial({"front": str(tmp_path / "none")}, there)
    assert (gone.result, "usb-A" in gone.todo) == ("fail", True)
    assert [one.found for one in machine_checks.serial({}, there)] == [f"not used: {there[0]}"]
    assert list(machine_checks.serial({}, [])) == []
