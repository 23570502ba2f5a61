"""An imitation of zmNinja 1.8, written from a description of what it sends; not its code, not its proof.

Every message carries the phone's token at its top and the app's version in its data. On opening it sends
auth with both lists (which may be empty). Whatever else it has to say waits for the auth reply and then goes
out last-in first-out. It wants a version of at least 6.0, reads Name, Cause (or EventId) and MonitorId of
every event of an alarm, and plays a sound unless `supplementary` is the string "true". It never pings, and
resets its badge.
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

APP_VERSION = "1.8.000"


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


class Ninja:
    def __init__(self, connection: ClientConnection, token: str, monlist: str, intlist: str) -> None:
        self._connection = connection
        self._token = token
        self._lists = {"monlist": monlist, "intlist": intlist}
        self._queue: list[dict[str, Any]] = []
        self._authenticated = False

    def start(self) -> None:
        credentials = {"user": os.environ["PEER_USER"], "password": os.environ["PEER_PASSWORD"]}
        self._send("auth", credentials | self._lists)
        if self._token:
            registration = {"type": "token", "platform": "android", "token": self._token, "state": "enabled"}
            self.say("push", registration | self._lists)
        self.say("control", {"type": "filter", "token": self._token} | self._lists)

    def say(self, event: str, data: dict[str, Any]) -> None:
        if self._authenticated:
            self._send(event, data)
        else:
            self._queue.append({"event": event, "data": data})

    def hear(self, message: dict[str, Any]) -> None:
        tell(got=message)
        if message.get("status") != "Success":
            return
        if message["event"] == "auth":
            self._authenticated = True
            version = message.get("version", "0.1")
            enough = [int(part) for part in version.split(".")[:2]] >= [6, 0]
            tell(welcome={"version": version, "popup": not enough})
            while self._queue:
                waiting = self._queue.pop()
                self._send(waiting["event"], waiting["data"])
        if message["event"] == "alarm":
            sound = message.get("supplementary") != "true"
            for event in message["events"]:
                cause = event.get("Cause") or event["EventId"]
                tell(shown=f"{event['Name']}: {cause}", monitor=event["MonitorId"], sound=sound)
            self.say("push", {"type": "badge", "badge": 0})

    def _send(self, event: str, data: dict[str, Any]) -> None:
        message = {"event": event, "data": data | {"appversion": APP_VERSION}, "token": self._token}
        tell(sent={"event": event, "type": data.get("type", "")})
        self._connection.send(json.dumps(message))


def main() -> None:
    trust = ssl.create_default_context(cafile=os.environ["PEER_CA"])
    with connect(os.environ["PEER_URL"], ssl=trust) as connection:
        ninja = Ninja(
            connection,
            os.environ.get("PEER_TOKEN", ""),
            os.environ.get("PEER_MONLIST", ""),
            os.environ.get("PEER_INTLIST", ""),
        )
        ninja.start()

        def obey() -> None:
            for line in sys.stdin:
                command = json.loads(line)
                ninja.say(command["event"], command["data"])
            connection.close()

        threading.Thread(target=obey, daemon=True).start()
        try:
            for message in connection:
                ninja.hear(json.loads(message))
        except ConnectionClosed:
            pass
        tell(closed=connection.close_code)


if __name__ == "__main__":
    main()
