"""`portero netatmo picture`: what a camera at a cloud sees now; also the door's picture of whoever rings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from agent.commands.exits import Failure
from agent.commands.state import connect, state_option

ASK_S = 20.0  # two of its addresses are tried
FETCH_S = 8.0
MAX_BYTES = 2 * 1024 * 1024
_JPEG = b"\xff\xd8\xff"


@click.command()
@click.argument("module")
@click.option("--cloud", metavar="CLOUD", help="Which, where there are several.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file; absent: standard output.")
@state_option
def picture(module: str, cloud: str | None, output: Path | None) -> None:
    """Take a picture with MODULE, a camera at a cloud, and write it as a JPEG."""
    if output is None and sys.stdout.isatty():
        raise click.UsageError("a picture is nothing for a terminal: --output FILE, or a pipe.")
    arguments: dict[str, Any] = {"module": module, "what": "snapshot"}
    if cloud is not None:
        arguments["cloud"] = cloud
    with connect() as agent:
        told = agent.ask("worker", timeout_s=ASK_S, worker="netatmo", verb="cloud_video", **arguments)
    jpeg = _fetch(told["url"])
    if output is None:
        sys.stdout.buffer.write(jpeg)
        return
    try:
        output.write_bytes(jpeg)
    except OSError as error:
        raise Failure(f"{output}: cannot be written: {error.strerror}") from error


def _fetch(url: str) -> bytes:
    """The picture at an address that nobody else may see. Raises: Failure, without the address."""
    import trio

    from agent.model.errors import PeerError
    from agent.net.http_client import HttpAnswer, HttpClient

    async def get() -> HttpAnswer:
        async with HttpClient(timeout_s=FETCH_S, max_body_bytes=MAX_BYTES) as http:
            return await http.request("GET", url)

    try:
        answer = trio.run(get)
    except PeerError as error:
        raise Failure(f"no picture: {error}") from error
    if answer.status != 200 or not answer.body.startswith(_JPEG):
        raise Failure(f"no picture: the camera answered {answer.status} and no JPEG")
    return answer.body
