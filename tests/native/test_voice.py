from __future__ import annotations

import math
import threading
from array import array
from typing import Any

import pytest
from harness.tones import energy, sine, talk
from hypothesis import given, settings
from hypothesis import strategies as st

import native
from native import (
    Codec,
    CodecError,
    CodecSettings,
    Features,
    Level,
    PacketHeader,
    Signal,
    Status,
    features,
    packet_us,
    parse_packet,
)
from native._voice import ffi, lib

RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
FRAMES_US = (2_500, 5_000, 10_000, 20_000, 40_000, 60_000)
DECODE_REFUSALS = {Status.TOO_SHORT, Status.TOO_LONG, Status.TYPE, Status.PAYLOAD}
U32 = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("frame_us", FRAMES_US)
@pytest.mark.parametrize("sample_rate_hz", RATES_HZ)
def test_tone_comes_back_as_loud(sample_rate_hz: int, frame_us: int) -> None:
    codec = Codec(sample_rate_hz, frame_us)
    spoken = talk(codec)
    heard = []
    for n, packet in enumerate(spoken.packets):
        header, pcm = codec.decode_packet(packet)
        assert header == PacketHeader(stream_id=22_695, packet_id=n)
        assert len(pcm) == codec.frame_bytes == sample_rate_hz * frame_us // 1_000_000 * 2
        heard.append(pcm)
    settled = len(heard) // 2
    ratio = energy(b"".join(heard[settled:])) / energy(b"".join(spoken.frames[settled:]))
    assert 0.7 < ratio < 1.4


@pytest.mark.parametrize("decoded_at_hz", RATES_HZ)
def test_packet_decodes_at_the_rate_of_the_listener(decoded_at_hz: int) -> None:
    spoken = talk(Codec(16_000, 60_000))
    listener = Codec(decoded_at_hz, 20_000)
    heard = [listener.decode_packet(packet)[1] for packet in spoken.packets]
    assert {len(pcm) for pcm in heard} == {decoded_at_hz * 60 // 1000 * 2}
    assert 0.7 < energy(b"".join(heard[4:])) / energy(b"".join(spoken.frames[4:])) < 1.4


def test_packet_of_a_foreign_sdk_is_decoded() -> None:
    # Source: the voice packet a Zello JavaScript SDK sends first at 16 kHz and 20 ms, observed.
    header, pcm = Codec().decode_packet(bytes.fromhex("01000003e900000001480be4c136ecc580"))
    assert header == PacketHeader(stream_id=1001, packet_id=1)
    assert len(pcm) == 640


def test_120_ms_packet_is_decoded() -> None:
    # Two equal frames of 60 ms: the TOC of one, with code 1, before both.
    codec = Codec(16_000, 60_000)
    first = codec.encode_packet(1, 1, bytes(codec.frame_bytes))
    double = first[:9] + bytes([first[9] | 1]) + first[10:] + first[10:]
    assert len(Codec(48_000).decode_packet(double)[1]) == 48_000 * 120 // 1000 * 2


def packets() -> st.SearchStrategy[bytes]:
    """Any bytes, and bytes that get past the header."""
    audio = st.builds(lambda rest: b"\x01" + rest, st.binary(max_size=200))
    return st.binary(max_size=200) | audio


def decode(codec: Codec, packet: bytes) -> tuple[PacketHeader, bytes] | Status:
    try:
        return codec.decode_packet(packet)
    except CodecError as error:
        return error.status


def assert_value_or_codec_error(codec: Codec, packet: bytes) -> None:
    match decode(codec, packet):
        case Status() as status:
            assert status in DECODE_REFUSALS
        case header, pcm:
            assert (header, packet[9:]) == parse_packet(packet)
            assert 0 < len(pcm) <= codec.sample_rate_hz * 120 // 1000 * 2
            assert len(pcm) % 2 == 0


@given(st.sampled_from(RATES_HZ), st.lists(packets(), max_size=8))
@settings(max_examples=200)
def test_any_bytes_give_a_value_or_codec_error(sample_rate_hz: int, received: list[bytes]) -> None:
    codec = Codec(sample_rate_hz)
    for packet in received:
        assert_value_or_codec_error(codec, packet)


SPOKEN = talk(Codec(16_000, 20_000)).packets


@given(st.sampled_from(SPOKEN), st.data())
def test_damaged_packet_gives_a_value_or_codec_error(packet: bytes, data: st.DataObject) -> None:
    damaged = bytearray(packet[: data.draw(st.integers(0, len(packet)))])
    for position in data.draw(st.lists(st.integers(0, len(packet)), max_size=4)):
        if position < len(damaged):
            damaged[position] = data.draw(st.integers(0, 255))
    assert_value_or_codec_error(Codec(), bytes(damaged))


def refusal(codec: Codec, packet: bytes) -> Status:
    with pytest.raises(CodecError) as caught:
        codec.decode_packet(packet)
    return caught.value.status


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (b"", Status.TOO_SHORT),
        (b"\x01" + bytes(8), Status.TOO_SHORT),
        (b"\x02" + bytes(8) + b"\xff\xd8", Status.TYPE),
        (b"\x01" + bytes(8) + b"\x4b", Status.PAYLOAD),
        (b"\x01" + bytes(8) + b"\x4b\x07", Status.PAYLOAD),
        (b"\x01" + bytes(native.PACKET_MAX_BYTES), Status.TOO_LONG),
    ],
)
def test_decode_names_its_refusal(packet: bytes, expected: Status) -> None:
    codec = Codec()
    assert refusal(codec, packet) is expected
    assert len(codec.decode_packet(SPOKEN[0])[1]) == codec.frame_bytes  # and goes on


