"""`portero listen --voice FILE`: record what is said on a channel."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import click

from agent.commands.exits import Failure
from agent.commands.output import local_time, print_json_line, printable
from agent.commands.remote import cause_of, gone

if TYPE_CHECKING:
    from agent.commands.channel import Channel, ChannelAddress
    from agent.workers.zello.wire import StreamStarted, VoicePacket

RATE_HZ = 16_000


class Recorder(Protocol):
    """Where packets go; `seconds` is what has been recorded."""

    @property
    def seconds(self) -> float: ...

    def add(self, packet: VoicePacket) -> None: ...


class OggRecorder:
    """The packets as they came; what is broken is left out."""

    def __init__(self, file: BinaryIO, stack: ExitStack) -> None:
        from agent.voice.ogg import OggOpusWriter

        self._writer = stack.enter_context(OggOpusWriter(file, sample_rate_hz=RATE_HZ))

    @property
    def seconds(self) -> float:
        return self._writer.written_us / 1e6

    def add(self, packet: VoicePacket) -> None:
        from agent.model.errors import LocalProtocolError

        try:
            self._writer.write(packet.payload)
        except LocalProtocolError:
            return


class WavRecorder:
    """The packets decoded; what is broken is left out."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        from agent.voice.codec import Codec
        from agent.voice.wav import WavWriter

        self._codec = Codec(RATE_HZ)
        self._writer = stack.enter_context(WavWriter(path, RATE_HZ))
        self._stream: int | None = None

    @property
    def seconds(self) -> float:
        return self._writer.seconds

    def add(self, packet: VoicePacket) -> None:
        from agent.voice.codec import CodecError

        if packet.stream_id != self._stream:
            self._stream = packet.stream_id
            self._codec.reset_decoder()
        try:
            _, pcm = self._codec.decode_packet(packet.data)
        except CodecError:
            return
        self._writer.write(pcm)


def record(
    address: ChannelAddress, path: Path, *, count: int | None, as_json: bool, ca_path: Path | None
) -> None:
    """Record until Ctrl-C, or until `count` talks are over. Raises: Failure."""
    import trio

    from agent.model.errors import AuthenticationError, PeerError

    with ExitStack() as stack:
        match path.suffix.lower():
            case ".wav":
                recorder: Recorder = WavRecorder(path, stack)
            case ".ogg" | ".opus":
                recorder = OggRecorder(stack.enter_context(path.open("wb")), stack)
            case other:
                raise click.BadParameter(
                    f"expected FILE.wav, FILE.ogg or FILE.opus, got {other or 'no ending'!r}.",
                    param_hint="--voice",
                )
        try:
            trio.run(partial(_record, address, recorder, count, as_json))
        except (BaseExceptionGroup, AuthenticationError, PeerError) as error:
            match cause_of(error):
                case AuthenticationError() as refused:
                    raise Failure(
                        f"the server refused to let this account listen ({refused})",
                        todo="`portero user list` on the door shows accounts and their roles.",
                    ) from error
                case PeerError() as lost:
                    raise gone(lost, ca_path) from error
                case None:
                    raise
                case cause:
                    raise cause from None


async def _record(address: ChannelAddress, recorder: Recorder, count: int | None, as_json: bool) -> None:
    from agent.commands.channel import open_channel

    async with open_channel(address) as channel:
        if sys.stderr.isatty():
            click.echo(f"listening to {printable(channel.name)}; Ctrl-C ends it", err=True)
        await _follow(channel, recorder, count, as_json)


async def _follow(channel: Channel, recorder: Recorder, count: int | None, as_json: bool) -> None:
    from agent.workers.zello.wire import StreamStarted, StreamStopped, TextReceived, VoicePacket

    talks: dict[int, tuple[StreamStarted, int, float]] = {}
    over = 0
    while True:
        match await channel.heard():
            case StreamStarted() as talk:
                talks[talk.stream_id] = (talk, time.time_ns(), recorder.seconds)
            case VoicePacket() as packet if packet.stream_id in talks:
                recorder.add(packet)
            case StreamStopped(stream_id=number) if number in talks:
                talk, at_ns, before_s = talks.pop(number)
                _print(talk, at_ns, recorder.seconds - before_s, as_json)
                over += 1
                if over == count:
                    return
            case TextReceived(sender=sender, text=text) if not as_json:
                click.echo(f"{local_time(time.time_ns())}  {printable(sender)} writes: {printable(text)}")


def _print(talk: StreamStarted, at_ns: int, spoken_s: float, as_json: bool) -> None:
    if as_json:
        print_json_line(
            {
                "started_at_ns": at_ns,
                "channel": talk.channel,
                "from": talk.sender,
                "duration_s": round(spoken_s, 2),
            }
        )
        return
    click.echo(f"{local_time(at_ns)}  {printable(talk.sender)} spoke for {spoken_s:.1f} s")
