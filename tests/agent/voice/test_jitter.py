from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.voice.jitter import CAPACITY_BYTES, CAPACITY_US, JitterBuffer, Transits

FRAME_US = 20_000


def put(buffer: JitterBuffer, *ids: int, at_s: float = 0.0) -> None:
    for packet_id in ids:
        buffer.put(packet_id, b"%d" % packet_id, FRAME_US, at_s)


def taken(buffer: JitterBuffer) -> list[str]:
    """Everything: an id as text, "-" for what is to be concealed, "|" before what does not continue."""
    turns = []
    while (turn := buffer.take()) is not None:
        turns.append(
            ("|" if turn.jumped else "") + (turn.packet.decode() if turn.packet is not None else "-")
        )
    return turns


# ----- order -----


def test_orders_by_packet_id_from_whatever_it_starts_at() -> None:
    buffer = JitterBuffer()
    put(buffer, 7, 8, 11, 9, 10)
    assert taken(buffer) == ["7", "8", "9", "10", "11"]
    assert (buffer.depth_us, buffer.late, buffer.duplicates) == (0, 0, 0)


def test_up_to_five_lost_packets_are_concealed_and_more_are_skipped() -> None:
    buffer = JitterBuffer()
    put(buffer, 0, 6, 13)
    assert taken(buffer) == ["0", "-", "-", "-", "-", "-", "6", "|13"]


def test_a_packet_after_its_turn_is_late() -> None:
    buffer = JitterBuffer()
    put(buffer, 0, 2)
    assert taken(buffer) == ["0", "-", "2"]
    put(buffer, 1, 3)
    assert taken(buffer) == ["3"]
    assert buffer.late == 1


def test_repeated_packets_are_ignored() -> None:
    buffer = JitterBuffer()
    put(buffer, 0, 0, 1, 2, 1, 2, 0)
    assert taken(buffer) == ["0", "1", "2"]
    assert buffer.duplicates == 4


def test_an_id_a_thousand_lower_begins_a_new_count() -> None:
    buffer = JitterBuffer()
    put(buffer, 1500, 1501, 501, 502, 503)
    assert taken(buffer) == ["1500", "1501", "|501", "502", "503"]


def test_an_id_a_little_lower_does_not() -> None:
    buffer = JitterBuffer()
    put(buffer, 1500, 1501)
    assert taken(buffer) == ["1500", "1501"]
    put(buffer, 502, 1502)
    assert taken(buffer) == ["1502"]
    assert buffer.late == 1


def test_the_count_may_wrap() -> None:
    buffer = JitterBuffer()
    put(buffer, 2**32 - 1, 0, 1)
    assert taken(buffer) == [str(2**32 - 1), "|0", "1"]


def test_a_stream_whose_ids_never_move_is_taken_as_it_comes() -> None:
    buffer = JitterBuffer()
    for word in (b"a", b"b", b"b", b"c"):
        buffer.put(0, word, FRAME_US, 0.0)
    assert taken(buffer) == ["a", "b", "b", "c"]
    # And when it begins to count after all, nothing was lost before.
    put(buffer, 30, 31)
    assert taken(buffer) == ["30", "31"]


def test_a_packet_that_came_broken_keeps_its_place() -> None:
    buffer = JitterBuffer()
    buffer.put(0, b"0", FRAME_US, 0.0)
    buffer.put(1, None, FRAME_US, 0.0)
    buffer.put(2, b"2", FRAME_US, 0.0)
    assert taken(buffer) == ["0", "-", "2"]


def test_what_is_concealed_is_as_long_as_the_packet_before() -> None:
    buffer = JitterBuffer()
    buffer.put(0, b"0", 60_000, 0.0)
    buffer.put(2, b"2", 60_000, 0.0)
    assert [buffer.take().duration_us for _ in range(3)] == [60_000] * 3  # type: ignore[union-attr]


# ----- bounds -----


def test_ten_seconds_are_kept_then_the_oldest_second_gives_way_in_one_piece() -> None:
    buffer = JitterBuffer()
    put(buffer, *range(500))
    assert (buffer.depth_us, buffer.dropped) == (CAPACITY_US, 0)
    put(buffer, 500)
    assert buffer.dropped == 50
    assert taken(buffer) == ["|50", *map(str, range(51, 501))]


