"""The card itself: when it is open, what it may sound like, and what happens when it is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from harness.sound import rms_dbfs, speech
from harness.studio import Studio, decoded, receive
from trio.testing import MockClock

from agent.intercom.card import CHECK_EVERY_S, LINGER_S, REOPEN_MAX_S
from agent.model.events import HardwareFailed, HardwareRecovered
from agent.voice import chime
from hw.audio_fake import SimulatedCard


@pytest.mark.parametrize(
    ("rate_hz", "period_ms"),
    [(16_000, 20), (48_000, 20), (44_100, 20), (8_000, 20), (16_000, 64), (48_000, 10)],
)
async def test_any_rate_and_period_of_the_card(
    tmp_path: Path, autojump_clock: MockClock, rate_hz: int, period_ms: int
) -> None:
    card = SimulatedCard(sample_rate_hz=rate_hz, period_ms=period_ms)
    studio = Studio(tmp_path, card=card, ring_message_s=3)
    async with studio.running():
        studio.press()
        transmission = await studio.intercom.transmission(0)
        studio.card.say(speech(2.0, rate_hz))
        received = await receive(transmission)
        assert len(received) == pytest.approx(150, abs=6)
        assert rms_dbfs(decoded(received)) == pytest.approx(rms_dbfs(speech(2.0)) - 1.8, abs=2)
        heard = studio.card.heard()
        assert len(heard) / 2 / rate_hz == pytest.approx(len(chime.ring()) / 32_000, abs=0.15)
        assert rms_dbfs(heard) == pytest.approx(rms_dbfs(chime.ring()), abs=2)


async def test_an_idle_card_is_closed_and_looked_at_now_and_then(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        row = studio.intercom.status()
        assert (row["microphone"]["state"], row["speaker"]["state"]) == ("closed", "closed")
        assert (len(studio.sources), len(studio.sinks)) == (1, 1)
        await trio.sleep(CHECK_EVERY_S / 2)
        assert (len(studio.sources), len(studio.sinks)) == (1, 1)
        studio.card.fail()
        await trio.sleep(CHECK_EVERY_S / 2 + 1)
        failed = studio.told(HardwareFailed)
        assert sorted(event.endpoint for event in failed) == ["microphone", "speaker"]  # type: ignore[union-attr]


async def test_the_card_is_open_while_it_is_used_and_a_moment_longer(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    studio = Studio(tmp_path, ring_message_s=2)
    async with studio.running():
        studio.press()
        await trio.sleep(1)
        assert studio.intercom.status()["microphone"]["state"] == "open"
        assert studio.intercom.status()["speaker"]["state"] == "open"
        assert studio.intercom.status()["microphone"]["level"] is not None
        await trio.sleep(1 + LINGER_S / 2)
        assert studio.intercom.status()["microphone"]["state"] == "open"
        assert studio.intercom.status()["microphone"]["level"] is None
        await trio.sleep(LINGER_S)
        assert studio.intercom.status()["microphone"]["state"] == "closed"
        assert studio.intercom.status()["speaker"]["state"] == "closed"
        assert (len(studio.sources), len(studio.sinks)) == (2, 2)


async def test_a_dead_card_is_told_once_and_tried_ever_more_seldom(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    card = SimulatedCard()
    card.fail("No such device")
    studio = Studio(tmp_path, card=card)
    async with studio.running():
        await trio.sleep(200)
        assert len(studio.told(HardwareFailed)) == 2
        card.heal()
        await trio.sleep(REOPEN_MAX_S)
        assert len(studio.told(HardwareRecovered)) == 2
        assert studio.intercom.problems() == []


async def test_a_card_that_speaks_another_language_is_a_card_that_failed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    studio = Studio(tmp_path, card=SimulatedCard(sample_rate_hz=4_000))
    async with studio.running():
        studio.press()
        await trio.sleep(1)
        assert len(studio.told(HardwareFailed)) == 2
        assert "4000 Hz" in studio.intercom.problems()[0]


async def test_a_card_that_stalls_is_a_card_that_failed(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path)
    async with studio.running():
        studio.press()
        await trio.sleep(0.5)
        studio.card.stall()
        await trio.sleep(0.5)
        assert len(studio.told(HardwareFailed)) == 2
        assert studio.microphone() == [(True, "ring"), (False, "ring")]
        studio.card.heal()
        await trio.sleep(3)
        assert len(studio.told(HardwareRecovered)) == 2


async def test_gains(tmp_path: Path, autojump_clock: MockClock) -> None:
    studio = Studio(tmp_path, ring_message_s=3, microphone_gain_db=-12, speaker_gain_db=-20)
    async with studio.running():
        studio.press()
        transmission = await studio.intercom.transmission(0)
        studio.card.say(speech(2.8))
        received = await receive(transmission)
        assert rms_dbfs(decoded(received)) == pytest.approx(rms_dbfs(speech(2.8)) - 12, abs=2)
        assert rms_dbfs(studio.card.heard()) == pytest.approx(rms_dbfs(chime.ring()) - 20, abs=1)
