"""The reference device: bytes and time in, frames out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw.io_firmware import MAX_CHANGES, Firmware
from hw.io_frame import Deframer, encode_frame
from hw.io_wire import (
    LOST_AFTER_S,
    NO_SESSION,
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

RELAY, OTHER, BELL, DOOR, LAMP = range(5)
RANDOM_BYTES = 41_472_000  # an hour of 115200 baud


class Talk:
    """A host, by hand."""

    def __init__(self, firmware: Firmware | None = None) -> None:
        self.firmware = firmware or Firmware()
        self.now = 100.0
        self.heard: list[DeviceMessage] = []
        self.session = NO_SESSION
        self.beats = 0
        self._deframer = Deframer()

    def take(self, frames: list[bytes]) -> list[DeviceMessage]:
        told = [decode_device(payload) for frame in frames for payload in self._deframer.feed(frame)]
        self.heard += told
        return told

    def say(self, *messages: HostMessage) -> list[DeviceMessage]:
        data = b"".join(encode_frame(encode(message)) for message in messages)
        return self.take(self.firmware.receive(data, self.now))

    def begin(self, nonce: int = 1) -> int:
        (welcome,) = (told for told in self.say(Hello(1, nonce)) if isinstance(told, Welcome))
        self.session = welcome.session
        self.beats = 0
        return self.session

    def wait(self, wait_s: float) -> list[DeviceMessage]:
        """Time passes, nobody speaks."""
        end, told = self.now + wait_s, []
        while (due := self.firmware.next_due_s()) <= end:
            self.now = max(due, self.now)
            told += self.take(self.firmware.tick(self.now))
        self.now = end
        return told

    def live(self, live_s: float) -> None:
        """Time passes, the host beats."""
        end = self.now + live_s
        while self.now < end:
            self.beats += 1
            state = max(told.number for told in self.heard if isinstance(told, State))
            self.say(Beat(self.session, self.beats, state))
            self.wait(0.25)


def test_a_session() -> None:
    talk = Talk(Firmware((Kind.RELAY, Kind.INPUT), device="porch", firmware="1.0", boots=7))
    assert talk.say(Hello(1, 0x1234)) == [
        Welcome(1, 0x1234, 0x70001, "porch", "1.0", 7, (Kind.RELAY, Kind.INPUT), 0, 30000),
        State(0x70001, 1, 0, 0),
    ]
    assert talk.say(SetOutput(0x70001, 1, 0, True, 5000)) == [Ack(0x70001, 1), State(0x70001, 2, 0, 1)]


def test_a_hello_of_the_same_session_changes_nothing() -> None:
    talk = Talk()
    session = talk.begin(5)
    talk.say(SetOutput(session, 1, RELAY, True, 1000))
    assert talk.begin(5) == session
    assert talk.firmware.is_on(RELAY)
    assert talk.begin(6) == session + 1
    assert not talk.firmware.is_on(RELAY)


def test_a_version_that_it_does_not_speak() -> None:
    talk = Talk()
    (welcome,) = talk.say(Hello(2, 1))
    assert isinstance(welcome, Welcome)
    assert (welcome.session, welcome.version) == (NO_SESSION, 1)
    assert not talk.firmware.in_session


def test_each_session_has_another_number() -> None:
    talk = Talk()
    talk.firmware._sessions = 0xFFFD
    seen = [talk.begin(nonce) for nonce in range(1, 6)]
    assert seen == [0x1FFFE, 0x1FFFF, 0x20001, 0x20002, 0x20003]
    talk.firmware.reboot(talk.now)
    assert talk.begin(9) == 0x30001


@pytest.mark.parametrize(
    ("channel", "on", "for_ms", "reason"),
    [
        (5, True, 1, Reason.NO_CHANNEL), (BELL, True, 1, Reason.NO_OUTPUT), (RELAY, True, 0, Reason.BAD_TIME),
        (RELAY, True, 30_001, Reason.BAD_TIME), (OTHER, True, 1, Reason.FAULT),
        (OTHER, False, 0, Reason.FAULT),
    ],
)  # fmt: skip
def test_what_it_refuses(channel: int, on: bool, for_ms: int, reason: Reason) -> None:
    talk = Talk()
    session = talk.begin()
    talk.firmware.broken.add(OTHER)
    assert talk.say(SetOutput(session, 1, channel, on, for_ms)) == [Nack(session, 1, reason)]
    assert talk.firmware.executed == 0
    assert talk.firmware.levels == 0


def test_it_ends_an_output_by_itself() -> None:
    talk = Talk()
    session = talk.begin()
    talk.say(SetOutput(session, 1, RELAY, True, 2000))
    talk.say(SetOutput(session, 2, LAMP, True, 0))
    began = talk.now
    talk.live(3)
    assert [(round(at - began, 3), channel, on) for at, channel, on in talk.firmware.switched] == [
        (0, RELAY, True), (0, LAMP, True), (2, RELAY, False),
    ]  # fmt: skip


def test_another_order_replaces_the_time() -> None:
    talk = Talk()
    session = talk.begin()
    talk.say(SetOutput(session, 1, RELAY, True, 1000))
    talk.live(0.75)
    talk.say(SetOutput(session, 2, RELAY, True, 1000))
    talk.live(0.75)
    assert talk.firmware.is_on(RELAY)
    talk.say(SetOutput(session, 3, RELAY, False, 0))
    assert not talk.firmware.is_on(RELAY)


def test_an_order_is_carried_out_once() -> None:
    talk = Talk()
    session = talk.begin()
    order = SetOutput(session, 1, RELAY, True, 500)
    assert talk.say(order)[0] == Ack(session, 1)
    talk.live(0.75)
    assert not talk.firmware.is_on(RELAY)
    assert talk.say(order)[0] == Ack(session, 1)
    assert talk.firmware.executed == 1
    assert not talk.firmware.is_on(RELAY)
    talk.say(SetOutput(session, 2, RELAY, False, 0))
    assert talk.say(order) == [Nack(session, 1, Reason.TOO_OLD)]
    talk.begin(2)
    zero = SetOutput(talk.session, 0, RELAY, True, 500)
    assert talk.say(zero)[-1] == Nack(talk.session, 0, Reason.TOO_OLD), "sequences begin at 1"


def test_an_order_of_an_old_session_is_refused() -> None:
    talk = Talk()
    old = talk.begin()
    talk.begin(2)
    assert talk.say(SetOutput(old, 1, RELAY, True, 500)) == [Ended(old)]
    assert talk.say(SetOutput(old, 2, RELAY, True, 500)) == [], "it does not flood the line"
    assert talk.firmware.executed == 0


def test_a_host_that_is_silent_is_missed() -> None:
    talk = Talk()
    session = talk.begin()
    talk.say(SetOutput(session, 1, RELAY, True, 30_000))
    talk.live(5)
    assert talk.firmware.is_on(RELAY)
    began = talk.now
    told = talk.wait(2)
    assert told[-1] == Ended(session)
    at, channel, on = talk.firmware.switched[-1]
    assert (channel, on) == (RELAY, False)
    assert at - began <= LOST_AFTER_S


def test_an_order_that_lay_in_a_buffer_finds_no_session() -> None:
    talk = Talk()
    session = talk.begin()
    talk.now += LOST_AFTER_S
    assert Ended(session) in talk.say(SetOutput(session, 1, RELAY, True, 30_000))
    assert talk.firmware.executed == 0


def test_a_host_that_does_not_hear_is_missed() -> None:
    talk = Talk()
    session = talk.begin()
    talk.say(SetOutput(session, 1, RELAY, True, 30_000))
    for beat in range(1, 9):
        talk.say(Beat(session, beat, 1))
        talk.wait(0.1)
    assert not talk.firmware.is_on(RELAY)


def test_beats_of_the_past_and_of_the_future_keep_nothing_on() -> None:
    talk = Talk()
    session = talk.begin()
    talk.live(1)
    talk.say(SetOutput(session, 1, RELAY, True, 30_000))
    for n in range(12):
        talk.say(Beat(session, 2, 2), Beat(session, 99 + n, 9999 + n))
        talk.wait(0.1)
    assert not talk.firmware.is_on(RELAY)


def test_a_host_that_goes() -> None:
    talk = Talk()
    session = talk.begin()
    talk.say(SetOutput(session, 1, RELAY, True, 30_000), End(session))
    assert not talk.firmware.is_on(RELAY)
    assert not talk.firmware.in_session


def test_changes_are_repeated_until_they_are_acknowledged_in_order() -> None:
    talk = Talk()
    session = talk.begin()
    talk.live(0.25)
    talk.take(talk.firmware.move(BELL, True, talk.now))
    talk.take(talk.firmware.move(BELL, False, talk.now))
    first, second = (InputChanged(session, n, BELL, n == 1) for n in (1, 2))
    assert [told for told in talk.wait(0.35) if isinstance(told, InputChanged)] == [first] * 3
    assert second in talk.say(InputAck(session, 1), InputAck(session, 1), InputAck(session, 77))
    talk.say(InputAck(session, 2))
    assert not [told for told in talk.wait(0.35) if isinstance(told, InputChanged)]
    assert talk.firmware.move(BELL, False, talk.now) == []


def test_more_changes_than_it_keeps() -> None:
    talk = Talk()
    session = talk.begin()
    for n in range(MAX_CHANGES + 5):
        talk.firmware.move(DOOR, n % 2 == 0, talk.now)
    assert talk.firmware.dropped_changes == 5
    told: list[DeviceMessage] = []
    for n in range(1, 50):
        told += talk.say(InputAck(session, n))
    changes = [one for one in told if isinstance(one, InputChanged)]
    assert changes[-1].active is talk.firmware.is_on(DOOR)


def test_inputs_without_a_session_and_what_is_no_input() -> None:
    firmware = Firmware()
    assert firmware.move(BELL, True, 1) == []
    talk = Talk(firmware)
    (welcome, _) = talk.say(Hello(1, 1))
    assert isinstance(welcome, Welcome)
    assert welcome.levels == 1 << BELL
    for channel in (RELAY, -1, 5):
        with pytest.raises(ValueError, match="no input"):
            firmware.move(channel, True, 1)


@given(st.lists(st.binary(max_size=300), max_size=10))
def test_any_bytes_switch_nothing(parts: list[bytes]) -> None:
    talk = Talk()
    talk.begin()
    for data in parts:
        talk.take(talk.firmware.receive(data, talk.now))
    assert not talk.firmware.switched


@given(st.data())
def test_an_order_with_flipped_bits_switches_nothing(draw: st.DataObject) -> None:
    talk = Talk()
    frame = bytearray(encode_frame(encode(SetOutput(talk.begin(), 1, RELAY, True, 1000))))
    for bit in draw.draw(st.sets(st.integers(8, len(frame) * 8 - 9), min_size=1, max_size=3)):
        frame[bit // 8] ^= 1 << bit % 8
    talk.take(talk.firmware.receive(bytes(frame) + b"\0", talk.now))
    assert talk.firmware.executed == 0


def test_an_hour_of_random_bytes_switches_nothing() -> None:
    talk = Talk()
    session = talk.begin()
    rng = random.Random(3)
    for n in range(RANDOM_BYTES // 2880):
        if n % 200 == 0:
            session = talk.begin(n)
        talk.take(talk.firmware.receive(rng.randbytes(2880), talk.now))
        talk.now += 0.001
    assert not talk.firmware.switched
    assert talk.firmware.executed == 0
    talk.begin(10**6)
    assert talk.session > session
    assert talk.say(SetOutput(talk.session, 1, RELAY, True, 1000))[0] == Ack(talk.session, 1)
