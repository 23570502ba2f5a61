"""Finding the chip by its label, on a pretended /dev and /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

from hw.chip import CHIP_LABELS, chip_label, find_chip, outputs_persist
from hw.errors import HardwareError


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    for name in ("gpiochip0", "gpiochip1", "gpiochip4", "gpiochip10", "gpiochip11", "gpiochipx", "null"):
        (tmp_path / name).touch()
    return tmp_path


LABELS = {
    "gpiochip0": "pl061",
    "gpiochip1": "raspberrypi-exp-gpio",
    "gpiochip4": "pinctrl-bcm2711",
    "gpiochip10": "door-sim",
    "gpiochip11": "door-sim",
}


def label_of(path: Path) -> str:
    return LABELS[path.name]


def test_by_label_not_by_number(devices: Path) -> None:
    assert find_chip(CHIP_LABELS, devices=devices, label_of=label_of) == 4
    assert find_chip(["door-sim"], devices=devices, label_of=label_of) == 10
    assert find_chip(["door-sim", "pl061"], devices=devices, label_of=label_of) == 10


def test_an_unknown_label_names_what_there_is(devices: Path) -> None:
    with pytest.raises(HardwareError) as caught:
        find_chip(["pinctrl-rp1"], devices=devices, label_of=label_of)
    assert caught.value.reason == (
        "expected a GPIO chip labelled pinctrl-rp1, "
        "found door-sim, pinctrl-bcm2711, pl061, raspberrypi-exp-gpio"
    )


def test_a_machine_without_chips(tmp_path: Path) -> None:
    with pytest.raises(HardwareError, match="found none"):
        find_chip(CHIP_LABELS, devices=tmp_path)


def test_a_chip_that_cannot_be_asked(devices: Path) -> None:
    def refuse(path: Path) -> str:
        if path.name == "gpiochip4":
            raise PermissionError(13, "Permission denied")
        return label_of(path)

    with pytest.raises(HardwareError, match=r"not readable: gpiochip4 \(Permission denied\)"):
        find_chip(CHIP_LABELS, devices=devices, label_of=refuse)
    assert find_chip(["door-sim"], devices=devices, label_of=refuse) == 10


def test_a_file_is_not_a_chip(devices: Path) -> None:
    with pytest.raises(OSError, match="Inappropriate ioctl"):
        chip_label(devices / "gpiochip0")


@pytest.mark.parametrize(("text", "persist"), [("Y\n", True), ("1\n", True), ("N\n", False), ("0\n", False)])
def test_outputs_persist(tmp_path: Path, text: str, persist: bool) -> None:
    assert not outputs_persist(tmp_path)
    parameters = tmp_path / "pinctrl_bcm2835" / "parameters"
    parameters.mkdir(parents=True)
    (parameters / "persist_gpio_outputs").write_text(text)
    assert outputs_persist(tmp_path) is persist
