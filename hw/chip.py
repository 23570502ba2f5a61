"""Which GPIO chips this machine has, asked of the kernel; needs no GPIO library."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from hw.errors import HardwareError

CHIP_LABELS = ("pinctrl-rp1", "pinctrl-bcm2711", "pinctrl-bcm2835")
"""The chip behind the 40-pin header: Pi 5, Pi 4, and everything before."""

_CHIPINFO = struct.Struct("32s32sI")
_GPIO_GET_CHIPINFO_IOCTL = 0x8044B401


def find_chip(
    labels: Sequence[str],
    *,
    devices: Path = Path("/dev"),
    label_of: Callable[[Path], str] | None = None,
) -> int:
    """The number of the first chip that carries one of these labels; earlier labels are preferred.

    Raises: HardwareError naming the labels that were found instead.
    """
    read_label = label_of or chip_label
    numbered = [path for path in devices.glob("gpiochip*") if path.name.removeprefix("gpiochip").isdigit()]
    found: dict[str, int] = {}
    refused: list[str] = []
    for path in sorted(numbered, key=_chip_number):
        try:
            found.setdefault(read_label(path), _chip_number(path))
        except OSError as exc:
            refused.append(f"{path.name} ({exc.strerror})")
    for label in labels:
        if label in found:
            return found[label]
    seen = ", ".join(sorted(found)) or "none"
    unreadable = f"; not readable: {', '.join(refused)}" if refused else ""
    raise HardwareError(
        "board", f"expected a GPIO chip labelled {' or '.join(labels)}, found {seen}{unreadable}"
    )


def chip_label(device: Path) -> str:
    """The label of an open /dev/gpiochip device. Raises: OSError.

    Source: Linux user API, linux/gpio.h, struct gpiochip_info and GPIO_GET_CHIPINFO_IOCTL.
    """
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        info = fcntl.ioctl(fd, _GPIO_GET_CHIPINFO_IOCTL, bytes(_CHIPINFO.size))
    finally:
        os.close(fd)
    label: bytes = _CHIPINFO.unpack(info)[1]
    return label.split(b"\0")[0].decode(errors="replace")


def outputs_persist(modules: Path = Path("/sys/module")) -> bool:
    """Whether this kernel leaves an output at its level after the process that drove it has died.

    Raspberry Pi OS does so by default: a relay that was energised when the process was killed stays so until
    the next start. docs/wiring.md tells how to turn it off. Normal exits are not concerned.
    Source: Raspberry Pi documentation, "libgpiod" (dtparam=strict_gpiod), and the parameter
    persist_gpio_outputs of the kernel's pinctrl-bcm2835.
    """
    for parameter in modules.glob("pinctrl_*/parameters/persist_gpio_outputs"):
        try:
            if parameter.read_text().strip() in {"Y", "1"}:
                return True
        except OSError:
            continue
    return False


def _chip_number(path: Path) -> int:
    return int(path.name.removeprefix("gpiochip"))
