"""Starts the configured protocols, gives each its Context, and knows how each of them is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import trio

from agent.bus import EventLog
from agent.model.actions import Action
from agent.model.errors import CommandError
from agent.model.events import WorkerChanged, WorkerFailed
from agent.model.outcomes import Outcome
from agent.model.principals import Principal
from agent.ready import Ready
from agent.runtime import (
    AlarmStatus,
    Authenticator,
    Context,
    EndpointInfo,
    EndpointState,
    History,
    KeyFiles,
    Keys,
    Notifications,
    Observation,
    Question,
    Remote,
    TlsProvider,
    Voice,
    WorkerSpec,
)
from agent.supervise import Guard, supervise

PART_SETTLES_S = 30.0  # longer than any connection takes to fail


class Workbench:
    """The workers of one run."""

    def __init__(
        self,
        *,
        log: EventLog,
        boot_number: int,
        endpoints: tuple[EndpointInfo, ...],
        authenticator: Authenticator,
        notifications: Notifications,
        voice: Voice,
        submit: Callable[[Action, Principal], Awaitable[Outcome]],
        state_of: Callable[[str], EndpointState],
        alarm: Callable[[], AlarmStatus | None],
        history: History,
        mount: Callable[[str, Any], Awaitable[str]],
        remotes: Mapping[str, Remote],
        keys: Keys,
        key_files: KeyFiles,
        tls: TlsProvider,
        ready: Ready,
        state_dir: Path,
        any_port: bool,
        door: str = "Front door",
        strict: bool = False,
    ) -> None:
        self._log = log
        self._boot_number = boot_number
        self._endpoints = endpoints
        self._authenticator = authenticator
        self._notifications = notifications
        self._voice = voice
        self._submit = submit
        self._state_of = state_of
        self._alarm = alarm
        self._history = history
        self._mount = mount
        self._remotes = remotes
        self._keys = keys
        self._key_files = key_files
        self._tls = tls
        self._ready = ready
        self._state_dir = state_dir
        self._any_port = any_port
        self._door = door
        self._strict = strict
        self._states: dict[str, dict[str, Any]] = {}
        self._answers: dict[str, dict[str, Callable[[Question], Awaitable[object]]]] = {}

    async def start(
        self, nursery: trio.Nursery, specs: Sequence[WorkerSpec], configs: Mapping[str, Any]
    ) -> None:
        """Start every worker that has a configuration; returns when each is ready or has failed once."""
        async with trio.open_nursery() as starting:
            for spec in specs:
                if spec.name in configs:
                    config = configs[spec.name]
                    starting.start_soon(nursery.start, partial(self._keep, spec, config))

    def states(self) -> dict[str, dict[str, Any]]:
        """Per worker (and part of one): state, reason, and the values it shows on the page."""
        return self._states

    async def ask(self, worker: str, verb: str, question: Question) -> object:
        """What a worker answers to a command of this machine. Raises: CommandError, and what it raises."""
        await trio.lowlevel.checkpoint()
        if worker not in self._states:
            raise CommandError(f"this door does not speak {worker}: give it a table [workers.{worker}]")
        handler = self._answers.get(worker, {}).get(verb)
        if handler is None:
            raise CommandError(f"{worker} has no answer to {verb!r} now: see `portero status`")
        return await handler(question)

    async def _keep(
        self,
        spec: WorkerSpec,
        config: Any,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        context = self._context(spec.name)

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            # Within the boundary: a full disk is no reason for the other workers not to start.
            context.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                await spec.run(config, context, task_status=task_status)
            finally:
                self._answers.pop(spec.name, None)  # nobody is there to answer

        await supervise(
            spec.name,
            run,
            report=self._report,
            strict=self._strict,
            task_status=task_status,
        )

    def _context(self, name: str) -> Context:
        row = self._row(name)

        def page(key: str, value: str | int | float | bool) -> None:
            row["page"][key] = value

        def answer(verb: str, handler: Callable[[Question], Awaitable[object]]) -> None:
            self._answers.setdefault(name, {})[verb] = handler

        async def keep_part(part: str, run: Callable[[], Awaitable[None]]) -> None:
            async def run_part(*, task_status: trio.TaskStatus[None]) -> None:
                task_status.started()
                await run()

            await supervise(
                f"{name}.{part}",
                run_part,
                report=self._report,
                strict=self._strict,
                settle_s=PART_SETTLES_S,
            )

        return Context(
            name=name,
            boot_number=self._boot_number,
            events=self._log,
            endpoints=self._endpoints,
            authenticator=self._authenticator,
            notifications=self._notifications,
            voice=self._voice,
            submit=self._submit_via(name),
            report=self._observe,
            page=page,
            ready=self._ready.listening,
            supervise=keep_part,
            guard=Guard(name, self._report, strict=self._strict),
            tls=self._tls,
            state_of=self._state_of,
            alarm=self._alarm,
            history=self._history,
            mount=self._mount,
            remotes=tuple(self._remotes[info.name] for info in self._endpoints if info.system == name),
            keys=self._keys,
            key_files=self._key_files,
            answer=answer,
            door=self._door,
            state_dir=self._state_dir / name,
            any_port=self._any_port,
        )

    def _submit_via(self, name: str) -> Callable[[Action, Principal], Awaitable[Outcome]]:
        """Submissions of one worker: whatever it says of the principal, the door knows where it came from."""

        async def submit(action: Action, principal: Principal) -> Outcome:
            if principal.via != name or principal.role == "system":
                raise ValueError(f"worker {name} may not submit as {principal.role} via {principal.via}")
            return await self._submit(action, principal)

        return submit

    def _observe(self, event: Observation) -> None:
        self._log.publish(event)

    def _report(self, event: WorkerChanged | WorkerFailed) -> None:
        row = self._row(event.worker)
        row["reason"] = event.reason
        if isinstance(event, WorkerChanged):
            row["state"] = event.state
        self._log.publish(event)

    def _row(self, name: str) -> dict[str, Any]:
        return self._states.setdefault(name, {"state": "starting", "reason": "", "page": {}})