@given(st.binary(max_size=1300).filter(lambda pcm: len(pcm) != 640))
def test_encode_takes_exactly_one_frame(pcm: bytes) -> None:
    with pytest.raises(CodecError) as caught:
        Codec().encode_packet(1, 1, pcm)
    assert caught.value.status is Status.FRAME_SIZE


@given(U32, U32)
def test_ids_travel_unchanged(stream_id: int, packet_id: int) -> None:
    codec = Codec()
    packet = codec.encode_packet(stream_id, packet_id, bytes(codec.frame_bytes))
    assert codec.decode_packet(packet)[0] == parse_packet(packet)[0] == PacketHeader(stream_id, packet_id)


@pytest.mark.parametrize("ids", [(-1, 0), (0, -1), (2**32, 0), (0, 2**32), (2**64, 2**64)])
def test_ids_beyond_32_bits_are_refused(ids: tuple[int, int]) -> None:
    codec = Codec()
    with pytest.raises(CodecError) as caught:
        codec.encode_packet(*ids, bytes(codec.frame_bytes))
    assert caught.value.status is Status.ARGUMENT


def test_pcm_counted_in_samples_is_refused() -> None:
    samples: Any = array("h", bytes(1280))
    with pytest.raises(TypeError, match="pcm must be bytes, not array"):
        Codec().encode_packet(1, 1, samples)


