"""Foreign clients of Zello's Channel API on the door's own channels: TLS, and speech in both directions."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import Door, Peer
from sound import alikeness, loudness_db, missing_tools, opus_of, packets_of, samples, speak

CHANNEL = "Front door"
VOICE_S = 40.0


def need(*tools: str) -> None:
    missing = missing_tools(*tools)
    if missing and os.environ.get("CI"):
        pytest.fail(f"not on this machine: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("espeak-ng", "opusenc", "opusdec")
    return speak(tmp_path_factory.mktemp("speech") / "visitor.wav")


@pytest.fixture
def voices(build_door: Callable[..., Door]) -> Door:
    """A door of one test's own: a call of the last one would still be open."""
    return build_door()


@pytest.fixture
def resident(voices: Door, run_peer: Callable[..., Peer], tmp_path: Path) -> Callable[..., Peer]:
    def start(program: str = "zelpy_shell.py", **environment: str) -> Peer:
        settings = {
            "PEER_URL": voices.address("zello"),
            "PEER_CHANNEL": CHANNEL,
            "PEER_FOLDER": str(tmp_path),
        }
        return run_peer(program, voices, **settings | environment)

    return start


def test_the_visitor_is_heard(voices: Door, resident: Callable[..., Peer], speech: Path) -> None:
    zelpy = resident()
    zelpy.of("opened")
    voices.press()
    assert "door" in zelpy.next(lambda line: "text" in line.get("got", {}))["got"]["text"]
    voices.portero("sim", "say", str(speech))
    message = zelpy.next(lambda line: "voice" in line.get("got", {}), VOICE_S)["got"]
    assert message["from"] == "door"
    said, heard = samples(speech), samples(Path(message["voice"]))
    print("visitor -> zelpy", alikeness(said, heard))
    assert alikeness(said, heard) > 0.9
    assert abs(loudness_db(said) - loudness_db(heard)) < 3


def test_the_resident_is_heard(
    voices: Door, resident: Callable[..., Peer], speech: Path, tmp_path: Path
) -> None:
    zelpy = resident()
    zelpy.of("opened")
    voices.press()
    # The street is quiet: the door's own message of the ring must not stand in the way of the answer.
    zelpy.tell(voice=str(opus_of(speech)))
    zelpy.of("done", VOICE_S)
    assert [call["state"] for call in voices.status()["calls"]] == ["answered"]
    voices.portero("sim", "hear", str(tmp_path / "street.wav"))
    said, heard = samples(speech), samples(tmp_path / "street.wav")
    print("zelpy -> street", alikeness(said, heard))
    assert alikeness(said, heard) > 0.9
    assert abs(loudness_db(said) - loudness_db(heard)) < 3


def test_packets_of_60_ms_are_heard_as_well(
    voices: Door, resident: Callable[..., Peer], speech: Path, tmp_path: Path
) -> None:
    zelpy = resident()
    zelpy.of("opened")
    zelpy.tell(voice=str(opus_of(speech, 60)))
    zelpy.of("done", VOICE_S)
    voices.portero("sim", "hear", str(tmp_path / "street.wav"))
    assert alikeness(samples(speech), samples(tmp_path / "street.wav")) > 0.9


def test_a_written_word_opens(voices: Door, resident: Callable[..., Peer]) -> None:
    zelpy = resident()
    zelpy.of("opened")
    zelpy.tell(text="open")
    answer = zelpy.next(lambda line: "text" in line.get("got", {}))["got"]
    assert answer["from"] == "door"
    states = {row["name"]: row["state"] for row in voices.status()["endpoints"]}
    assert states["strike"] == "unlocked"


def test_a_wrong_password_is_told_so(resident: Callable[..., Peer]) -> None:
    assert "not authorized" in resident(PEER_PASSWORD="no").of("failed")


def test_a_channel_that_does_not_exist_is_told_in_words(resident: Callable[..., Peer]) -> None:
    pyzel = resident("pyzel_shell.py", PEER_CHANNEL="front door")
    status = pyzel.next(lambda line: line.get("got", {}).get("command") == "on_channel_status")["got"]
    assert (status["status"], status["error_type"]) == ("offline", "configuration")
    assert status["error"] == "channel not found"


def test_pyzel_with_its_subprotocol_and_its_ping(voices: Door, resident: Callable[..., Peer]) -> None:
    pyzel = resident("pyzel_shell.py")
    reply = pyzel.next(lambda line: line.get("got", {}).get("seq") == 1)["got"]
    assert reply["success"] is True
    assert reply["refresh_token"]
    pyzel.next(lambda line: line.get("got", {}).get("status") == "online")
    pyzel.tell(ping=True)
    assert pyzel.next(lambda line: line.get("got", {}).get("seq") == 2)["got"]["success"] is True
    pyzel.tell(text="light")
    assert pyzel.next(lambda line: line.get("got", {}).get("seq") == 3)["got"]["success"] is True
    pyzel.next(lambda line: line.get("got", {}).get("command") == "on_text_message")
    states = {row["name"]: row["state"] for row in voices.status()["endpoints"]}
    assert states["staircase"] == "on"


def test_habits_of_the_javascript_sdk(
    voices: Door, resident: Callable[..., Peer], speech: Path, tmp_path: Path
) -> None:
    """An imitation of it: no channel named, audio before the reply, one player for whatever comes."""
    sdk = resident("zello_sdk.js")
    assert sdk.of("opened")["success"] is True
    sdk.next(lambda line: line.get("got", {}).get("status") == "online")
    sdk.tell(keepalive=True)
    assert sdk.of("kept") is True

    packets = packets_of(opus_of(speech))
    sdk.tell(talk=str(packets), early=10)
    talked = sdk.of("talked", VOICE_S)
    assert (talked["early"], talked["refused"], talked["stopped"]) == (10, None, True)
    voices.portero("sim", "hear", str(tmp_path / "street.wav"))
    # What came too early makes the buffer too deep, and it is cut shorter where the speech pauses: a quarter
    # of a second with a cut in it is like nothing that was said.
    assert alikeness(samples(speech), samples(tmp_path / "street.wav"), slack_s=0.3) > 0.6

    voices.press()
    voices.portero("sim", "say", str(speech))
    stream = sdk.next(lambda line: "stream" in line.get("got", {}), VOICE_S)["got"]["stream"]
    assert stream["foreign"] == 0
    assert (stream["from"], stream["rate"]) == ("door", 16_000)
    # It plays to the nominal end only if the stop does not come before.
    assert stream["tookMs"] >= stream["nominalMs"] - 100


def test_the_second_talker_is_told_that_the_channel_is_busy(
    resident: Callable[..., Peer], speech: Path
) -> None:
    first, second = resident("zello_sdk.js"), resident("zello_sdk.js")
    for sdk in (first, second):
        sdk.next(lambda line: line.get("got", {}).get("status") == "online")
    packets = packets_of(opus_of(speech))
    first.tell(talk=str(packets))
    first.tell(keepalive=True)
    first.of("kept")
    second.tell(talk=str(packets))
    refused = second.of("talked", VOICE_S)
    assert refused["refused"] == "channel busy"
    assert first.of("talked", VOICE_S)["refused"] is None
    stream = second.next(lambda line: "stream" in line.get("got", {}), VOICE_S)["got"]["stream"]
    assert stream["foreign"] == 0
