"""An imitation of the current app (zmNinjaNg), written from a description of what it sends; not its code.

It says the category in its auth and waits 20 s for the reply; a refusal ends it for good. A filter is sent
only when not all monitors are wanted, a token with a profile on phones. Its life sign is `control version`,
whose reply must have event `control`, type `version` and a version, and come within 5 s. After every alarm it
sends its badge as a number. It tells events apart by strict equality of EventId, and shows MonitorName.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import threading
import time
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

AUTH_REPLY_S = 20.0
VERSION_REPLY_S = 5.0


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


class NinjaNg:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._seen: list[Any] = []
        self._badge = 0
        self._asked_at: float | None = None

    def log_in(self) -> bool:
        credentials = {
            "user": os.environ["PEER_USER"],
            "password": os.environ["PEER_PASSWORD"],
            "appversion": "1.0.0",
        }
        self._send({"event": "auth", "data": credentials, "category": "normal"})
        reply = json.loads(self._connection.recv(AUTH_REPLY_S))
        tell(got=reply)
        if reply["event"] != "auth" or reply["status"] != "Success":
            tell(failed=reply.get("reason", ""))
            return False
        monlist = os.environ.get("PEER_MONLIST", "")
        if monlist:
            intlist = os.environ.get("PEER_INTLIST", "")
            self._send(
                {"event": "control", "data": {"type": "filter", "monlist": monlist, "intlist": intlist}}
            )
        if token := os.environ.get("PEER_TOKEN"):
            registration = {"type": "token", "token": token, "platform": "ios", "state": "enabled"}
            self._send({"event": "push", "data": registration | {"profile": "Home"}})
        return True

    def probe(self) -> None:
        self._asked_at = time.monotonic()
        self._send({"event": "control", "data": {"type": "version"}})

    def hear(self, message: dict[str, Any]) -> None:
        tell(got=message)
        if message["event"] == "control" and message.get("type") == "version" and message.get("version"):
            assert self._asked_at is not None
            took_s = time.monotonic() - self._asked_at
            tell(alive=took_s <= VERSION_REPLY_S, took_s=took_s)
        if message["event"] == "alarm" and message["status"] == "Success":
            for event in message["events"]:
                if any(
                    event["EventId"] == seen and type(event["EventId"]) is type(seen) for seen in self._seen
                ):
                    continue
                self._seen.append(event["EventId"])
                self._badge += 1
                tell(shown=event.get("MonitorName", ""), cause=event["Cause"], picture=event.get("Picture"))
            self._send({"event": "push", "data": {"type": "badge", "badge": self._badge}})

    def _send(self, message: dict[str, Any]) -> None:
        tell(sent={"event": message["event"], "type": message["data"].get("type", "")})
        self._connection.send(json.dumps(message))


def main() -> None:
    trust = ssl.create_default_context(cafile=os.environ["PEER_CA"])
    with connect(os.environ["PEER_URL"], ssl=trust) as connection:
        app = NinjaNg(connection)
        if not app.log_in():
            return

        def obey() -> None:
            for line in sys.stdin:
                if json.loads(line).get("probe"):
                    app.probe()
            connection.close()

        threading.Thread(target=obey, daemon=True).start()
        try:
            for message in connection:
                app.hear(json.loads(message))
        except ConnectionClosed:
            pass
        tell(closed=connection.close_code)


if __name__ == "__main__":
    main()
