"""The REST API: which address is answered by what, for whom, and what is said to everything else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.workers.deconz.doorman import admit, is_admitted, masked
from agent.workers.deconz.faults import LOCKED, Refusal, no_method, unauthorised
from agent.workers.deconz.reads import Reads
from agent.workers.deconz.replies import refusal_answer
from agent.workers.deconz.state import ServerState
from agent.workers.deconz.wire import Error
from agent.workers.deconz.writes import Writes

Endpoint = Callable[[Request], Awaitable[Response]]


def rest_app(state: ServerState) -> ASGIApp:
    """The application; it needs nothing but the state, and keeps nothing beside it."""
    reads, writes = Reads(state), Writes(state)

    def get(path: str, endpoint: Endpoint) -> Route:
        return Route(path, endpoint, methods=["GET"])

    def put(path: str, endpoint: Endpoint, *more: str) -> Route:
        return Route(path, endpoint, methods=["PUT", "PATCH", *more])

    async def unknown(request: Request, _: Exception) -> Response:
        """What no route has. Whoever has no key does not learn what there is."""
        parts = request.scope["path"].split("/")
        if len(parts) > 2 and parts[1] == "api":
            request.scope["path_params"] = {"key": parts[2]}
            try:
                asker = await admit(state, request)
            except Refusal as refusal:
                return refusal_answer(refusal)
            return refusal_answer(Refusal(no_method(request.method, asker.address)))
        return refusal_answer(Refusal(no_method(request.method, masked(parts[1:]))))

    async def refused(_: Request, refusal: Exception) -> Response:
        return refusal_answer(cast("Refusal", refusal))

    app = Starlette(
        routes=[
            get("/description.xml", reads.description),
            Route("/api", writes.new_key, methods=["POST"]),
            get("/api/config", reads.basic),
            get("/api/{key}/config", reads.config),
            put("/api/{key}/config", writes.config),
            Route("/api/{key}/config/whitelist/{other}", writes.delete_key, methods=["DELETE"]),
            get("/api/{key}", reads.everything),
            get("/api/{key}/groups/{id}/scenes", reads.scenes),
            get("/api/{key}/groups/{id}/scenes/{scene}", reads.scenes),
            put("/api/{key}/groups/{id}/scenes/{scene}/recall", reads.scenes),
            put("/api/{key}/groups/{id}/action", writes.group_action),
            put("/api/{key}/lights/{id}/state", writes.light_state),
            put("/api/{key}/sensors/{id}/config", writes.sensor_config),
            put("/api/{key}/sensors/{id}/state", writes.sensor_state),
            put("/api/{key}/alarmsystems/{id}/config", writes.alarm_config),
            put("/api/{key}/alarmsystems/{id}/device/{uniqueid}", writes.alarm_device, "DELETE"),
            put("/api/{key}/alarmsystems/{id}/{mode}", writes.arm),
            get("/api/{key}/{r}", reads.list_of),
            get("/api/{key}/{r}/{id}", reads.one),
            put("/api/{key}/{r}/{id}", writes.rename),
        ],
        exception_handlers={404: unknown, 405: unknown, Refusal: refused},
    )
    app.router.redirect_slashes = False
    return _Front(app, state)


class _Front:
    """Before everything else: who may not come at all, and what is the same for every address."""

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. No header lets web pages of others in: some of what is here opens a door."""
        client = scope.get("client")
        if not is_admitted("" if client is None else client[0], self._state.networks):
            self._state.counters.strangers += 1
            self._state.show()
            refusal = Refusal(unauthorised("/"))
            if scope["method"] == "POST" and scope["path"].rstrip("/") == "/api":
                # Who pairs knows these words, and no others: what to do is to be found at the door.
                refusal = Refusal(Error(type=LOCKED, address="/", description="link button not pressed"))
            await refusal_answer(refusal)(scope, receive, send)
        elif scope["method"] == "OPTIONS":
            await Response()(scope, receive, send)
        else:
            path = scope["path"].rstrip("/") or "/"
            await self._app({**scope, "path": path}, receive, send)
