"""The device's side of Portero IO, as its firmware has it: the reference for others; pure, time as argument.

What a device does and when is docs/portero-io.md, "The device"; this is the same in Python. hw/io_device.py
puts it on a pseudo-terminal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf

from hw.errors import MalformedFrame
from hw.io_frame import Deframer, encode_frame
from hw.io_wire import (
    BEAT_S,
    LOST_AFTER_S,
    NO_SESSION,
    RESEND_S,
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
    decode_host,
    encode,
)

MAX_CHANGES = 16
MAX_HISTORY = 1024
MAX_ON_MS = 30_000
ENDED_EVERY_S = 0.05
CHANNELS = (Kind.RELAY, Kind.RELAY, Kind.INPUT, Kind.INPUT, Kind.LAMP)


class Firmware:
    """One device: bytes and time in, frames out.

    boots: how often it has started; kept where a power cut does not reach it. broken: outputs that cannot be
    switched. executed: how many SetOutput it carried out. switched: (time, channel, on), the last 1024.
    malformed: frames with a right checksum that say nothing.
    """

    def __init__(
        self,
        kinds: Sequence[Kind] = CHANNELS,
        *,
        device: str = "portero-io",
        firmware: str = "reference 1",
        boots: int = 1,
        max_on_ms: int = MAX_ON_MS,
    ) -> None:
        self.kinds = tuple(kinds)
        self.device = device
        self.firmware = firmware
        self.boots = boots
        self.max_on_ms = max_on_ms
        self.levels = 0
        self.broken: set[int] = set()
        self.executed = 0
        self.malformed = 0
        self.dropped_changes = 0
        self.switched: deque[tuple[float, int, bool]] = deque(maxlen=MAX_HISTORY)
        self._alive_until: float
        self._state_at: float
        self._resend_at: float
        self._sessions = 0
        self._ended_at = -inf
        self._start()

    @property
    def in_session(self) -> bool:
        """Whether a host speaks to it."""
        return self._session != NO_SESSION

    def is_on(self, channel: int) -> bool:
        """An output that is on, an input that is active."""
        return bool(self.levels >> channel & 1)

    def next_due_s(self) -> float:
        """When `tick` has something to do."""
        due_s = min(self._off_at.values(), default=inf)
        if self.in_session:
            due_s = min(due_s, self._alive_until, self._state_at)
            if self._changes:
                due_s = min(due_s, self._resend_at)
        return due_s

    def tick(self, now_s: float) -> list[bytes]:
        """Do what is due. Gives the frames to send."""
        out: list[DeviceMessage] = []
        for channel, off_at in list(self._off_at.items()):
            if off_at <= now_s:
                self._switch(channel, False, now_s)
        if self.in_session and self._alive_until <= now_s:
            out.append(Ended(self._session))
            self._end(now_s)
        if self.in_session and self._state_at <= now_s:
            self._number += 1
            self._state_at = now_s + BEAT_S
            out.append(State(self._session, self._number, self._beat, self.levels))
        if self.in_session and self._changes and self._resend_at <= now_s:
            self._resend_at = now_s + RESEND_S
            out.append(self._changes[0])
        return [encode_frame(encode(message)) for message in out]

    def receive(self, data: bytes, now_s: float) -> list[bytes]:
        """Any bytes that have come. Gives the frames to send; never raises."""
        frames = self.tick(now_s)
        for payload in self._deframer.feed(data):
            try:
                message = decode_host(payload)
            except MalformedFrame:
                self.malformed += 1
                continue
            frames += [encode_frame(encode(answer)) for answer in self._answer(message, now_s)]
        return frames + self.tick(now_s)

    def move(self, channel: int, active: bool, now_s: float) -> list[bytes]:
        """Make an input so. Gives the frames to send. Raises: ValueError when it is no input."""
        if not 0 <= channel < len(self.kinds) or self.kinds[channel] is not Kind.INPUT:
            raise ValueError(f"channel {channel} is no input")
        if active == self.is_on(channel):
            return []
        self.levels ^= 1 << channel
        if not self.in_session:
            return []
        if len(self._changes) == MAX_CHANGES:
            self._changes.popleft()  # the newest ones tell how it is
            self.dropped_changes += 1
        self._sequence += 1
        self._changes.append(InputChanged(self._session, self._sequence, channel, active))
        if len(self._changes) == 1:
            self._resend_at = now_s
        self._state_at = now_s
        return self.tick(now_s)

    def reboot(self, now_s: float) -> None:
        """As when its supply fails and comes back."""
        self._drop(now_s)
        self.boots += 1
        self._sessions = 0
        self._start()

    def _start(self) -> None:
        self._deframer = Deframer()
        self._session = NO_SESSION
        self._nonce = 0
        self._begin(0.0)

    def _begin(self, now_s: float) -> None:
        """What a session knows, at its start."""
        self._off_at: dict[int, float] = {}
        self._changes: deque[InputChanged] = deque()
        self._resend_at = inf
        self._sequence = 0
        self._command = 0
        self._answered: Ack | Nack | None = None
        self._beat: int = 0
        self._heard: int = 0
        self._number: int = 0
        self._alive_until = now_s + LOST_AFTER_S
        self._state_at = now_s

    def _answer(self, message: HostMessage, now_s: float) -> list[DeviceMessage]:
        if isinstance(message, Hello):
            return [self._welcome(message, now_s)]
        if not self.in_session or message.session != self._session:
            if now_s - self._ended_at < ENDED_EVERY_S:
                return []
            self._ended_at = now_s
            return [Ended(message.session)]
        match message:
            case SetOutput():
                return [self._command_answer(message, now_s)]
            case Beat(number=number, heard=heard):
                self._beat = max(self._beat, number)
                if self._heard < heard <= self._number:
                    # Only what shows that the host hears us, too, keeps a relay on.
                    self._heard = heard
                    self._alive_until = now_s + LOST_AFTER_S
            case InputAck(sequence=sequence):
                if self._changes and self._changes[0].sequence == sequence:
                    self._changes.popleft()
                    self._resend_at = now_s
            case End():
                self._end(now_s)
        return []

    def _welcome(self, hello: Hello, now_s: float) -> Welcome:
        spoken = hello.version == VERSION
        if spoken and not (self.in_session and hello.nonce == self._nonce):
            self._end(now_s)
            self._sessions += 1
            if self._sessions > 0xFFFF:
                self.boots, self._sessions = self.boots + 1, 1
            self._session = self.boots << 16 | self._sessions
            self._nonce = hello.nonce
            self._begin(now_s)
        return Welcome(
            VERSION, hello.nonce, self._session if spoken else NO_SESSION, self.device, self.firmware,
            self.boots, self.kinds, self.levels, self.max_on_ms,
        )  # fmt: skip

    def _command_answer(self, command: SetOutput, now_s: float) -> Ack | Nack:
        if command.sequence == self._command and self._answered is not None:
            return self._answered  # a repetition: the answer was lost
        if command.sequence <= self._command:
            return Nack(self._session, command.sequence, Reason.TOO_OLD)
        self._command = command.sequence
        reason = self._execute(command, now_s)
        self._answered = (
            Ack(self._session, command.sequence)
            if reason is None
            else Nack(self._session, command.sequence, reason)
        )
        return self._answered

    def _execute(self, command: SetOutput, now_s: float) -> Reason | None:
        channel, for_ms = command.channel, command.for_ms
        if channel >= len(self.kinds):
            return Reason.NO_CHANNEL
        kind = self.kinds[channel]
        if kind is Kind.INPUT:
            return Reason.NO_OUTPUT
        if command.on and kind is Kind.RELAY and not 0 < for_ms <= self.max_on_ms:
            return Reason.BAD_TIME
        if channel in self.broken:
            return Reason.FAULT
        self.executed += 1
        self._switch(channel, command.on, now_s)
        if command.on and for_ms:
            self._off_at[channel] = now_s + for_ms / 1000
        self._state_at = now_s
        return None

    def _switch(self, channel: int, on: bool, now_s: float) -> None:
        self._off_at.pop(channel, None)
        if on != self.is_on(channel):
            self.levels ^= 1 << channel
            self.switched.append((now_s, channel, on))
            self._state_at = now_s

    def _drop(self, now_s: float) -> None:
        """Every output falls."""
        for channel, kind in enumerate(self.kinds):
            if kind is not Kind.INPUT:
                self._switch(channel, False, now_s)

    def _end(self, now_s: float) -> None:
        self._drop(now_s)
        self._session = NO_SESSION
        self._changes.clear()
