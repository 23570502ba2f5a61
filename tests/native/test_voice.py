from __future__ import annotations

import math
import struct
import threading
from array import array
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import native
from native import Codec, CodecError, CodecSettings, PacketHeader, Signal, Status, parse_packet
from native._voice import ffi, lib

RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
FRAMES_US = (2_500, 5_000, 10_000, 20_000, 40_000, 60_000)
DECODE_REFUSALS = {Status.TOO_SHORT, Status.TOO_LONG, Status.TYPE, Status.PAYLOAD}
U32 = st.integers(0, 2**32 - 1)


def sine(samples: int, start: int, sample_rate_hz: int, tone_hz: float = 440.0) -> bytes:
    step = 2 * math.pi * tone_hz / sample_rate_hz
    return array("h", (round(8_000 * math.sin(step * (start + i))) for i in range(samples))).tobytes()


def energy(pcm: bytes) -> float:
    samples = array("h", pcm)
    return sum(float(sample) * sample for sample in samples) / len(samples)


@dataclass(frozen=True)
class Talk:
    """Half a second of a tone, and the packets a codec made of it."""

    frames: list[bytes]
    packets: list[bytes]


def talk(codec: Codec, stream_id: int = 22_695) -> Talk:
    count = 500_000 // codec.frame_us
    frames = [sine(codec.frame_samples, n * codec.frame_samples, codec.sample_rate_hz) for n in range(count)]
    return Talk(frames, [codec.encode_packet(stream_id, n, frame) for n, frame in enumerate(frames)])


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


def read_with_c(packet: bytes) -> tuple[PacketHeader, bytes] | Status:
    out: Any = ffi.new("struct dv_packet *")
    held = ffi.from_buffer(packet)
    status = lib.dv_packet_parse(ffi.cast("const uint8_t *", held), len(packet), out)  # type: ignore[arg-type]
    if status != Status.OK:
        return Status(status)
    payload = ffi.buffer(out.payload, out.payload_len)[:]
    return PacketHeader(out.header.stream_id, out.header.packet_id), payload


def read_with_python(packet: bytes) -> tuple[PacketHeader, bytes] | Status:
    try:
        return parse_packet(packet)
    except CodecError as error:
        return error.status


def packets() -> st.SearchStrategy[bytes]:
    """Any bytes, and bytes that get past the header."""
    audio = st.builds(lambda rest: b"\x01" + rest, st.binary(max_size=200))
    return st.binary(max_size=200) | audio


@given(packets())
def test_c_and_python_parse_alike(packet: bytes) -> None:
    assert read_with_c(packet) == read_with_python(packet)


@pytest.mark.parametrize("length", [0, 9, 10, native.PACKET_MAX_BYTES, native.PACKET_MAX_BYTES + 1])
def test_c_and_python_draw_the_same_limits(length: int) -> None:
    packet = b"\x01" * length
    expected: object = {
        0: Status.TOO_SHORT,
        9: Status.TOO_SHORT,
        native.PACKET_MAX_BYTES + 1: Status.TOO_LONG,
    }.get(length, (PacketHeader(0x01010101, 0x01010101), packet[9:]))
    assert read_with_c(packet) == expected
    assert read_with_python(packet) == expected


@given(U32, U32, st.binary(min_size=1, max_size=50))
def test_parse_reads_what_struct_packs(stream_id: int, packet_id: int, payload: bytes) -> None:
    packet = struct.pack(">BII", 1, stream_id, packet_id) + payload
    assert parse_packet(packet) == (PacketHeader(stream_id, packet_id), payload)


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
