"""`portero sim`: the hand of somebody who stands at the simulated door."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import click

from agent.commands.exits import Failure
from agent.commands.output import json_option, print_json, print_line, print_table
from agent.commands.state import connect, state_option
from agent.commands.submit import endpoint_argument, endpoints

ANSWER_S = 10.0
SECOND_BYTES = 32_000  # 16 kHz, 16 bit
SOUND_BYTES = SECOND_BYTES  # a control request has its limit
_FOR_MS = click.IntRange(min=1, max=60_000)
_DONE = {
    "press": "pressed and let go",
    "hold": "held and let go",
    "release": "let go",
    "bounce": "pressed with a bouncing contact, and let go",
    "open": "open",
    "close": "closed",
    "tamper": "active",
    "calm": "calm",
    "fail": "broken",
    "heal": "mended",
    "stall": "hangs",
}


@click.group(short_help="Play with the simulated board.")
@state_option
def sim() -> None:
    """Play with the simulated board of `portero run --sim`.

    ENDPOINT is a name as `portero status` shows it; for a lock's door contact it is the lock's name. The
    sound card is `sound_card`, for `fail`, `stall` and `heal`.
    """


def _ask(verb: str, endpoint: str | None, default: tuple[str, str], as_json: bool, **more: Any) -> None:
    """Send one verb. default: kind and role of the endpoint that is meant when none is named."""
    with connect() as agent:
        if endpoint is None:
            kind, role = default
            names = [row["name"] for row in endpoints(agent, kind) if not role or row.get("role") == role]
            if not names:
                raise Failure(f"this door has no {role or kind}", todo="`portero status` lists what it has.")
            if len(names) > 1:
                raise click.UsageError(f"this door has several: name one of {', '.join(names)}.")
            endpoint = names[0]
        given = {key: value for key, value in more.items() if value is not None}
        # The answer to a press comes when the finger is off the button.
        timeout_s = ANSWER_S + given.get("for_ms", 0) / 1000
        answer = agent.ask("sim", timeout_s=timeout_s, verb=verb, endpoint=endpoint, **given)
    if as_json:
        print_json(answer)
    else:
        print_line(f"{answer.get('endpoint')}: {_DONE[verb]}")


def _level(answer: dict[str, Any]) -> str:
    active = answer.get("active")
    return "unknown" if active is None else "active" if active else "at rest"


@sim.command()
@endpoint_argument("button")
@click.option("--for-ms", type=_FOR_MS, metavar="MS", help="How long; default 120.")
@json_option
@state_option
def press(endpoint: str | None, for_ms: int | None, as_json: bool) -> None:
    """Press a button and let it go."""
    _ask("press", endpoint, ("button", ""), as_json, for_ms=for_ms)


@sim.command()
@endpoint_argument("button")
@click.option("--for-ms", type=_FOR_MS, metavar="MS", help="How long; default 2000.")
@json_option
@state_option
def hold(endpoint: str | None, for_ms: int | None, as_json: bool) -> None:
    """Press a button for a long time."""
    _ask("hold", endpoint, ("button", ""), as_json, for_ms=for_ms)


@sim.command()
@endpoint_argument("button")
@json_option
@state_option
def release(endpoint: str | None, as_json: bool) -> None:
    """Let a button go."""
    _ask("release", endpoint, ("button", ""), as_json)


@sim.command()
@endpoint_argument("button")
@json_option
@state_option
def bounce(endpoint: str | None, as_json: bool) -> None:
    """Press a worn button, whose contact bounces."""
    _ask("bounce", endpoint, ("button", ""), as_json)


@sim.command("open")
@endpoint_argument("lock", "contact")
@json_option
@state_option
def open_(endpoint: str | None, as_json: bool) -> None:
    """Open the door (its contact)."""
    _ask("open", endpoint, ("lock", ""), as_json)


@sim.command()
@endpoint_argument("lock", "contact")
@json_option
@state_option
def close(endpoint: str | None, as_json: bool) -> None:
    """Shut the door (its contact)."""
    _ask("close", endpoint, ("lock", ""), as_json)


@sim.command()
@endpoint_argument("contact")
@json_option
@state_option
def tamper(endpoint: str | None, as_json: bool) -> None:
    """Make a contact alarm: the tamper loop, or the one named."""
    _ask("tamper", endpoint, ("contact", "tamper"), as_json)


@sim.command()
@endpoint_argument("contact")
@json_option
@state_option
def calm(endpoint: str | None, as_json: bool) -> None:
    """Let a contact come to rest: the tamper loop, or the one named."""
    _ask("calm", endpoint, ("contact", "tamper"), as_json)


@sim.command()
@endpoint_argument(required=True)
@click.option("--reason", metavar="TEXT", help="What the device says.")
@json_option
@state_option
def fail(endpoint: str, reason: str | None, as_json: bool) -> None:
    """Break a device."""
    _ask("fail", endpoint, ("", ""), as_json, reason=reason)


@sim.command()
@endpoint_argument(required=True)
@json_option
@state_option
def heal(endpoint: str, as_json: bool) -> None:
    """Mend a device."""
    _ask("heal", endpoint, ("", ""), as_json)


@sim.command()
@json_option
@state_option
def stall(as_json: bool) -> None:
    """Let the sound card hang: it gives and takes nothing, until `heal sound_card`."""
    _ask("stall", "sound_card", ("", ""), as_json)


@sim.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@state_option
def say(file: Path, as_json: bool) -> None:
    """Speak into the simulated microphone: a WAV file."""
    from agent.model.errors import MalformedMessage
    from agent.voice.wav import read_wav

    try:
        sound = read_wav(file)
    except MalformedMessage as error:
        raise Failure(f"{file}: {error.reason}", todo="Give a WAV file with PCM sound.") from error
    with connect() as agent:
        for start in range(0, len(sound), SOUND_BYTES):
            part = sound[start : start + SOUND_BYTES]
            agent.ask("sim_say", pcm=base64.b64encode(part).decode())
    _tell_sound(file, sound, "said at the door", as_json)


@sim.command()
@click.argument("file", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@json_option
@state_option
def hear(file: Path, as_json: bool) -> None:
    """Write what the simulated loudspeaker played last to FILE.wav."""
    from agent.voice.wav import WavWriter

    with connect() as agent:
        sound = base64.b64decode(agent.ask("sim_hear")["pcm"])
    with WavWriter(file) as writer:
        writer.write(sound)
    _tell_sound(file, sound, "was heard at the door", as_json)


def _tell_sound(file: Path, sound: bytes, what: str, as_json: bool) -> None:
    seconds = len(sound) / SECOND_BYTES
    if as_json:
        print_json({"path": str(file), "duration_s": round(seconds, 2)})
    else:
        print_line(f"{file}: {seconds:.1f} s {what}")


@sim.command()
@click.argument("number")
@click.option("--reader", default="front_reader", metavar="READER", help="Default front_reader.")
@json_option
@state_option
def tag(number: str, reader: str, as_json: bool) -> None:
    """Hold the tag with NUMBER to a simulated reader."""
    _ask_reader("tag", reader, number, f"tag held to {reader}", as_json)


@sim.command("type")
@click.argument("keys")
@click.option("--reader", default="front_reader", metavar="READER", help="Default front_reader.")
@json_option
@state_option
def type_(keys: str, reader: str, as_json: bool) -> None:
    """Type KEYS at a simulated reader; `#` ends a code."""
    _ask_reader("type", reader, keys, f"typed at {reader}", as_json)


@sim.command()
@click.argument("device", metavar="IO")
@click.argument("do", type=click.Choice(["on", "off", "plug", "unplug", "reboot"]))
@click.argument("channel", type=click.IntRange(0, 31), required=False)
@json_option
@state_option
def io(device: str, do: str, channel: int | None, as_json: bool) -> None:
    """Move the input CHANNEL of a simulated Portero IO device, pull it out, or restart it."""
    if (channel is None) == (do in ("on", "off")):
        raise click.UsageError("on and off need a channel, the others have none.")
    with connect() as agent:
        answer = agent.ask("io_sim", io=device, do=do, channel=channel)
    print_json(answer) if as_json else print_line(
        f"{device}: {do}" + ("" if channel is None else f" {channel}")
    )


def _ask_reader(do: str, reader: str, what: str, done: str, as_json: bool) -> None:
    with connect() as agent:
        answer = agent.ask("reader_sim", reader=reader, do=do, what=what)
    print_json(answer) if as_json else print_line(done)


@sim.command()
@endpoint_argument()
@json_option
@state_option
def state(endpoint: str | None, as_json: bool) -> None:
    """Show the level of one wire, or of all."""
    with connect() as agent:
        names = [endpoint] if endpoint is not None else [row["name"] for row in endpoints(agent)]
        answers = [agent.ask("sim", verb="state", endpoint=name) for name in names]
    if as_json:
        print_json(answers)
    elif endpoint is not None:
        print_line(f"{answers[0].get('endpoint')}: {_level(answers[0])}")
    else:
        rows = [(answer.get("endpoint"), _level(answer)) for answer in answers]
        print_table(("ENDPOINT", "LEVEL"), rows)
