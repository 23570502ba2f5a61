"""`portero audio`: the sound cards of this machine, and how the door hears and is heard."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from agent.commands.output import json_option, print_json, print_json_line, print_line, print_table
from agent.commands.state import connect, state_option

BAR_CHARS = 30
FLOOR_DBFS = -60.0
SILENCE_DBFS = -96.0
TEST_S = 15.0


@click.group(short_help="List sound cards, watch levels, test the door's sound.")
@state_option
def audio() -> None:
    """List sound cards, watch levels, test the door's sound."""


@audio.command()
@json_option
@state_option
def devices(as_json: bool) -> None:
    """List the sound devices of this machine, by the names that [voice] takes.

    A USB card changes its number from start to start: choose a name with CARD= in it, never hw:1.
    """
    from hw.audio import list_devices

    found = list_devices()
    if as_json:
        import msgspec

        print_json([msgspec.to_builtins(device) for device in found])
    elif not found:
        print_line("no sound devices on this machine (is a card plugged in? is this account in group audio?)")
    else:
        print_table(
            ("DEVICE", "HEARS", "SPEAKS", "WHAT IT IS"),
            [
                (
                    device.name,
                    "yes" if device.capture else "",
                    "yes" if device.playback else "",
                    device.description,
                )
                for device in found
            ],
        )


@audio.command()
@click.option("-n", "--count", type=click.IntRange(min=1), metavar="N", help="End after N readings.")
@json_option
@state_option
def levels(count: int | None, as_json: bool) -> None:
    """Watch how loud the door's microphone and loudspeaker are, until Ctrl-C.

    Speech at arm's length should stand between -30 and -12 dBFS: [voice] microphone_gain_db moves it.
    """
    with connect() as agent:
        for number, reading in enumerate(agent.stream("audio_levels"), start=1):
            if as_json:
                print_json_line(reading)
            else:
                _show(reading)
            if number == count:
                break
    if sys.stdout.isatty() and not as_json:
        click.echo()


def _show(reading: dict[str, Any]) -> None:
    line = "  ".join(
        f"{name} {_bar(reading.get(name))}" for name in ("microphone", "speaker") if name in reading
    )
    if sys.stdout.isatty():
        click.echo(f"\r{line}\x1b[K", nl=False)
    else:
        print_line(line)


def _bar(level: dict[str, Any] | None) -> str:
    if not level:
        return "off".ljust(BAR_CHARS + 11)
    dbfs = float(level.get("rms_dbfs", FLOOR_DBFS))
    filled = round(max(0.0, min(1.0, 1 - dbfs / FLOOR_DBFS)) * BAR_CHARS)
    voice = " voice" if level.get("voice") else ""
    return f"{'#' * filled:<{BAR_CHARS}} {dbfs:6.1f}{voice:<6}"


@audio.command()
@json_option
@state_option
def test(as_json: bool) -> None:
    """Play a chime at the door, listen for three seconds, and play back what was heard."""
    with connect() as agent:
        begun = time.monotonic()
        answer = agent.ask("audio_test", timeout_s=TEST_S)
    if as_json:
        print_json(answer)
        return
    heard = answer.get("heard") or {}
    rms, peak = (float(heard.get(key, SILENCE_DBFS)) for key in ("rms_dbfs", "peak_dbfs"))
    took_s = time.monotonic() - begun
    print_line(f"chime, listening, playback: {took_s:.1f} s; heard {rms:.1f} dBFS, peak {peak:.1f}")
    if rms < FLOOR_DBFS:
        print_line("that is silence: wrong device, muted, or unplugged? `portero audio devices` lists them")
