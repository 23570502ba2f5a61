"""Commands about tags and codes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from harness.door import Recorded

from agent.control import Request
from agent.entrance.config import SIMULATED, ReaderConfig
from agent.entrance.doorkeeper import Doorkeeper
from agent.entrance.importer import Importer
from agent.entrance.readers import Readers
from agent.entrance.store import KeyStore
from agent.key_answers import KeyAnswers
from agent.model.errors import CommandError, MalformedMessage


class Desk:
    def __init__(self, folder: Path) -> None:
        self.store = KeyStore.open(folder, report=lambda event: None)
        config = ReaderConfig(device=SIMULATED, kind="wiegand", opens="strike")
        self.readers = Readers({"front": config}, cast(Doorkeeper, None), log=Recorded())
        self._answers = KeyAnswers(self.store, Importer(self.store), self.readers, {}).answers()

    async def ask(self, verb: str, **arguments: Any) -> Any:
        return await self._answers[verb](request(arguments))


def request(arguments: dict[str, Any]) -> Request:
    return Request({"cmd": "x", **arguments}, account="local:ana")


async def test_add_list_revoke_history_rollback(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    made = await desk.ask("keys_add", key={"holder": "Ana"}, generate=True)
    assert (len(made["code"]), made["method"]) == (6, "code")
    (row,) = await desk.ask("keys_list")
    assert "code" not in row
    assert await desk.ask("keys_list", source="vms") == []
    assert [one["id"] for one in await desk.ask("keys_revoke", id=row["id"])] == [row["id"]]
    (last, _) = await desk.ask("keys_history")
    assert (last["removed"], last["by"]) == (1, "local:ana")
    assert await desk.ask("keys_rollback", source="local") == {"added": 1, "changed": 0, "removed": 0}


@pytest.mark.parametrize("key", [{}, {"tag": "x"}, {"code": "1"}])
async def test_what_is_refused_is_said(tmp_path: Path, key: dict[str, Any]) -> None:
    with pytest.raises(CommandError):
        await Desk(tmp_path).ask("keys_add", key=key)


async def test_a_file_comes_in_pieces(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    content = b"key,name\n7BB26E,Ana\n"
    for start in range(0, len(content), 7):
        piece = base64.b64encode(content[start : start + 7]).decode()
        await desk.ask("keys_piece", data=piece, first=start == 0)
    done = await desk.ask("keys_import", file="a.csv")
    assert done == {"added": 1, "changed": 0, "removed": 0, "refused": ()}
    with pytest.raises(CommandError, match="headers"):
        await desk.ask("keys_import", file="a.csv")
    with pytest.raises(MalformedMessage):
        await desk.ask("keys_piece", data="!")
    with pytest.raises(MalformedMessage):
        await desk.ask("keys_import", source="../x")


async def test_a_tag_is_learnt(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    rows: list[Any] = []

    async def learn() -> None:
        rows.append(await desk.ask("keys_learn", reader="front", key={"holder": "Ben"}))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.readers.run)
        async with trio.open_nursery() as waiting:
            waiting.start_soon(learn)
            await trio.testing.wait_all_tasks_blocked(0.05)
            await desk.ask("reader_sim", reader="front", do="tag", what="123,45678")
        nursery.cancel_scope.cancel()
    assert (rows[0]["holder"], rows[0]["method"]) == ("Ben", "tag")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"reader": "back", "do": "tag", "what": "7BB26E"}, CommandError),
        ({"reader": "front", "do": "tag", "what": "62E3086CED"}, CommandError),
        ({"reader": "front", "do": "type", "what": "x"}, CommandError),
        ({"reader": "front", "do": "dance"}, MalformedMessage),
    ],
)
async def test_a_clumsy_hand(tmp_path: Path, arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        await Desk(tmp_path).ask("reader_sim", **arguments)
