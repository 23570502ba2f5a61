"""`portero talk`: speak on a channel of the door, and so through its loudspeaker."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.commands.channel_options import channel_address, channel_options
from agent.commands.exits import BUSY, Failure
from agent.commands.output import duration, json_option, print_json, print_line
from agent.commands.remote import cause_of, gone
from agent.commands.state import state_option

if TYPE_CHECKING:
    from agent.commands.channel import ChannelAddress

PACKET_MS = 20
MAX_S = 60.0
BUSY_WORDS = ("channel busy", "busy")


@click.command()
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="[FILE]"
)
@click.option(
    "--microphone",
    metavar="DEVICE",
    default="default",
    show_default=True,
    help="Where to hear you when no FILE is given; `portero audio devices` lists them.",
)
@channel_options
@json_option
@state_option
def talk(
    file: Path | None,
    microphone: str,
    channel: str | None,
    url: str | None,
    user: str | None,
    password_stdin: bool,
    ca_path: Path | None,
    as_json: bool,
) -> None:
    """Speak through the door.

    What is in FILE (WAV), or what this machine's microphone hears until Ctrl-C.

    You are a client on a channel like any phone: whoever listens to it hears you too. While it rings, this
    answers the call.
    """
    import trio

    from agent.model.errors import AuthenticationError, PeerError
    from hw.errors import HardwareError

    sound = None if file is None else _read(file)
    address = channel_address(
        channel=channel,
        url=url,
        user=user,
        password_stdin=password_stdin,
        ca_path=ca_path,
        talk=True,
    )
    try:
        spoken_s = trio.run(partial(_talk, address, sound, microphone))
    except (BaseExceptionGroup, AuthenticationError, PeerError, HardwareError) as error:
        raise _explained(error, user, ca_path) from error
    if as_json:
        print_json({"channel": address.channel, "duration_s": round(spoken_s, 2)})
    else:
        print_line(f"{address.channel}: {duration(round(spoken_s, 1))} spoken")


def _read(file: Path) -> bytes:
    from agent.model.errors import MalformedMessage
    from agent.voice.wav import read_wav

    try:
        sound = read_wav(file)
    except MalformedMessage as error:
        raise Failure(f"{file}: {error.reason}", todo="Give a WAV file with PCM sound.") from error
    if not sound:
        raise Failure(f"{file}: there is no sound in it")
    return sound


async def _talk(address: ChannelAddress, sound: bytes | None, device: str) -> float:
    """Speak; the seconds that were sent."""
    import trio

    from agent.commands.channel import open_channel
    from agent.model.errors import PeerError
    from agent.voice.codec import Codec
    from agent.workers.zello.wire import CodecHeader, StartStream, StopStream

    codec = Codec(16_000, PACKET_MS * 1000)
    periods = _of_sound(sound, codec.frame_bytes) if sound is not None else _of_microphone(device)
    async with open_channel(address) as channel, aclosing(periods):
        reply = await channel.ask(
            StartStream(codec=CodecHeader(16_000, 1, PACKET_MS), packet_ms=PACKET_MS, channel=channel.name)
        )
        if not reply.success or reply.stream_id is None:
            raise PeerError(reply.error or "the server gave no stream")
        if sound is None and sys.stderr.isatty():
            click.echo("speak now; Ctrl-C ends it", err=True)
        stream, number = reply.stream_id, 0
        begun = trio.current_time()
        try:
            async for pcm in periods:
                await channel.send(codec.encode_packet(stream, number, pcm))
                number += 1
                if number * PACKET_MS / 1000 >= MAX_S:
                    break
                if sound is not None:
                    await trio.sleep_until(begun + number * PACKET_MS / 1000)
        finally:
            # Also after Ctrl-C: the others shall hear the end of it.
            with trio.move_on_after(2.0) as ending:
                ending.shield = True
                await channel.ask(StopStream(stream_id=stream, channel=channel.name))
        return number * PACKET_MS / 1000


async def _of_sound(sound: bytes, period_bytes: int) -> AsyncGenerator[bytes, None]:
    import trio

    for start in range(0, len(sound), period_bytes):
        await trio.lowlevel.checkpoint()
        yield sound[start : start + period_bytes].ljust(period_bytes, b"\0")


async def _of_microphone(device: str) -> AsyncGenerator[bytes, None]:
    from agent.voice.codec import Resampler
    from hw.audio import open_source

    source = await open_source(device, sample_rate_hz=16_000, period_ms=PACKET_MS)
    try:
        resampler = Resampler(source.format.sample_rate_hz, 16_000)
        waiting = bytearray()
        size = 16_000 * PACKET_MS // 1000 * 2
        while True:
            waiting += resampler.process(await source.read())
            while len(waiting) >= size:
                yield bytes(waiting[:size])
                del waiting[:size]
    finally:
        source.close()


def _explained(error: BaseException, user: str | None, ca_path: Path | None) -> BaseException:
    from agent.model.errors import AuthenticationError, PeerError
    from hw.errors import HardwareError

    match cause_of(error, HardwareError):
        case AuthenticationError() as refused:
            return Failure(
                f"the server refused {f'account {user}' if user else 'the throw-away account'} ({refused})",
                todo="`portero user list` on the door shows accounts and their roles.",
            )
        case PeerError() as lost if lost.reason in BUSY_WORDS:
            return Failure("somebody else speaks", code=BUSY, todo="Try again when they are done.")
        case PeerError() as lost:
            return gone(lost, ca_path)
        case HardwareError() as broken:
            return Failure(str(broken), todo="`portero audio devices` lists what this machine has.")
        case None:
            return error
        case other:
            return other
