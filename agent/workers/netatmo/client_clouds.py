"""All clouds that the door follows, their webhooks' one path, and what a person may ask about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import trio
from msgspec import Meta

from agent.model.errors import AuthenticationError, CommandError, ConfigError, PeerError
from agent.runtime import Context, Question
from agent.workers.netatmo import client_cameras, client_history
from agent.workers.netatmo.client import Follower
from agent.workers.netatmo.client_orders import (
    Floodlight,
    Monitoring,
    Presence,
    set_module,
    set_persons,
)
from agent.workers.netatmo.client_rows import event_row
from agent.workers.netatmo.client_tokens import Tokens, hook_secret
from agent.workers.netatmo.config import CloudConfig

LOGIN_S = 590.0
Pasted = Annotated[str, Meta(max_length=4096)]
Name = Annotated[str, Meta(max_length=128)]
Names = Annotated[list[Name], Meta(max_length=100)]


class Clouds:
    """One follower per cloud; answers `login`, `cloud_status`, `cloud_set`, `_video`, `_events`."""

    def __init__(self, clouds: Sequence[CloudConfig], context: Context) -> None:
        self._context = context
        self._configs = tuple(clouds)
        only = len(clouds) == 1
        self.followers = {
            cloud.name: Follower(
                cloud,
                context,
                [
                    remote
                    for remote in context.remotes
                    if remote.config.cloud == cloud.name or (only and not remote.config.cloud)
                ],
            )
            for cloud in clouds
        }
        context.answer("login", self._login)
        context.answer("cloud_status", self._status)
        context.answer("cloud_set", self._set)
        context.answer("cloud_video", self._video)
        context.answer("cloud_events", self._events)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow all of them for ever."""
        async with trio.open_nursery() as nursery:
            if any(cloud.webhook_url is not None for cloud in self._configs):
                nursery.start_soon(self._context.supervise, "hooks", self._receive)
            for follower in self.followers.values():
                await nursery.start(follower.run)
            task_status.started()

    async def _receive(self) -> None:
        """Have webhooks received. Raises: PeerError while the door's HTTPS listener is not there."""
        # Imported here: a door that only polls needs no web framework.
        from agent.workers.netatmo.hooks import PATH, Receiver, hooks_app

        receivers = []
        for cloud in self._configs:
            if cloud.webhook_url is None:
                continue
            follower = self.followers[cloud.name]
            try:
                secret: str | None = follower.client_secret()
            except ConfigError:
                secret = None  # told by whoever follows it
            follower.receiver = Receiver(
                secret=hook_secret(self._context.state_dir, cloud.name),
                client_secret=secret,
                unsigned=cloud.unsigned_webhooks,
                put=follower.mailbox.put,
            )
            receivers.append(follower.receiver)
        await self._context.mount(PATH, hooks_app(receivers))
        await trio.sleep_forever()

    # ----- what a person asks -----

    async def _login(self, question: Question) -> object:
        """Begin a log-in, wait for its end, or complete it with something pasted."""
        follower = self._which(question)
        refresh_token = question.get("refresh_token", Pasted, "").strip()
        code, state = question.get("code", Pasted, "").strip(), question.get("state", Name, "")
        if refresh_token:
            return _logged_in(follower, await follower.take_refresh_token(refresh_token))
        if code:
            login = follower.pending_login()
            if "=" in code:
                return _logged_in(follower, await follower.finish_login(login, code))
            if state != login.state:
                raise CommandError(
                    "paste the whole address that the browser ended at: it holds the state, too"
                )
            return _logged_in(follower, await follower.take_code(login, code))
        if question.get("wait", bool, False):
            login = follower.pending_login()
            with trio.move_on_after(LOGIN_S):
                await login.done.wait()
            if not login.done.is_set() or login.failure:
                raise CommandError(login.failure or "nobody came back from the page of consent")
            return {"cloud": follower.name, "logged_in": True}
        login = await follower.begin_login()
        return {
            "cloud": follower.name,
            "url": login.url,
            "state": login.state,
            "redirect_uri": login.redirect_uri,
        }

    async def _status(self, question: Question) -> object:
        await trio.lowlevel.checkpoint()
        return [follower.status() for follower in self.followers.values()]

    async def _set(self, question: Question) -> object:
        follower = self._which(question)
        api = follower.require_api()
        presence = question.get("presence", Presence | None, None)
        if presence is not None:
            wanted = question.get("persons", Names, [])
            persons = await set_persons(api, follower.mirror, presence, wanted)
            return {
                "cloud": follower.name,
                "presence": presence,
                "persons": [one.name or one.id for one in persons],
            }
        module = await set_module(
            api,
            follower.mirror,
            question.get("module", Name),
            floodlight=question.get("floodlight", Floodlight | None, None),
            monitoring=question.get("monitoring", Monitoring | None, None),
        )
        return {"cloud": follower.name, "module": module.label}

    async def _video(self, question: Question) -> object:
        """An address for a player: whoever has it sees the picture, so it is for the one who asked alone."""
        follower = self._which(question)
        follower.require_api()
        camera = follower.mirror.find(question.get("module", Name))
        if camera is None or follower.cameras is None:
            raise CommandError(f"no module {question.get('module', Name)!r} at the cloud")
        what = question.get("what", Literal["live", "snapshot", "event"], "live")
        quality = question.get("quality", client_cameras.Quality, "")
        address = await follower.cameras.address(camera)
        match what:
            case "live":
                found = client_cameras.live(camera, address, quality)
            case "snapshot":
                found = client_cameras.live_snapshot(camera, address)
            case "event":
                video_id = question.get("video", Name)
                found = client_cameras.recorded(address, video_id, quality)
        return {"url": found, "local": address.local}

    async def _events(self, question: Question) -> object:
        """What the cloud remembers: of the home, a gateway, a module, a person, or before an event."""
        follower = self._which(question)
        api = follower.require_api()
        which = {
            key: question.get(key, Name, "") for key in ("device_id", "module_id", "person_id", "event_id")
        }
        try:
            found = await client_history.of(api, follower.mirror.home_id, **which)
        except (PeerError, AuthenticationError) as error:
            raise CommandError(f"{error}: try again later") from error
        return [event_row(event, follower.mirror) for event in found]

    def _which(self, question: Question) -> Follower:
        name = question.get("cloud", Name | None, None)
        if name is None and len(self.followers) == 1:
            name = next(iter(self.followers))
        follower = self.followers.get(name) if name is not None else None
        if follower is None:
            names = ", ".join(self.followers)
            raise CommandError(
                f"say which cloud: {names}" if name is None else f"no cloud named {name!r}: {names}"
            )
        return follower


def _logged_in(follower: Follower, tokens: Tokens) -> dict[str, object]:
    return {"cloud": follower.name, "logged_in": True, "scope": list(tokens.scope)}
