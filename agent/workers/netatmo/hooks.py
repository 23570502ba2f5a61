"""Where the cloud's webhooks come in: an ASGI app below /hooks/netatmo of the door's HTTPS listener.

It looks at the signature, puts the raw body into a bounded mailbox and answers 200: the vendor gives ten
seconds, and turns a webhook off for a day that did not answer 200 six times in a row. What a body means is
found out later, by somebody else. The listener has bounded the body before this is called.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

from msgspec import Struct
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.workers.netatmo.push_wire import MAX_PUSH_BYTES, SIGNATURE_HEADER, is_signed

PATH = "/hooks/netatmo"


class Receiver(Struct, kw_only=True):
    """Where the webhooks of one cloud go. secret: the last part of their path. put: never waits.

    client_secret: None while it cannot be read, then nothing is taken in. unsigned: what has no signature
    is taken in, too; a wrong one never. refused: how many had none, or a wrong one.
    """

    secret: str
    client_secret: str | None
    unsigned: bool
    put: Callable[[bytes], None]
    received: int = 0
    refused: int = 0

    def __repr__(self) -> str:
        return f"Receiver({self.received} received, {self.refused} refused)"


def hooks_app(receivers: Sequence[Receiver]) -> Starlette:
    """The app for these clouds."""

    async def receive(request: Request) -> Response:
        receiver = _receiver(receivers, request.path_params["secret"])
        if receiver is None:
            return Response(status_code=404)
        body = await request.body()  # bounded and whole: the listener sees to that
        if len(body) > MAX_PUSH_BYTES:
            return Response(status_code=413)
        if not _is_genuine(receiver, body, request.headers.get(SIGNATURE_HEADER, "")):
            receiver.refused += 1
            return Response(status_code=403)
        receiver.received += 1
        receiver.put(body)
        return Response(status_code=200)

    return Starlette(routes=[Route("/{secret}", receive, methods=["POST"])])


def _receiver(receivers: Sequence[Receiver], given: str) -> Receiver | None:
    """Whose path it is; all are compared, each in a time that does not say where it differs."""
    found = None
    for receiver in receivers:
        if hmac.compare_digest(receiver.secret.encode(), given.encode("utf-8", "replace")):
            found = receiver
    return found


def _is_genuine(receiver: Receiver, body: bytes, header: str) -> bool:
    if not header:
        return receiver.unsigned
    return receiver.client_secret is not None and is_signed(receiver.client_secret, body, header)
