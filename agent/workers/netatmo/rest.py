"""The API: which address is answered by what, and what is said to everything else."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import cast

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from agent.runtime import Context
from agent.workers.netatmo.access import WRITE_CAMERA
from agent.workers.netatmo.doorman import Doorman
from agent.workers.netatmo.history import History
from agent.workers.netatmo.home import GATEWAY, Home
from agent.workers.netatmo.intake import (
    Parameters,
    either_of,
    form_of,
    json_of,
    local_ipv4,
    peer_of,
)
from agent.workers.netatmo.oauth_server import OAuthServer
from agent.workers.netatmo.reply import (
    INVALID,
    NO_METHOD,
    UNABLE,
    OAuthRefusal,
    Refusal,
    answer,
    oauth_refused,
    ok,
    refused,
)
from agent.workers.netatmo.setstate import SetState
from agent.workers.netatmo.webhooks import Webhooks

Endpoint = Callable[[Request], Awaitable[Response]]
_SLASHES = re.compile(r"/{2,}")


class Methods:
    """The methods of the API that are not about webhooks."""

    def __init__(self, context: Context, home: Home, doorman: Doorman, oauth: OAuthServer) -> None:
        self._home = home
        self._doorman = doorman
        self._oauth = oauth
        self._history = History(home, context)
        self._setstate = SetState(home, context)

    async def homesdata(self, request: Request) -> Response:
        """What there is."""
        asker = await self._doorman.reader(request)
        parameters = await either_of(request)
        if parameters.text("home_id"):
            self._check_home(parameters)
        gateways = parameters.texts("gateway_types") or parameters.texts("device_types")
        if gateways and GATEWAY not in gateways:
            return ok(self._home.no_homes())
        return ok(self._home.homesdata(asker.scopes))

    async def homestatus(self, request: Request) -> Response:
        """How it is."""
        asker = await self._doorman.reader(request)
        parameters = await either_of(request)
        self._check_home(parameters)
        gateways = parameters.texts("device_types")
        scopes = asker.scopes if not gateways or GATEWAY in gateways else ()
        return ok(self._home.homestatus(scopes, local_ipv4(request)))

    async def getevents(self, request: Request) -> Response:
        """What happened."""
        asker = await self._doorman.reader(request)
        parameters = await either_of(request)
        self._check_home(parameters)
        events = await self._history.events(self._history.query(parameters, asker.scopes))
        return ok({"home": {"id": self._home.identity.home_id, "events": events}})

    async def setstate(self, request: Request) -> Response:
        """What is to be."""
        asker = await self._doorman.writer(request)
        wishes = self._setstate.read(await json_of(request), asker.scopes)
        errors = await self._setstate.carry_out(wishes, asker.principal)
        return ok({"errors": errors} if errors else None)

    async def persons(self, request: Request) -> Response:
        """A door knows no faces: nobody can be set home or away."""
        await self._doorman.writer(request, WRITE_CAMERA)
        parameters = await either_of(request)
        self._check_home(parameters)
        if parameters.text("person_id") or parameters.texts("person_ids"):
            raise Refusal(INVALID, "Invalid person_id")
        return ok()

    async def webrtc(self, request: Request) -> Response:
        """A door has no camera."""
        await self._doorman.reader(request)
        raise Refusal(INVALID, "Invalid device_id: it has no video")

    async def token(self, request: Request) -> Response:
        """A pair of tokens."""
        plain = await self._oauth.token(await form_of(request), peer_of(request))
        return answer(plain, headers={"cache-control": "no-store"})

    async def consent(self, request: Request) -> Response:
        """Nobody is sent anywhere by what a query says."""
        await trio.lowlevel.checkpoint()
        text = "there is no consent page: `portero netatmo authorize` makes a code"
        raise OAuthRefusal("access_denied", text)

    def _check_home(self, parameters: Parameters) -> None:
        """Raises: Refusal."""
        if parameters.required("home_id") != self._home.identity.home_id:
            raise Refusal(INVALID, "Invalid id")


class RestApp:
    """The ASGI application. `close` it when nobody is there any more who could do what it is asked.

    No header lets the web pages of others in: some of what is here opens a door.
    """

    def __init__(self, methods: Methods, webhooks: Webhooks) -> None:
        self._open = True
        read, write = ("GET", "POST"), ("POST",)
        self._app = Starlette(
            routes=[
                _route("/api/homesdata", methods.homesdata, *read),
                _route("/api/homestatus", methods.homestatus, *read),
                _route("/api/getevents", methods.getevents, *read),
                _route("/api/setstate", methods.setstate, *write),
                _route("/api/setpersonshome", methods.persons, *write),
                _route("/api/setpersonsaway", methods.persons, *write),
                _route("/api/webrtc/offer", methods.webrtc, *write),
                _route("/api/webrtc/terminate", methods.webrtc, *write),
                _route("/api/addwebhook", webhooks.add, *read),
                _route("/api/dropwebhook", webhooks.drop, *read),
                _route("/webhooks/v1", webhooks.listed, "GET"),
                _route("/webhooks/v1", webhooks.create, "POST"),
                _route("/webhooks/v1", webhooks.delete, "DELETE"),
                _route("/oauth2/token", methods.token, *write),
                _route("/oauth2/authorize", methods.consent, *read),
            ],
            exception_handlers={
                404: _unknown,
                405: _unknown,
                Refusal: _refused,
                OAuthRefusal: _oauth_refused,
            },
        )
        self._app.router.redirect_slashes = False

    def close(self) -> None:
        """Answer everything with 503 from now on."""
        self._open = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Clients put addresses together: `//api` is `/api`, and a slash at the end is none."""
        if not self._open:
            await refused(Refusal(UNABLE, status=503))(scope, receive, send)
            return
        path = _SLASHES.sub("/", scope["path"]).rstrip("/") or "/"
        await self._app({**scope, "path": path}, receive, send)


def _route(path: str, endpoint: Endpoint, *methods: str) -> Route:
    route = Route(path, endpoint, methods=methods)
    route.methods = set(methods)  # without the HEAD that comes with a GET
    return route


async def _unknown(_: Request, __: Exception) -> Response:
    await trio.lowlevel.checkpoint()
    return refused(Refusal(NO_METHOD))


async def _refused(_: Request, refusal: Exception) -> Response:
    await trio.lowlevel.checkpoint()
    return refused(cast("Refusal", refusal))


async def _oauth_refused(_: Request, refusal: Exception) -> Response:
    await trio.lowlevel.checkpoint()
    return oauth_refused(cast("OAuthRefusal", refusal))
