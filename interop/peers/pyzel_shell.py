"""pyzel's client of the Channel API, unmodified: it offers a subprotocol and has a `ping` of its own.

Further setting: PEER_CHANNEL. Commands: {"text": "..."}, {"ping": true}. The server's words are printed as
they are.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from typing import Any

from pyzel import ZelloClient
from websockets.exceptions import ConnectionClosed


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def main() -> None:
    os.environ["SSL_CERT_FILE"] = os.environ["PEER_CA"]
    loop = asyncio.get_running_loop()
    client = ZelloClient(
        os.environ["PEER_USER"],
        os.environ["PEER_PASSWORD"],
        auth_token="none",
        endpoint=os.environ["PEER_URL"],
        channel=os.environ["PEER_CHANNEL"],
    )
    await client.connect(open_socket=True)
    await client.join_channel()

    def read() -> None:
        for line in sys.stdin:
            order = json.loads(line)
            sending = client.ping() if "ping" in order else client.send_text_message(order["text"])
            asyncio.run_coroutine_threadsafe(sending, loop)
        loop.call_soon_threadsafe(os._exit, 0)

    threading.Thread(target=read, daemon=True).start()
    try:
        while True:
            message = await client.receive()
            tell(got={"binary": len(message)} if isinstance(message, bytes) else message)
    except ConnectionClosed as error:
        tell(closed=error.rcvd.code if error.rcvd else None)


if __name__ == "__main__":
    asyncio.run(main())
