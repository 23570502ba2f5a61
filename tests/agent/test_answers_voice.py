"""The local commands of the sound card, in real time on a simulated one."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from harness.context import DictAuthenticator
from harness.door import Counting, ObedientJournal, Recorded
from harness.sound import rms_dbfs, speech

from agent.access.passes import Passes
from agent.access.store import AccessStore
from agent.answers import CHUNK_BYTES, Answers
from agent.control import Request
from agent.dispatch import Dispatch
from agent.intercom.config import RecordingConfig, VoiceConfig
from agent.intercom.sound import Sound
from agent.model.errors import AgentError, MalformedMessage
from agent.model.events import CallChanged


class Desk:
    """The commands of a door with a card, or without one; simulated, or not."""

    def __init__(self, folder: Path, config: VoiceConfig | None, *, simulated: bool = True) -> None:
        self.log = Recorded()
        self.users = AccessStore.open(folder / "access.db").store
        self.passes = Passes(DictAuthenticator({}))
        self.recordings = folder / "recordings"
        self.sound = None
        if config is not None:
            self.sound = Sound(config, log=self.log, recordings=self.recordings, simulated=simulated)
        self._answers = Answers(
            status=lambda: {"pid": 1},
            log=self.log,
            dispatch=Dispatch(log=self.log, journal=ObedientJournal(), performers={}, new_id=Counting("a")),
            users=self.users,
            passes=self.passes,
            board=None,
            ask_worker=_no_worker,
            sound=self.sound,
        )

    async def ask(self, command: str, **arguments: Any) -> Any:
        return await self._answers.answers()[command](Request(arguments, "local:ana"))

    def stream(self, command: str) -> AsyncIterator[Any]:
        return self._answers.streams()[command](Request({}, "local:ana"))


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path, None)
    yield desk
    await desk.users.close()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path, VoiceConfig(ring_message_s=0, recording=RecordingConfig()))
    assert desk.sound is not None
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(desk.sound.intercom.run, after=0))
        yield desk
        nursery.cancel_scope.cancel()
    await desk.users.close()


@pytest.mark.parametrize(
    "command",
    ["voice_login", "audio_test", "recordings", "recording_get", "recording_delete", "sim_say", "sim_hear"],
)
async def test_a_door_without_sound_says_so(bare: Desk, command: str) -> None:
    with pytest.raises(AgentError, match=r"no (simulated )?sound card"):
        await bare.ask(command, file="c1.ogg", pcm="")
    with pytest.raises(AgentError, match="no sound card"):
        await anext(bare.stream("audio_levels"))


async def test_a_login_for_voices(desk: Desk) -> None:
    for talk in (False, True):
        login = await desk.ask("voice_login", talk=talk)
        who = await desk.passes.authenticate(
            account=login["account"], secret=login["secret"], via="zello", peer="p"
        )
        assert who is not None
        assert who.grant.endpoints == (("talk", "call") if talk else ())
    with pytest.raises(MalformedMessage):
        await desk.ask("voice_login", talk="yes")


async def test_say_and_hear_at_the_simulated_door(desk: Desk) -> None:
    said = speech(1.0)
    waiting = await desk.ask("sim_say", pcm=base64.b64encode(said).decode())
    assert waiting == {"waiting_s": pytest.approx(1.0, abs=0.1)}
    desk.log.publish(CallChanged(call_id="c1", endpoint="bell", state="ringing"))
    await trio.sleep(0.5)
    heard = await desk.ask("sim_hear", forget=True)
    assert heard["sample_rate_hz"] == 16_000
    assert rms_dbfs(base64.b64decode(heard["pcm"])) > -40
    assert len(base64.b64decode((await desk.ask("sim_hear"))["pcm"])) < len(base64.b64decode(heard["pcm"]))


@pytest.mark.parametrize("pcm", ["!", "AAA", "AAAA"])
async def test_what_is_no_sound_is_not_said(desk: Desk, pcm: str) -> None:
    with pytest.raises(MalformedMessage, match=r"^pcm: "):
        await desk.ask("sim_say", pcm=pcm)


async def test_no_more_is_said_than_the_card_can_hold(desk: Desk) -> None:
    second = base64.b64encode(bytes(32_000)).decode()
    for _ in range(120):
        await desk.ask("sim_say", pcm=second)
    with pytest.raises(AgentError, match="waiting to be said"):
        await desk.ask("sim_say", pcm=second)


async def test_messages_in_pieces(desk: Desk) -> None:
    desk.recordings.mkdir(exist_ok=True)
    content = bytes(range(256)) * 300
    (desk.recordings / "c1.ogg").write_bytes(content)
    (row,) = await desk.ask("recordings")
    assert (row["file"], row["size_bytes"]) == ("c1.ogg", len(content))
    got = b""
    while True:
        part = await desk.ask("recording_get", file="c1.ogg", offset=len(got))
        assert part["size"] == len(content)
        chunk = base64.b64decode(part["data"])
        assert len(chunk) <= CHUNK_BYTES
        if not chunk:
            break
        got += chunk
    assert got == content
    assert await desk.ask("recording_delete", file="c1.ogg") == {}
    assert await desk.ask("recordings") == []
    for command in ("recording_get", "recording_delete"):
        with pytest.raises(AgentError, match=r"there is no 'c1\.ogg'"):
            await desk.ask(command, file="c1.ogg")
    for wrong in ({"offset": -1}, {"offset": "x"}, {"file": "x" * 100}, {"file": 5}):
        with pytest.raises(MalformedMessage):
            await desk.ask("recording_get", **{"file": "c1.ogg", **wrong})


async def test_a_disk_that_fails_is_said(desk: Desk) -> None:
    desk.recordings.mkdir(exist_ok=True)
    (desk.recordings / "c1.ogg").mkdir()
    with pytest.raises(AgentError, match="recordings: "):
        await desk.ask("recording_get", file="c1.ogg")


async def test_levels_and_test(desk: Desk) -> None:
    async with aclosing(desk.stream("audio_levels")) as items:  # type: ignore[type-var]
        async for item in items:
            assert set(item) == {"microphone", "speaker", "muted"}
            break
    with trio.fail_after(20):
        result = await desk.ask("audio_test")
    assert result["heard"]["rms_dbfs"] <= -90


async def _no_worker(worker: str, verb: str, request: Request) -> object:
    raise AssertionError(worker)
