"""Runs pyzm's event server client as its documentation says, and prints what it gets."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from pyzm.ZMEventNotification import ZMEventNotification


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    client = ZMEventNotification(
        {
            "url": os.environ["PEER_URL"],
            "user": os.environ["PEER_USER"],
            "password": os.environ["PEER_PASSWORD"],
            "allow_untrusted": False,
            "on_es_message": lambda message: tell(got=message),
            "on_es_close": lambda: tell(closed=None),
            "on_es_error": lambda error: tell(failed=str(error)),
        }
    )
    for line in sys.stdin:
        client.send(json.loads(line)["send"])
    # Its thread may be in the middle of a ten second pause; nothing is lost by not waiting for it.
    os._exit(0)


if __name__ == "__main__":
    main()