@pytest.mark.parametrize(
    ("sample_rate_hz", "frame_us", "how", "expected"),
    [
        (44_100, 20_000, CodecSettings(), Status.SAMPLE_RATE),
        (0, 20_000, CodecSettings(), Status.SAMPLE_RATE),
        (-1, 20_000, CodecSettings(), Status.ARGUMENT),
        (2**40, 20_000, CodecSettings(), Status.ARGUMENT),
        (16_000, 20, CodecSettings(), Status.FRAME_SIZE),
        (16_000, 80_000, CodecSettings(), Status.FRAME_SIZE),
        (16_000, -20_000, CodecSettings(), Status.ARGUMENT),
        (16_000, 20_000, CodecSettings(complexity=11), Status.ARGUMENT),
        (16_000, 20_000, CodecSettings(complexity=-1), Status.ARGUMENT),
        (16_000, 20_000, CodecSettings(bitrate_bps=5_999), Status.ARGUMENT),
        (16_000, 20_000, CodecSettings(bitrate_bps=300_001), Status.ARGUMENT),
        (16_000, 20_000, CodecSettings(send_gain_db=40.1), Status.ARGUMENT),
        (16_000, 20_000, CodecSettings(receive_gain_db=-40.1), Status.ARGUMENT),
        (16_000, 20_000, CodecSettings(send_gain_db=math.nan), Status.ARGUMENT),
        (16_000, 20_000, CodecSettings(receive_gain_db=math.inf), Status.ARGUMENT),
        (16_000, 20_000, CodecSettings(send_gain_db=1e308), Status.ARGUMENT),
    ],
)
def test_codec_refuses_what_opus_has_not(
    sample_rate_hz: int, frame_us: int, how: CodecSettings, expected: Status
) -> None:
    with pytest.raises(CodecError) as caught:
        Codec(sample_rate_hz, frame_us, how)
    assert caught.value.status is expected


def test_settings_reach_the_encoder() -> None:
    def size(how: CodecSettings) -> int:
        return sum(map(len, talk(Codec(16_000, 20_000, how)).packets))

    by_default = size(CodecSettings())
    assert size(CodecSettings(bitrate_bps=24_000, complexity=5, signal=Signal.VOICE)) == by_default
    assert size(CodecSettings(bitrate_bps=96_000)) > 2 * by_default
    assert size(CodecSettings(bitrate_bps=0, complexity=0, signal=Signal.AUTO)) > 0


def test_defaults_are_those_of_the_library() -> None:
    by_library: Any = ffi.new("struct dv_codec_settings *")
    lib.dv_codec_settings_default(by_library)
    ours = CodecSettings()
    assert (ours.bitrate_bps, ours.complexity, ours.signal) == (
        by_library.bitrate_bps,
        by_library.complexity,
        by_library.signal,
    )
    assert (ours.send_gain_db, ours.receive_gain_db) == (
        by_library.send_gain_tenths_db,
        by_library.receive_gain_tenths_db,
    )


def test_every_status_of_the_library_has_a_name() -> None:
    in_library = {name.removeprefix("DV_ERR_") for name in dir(lib) if name.startswith("DV_ERR_")}
    assert {status.name for status in Status} == in_library | {"OK"}
    assert len({status.text for status in Status}) == len(Status)
    assert str(CodecError(Status.TYPE)) == Status.TYPE.text == "packet is not audio"


def test_results_are_copies() -> None:
    codec = Codec()
    loud, silent = sine(320, 0, 16_000), bytes(640)
    packet = codec.encode_packet(1, 1, loud)
    kept = bytes(bytearray(packet))
    _, pcm = codec.decode_packet(packet)
    pcm_kept = bytes(bytearray(pcm))
    for n in range(20):
        codec.decode_packet(codec.encode_packet(2, n, silent))
    assert (packet, pcm) == (kept, pcm_kept)


def test_codecs_share_nothing() -> None:
    alone, beside, other = Codec(), Codec(), Codec()
    for n in range(25):
        frame = sine(320, n * 320, 16_000)
        other.encode_packet(9, n, sine(320, n * 320, 16_000, tone_hz=1_000.0))
        assert alone.encode_packet(1, n, frame) == beside.encode_packet(1, n, frame)


def test_one_codec_encodes_and_decodes_in_two_threads() -> None:
    expected = talk(Codec())
    reference = Codec()
    heard_alone = [reference.decode_packet(packet) for packet in expected.packets]
    codec = Codec()
    heard: list[list[tuple[PacketHeader, bytes]]] = []

    def listen() -> None:
        for _ in range(10):
            fresh = [codec.decode_packet(packet) for packet in expected.packets]
            heard.append(fresh)

    thread = threading.Thread(target=listen)
    thread.start()
    spoken = [talk(codec) for _ in range(10)]
    thread.join()
    assert spoken[0].packets == expected.packets
    assert heard[0] == heard_alone


