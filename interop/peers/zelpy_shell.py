"""zelpy's client of the Channel API, unmodified: a resident on a channel of the door.

Further settings: PEER_CHANNEL, PEER_FOLDER. Commands: {"text": "..."}, {"voice": "FILE.opus"}. What comes is
printed as {"got": {...}}; a voice message is written to the folder and told by its path.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import sys
import threading
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from zelpy import TextMessage, VoiceMessage, Zello, ZelloCredentials


def tell(**what: Any) -> None:
    print(json.dumps(what), flush=True)


def credentials() -> ZelloCredentials:
    """zelpy insists on the keys of a Zello developer; a door that knows no such keys ignores them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return ZelloCredentials(
        developer_token="none",
        username=os.environ["PEER_USER"],
        password=os.environ["PEER_PASSWORD"],
        issuer=os.environ.get("PEER_ISSUER", "nobody"),
        public_key=public.decode(),
        private_key=os.environ.get("PEER_KEY") or private.decode(),
    )


async def obey(client: Zello, orders: asyncio.Queue[dict[str, Any] | None]) -> None:
    while (order := await orders.get()) is not None:
        try:
            if "text" in order:
                await client.send_text(order["text"])
            else:
                await client.send_voice(Path(order["voice"]).read_bytes())  # noqa: ASYNC240
            tell(done=order)
        except RuntimeError as error:
            tell(refused=str(error))


async def listen(client: Zello) -> None:
    folder = Path(os.environ["PEER_FOLDER"])
    number = 0
    async for message in client.messages():
        match message:
            case TextMessage():
                tell(got={"text": message.text, "from": message.sender, "channel": message.channel})
            case VoiceMessage():
                number += 1
                path = folder / f"heard{number}.opus"
                path.write_bytes(message.audio)
                tell(got={"voice": str(path), "from": message.sender, "channel": message.channel})
    tell(closed=None)


async def main() -> None:
    loop = asyncio.get_running_loop()
    orders: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(orders.put_nowait, json.loads(line))
        loop.call_soon_threadsafe(orders.put_nowait, None)

    # The one thing that zelpy has no argument for: whom to trust. OpenSSL's own way of naming authorities.
    os.environ["SSL_CERT_FILE"] = os.environ["PEER_CA"]
    assert ssl.create_default_context().get_ca_certs()
    try:
        async with Zello(
            credentials(), os.environ["PEER_CHANNEL"], endpoint=os.environ["PEER_URL"]
        ) as client:
            tell(opened={})
            threading.Thread(target=read, daemon=True).start()
            listening = asyncio.create_task(listen(client))
            await obey(client, orders)
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
    except Exception as error:  # noqa: BLE001
        tell(failed=f"{type(error).__name__}: {error}")
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
