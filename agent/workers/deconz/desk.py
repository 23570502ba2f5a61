"""What a person asks the server with `portero deconz`."""

from __future__ import annotations

import math

import trio

from agent.model.errors import AgentError, CommandError
from agent.runtime import Question
from agent.workers.deconz.alarms import ID as ALARM_ID
from agent.workers.deconz.bridge import GROUP_ID
from agent.workers.deconz.directory import clean_name
from agent.workers.deconz.state import ServerState
from agent.workers.deconz.translate import words
from agent.workers.deconz.wire import Json

KEY_NAME = "made by hand"


class Desk:
    """Answers `link`, `link_key`, `server_status` and `server_devices`."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        answer = state.context.answer
        answer("link", self._link)
        answer("link_key", self._link_key)
        answer("server_status", self._status)
        answer("server_devices", self._devices)

    async def _link(self, question: Question) -> object:
        await trio.lowlevel.checkpoint()
        seconds = self._state.link.open(question.account)
        return {"seconds": seconds, "url": self._state.url}

    async def _link_key(self, question: Question) -> object:
        """Raises: CommandError."""
        config = self._state.config
        name = clean_name(question.get("name", str | None, None) or "") or KEY_NAME
        try:
            key = await self._state.context.keys.issue(
                user=config.user, role=config.role, name=name, by=question.account
            )
        except AgentError as error:
            raise CommandError(str(error)) from error
        self._state.bridge.etags.touch()
        return {"key": key}

    async def _status(self, question: Question) -> object:
        await trio.lowlevel.checkpoint()
        state = self._state
        return {
            "url": state.url,
            "ws_url": state.ws_url,
            "bridgeid": state.identity.bridge_id,
            "link_s_left": math.ceil(state.link.left_s),
            "clients": state.clients(),
            "notify_all": state.bridge.notify_all,
            "keys": [
                {
                    "id": info.id,
                    "name": info.name,
                    "created_ns": info.created_ns,
                    "last_used_ns": info.last_used_ns,
                }
                for info in state.context.keys.listed(state.config.user)
            ],
        }

    async def _devices(self, question: Question) -> object:
        await trio.lowlevel.checkpoint()
        bridge = self._state.bridge
        rows = [
            _row(
                resource.r, resource.id, resource.uniqueid, resource.name, resource.form.type,
                words(resource.state, resource.config), resource.endpoint,
            )
            for resource in (*bridge.lights.values(), *bridge.sensors.values())
        ]  # fmt: skip
        if (group := bridge.group()) is not None:
            rows.append(_row("groups", GROUP_ID, "", group["name"], group["type"], words(group["state"], {})))
        if bridge.alarm is not None:
            body = bridge.alarm.body()
            state = words({"armstate": body["state"]["armstate"]}, {})
            rows.append(_row("alarmsystems", ALARM_ID, "", body["name"], "Alarm system", state))
        return rows


def _row(
    resource: str, number: str, uniqueid: str, name: str, kind: str, state: str, endpoint: str = ""
) -> Json:
    return {
        "resource": resource,
        "id": number,
        "uniqueid": uniqueid,
        "name": name,
        "type": kind,
        "state": state,
        "endpoint": endpoint,
    }
