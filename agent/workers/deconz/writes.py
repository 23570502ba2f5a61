"""What REST is asked to change: lights, locks, the alarm system, names, keys."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from agent.model.actions import AlarmMode, SetAlarm
from agent.model.errors import AgentError, TryLater
from agent.workers.deconz.about import KEY_PREFIX, key_id
from agent.workers.deconz.alarms import ID as ALARM_ID
from agent.workers.deconz.bridge import GROUP_ID
from agent.workers.deconz.directory import clean_name
from agent.workers.deconz.doorman import Asker, admit, body_of, peer_of
from agent.workers.deconz.faults import (
    INTERNAL,
    LOCKED,
    Refusal,
    bad_value,
    missing,
    no_method,
    no_parameter,
    no_resource,
    read_only,
    success,
)
from agent.workers.deconz.orders import Order, failure_of, group_order, light_order, results, sensor_orders
from agent.workers.deconz.replies import results_answer
from agent.workers.deconz.resources import Resource
from agent.workers.deconz.state import ServerState
from agent.workers.deconz.translate import arm_mode
from agent.workers.deconz.wire import Error, Json, Result, Success

MIN_NAME_CHARS = 10  # of a username that a client proposes; it gets another one all the same
MAX_PIN_CHARS = 32
MODES: dict[str, AlarmMode] = {
    "arm_away": "away",
    "arm_stay": "stay",
    "arm_night": "night",
    "disarm": "disarmed",
}
LOCKS = ("lock", "old_lock")
_ATTRIBUTES = frozenset(
    {
        "config", "etag", "hidden", "lastseen", "lights", "lightsequence", "manufacturername", "mode",
        "modelid", "multideviceids", "state", "swversion", "type", "uniqueid",
    }
)  # fmt: skip

logger = logging.getLogger(__name__)


class Writes:
    """All but GET. "success" means that the door has taken it on; the websocket tells what came of it."""

    def __init__(self, state: ServerState) -> None:
        self._state = state

    # ----- keys -----

    async def new_key(self, request: Request) -> Response:
        """POST /api: a key, while the link window is open; nobody gets one for being on this machine."""
        state, peer = self._state, peer_of(request)
        body = await body_of(request, "/")
        if "devicetype" not in body:
            raise Refusal(missing("/"))
        devicetype = body["devicetype"]
        name = clean_name(devicetype) if isinstance(devicetype, str) else ""
        if not name:
            raise Refusal(bad_value("", "devicetype"))
        username = body.get("username", "x" * MIN_NAME_CHARS)
        if not isinstance(username, str) or len(username) < MIN_NAME_CHARS:
            raise Refusal(bad_value("", "username"))
        if not state.link.take():
            raise Refusal(Error(type=LOCKED, address="/", description="link button not pressed"))
        try:
            key = await state.context.keys.issue(
                user=state.config.user, role=state.config.role, name=name, by=f"{state.context.name}:{peer}"
            )
        except AgentError as error:
            logger.error("no key for a client reason=%s", error)
            # Clients repeat 901 for ever; this one ends the pairing with a reason.
            raise Refusal(bad_value("", "username", "the door cannot store a key now"), status=503) from error
        logger.warning("key given to a client user=%s", state.config.user)
        state.bridge.etags.touch()
        return results_answer([Success(what={"username": key})])

    async def delete_key(self, request: Request) -> Response:
        """DELETE /api/KEY/config/whitelist/KEY2: a key of the same account, by itself or its beginning."""
        asker = await admit(self._state, request)
        context, account = self._state.context, asker.principal.name
        number = key_id(request.path_params["other"])
        try:
            gone = await context.keys.revoke(number, user=account, by=f"{context.name}:{account}")
        except AgentError as error:
            logger.error("key not ended reason=%s", error)
            internal = Error(type=INTERNAL, address="/config/whitelist", description="internal error")
            raise Refusal(internal) from error
        if not gone:
            raise Refusal(no_resource("/config/whitelist"))
        self._state.bridge.etags.touch()
        return results_answer([Success(what=f"/config/whitelist/{KEY_PREFIX}{number} deleted.")])

    # ----- the gateway itself -----

    async def config(self, request: Request) -> Response:
        """PUT /api/KEY/config. The link window is opened by a hand at the door, never from here."""
        asker = await admit(self._state, request)
        body = await body_of(request, asker.address)
        _no_guest(asker, body)
        return results_answer([self._set(asker.address, name, value) for name, value in body.items()])

    def _set(self, address: str, name: str, value: object) -> Result:
        match name:
            case "websocketnotifyall":
                if not isinstance(value, bool):
                    return bad_value(address, name)
                self._state.bridge.directory.set_notify_all(value)
                self._state.bridge.etags.touch()
            case "unlock":
                if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                    return bad_value(address, name)
                if value:
                    return read_only(address, name)
                self._state.link.close()
            case _:
                return read_only(address, name)
        return success(address, name, value)

    # ----- lights, sensors, groups -----

    async def light_state(self, request: Request) -> Response:
        """PUT /api/KEY/lights/ID/state."""
        asker = await admit(self._state, request)
        light = self._find(request, asker, "lights")
        body = await body_of(request, asker.address)
        assert light.info is not None
        order = light_order(light.kind, light.info, body, asker.address)
        failures = await self._carry_out(order, asker, again=light.kind not in LOCKS)
        return _answer(results(order, failures, asker.address))

    async def sensor_config(self, request: Request) -> Response:
        """PUT /api/KEY/sensors/ID/config: a lock is one of them."""
        asker = await admit(self._state, request)
        sensor = self._find(request, asker, "sensors")
        body = await body_of(request, asker.address)
        told: list[Result] = []
        for order in sensor_orders(sensor.kind, sensor.info, sensor.config, body, asker.address):
            if isinstance(order, Error):
                told.append(order)
                continue
            failures = await self._carry_out(order, asker, again=False)
            told += results(order, failures, asker.address)
        return _answer(told)

    async def sensor_state(self, request: Request) -> Response:
        """PUT /api/KEY/sensors/ID/state: what our sensors see is not for clients to say."""
        asker = await admit(self._state, request)
        self._find(request, asker, "sensors")
        body = await body_of(request, asker.address)
        return _answer([read_only(asker.address, name) for name in body])

    async def group_action(self, request: Request) -> Response:
        """PUT /api/KEY/groups/ID/action."""
        asker = await admit(self._state, request)
        bridge = self._state.bridge
        if request.path_params["id"] != GROUP_ID or not bridge.members():
            raise Refusal(no_resource(asker.thing))
        body = await body_of(request, asker.address)
        infos = [light.info for light in bridge.members() if light.info is not None]
        any_on = any(light.state["on"] for light in bridge.members())
        order = group_order(infos, any_on, body, asker.address)
        failures = await self._carry_out(order, asker, again=True)
        return _answer(results(order, failures, asker.address))

    async def rename(self, request: Request) -> Response:
        """PUT /api/KEY/lights/ID, sensors and groups: the name."""
        asker = await admit(self._state, request)
        bridge, r = self._state.bridge, request.path_params["r"]
        resource: Resource | None = None
        if r in ("lights", "sensors"):
            resource = self._find(request, asker, r)
        elif r != "groups":
            raise Refusal(no_method(request.method, asker.address))
        elif request.path_params["id"] != GROUP_ID or not bridge.members():
            raise Refusal(no_resource(asker.address))
        body = await body_of(request, asker.address)
        _no_guest(asker, body)
        told: list[Result] = []
        for name, value in body.items():
            if name != "name":
                unknown = read_only if name in _ATTRIBUTES else no_parameter
                told.append(unknown(asker.address, name))
                continue
            plain = clean_name(value) if isinstance(value, str) else ""
            if not plain or plain != value:
                told.append(bad_value(asker.address, name))
                continue
            changed = bridge.rename_group(plain) if resource is None else bridge.rename(resource, plain)
            await self._state.tell(changed)
            told.append(success(asker.address, name, plain))
        return results_answer(told)

    # ----- the alarm system -----

    async def arm(self, request: Request) -> Response:
        """PUT /api/KEY/alarmsystems/1/arm_away and its like, with the PIN of the key's account as `code0`.

        A wrong one is not repeated in the answer, as gateways do it.
        """
        asker = await admit(self._state, request)
        mode = MODES.get(request.path_params["mode"])
        if mode is None:
            raise Refusal(no_method(request.method, asker.address))
        self._alarm_system(request, asker)
        code = (await body_of(request, asker.address)).get("code0")
        if code is None:
            raise Refusal(missing(asker.address))
        await self._check_pin(code, asker, peer_of(request))
        order = Order(actions=(SetAlarm(mode=mode),), confirmed={})
        if failures := await self._carry_out(order, asker, again=False):
            raise Refusal(*failures)
        return results_answer([success(f"/alarmsystems/{ALARM_ID}/config", "armmode", arm_mode(mode))])

    async def alarm_config(self, request: Request) -> Response:
        """PUT /api/KEY/alarmsystems/1/config: delays and codes are set at the door."""
        asker = await admit(self._state, request)
        self._alarm_system(request, asker)
        body = await body_of(request, asker.address)
        raise Refusal(*(read_only(asker.address, name) for name in body))

    async def alarm_device(self, request: Request) -> Response:
        """PUT, DELETE /api/KEY/alarmsystems/1/device/UNIQUEID: so is what is watched."""
        asker = await admit(self._state, request)
        self._alarm_system(request, asker)
        raise Refusal(read_only(f"/alarmsystems/{ALARM_ID}", "device"))

    async def _check_pin(self, code: object, asker: Asker, peer: str) -> None:
        """Raises: Refusal unless it is the PIN of the asker's account."""
        context = self._state.context
        wrong = bad_value(asker.address, "code0")
        if not isinstance(code, str) or not 0 < len(code) <= MAX_PIN_CHARS:
            raise Refusal(wrong)
        try:
            principal = await context.authenticator.authenticate_pin(
                account=asker.principal.name, pin=code, via=context.name, peer=peer
            )
        except TryLater:
            # Never "busy": clients would send it again by themselves.
            raise Refusal(bad_value(asker.address, "code0", "not looked at, try later")) from None
        if principal is None:
            raise Refusal(wrong)

    def _alarm_system(self, request: Request, asker: Asker) -> None:
        """Raises: Refusal when there is none of this id."""
        if self._state.bridge.alarm is None or request.path_params["id"] != ALARM_ID:
            raise Refusal(no_resource(asker.thing))

    # ----- inside -----

    def _find(self, request: Request, asker: Asker, r: str) -> Resource:
        """Raises: Refusal when there is none of this id."""
        resource = self._state.bridge.find(r, request.path_params["id"])
        if resource is None:
            raise Refusal(no_resource(asker.thing))
        return resource

    async def _carry_out(self, order: Order, asker: Asker, *, again: bool) -> list[Error]:
        """Have the door do it; an error for each action that it did not do."""
        failures = []
        name = next(iter(order.confirmed), "armmode")
        for action in order.actions:
            outcome = await self._state.context.submit(action, asker.principal)
            failure = failure_of(outcome, asker.address, name, again=again)
            if failure is not None:
                failures.append(failure)
        return failures


def _answer(told: Sequence[Result]) -> Response:
    """Of a device: that it is busy is HTTP 200, as gateways have it."""
    busy = all(isinstance(result, Error) and result.type == INTERNAL for result in told)
    return results_answer(told, status=200 if busy else None)


def _no_guest(asker: Asker, body: Json) -> None:
    """Who is here for a weekend arranges nothing anew. Raises: Refusal."""
    if asker.principal.role == "guest":
        raise Refusal(*(read_only(asker.address, name) for name in body))