def test_large_packets_of_little_sound_are_bounded_by_their_bytes() -> None:
    buffer = JitterBuffer()
    for packet_id in range(200):
        buffer.put(packet_id, bytes(60_000), 2_500, 0.0)
    kept = 0
    while (turn := buffer.take()) is not None:
        kept += len(turn.packet or b"")
    assert 0 < kept <= CAPACITY_BYTES


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)),
            st.one_of(st.none(), st.binary(max_size=4)),
            st.sampled_from([2_500, 20_000, 60_000, 120_000]),
            st.floats(0, 5),
            st.integers(0, 3),
        ),
        max_size=150,
    )
)
def test_any_packets_in_any_order(arrivals: list[tuple[int, bytes | None, int, float, int]]) -> None:
    buffer = JitterBuffer()
    now_s = 0.0
    given_us = played = 0
    for packet_id, packet, duration_us, later_s, turns in arrivals:
        now_s += later_s
        given_us += duration_us
        buffer.put(packet_id, packet, duration_us, now_s)
        assert 0 < buffer.depth_us <= CAPACITY_US or buffer.late or buffer.duplicates
        assert 40_000 <= buffer.target_us <= 200_000
        buffer.ready(now_s)
        for _ in range(turns):
            played += buffer.take() is not None
    while buffer.take() is not None:
        played += 1
    assert buffer.depth_us == 0
    # Each packet is played at most once, with at most five made up before it.
    assert played <= 6 * len(arrivals)


# ----- how much to keep -----


def test_the_target_follows_the_spread_of_arrivals_between_its_bounds() -> None:
    def target_us(*delays_s: float) -> int:
        buffer = JitterBuffer()
        for n in range(400):
            buffer.put(n, b"", FRAME_US, 10 + n * 0.02 + delays_s[n % len(delays_s)])
            buffer.take()
        return buffer.target_us

    assert target_us(0.0) == 40_000
    assert 75_000 <= target_us(0.0, 0.02, 0.04) <= 85_000
    assert target_us(0.0, 0.3) == 200_000


def test_the_target_comes_down_again() -> None:
    buffer = JitterBuffer()
    for n in range(600):
        delay_s = 0.15 if n < 100 and n % 3 == 0 else 0.0
        buffer.put(n, b"", FRAME_US, 10 + n * 0.02 + delay_s)
        buffer.take()
        if n == 99:
            assert buffer.target_us > 180_000
    assert buffer.target_us == 40_000


def test_each_packet_that_was_waited_for_in_vain_adds_a_margin() -> None:
    buffer = JitterBuffer()
    targets = []
    for n in range(500):
        if n % 50 == 49:
            assert buffer.take() is None
        buffer.put(n, b"", FRAME_US, 10 + n * 0.02)
        buffer.take()
        targets.append(buffer.target_us)
    assert targets[48] == 40_000
    assert 49_000 < targets[49] <= 50_000
    assert 90_000 < targets[-1] <= 100_000
    # It goes when all is well for long.
    for n in range(500, 90_000):
        buffer.put(n, b"", FRAME_US, 10 + n * 0.02)
        buffer.take()
    assert buffer.target_us < 41_000


def test_a_clock_that_drifts_is_no_jitter() -> None:
    buffer = JitterBuffer()
    for n in range(5_000):
        buffer.put(n, b"", FRAME_US, 10 + n * 0.02 * 1.0005)
        buffer.take()
    assert buffer.target_us < 45_000


def test_a_pause_of_the_talker_is_no_jitter() -> None:
    buffer = JitterBuffer()
    for n in range(300):
        buffer.put(n, b"", FRAME_US, 10 + n * 0.02 + (n // 100) * 3.0)
        buffer.take()
    assert buffer.target_us == 40_000


def test_begins_when_the_target_is_there_or_has_been_waited_for() -> None:
    buffer = JitterBuffer()
    assert not buffer.ready(0.0)
    put(buffer, 0, 1)
    assert not buffer.ready(0.0)  # two packets, and it takes 20 ms of jitter for granted
    assert buffer.ready(0.2)
    put(buffer, 2)
    assert buffer.ready(0.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=600))
def test_transits_are_the_spread_of_the_newest(transits: list[float]) -> None:
    spread = Transits()
    for transit in transits:
        spread.add(transit)
    window = sorted(transits[-256:])
    assert spread.jitter_s == window[int(0.98 * (len(window) - 1))] - window[0]
