"""The host's side of Portero IO: a device that carries relays, inputs and lamps, over a serial port.

What is said and when is docs/portero-io.md. In short: a session begins with outputs off; it lives while each
side hears that the other one hears it; when it is over, outputs are off again within a second, whoever of the
two noticed.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from typing import Protocol

import trio

from hw.errors import HardwareError, MalformedFrame
from hw.io_frame import Deframer, encode_frame
from hw.io_wire import (
    BEAT_S,
    LOST_AFTER_S,
    NO_SESSION,
    RESEND_S,
    SENDS,
    VERSION,
    Ack,
    Beat,
    DeviceMessage,
    End,
    Ended,
    Hello,
    HostMessage,
    InputAck,
    InputChanged,
    Kind,
    Nack,
    Reason,
    SetOutput,
    State,
    Welcome,
    decode_device,
    encode,
)
from hw.serial import SerialPort, keep_open

MAX_WAITING = 8
TURN_S = 1.0
SILENT_S = 1.0
FAREWELL_S = 0.02
NOT_OPEN = "not connected yet"
STOPPED = "the link to it has been stopped"
NOISE = "what comes from it cannot be read: is the baud rate right, is it a Portero IO device?"
SILENT = "does not answer: is it a Portero IO device, are the two data wires crossed?"
LOST = f"nothing was heard from it for {LOST_AFTER_S:g} s, its outputs are off"
ENDED = "it has restarted, or lost the link; its outputs are off"
UNCONFIRMED = "did not confirm an order; its outputs are off"
_WORDS = {
    Reason.NO_CHANNEL: "has no such channel",
    Reason.NO_OUTPUT: "this channel is an input",
    Reason.BAD_TIME: "the device does not keep a relay on for so long",
    Reason.FAULT: "the device says that it cannot switch this output",
    Reason.TOO_OLD: "the order came too late",
}


class IoListener(Protocol):
    """Who is told. Called in trio; neither waits nor raises."""

    def up(self, device: Welcome) -> None:
        """A session has begun: all outputs are off, the inputs as `device.levels` says."""

    def lost(self, reason: str) -> None:
        """There is none: all outputs are off, or will be within a second; inputs are unknown."""

    def input_changed(self, channel: int, active: bool) -> None:
        """Each change once and in order, short ones too; only what overflows in the device is left out."""

    def output_changed(self, channel: int, on: bool) -> None:
        """An output is so now, also because its time was over."""


class _Order:
    """A SetOutput that waits for its answer. reason: why not; empty when done."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.answered = trio.Event()
        self.reason = ""

    def settle(self, reason: str) -> None:
        if not self.answered.is_set():
            self.reason = reason
            self.answered.set()


class _Session:
    """What holds from a Welcome on."""

    def __init__(self, welcome: Welcome, now: float) -> None:
        self.welcome = welcome
        self.id = welcome.session
        self.levels = welcome.levels
        self.alive_until = now + LOST_AFTER_S
        self.beats = 0  # sent
        self.beats_heard = 0  # by the device, as it says
        self.state = 0  # the newest that we have
        self.change = 0
        self.sequence = 0
        self.order: _Order | None = None


