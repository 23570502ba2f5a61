from __future__ import annotations

from harness.sound import align, noise, speech

from agent.voice.codec import Codec, Meter


def test_a_voice_survives_the_codec_and_is_taken_for_one() -> None:
    codec, said = Codec(), speech(3.0)
    heard = b""
    voiced = 0
    for n, at in enumerate(range(0, len(said), codec.frame_bytes)):
        header, pcm = codec.decode_packet(codec.encode_packet(5, n, said[at : at + codec.frame_bytes]))
        assert (header.stream_id, header.packet_id) == (5, n)
        heard += pcm
        voiced += codec.heard_level.voice
    match = align(said, heard, max_lag_s=0.1)
    assert match.correlation > 0.9
    assert abs(match.gain_db) < 1
    assert voiced > 75


def test_a_quiet_room_is_no_voice() -> None:
    meter, room = Meter(16_000), noise(4.0, level_dbfs=-55.0)
    levels = [meter.measure(room[at : at + 640]) for at in range(0, len(room), 640)]
    assert sum(level.voice for level in levels[100:]) == 0
