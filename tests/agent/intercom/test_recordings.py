"""The folder of messages: what is in it is whole, and not too much."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from harness.sound import speech
from harness.studio import packets

from agent.intercom.config import RecordingConfig
from agent.intercom.recordings import Recordings
from agent.model.errors import EndpointError
from agent.voice.codec import parse_packet
from agent.voice.ogg import OggOpusWriter, read_ogg_opus

DAY_S = 86_400


def fill(recordings: Recordings, call_id: str, seconds: float = 1.0) -> str:
    file = recordings.begin(call_id)
    writer = OggOpusWriter(file)
    for packet in packets(speech(seconds)):
        writer.write(parse_packet(packet)[1])
    writer.close()
    return recordings.keep(call_id, file)


def folder(path: Path, **config: object) -> Recordings:
    recordings = Recordings(path / "recordings", RecordingConfig(**config))  # type: ignore[arg-type]
    recordings.prepare()
    return recordings


def age(path: Path, days: float) -> None:
    then = path.stat().st_mtime - days * DAY_S
    os.utime(path, (then, then))


def test_a_message_is_kept_for_the_agent_alone(tmp_path: Path) -> None:
    recordings = folder(tmp_path)
    assert fill(recordings, "c1") == "c1.ogg"
    path = tmp_path / "recordings" / "c1.ogg"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert read_ogg_opus(path).duration_us == pytest.approx(1e6, abs=1e5)
    (message,) = recordings.messages()
    assert (message.file, message.size_bytes) == ("c1.ogg", path.stat().st_size)
    assert message.duration_s == pytest.approx(1.0, abs=0.1)


def test_what_a_power_cut_left_is_kept_as_far_as_it_is_whole(tmp_path: Path) -> None:
    recordings = folder(tmp_path)
    fill(recordings, "whole", 3)
    whole = (tmp_path / "recordings" / "whole.ogg").read_bytes()
    (tmp_path / "recordings" / "cut.ogg.part").write_bytes(whole[: len(whole) * 3 // 4])
    (tmp_path / "recordings" / "head.ogg.part").write_bytes(whole[:60])
    (tmp_path / "recordings" / "empty.ogg.part").write_bytes(b"")
    again = folder(tmp_path)
    assert {message.file for message in again.messages()} == {"whole.ogg", "cut.ogg"}
    assert not list((tmp_path / "recordings").glob("*.part"))
    assert read_ogg_opus(tmp_path / "recordings" / "cut.ogg").duration_us >= 1e6


def test_the_oldest_beyond_the_number_go(tmp_path: Path) -> None:
    recordings = folder(tmp_path, keep=3)
    for number in range(5):
        fill(recordings, f"c{number}")
        age(tmp_path / "recordings" / f"c{number}.ogg", 1 - number / 10)
    recordings.prune()
    assert [message.file for message in recordings.messages()] == ["c2.ogg", "c3.ogg", "c4.ogg"]


def test_the_oldest_beyond_the_bytes_go(tmp_path: Path) -> None:
    recordings = folder(tmp_path, keep_mb=1)
    for number in range(4):
        path = tmp_path / "recordings" / f"c{number}.ogg"
        path.write_bytes(bytes(400_000))
        age(path, 1 - number / 10)
    recordings.prune()
    assert [message.file for message in recordings.messages()] == ["c2.ogg", "c3.ogg"]


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    recordings = folder(tmp_path, keep_days=2)
    for number in range(3):
        fill(recordings, f"c{number}")
        age(tmp_path / "recordings" / f"c{number}.ogg", 3 - number)
    recordings.prune()
    assert [message.file for message in recordings.messages()] == ["c2.ogg"]


def test_read_in_pieces_and_delete(tmp_path: Path) -> None:
    recordings = folder(tmp_path)
    fill(recordings, "c1")
    whole = (tmp_path / "recordings" / "c1.ogg").read_bytes()
    first, size = recordings.read("c1.ogg", 0, 1000)
    rest, _ = recordings.read("c1.ogg", 1000, 100_000)
    assert (first + rest, size) == (whole, len(whole))
    assert recordings.read("c1.ogg", size, 1000) == (b"", size)
    recordings.delete("c1.ogg")
    assert recordings.messages() == []
    with pytest.raises(EndpointError, match="there is no"):
        recordings.delete("c1.ogg")
    with pytest.raises(EndpointError, match="there is no"):
        recordings.read("c1.ogg", 0, 1)


@pytest.mark.parametrize("name", ["../access.db", "a/b.ogg", "", ".ogg", "c1.ogg.part", "c1.ogg\n", "x" * 90])
def test_only_messages_can_be_named(tmp_path: Path, name: str) -> None:
    recordings = folder(tmp_path)
    with pytest.raises(EndpointError):
        recordings.read(name, 0, 1)
    with pytest.raises(EndpointError):
        recordings.delete(name)


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    recordings = folder(tmp_path)
    (tmp_path / "recordings" / "c1.ogg.part").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        recordings.begin("c1")


def test_discarding_leaves_nothing_and_never_fails(tmp_path: Path) -> None:
    recordings = folder(tmp_path)
    file = recordings.begin("c1")
    recordings.discard("c1", file)
    recordings.discard("c1", file)
    assert file.closed
    assert list((tmp_path / "recordings").iterdir()) == []