class IoLink:
    """One device. `run` owns the port and everything that waits for it; one task runs it.

    open_port: gives a port, with the device looked up anew. malformed, stale: messages that were no messages,
    and those of another session. missed: input changes that the device had no room to keep.
    """

    def __init__(
        self,
        name: str,
        open_port: Callable[[], SerialPort],
        listener: IoListener,
        *,
        nonce: Callable[[], int] = lambda: secrets.randbits(32),
    ) -> None:
        self.name = name
        self.malformed = 0
        self.stale = 0
        self.missed = 0
        self._open_port = open_port
        self._listener = listener
        self._new_nonce = nonce
        self._nonce = 0
        self._port: SerialPort | None = None
        self._deframer = Deframer()
        self._noise_told = 0
        self._session: _Session | None = None
        self._problem = NOT_OPEN
        self._kick = trio.Event()
        self._turn = trio.Lock()
        self._waiting = 0

    @property
    def up(self) -> bool:
        """A session runs."""
        return self._session is not None

    @property
    def problem(self) -> str:
        """Why there is none; empty while there is."""
        return "" if self._session is not None else self._problem

    @property
    def device(self) -> Welcome | None:
        """What the device said of itself; None without a session."""
        return None if self._session is None else self._session.welcome

    @property
    def noise(self) -> int:
        """Bytes that were part of nothing, since the port was opened."""
        return self._deframer.noise

    def is_on(self, channel: int) -> bool:
        """An output that is on, an input that is active, as told last; False without a session."""
        return self._session is not None and bool(self._session.levels >> channel & 1)

    async def run(self) -> None:
        """For ever: open the port, serve it, open it again when it comes back. Cancellation: outputs off."""
        try:
            await keep_open(self._open_port, self.serve, self._tell_lost)
        finally:
            self._tell_lost(STOPPED)

    async def set_output(self, channel: int, on: bool, for_ms: int = 0) -> None:
        """Switch an output; returns when the device has done so.

        for_ms: how long it stays on, 1 to the device's maximum; a lamp may stay on without an end (0). An
        order after this one replaces it. An order without an answer within 300 ms ends the session, and
        with it every output: what was told as failed does not happen later.
        Raises: HardwareError. Cancellation: it may have happened.
        """
        if not 0 <= channel < 2**5 or not 0 <= for_ms < 2**32:
            raise HardwareError(self.name, "no such channel or time")
        if self._waiting >= MAX_WAITING:
            raise HardwareError(self.name, "too many orders wait for it")
        session = self._running()
        self._waiting += 1
        try:
            with trio.move_on_after(TURN_S) as waiting:
                await self._turn.acquire()
            if waiting.cancelled_caught:
                raise HardwareError(self.name, "busy")
            try:
                if self._session is not session:
                    raise HardwareError(self.name, self.problem or ENDED)
                reason = await self._order(session, channel, on, for_ms)
            finally:
                self._turn.release()
        finally:
            self._waiting -= 1
        if reason:
            raise HardwareError(self.name, reason)

    async def serve(self, port: SerialPort) -> None:
        """Use one open port until it fails; the caller closes it. Raises: HardwareError."""
        self._port = port
        self._deframer = Deframer()
        self._noise_told = 0
        self._nonce = self._new_nonce()
        reason = STOPPED
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(port.drain)
                nursery.start_soon(self._receive, port)
                nursery.start_soon(self._beat)
        except* HardwareError as failures:
            first: BaseException = failures
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            reason = first.reason if isinstance(first, HardwareError) else str(first)
        finally:
            await self._farewell()
            self._port = None
            self._lose(reason)
        raise HardwareError(self.name, reason)

    async def _order(self, session: _Session, channel: int, on: bool, for_ms: int) -> str:
        """Send it until it is answered. Gives why not, or nothing."""
        session.sequence += 1
        order = session.order = _Order(session.sequence)
        message = SetOutput(session.id, order.sequence, channel, on, for_ms)
        try:
            for _ in range(SENDS):
                self._send(message)
                with trio.move_on_after(RESEND_S):
                    await order.answered.wait()
                if order.answered.is_set():
                    return order.reason
        finally:
            session.order = None
        self._lose(UNCONFIRMED)
        return UNCONFIRMED

    async def _receive(self, port: SerialPort) -> None:
        """Raises: HardwareError when the port is gone."""
        while True:
            for payload in self._deframer.feed(await port.receive_some()):
                try:
                    message = decode_device(payload)
                except MalformedFrame:
                    self.malformed += 1
                    continue
                self._take(message)

    async def _beat(self) -> None:
        """Say that we live, notice that the device does not. Raises: HardwareError when the port is gone."""
        silent_at = trio.current_time() + SILENT_S
        beat_at = hello_at = trio.current_time()
        while True:
            now = trio.current_time()
            session = self._session
            if session is None:
                if hello_at <= now:  # also when sessions end as soon as they begin
                    hello_at = now + BEAT_S
                    self._send(Hello(VERSION, self._nonce))
                if silent_at <= now:
                    silent_at = now + SILENT_S
                    self._tell_silent()
                wake_at = hello_at
            elif session.alive_until <= now:
                self._lose(LOST)
                continue
            else:
                if beat_at <= now or session.beats == 0:
                    beat_at = now + BEAT_S
                    session.beats += 1
                    self._send(Beat(session.id, session.beats, session.state))
                silent_at = now + SILENT_S
                wake_at = min(beat_at, session.alive_until)
            with trio.move_on_at(wake_at):
                await self._kick.wait()
            self._kick = trio.Event()

    def _take(self, message: DeviceMessage) -> None:
        if isinstance(message, Welcome):
            self._welcome(message)
            return
        session = self._session
        if session is None or message.session != session.id:
            self.stale += 1
            return
        match message:
            case State():
                self._state(session, message)
            case InputChanged(sequence=sequence, channel=channel, active=active):
                if sequence > session.change:
                    self.missed += sequence - session.change - 1
                    session.change = sequence
                    session.levels = session.levels & ~(1 << channel) | active << channel
                    self._listener.input_changed(channel, active)
                with contextlib.suppress(HardwareError):  # `_beat` meets it, too
                    self._send(InputAck(session.id, sequence))
            case Ack(sequence=sequence):
                if session.order is not None and session.order.sequence == sequence:
                    session.order.settle("")
            case Nack(sequence=sequence, reason=reason):
                if session.order is not None and session.order.sequence == sequence:
                    session.order.settle(_WORDS[reason])
            case Ended():
                self._lose(ENDED)

    def _welcome(self, welcome: Welcome) -> None:
        if self._session is not None or welcome.nonce != self._nonce:
            self.stale += 1
        elif welcome.session == NO_SESSION or welcome.version != VERSION:
            self._tell_lost(f"speaks version {welcome.version} of the protocol, this door speaks {VERSION}")
        else:
            self._session = _Session(welcome, trio.current_time())
            self._kick.set()
            self._listener.up(welcome)

    def _state(self, session: _Session, state: State) -> None:
        if state.number <= session.state:
            self.stale += 1
            return
        session.state = state.number
        if session.beats_heard < state.heard <= session.beats:
            session.beats_heard = state.heard
            session.alive_until = trio.current_time() + LOST_AFTER_S
        changed = session.levels ^ state.levels
        for channel, kind in enumerate(session.welcome.kinds):
            if kind is not Kind.INPUT and changed >> channel & 1:
                session.levels ^= 1 << channel
                self._listener.output_changed(channel, bool(state.levels >> channel & 1))

    def _running(self) -> _Session:
        if self._session is None:
            raise HardwareError(self.name, self._problem)
        return self._session

    def _send(self, message: HostMessage) -> None:
        """Raises: HardwareError."""
        if self._port is None:
            raise HardwareError(self.name, self.problem or NOT_OPEN)
        self._port.send_nowait(encode_frame(encode(message)))

    async def _farewell(self) -> None:
        """Let the outputs fall now and not when the device misses us."""
        if self._session is None:
            return
        with contextlib.suppress(HardwareError):
            self._send(End(self._session.id))
            with trio.CancelScope(shield=True):  # what the closing port would throw away
                await trio.sleep(FAREWELL_S)

    def _lose(self, reason: str) -> None:
        """End the session, if there is one; `_beat` asks for another."""
        session, self._session = self._session, None
        if session is None:
            return
        self._nonce = self._new_nonce()
        self._kick.set()
        if session.order is not None:
            session.order.settle(reason)
        self._problem = reason
        self._listener.lost(reason)

    def _tell_silent(self) -> None:
        """Nobody has answered for a second; noise says that somebody tries."""
        heard, self._noise_told = self._deframer.noise - self._noise_told, self._deframer.noise
        self._tell_lost(NOISE if heard else SILENT)

    def _tell_lost(self, reason: str) -> None:
        """Without a session: why, once."""
        if self._session is None and reason != self._problem:
            self._problem = reason
            self._listener.lost(reason)