@pytest.mark.parametrize(
    ("frame_us", "frames_per_packet", "channels", "expected"),
    [
        (20_000, 0, 1, Status.FRAME_SIZE),
        (20_000, 7, 1, Status.FRAME_SIZE),
        (60_000, 3, 1, Status.FRAME_SIZE),
        (2_500, 49, 1, Status.FRAME_SIZE),
        (20_000, -1, 1, Status.ARGUMENT),
        (20_000, 1, 0, Status.ARGUMENT),
        (20_000, 1, 3, Status.ARGUMENT),
    ],
)
def test_codec_refuses_packets_that_opus_has_not(
    frame_us: int, frames_per_packet: int, channels: int, expected: Status
) -> None:
    with pytest.raises(CodecError) as caught:
        Codec(16_000, frame_us, frames_per_packet=frames_per_packet, channels=channels)
    assert caught.value.status is expected


@given(st.sampled_from(RATES_HZ), st.sampled_from(FRAMES_US), st.data())
@settings(max_examples=40)
def test_packets_of_any_shape_come_back(sample_rate_hz: int, frame_us: int, data: st.DataObject) -> None:
    frames = data.draw(st.integers(1, native.PACKET_MAX_US // frame_us))
    channels = data.draw(st.integers(1, 2))
    codec = Codec(sample_rate_hz, frame_us, frames_per_packet=frames, channels=channels)
    samples = sample_rate_hz * frame_us // 1_000_000
    assert codec.frame_bytes == samples * channels * 2
    assert codec.packet_bytes == codec.frame_bytes * frames
    sent, heard = [], []
    for n in range(max(4, 300_000 // (frame_us * frames))):
        mono = sine(samples * frames, n * samples * frames, sample_rate_hz, 700.0)
        sent.append(mono)
        pairs = array("h", [value for value in array("h", mono) for _ in range(channels)])
        packet = codec.encode_packet(1, n, pairs.tobytes())
        assert packet_us(packet) == frame_us * frames
        heard.append(codec.decode_packet(packet)[1])
        assert len(heard[-1]) == len(mono)
    settled = len(sent) // 2
    assert 0.7 < energy(b"".join(heard[settled:])) / energy(b"".join(sent[settled:])) < 1.4


@pytest.mark.parametrize("sample_rate_hz", RATES_HZ)
def test_concealment_is_as_long_as_asked(sample_rate_hz: int) -> None:
    codec = Codec(sample_rate_hz)
    assert not any(codec.conceal(20_000))  # nothing was heard: silence
    for packet in talk(Codec(sample_rate_hz)).packets:
        _, last = codec.decode_packet(packet)
    made_up = codec.conceal(20_000)
    assert 0.2 * energy(last) < energy(made_up) < 2 * energy(last)
    for duration_us in (2_500, 5_000, 60_000, 120_000):
        assert len(codec.conceal(duration_us)) == sample_rate_hz * duration_us // 1_000_000 * 2
    for _ in range(10):
        fading = codec.conceal(120_000)
    assert energy(fading) < 0.05 * energy(last)


@pytest.mark.parametrize("duration_us", [0, -2_500, 2_499, 20_001, 122_500, 2**40])
def test_concealment_refuses_other_durations(duration_us: int) -> None:
    with pytest.raises(CodecError) as caught:
        Codec().conceal(duration_us)
    assert caught.value.status is Status.FRAME_SIZE


def test_reset_decoder_forgets() -> None:
    spoken = talk(Codec()).packets
    codec = Codec()
    for packet in spoken:
        codec.decode_packet(packet)
    codec.reset_decoder()
    assert codec.heard_level == Level(-96.0, -96.0, False)
    assert codec.decode_packet(spoken[3]) == Codec().decode_packet(spoken[3])


def test_configure_changes_a_running_codec() -> None:
    codec = Codec()
    lean = sum(map(len, talk(codec).packets))
    codec.configure(CodecSettings(bitrate_bps=96_000))
    assert sum(map(len, talk(codec).packets)) > 2 * lean
    with pytest.raises(CodecError):
        codec.configure(CodecSettings(bitrate_bps=24_000, complexity=11))
    assert sum(map(len, talk(codec).packets)) > 2 * lean  # nothing had changed


def test_levels_tell_of_both_directions() -> None:
    codec = Codec()
    assert codec.sent_level == codec.heard_level == Level(-96.0, -96.0, False)
    for packet in talk(codec).packets:
        codec.decode_packet(packet)
    sent, heard = codec.sent_level, codec.heard_level
    assert sent.peak_dbfs == pytest.approx(20 * math.log10(8_000 / 32_768), abs=0.1)
    assert sent.rms_dbfs == pytest.approx(sent.peak_dbfs - 3.01, abs=0.1)
    assert heard.rms_dbfs == pytest.approx(sent.rms_dbfs, abs=1.5)
    codec.conceal(120_000)
    codec.conceal(120_000)
    assert codec.heard_level.rms_dbfs < heard.rms_dbfs - 10


def test_gain_of_both_directions_stays_below_the_ceiling() -> None:
    codec = Codec(settings=CodecSettings(send_gain_db=6.0, receive_gain_db=20.0))
    for packet in talk(codec).packets:
        _, pcm = codec.decode_packet(packet)
        assert max(map(abs, array("h", pcm))) <= native.PCM_CEILING
    assert codec.sent_level.peak_dbfs == pytest.approx(20 * math.log10(8_000 / 32_768) + 6, abs=0.1)
    assert codec.heard_level.peak_dbfs == pytest.approx(-1.0, abs=0.1)


OPERATIONS = st.one_of(
    packets().map(lambda packet: ("decode", packet)),
    st.sampled_from(SPOKEN).map(lambda packet: ("decode", packet)),
    st.integers(-1, 50).map(lambda steps: ("conceal", steps * 2_500)),
    st.just(("reset", None)),
    st.builds(
        lambda *how: (
            "configure",
            CodecSettings(**dict(zip(CodecSettings.__struct_fields__, how, strict=True))),
        ),
        st.integers(-1, 400_000),
        st.integers(-1, 11),
        st.sampled_from(Signal),
        st.floats(),
        st.floats(-45, 45),
    ),
    st.integers(0, 32_767).map(lambda loudness: ("encode", loudness)),
)


def act(codec: Codec, operation: str, argument: Any) -> Status:
    try:
        match operation:
            case "decode":
                codec.decode_packet(argument)
            case "conceal":
                codec.conceal(argument)
            case "reset":
                codec.reset_decoder()
            case "configure":
                codec.configure(argument)
            case _:
                codec.encode_packet(1, 1, array("h", [argument, -argument] * 160).tobytes())
    except CodecError as error:
        return error.status
    return Status.OK


@given(st.lists(OPERATIONS, max_size=12))
@settings(max_examples=100)
def test_any_life_leaves_the_codec_usable(life: list[tuple[str, Any]]) -> None:
    codec = Codec()
    for operation, argument in life:
        status = act(codec, operation, argument)
        assert status not in {Status.OPUS, Status.UNINITIALISED, Status.CAPACITY, Status.ALIGNMENT}
        assert codec.heard_level.peak_dbfs <= -0.99
    codec.configure(CodecSettings())
    codec.reset_decoder()
    assert codec.decode_packet(SPOKEN[5]) == Codec().decode_packet(SPOKEN[5])


def test_features_are_those_of_the_library() -> None:
    found = features()
    assert isinstance(found, Features)
    assert found.version.startswith("libopus")
    assert found.in_band_fec
    assert found.dtx
    assert features() is found
