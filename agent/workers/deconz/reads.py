"""What REST tells."""

from __future__ import annotations

import time

import trio
from starlette.requests import Request
from starlette.responses import Response

from agent.workers.deconz.about import Now, basic_config, full_config, whitelist
from agent.workers.deconz.description import description_xml
from agent.workers.deconz.doorman import Asker, address_of, admit, look_up, looks_like_a_key, peer_of
from agent.workers.deconz.etag import EVERYTHING
from agent.workers.deconz.faults import Refusal, no_method, no_resource
from agent.workers.deconz.replies import json_answer
from agent.workers.deconz.state import ServerState
from agent.workers.deconz.wire import Json

LISTS = ("lights", "sensors", "groups", "alarmsystems", "scenes", "rules", "schedules", "resourcelinks")
_TAGGED = ("lights", "sensors", "groups")


class Reads:
    """The GET side of the API: nothing here moves anything."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    async def description(self, request: Request) -> Response:
        """/description.xml, for everybody."""
        await trio.lowlevel.checkpoint()
        host, port = request.scope["server"]
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        text = description_xml(self._state.identity, authority)
        return Response(text, media_type="application/xml")

    async def basic(self, request: Request) -> Response:
        """/api/config, for everybody."""
        await trio.lowlevel.checkpoint()
        return json_answer(basic_config(self._state.identity))

    async def config(self, request: Request) -> Response:
        """/api/KEY/config; the short form, and no error, for a key that is not good.

        Discovery asks here with any word for a key: such a one counts as no guess.
        """
        key = request.path_params["key"]
        address = address_of(request)
        if not looks_like_a_key(key):
            await trio.lowlevel.checkpoint()
            return json_answer(basic_config(self._state.identity))
        principal = await look_up(self._state, key, peer_of(request), address)
        if principal is None:
            return json_answer(basic_config(self._state.identity))
        asker = Asker(principal=principal, key=key, address=address)
        tag = self._state.bridge.etags.of(EVERYTHING)
        return _unless_known(request, tag) or json_answer(self._config(request, asker), etag=tag)

    async def everything(self, request: Request) -> Response:
        """/api/KEY."""
        asker = await admit(self._state, request)
        bridge = self._state.bridge
        tag = bridge.etags.of(EVERYTHING)
        if (known := _unless_known(request, tag)) is not None:
            return known
        full: Json = {r: bridge.map_of(r) for r in LISTS}
        full["config"] = self._config(request, asker)
        return json_answer(full, etag=tag)

    async def list_of(self, request: Request) -> Response:
        """/api/KEY/lights and its like."""
        asker = await admit(self._state, request)
        r = request.path_params["r"]
        if r not in LISTS:
            raise Refusal(no_method(request.method, asker.address))
        tag = self._state.bridge.etags.of(r) if r in _TAGGED else ""
        return _unless_known(request, tag) or json_answer(self._state.bridge.map_of(r), etag=tag)

    async def one(self, request: Request) -> Response:
        """/api/KEY/lights/ID and its like; of lights and sensors the unique id will do."""
        asker = await admit(self._state, request)
        bridge = self._state.bridge
        r, number = request.path_params["r"], request.path_params["id"]
        if r not in LISTS:
            raise Refusal(no_method(request.method, asker.address))
        if r not in ("lights", "sensors"):
            body = bridge.map_of(r).get(number)
            if body is None:
                raise Refusal(no_resource(asker.address))
            tag = bridge.etags.of(r, number) if r in _TAGGED else ""
            return _unless_known(request, tag) or json_answer(body, etag=tag)
        resource = bridge.find(r, number)
        if resource is None:
            raise Refusal(no_resource(asker.address))
        tag = bridge.etags.of(r, resource.id)
        return _unless_known(request, tag) or json_answer(bridge.body(resource), etag=tag)

    async def scenes(self, request: Request) -> Response:
        """/api/KEY/groups/ID/scenes: none; and so none of them."""
        asker = await admit(self._state, request)
        if request.path_params["id"] not in self._state.bridge.map_of("groups"):
            raise Refusal(no_resource(asker.thing))
        if "scene" in request.path_params:
            raise Refusal(no_resource(asker.address))
        return json_answer({})

    def _config(self, request: Request, asker: Asker) -> Json:
        state = self._state
        now = Now(
            address=request.scope["server"][0],
            ws_port=state.ws_port,
            notify_all=state.bridge.notify_all,
            link_open=bool(state.link.left_s),
            whitelist=whitelist(state.context.keys.listed(asker.principal.name), asker.key),
        )
        return full_config(state.identity, now, time.time_ns())


def _unless_known(request: Request, tag: str) -> Response | None:
    """304 for a client that has it already. Compared as one text, as gateways do."""
    if tag and request.headers.get("if-none-match") == f'"{tag}"':
        return Response(status_code=304, headers={"etag": f'"{tag}"'})
    return None
