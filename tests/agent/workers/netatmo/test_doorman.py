"""Who is let in, beyond what test_rest.py asks."""

from __future__ import annotations

from pathlib import Path

from harness.netatmo_door import netatmo_door


async def test_an_authenticator_that_is_overrun(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        door.house.authenticator.overrun = True
        reply = await door.call("GET", "/api/homesdata", token=f"{'0' * 24}|{'0' * 32}")
        assert (reply.status, reply.code) == (429, 26)
        # Right tokens need no looking up by others.
        assert (await door.call("GET", "/api/homesdata")).status == 200


async def test_a_right_number_with_a_wrong_secret(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        number, _, secret = door.token.partition("|")
        for wrong in (f"{number}|{secret[::-1]}", f"{number}|", number, secret, f"{secret[:24]}|{secret}"):
            assert (await door.call("GET", "/api/homesdata", token=wrong)).code == 2


async def test_the_figures_on_the_status_page(tmp_path: Path) -> None:
    async with netatmo_door(tmp_path) as door:
        assert set(door.house.pages) >= {
            "tokens", "bad_tokens", "webhooks", "webhooks_banned", "events_missed",
        }  # fmt: skip
