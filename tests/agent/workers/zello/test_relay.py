"""The clocks of streams, on a mock clock: when starts, packets and stops go out."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from harness.zello_client import OPUS_20, OPUS_60, codec_header
from harness.zello_relay import relay_bench

from agent.model.errors import MalformedMessage
from agent.workers.zello import downlink, relay
from agent.workers.zello.downlink import MAX_WAITING, WAIT_S
from agent.workers.zello.packets import CodecHeader


async def test_the_start_waits_for_the_packet_that_makes_it_true(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice")
        _, bob = bench.link("bob")
        stream = bench.relay.begin(
            bench.front, sender="alice", owner=alice, claimed=CodecHeader(48_000, 1, 20), claimed_ms=20
        )
        await trio.sleep(0.2)
        assert bob.order() == []
        bench.relay.packet(stream, OPUS_60)
        assert bob.order() == ["start 1", "1"]
        told = bob.told[-2][1]
        assert codec_header(told["codec_header"]) == (48_000, 1, 60)
        assert told["packet_duration"] == 60


async def test_without_a_packet_the_claim_is_told_after_300_ms_in_its_collapsed_form(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice")
        _, bob = bench.link("bob")
        bench.relay.begin(bench.front, sender="alice", owner=alice, claimed=CodecHeader(16_000, 3, 20))
        await trio.sleep(0.5)
        assert bob.times("on_stream_start") == [(0.3, 1)]
        told = bob.told[-1][1]
        assert codec_header(told["codec_header"]) == (16_000, 1, 60)
        assert told["packet_duration"] == 60


async def test_a_talk_without_sound_is_never_told(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice")
        _, bob = bench.link("bob")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        await trio.sleep(0.1)
        bench.relay.finish(stream)
        await trio.sleep(5)
        assert bob.order() == []
        assert bench.front.is_free(trio.current_time())


async def test_the_stop_of_somebody_in_real_time_comes_one_packet_behind_the_last(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice")
        _, bob = bench.link("bob")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        for _ in range(10):
            bench.relay.packet(stream, OPUS_20)
            await trio.sleep(0.02)
        await trio.sleep(0.5)
        bench.relay.packet(stream, OPUS_20)
        bench.relay.finish(stream)
        await trio.sleep(1)
        assert bob.times("on_stream_stop") == [(0.72, 1)]


async def test_the_stop_of_a_burst_waits_until_it_has_been_heard(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with relay_bench() as bench:
        alice, sender = bench.link("alice")
        _, bob = bench.link("bob")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        for _ in range(30):  # 1.8 s at once
            bench.relay.packet(stream, OPUS_60)
        bench.relay.finish(stream)
        assert len(bob.packets) == 30
        await trio.sleep(3)
        assert bob.times("on_stream_stop") == [(1.8, 1)]
        assert sender.order() == []


async def test_a_burst_holds_the_floor_until_it_has_nearly_been_heard(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        for _ in range(30):
            bench.relay.packet(stream, OPUS_60)
        bench.relay.finish(stream)
        assert not bench.front.is_free(trio.current_time())
        await trio.sleep(0.9)
        assert bench.front.is_free(trio.current_time())


async def test_packets_get_our_numbers_and_faster_ones_than_allowed_are_left_out(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with relay_bench(max_rate=3.0) as bench:
        alice, _ = bench.link("alice")
        _, bob = bench.link("bob")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        for _ in range(150):
            bench.relay.packet(stream, OPUS_20)
        heard = len(bob.packets)
        assert heard in (99, 100)  # two seconds, give or take what floats do
        assert bob.packets == [(1, number) for number in range(heard)]
        assert bench.counters.packets_fast == 150 - heard
        await trio.sleep(0.1)
        # What was left out keeps its numbers, so that a listener can conceal it.
        bench.relay.packet(stream, OPUS_20)
        assert bob.packets[-1] == (1, 150)


async def test_an_example_program_that_sends_three_times_too_fast_is_heard_whole(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice")
        _, bob = bench.link("bob")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        for _ in range(200):  # 12 s of sound in 4 s
            bench.relay.packet(stream, OPUS_60)
            await trio.sleep(0.02)
        bench.relay.finish(stream)
        await trio.sleep(20)
        assert len(bob.packets) == 200
        assert bob.times("on_stream_stop") == [(12.0, 1)]


async def test_who_never_stops_is_stopped(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench(max_stream_s=5) as bench:
        alice, sender = bench.link("alice")
        _, bob = bench.link("bob")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        for _ in range(300):
            bench.relay.packet(stream, OPUS_20)
            await trio.sleep(0.02)
        assert sender.times("on_stream_stop") == [(5.0, 1)]
        assert bob.times("on_stream_stop")[0][0] == pytest.approx(5, abs=0.05)
        assert bench.front.is_free(trio.current_time())
        assert not bench.relay.live


async def test_sound_counts_for_the_limit_too(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench(max_stream_s=5) as bench:
        alice, sender = bench.link("alice")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        for _ in range(200):
            bench.relay.packet(stream, OPUS_60)
            await trio.sleep(0.02)
        assert stream.over
        assert stream.audio_s == pytest.approx(5, abs=0.1)
        ((stopped_s, _),) = sender.times("on_stream_stop")
        assert stopped_s < 2


async def test_who_falls_silent_loses_the_floor(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench() as bench:
        alice, sender = bench.link("alice")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        await trio.sleep(8)
        bench.relay.packet(stream, OPUS_20)
        await trio.sleep(8)
        assert not stream.over
        await trio.sleep(3)
        assert stream.over
        assert sender.times("on_stream_stop") == [(8 + relay.IDLE_S, 1)]


async def test_two_streams_to_one_connection_come_one_after_the_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice", bench.front)
        carol, _ = bench.link("carol", bench.house)
        _, bob = bench.link("bob", bench.front, bench.house)
        first = bench.relay.begin(bench.front, sender="alice", owner=alice)
        bench.relay.packet(first, OPUS_20)
        second = bench.relay.begin(bench.house, sender="carol", owner=carol)
        for _ in range(50):
            bench.relay.packet(first, OPUS_20)
            bench.relay.packet(second, OPUS_20)
            await trio.sleep(0.02)
        assert set(bob.packets) == {(1, number) for number in range(51)}
        bench.relay.finish(first)
        bench.relay.finish(second)
        await trio.sleep(5)
        assert bob.order() == ["start 1", *["1"] * 51, "stop 1", "start 2", *["2"] * 50, "stop 2"]
        (stop_s, _), (start_s, _) = bob.times("on_stream_stop")[0], bob.times("on_stream_start")[1]
        assert stop_s == start_s
        # What waited comes at once; its stop not before it has been heard.
        assert bob.times("on_stream_stop")[1][0] == pytest.approx(start_s + 1.0, abs=0.03)


async def test_a_stream_that_waits_too_long_is_not_heard_there(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice", bench.front)
        carol, _ = bench.link("carol", bench.house)
        _, bob = bench.link("bob", bench.front, bench.house)
        _, dora = bench.link("dora", bench.house)
        first = bench.relay.begin(bench.front, sender="alice", owner=alice)
        second = bench.relay.begin(bench.house, sender="carol", owner=carol)
        for _ in range(int(WAIT_S / 0.02) + 10):
            bench.relay.packet(first, OPUS_20)
            bench.relay.packet(second, OPUS_20)
            await trio.sleep(0.02)
        bench.relay.finish(first)
        bench.relay.finish(second)
        await trio.sleep(5)
        assert set(bob.order()) == {"start 1", "1", "stop 1"}
        assert dora.order()[-1] == "stop 2"
        assert bench.counters.streams_unheard == 1


async def test_what_waits_for_one_connection_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench(max_rate=10, max_stream_s=600) as bench:
        talkers = [
            bench.link(f"t{number}", bench.channel(f"c{number}"))[0] for number in range(MAX_WAITING + 3)
        ]
        bob, heard = bench.link("bob")
        streams = []
        for talker in talkers:
            channel = bench.channel(talker.account)
            channel.join(bob, "talk")
            streams.append(bench.relay.begin(channel, sender=talker.account, owner=talker))
            bench.relay.packet(streams[-1], OPUS_20)
        assert bench.counters.streams_unheard == 2
        for _ in range(4000):
            bench.relay.packet(streams[1], OPUS_20)
            await trio.sleep(0.001)
        hearing = streams[1].audience[0]
        assert hearing.waiting is not None
        assert len(hearing.waiting) == downlink.MAX_WAITING_FRAMES
        assert bench.counters.packets_slow > 0
        assert heard.order() == ["start 1", "1"]


async def test_a_cut_stream_ends_at_once_for_everybody(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench() as bench:
        alice, sender = bench.link("alice")
        _, bob = bench.link("bob")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        for _ in range(50):
            bench.relay.packet(stream, OPUS_20)
        bench.relay.cut(stream)
        bench.relay.cut(stream)
        bench.relay.packet(stream, OPUS_20)
        assert bob.times("on_stream_stop") == sender.times("on_stream_stop") == [(0.0, 1)]
        assert bench.front.is_free(trio.current_time())
        await trio.sleep(5)
        assert bob.order()[-1] == "stop 1"
        assert len(bob.packets) == 50


async def test_a_cut_stream_that_still_waited_is_never_told(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice", bench.front)
        carol, _ = bench.link("carol", bench.house)
        _, bob = bench.link("bob", bench.front, bench.house)
        first = bench.relay.begin(bench.front, sender="alice", owner=alice)
        bench.relay.packet(first, OPUS_20)
        second = bench.relay.begin(bench.house, sender="carol", owner=carol)
        bench.relay.packet(second, OPUS_20)
        bench.relay.cut(second)
        bench.relay.finish(first)
        await trio.sleep(1)
        assert bob.order() == ["start 1", "1", "stop 1"]


async def test_a_slow_client_loses_sound_and_nothing_else(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice")
        slow_link, slow = bench.link("bob")
        _, quick = bench.link("carol")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        bench.relay.packet(stream, OPUS_20)
        slow.pending_messages, slow.pending_s = 3, 1.9
        bench.relay.packet(stream, OPUS_20)
        slow.pending_s = 2.1
        for _ in range(10):
            bench.relay.packet(stream, OPUS_20)
        slow.pending_s, slow.pending_messages = 0.1, downlink.SLOW_MESSAGES + 1
        bench.relay.packet(stream, OPUS_20)
        slow.pending_s, slow.pending_messages = 0.0, 0
        bench.relay.packet(stream, OPUS_20)
        slow_link.tell(b"\x81\x19" + b'{"command":"on_whatever"}')
        bench.relay.finish(stream)
        await trio.sleep(1)
        assert slow.packets == [(1, 0), (1, 1), (1, 13)]
        assert quick.packets == [(1, number) for number in range(14)]
        assert {"command": "on_whatever"} in [what for _, what in slow.told]
        assert slow.order()[-1] == "stop 1"
        assert bench.counters.packets_slow == 11


async def test_who_comes_in_the_middle_hears_the_rest(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        for _ in range(60):
            bench.relay.packet(stream, OPUS_20)
        bob_link, bob = bench.link("bob")
        bench.relay.join(bob_link, bench.front)
        bench.relay.packet(stream, OPUS_20)
        bench.relay.finish(stream)
        await trio.sleep(3)
        assert bob.order() == ["start 1", "1", "stop 1"]
        assert bob.packets == [(1, 60)]
        # Its own 20 ms, not the 1.2 s before.
        assert bob.times("on_stream_stop") == [(0.02, 1)]


async def test_only_the_recipient_hears_what_is_for_them(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice")
        _, bob = bench.link("bob")
        carol_link, carol = bench.link("carol")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice, recipient="bob")
        bench.relay.packet(stream, OPUS_20)
        bench.relay.join(carol_link, bench.front)
        bench.relay.finish(stream)
        await trio.sleep(1)
        assert bob.order() == ["start 1", "1", "stop 1"]
        assert [what.get("for") for _, what in bob.told if isinstance(what, dict)].count("bob") == 1
        assert carol.order() == []


async def test_a_private_talk_leaves_the_floor_to_others(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice")
        bench.relay.begin(bench.front, sender="alice", owner=alice, recipient="bob")
        assert bench.front.is_free(trio.current_time())
        bench.relay.begin(bench.front, sender="alice", owner=alice, recipient="door")
        assert not bench.front.is_free(trio.current_time())


async def test_a_listener_who_goes_leaves_nothing_behind(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice", bench.front, bench.house)
        bob_link, bob = bench.link("bob", bench.front, bench.house)
        first = bench.relay.begin(bench.front, sender="alice", owner=alice)
        second = bench.relay.begin(bench.house, sender="alice", owner=alice)
        bench.relay.packet(first, OPUS_20)
        bench.relay.packet(second, OPUS_20)
        bench.front.leave(bob_link)
        bob_link.close()
        before = list(bob.told)
        assert not first.audience
        assert not second.audience
        bench.relay.packet(first, OPUS_20)
        bench.relay.finish(first)
        await trio.sleep(6)
        assert bob.told == before


async def test_no_packet_of_nonsense_is_relayed(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench() as bench:
        alice, _ = bench.link("alice")
        _, bob = bench.link("bob")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        for payload in (b"", b"\x03", b"\x4b\x00", b"\x4b\x3f", bytes(1400)):
            with pytest.raises(MalformedMessage):
                bench.relay.packet(stream, payload)
        assert bob.order() == []
        bench.relay.packet(stream, OPUS_20)
        assert bob.packets == [(1, 0)]


async def test_padding_is_no_way_to_fill_the_network(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench(max_rate=3.0, max_stream_s=60) as bench:
        alice, _ = bench.link("alice")
        _, bob = bench.link("bob")
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        padded = b"\xe3\x01" + bytes(4000)  # 2.5 ms of sound
        for _ in range(400):
            for _ in range(10):
                bench.relay.packet(stream, padded)
            await trio.sleep(0.01)
        assert 64_000 * 10 < len(bob.packets) * 4002 < 64_000 * (2 + 3 * 4.1)
        # Whoever has the floor at a bit rate that Opus has loses nothing.
        bench.relay.finish(stream)
        stream = bench.relay.begin(bench.front, sender="alice", owner=alice)
        for _ in range(100):
            bench.relay.packet(stream, b"\x48" + bytes(1275))
            await trio.sleep(0.02)
        assert len([number for of, number in bob.packets if of == stream.id]) == 100


async def test_the_door_goes_before_people(autojump_clock: trio.testing.MockClock) -> None:
    async with relay_bench() as bench:
        carol, _ = bench.link("carol", bench.house)
        _, bob = bench.link("bob", bench.front, bench.house)
        talk = bench.relay.begin(bench.house, sender="carol", owner=carol)
        bench.relay.packet(talk, OPUS_20)
        ring = bench.relay.begin(bench.front, sender="door", owner=None)
        bench.relay.packet(ring, OPUS_20)
        other = bench.relay.begin(bench.channel("Other"), sender="door", owner=None)
        bench.relay.packet(other, OPUS_20)
        assert bob.order() == ["start 1", "1", "stop 1", "start 2", "2"]
        bench.relay.packet(talk, OPUS_20)
        bench.relay.finish(ring)
        await trio.sleep(1)
        assert bob.order()[5:] == ["stop 2"]
