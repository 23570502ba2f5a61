"""The Python library websockets, driven line by line.

Commands: {"send": ...}, {"raw": "..."}, {"fragments": ["...", ...]}, {"ping": true}, {"close": 1000}.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import threading
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def read(connection: ClientConnection) -> None:
    try:
        for message in connection:
            tell(got=json.loads(message))
    except ConnectionClosed:
        pass
    closed = connection.close_code
    tell(closed=closed)


def main() -> None:
    trust = ssl.create_default_context(cafile=os.environ["PEER_CA"])
    try:
        connection = connect(os.environ["PEER_URL"], ssl=trust, open_timeout=10)
    except OSError as error:
        tell(failed=str(error))
        return
    with connection:
        tell(opened={"extensions": [str(extension) for extension in connection.protocol.extensions]})
        reader = threading.Thread(target=read, args=(connection,), daemon=True)
        reader.start()
        for line in sys.stdin:
            command = json.loads(line)
            if "raw" in command:
                connection.send(command["raw"])
            elif "fragments" in command:
                connection.send(iter(command["fragments"]))
            elif "ping" in command:
                tell(pong=connection.ping().wait(10))
            elif "close" in command:
                connection.close(command["close"])
            else:
                connection.send(json.dumps(command["send"]))
    reader.join(10)


if __name__ == "__main__":
    main()
