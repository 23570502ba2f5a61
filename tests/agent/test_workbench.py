from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trio
import trio.testing
from harness.context import DictAuthenticator, MemoryHistory, MemoryKeys, MemoryNotifications, MemoryTls
from harness.door import Recorded, who
from harness.voice import MemoryVoice
from msgspec import Struct
from trio.testing import MockClock

from agent.model.actions import Action, Unlock
from agent.model.errors import AuthenticationError, CommandError, PeerError
from agent.model.events import CameraAlarm, WorkerChanged, WorkerFailed
from agent.model.outcomes import Done, Outcome
from agent.model.principals import Principal
from agent.ready import Ready
from agent.runtime import AlarmStatus, Context, EndpointInfo, EndpointState, Question, WorkerSpec
from agent.workbench import PART_SETTLES_S, Workbench

UNLOCK = Unlock(endpoint="strike")


class NoConfig(Struct, frozen=True):
    pass


class Bench:
    """A workbench and what reached the door from it."""

    def __init__(
        self, folder: Path, *, strict: bool = False, endpoints: tuple[EndpointInfo, ...] = ()
    ) -> None:
        self.alarm = AlarmStatus(state="armed", mode="night")
        self.log = Recorded()
        self.submitted: list[tuple[Action, Principal]] = []
        self.contexts: dict[str, Context] = {}
        self.workers = folder / "workers"
        self.ready = Ready(folder / "ready.json")
        self.voice = MemoryVoice()
        self.bench = Workbench(
            log=self.log,
            boot_number=7,
            endpoints=endpoints,
            authenticator=DictAuthenticator({}),
            notifications=MemoryNotifications(()),
            voice=self.voice,
            submit=self.submit,
            state_of=lambda name: EndpointState(state="off"),
            alarm=lambda: self.alarm,
            history=MemoryHistory(self.log),
            mount=self.mount,
            remotes={info.name: f"remote {info.name}" for info in endpoints if info.system},  # type: ignore[misc]
            keys=MemoryKeys(DictAuthenticator({})),
            key_files=cast(Any, None),
            tls=MemoryTls(folder),
            ready=self.ready,
            state_dir=self.workers,
            any_port=True,
            door="Back door",
            strict=strict,
        )

    async def mount(self, path: str, app: object) -> str:
        await trio.lowlevel.checkpoint()
        return f"https://127.0.0.1:8443{path}/"

    async def submit(self, action: Action, principal: Principal) -> Outcome:
        await trio.lowlevel.checkpoint()
        self.submitted.append((action, principal))
        return Done(action_id="a1")

    def worker(self, name: str, run: Callable[..., Any] | None = None) -> WorkerSpec:
        """A worker that keeps its Context for the test and then does `run`, by default nothing for ever."""

        async def main(config: NoConfig, context: Context, *, task_status: trio.TaskStatus[None]) -> None:
            self.contexts[name] = context
            if run is None:
                task_status.started()
                await trio.sleep_forever()
            else:
                await run(context, task_status)

        return WorkerSpec(name=name, config=NoConfig, run=main)

    async def started(self, nursery: trio.Nursery, *specs: WorkerSpec) -> None:
        await self.bench.start(nursery, specs, {spec.name: NoConfig() for spec in specs})


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def me(**more: Any) -> Principal:
    return Principal(**{"name": "ana", "role": "resident", "via": "one", **more})


async def test_only_configured_workers_run(bench: Bench, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        specs = [bench.worker("one"), bench.worker("two")]
        await bench.bench.start(nursery, specs, {"two": NoConfig()})
        assert list(bench.contexts) == ["two"]
        assert bench.bench.states() == {"two": {"state": "running", "reason": "", "page": {}}}
        nursery.cancel_scope.cancel()


async def test_a_worker_gets_a_folder_of_its_own(bench: Bench, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        await bench.started(nursery, bench.worker("one"))
        context = bench.contexts["one"]
        assert context.state_dir == bench.workers / "one"
        assert stat.S_IMODE(context.state_dir.stat().st_mode) == 0o700
        assert (context.name, context.boot_number, context.any_port) == ("one", 7, True)
        nursery.cancel_scope.cancel()


async def test_start_waits_for_the_slowest_and_not_for_the_sick(
    bench: Bench, autojump_clock: MockClock
) -> None:
    async def slow(context: Context, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep(5)
        task_status.started()
        await trio.sleep_forever()

    async def sick(context: Context, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep(2)
        raise ZeroDivisionError

    async def refused(context: Context, task_status: trio.TaskStatus[None]) -> None:
        raise AuthenticationError("no")

    async with trio.open_nursery() as nursery:
        begun = trio.current_time()
        await bench.started(
            nursery,
            bench.worker("slow", slow),
            bench.worker("sick", sick),
            bench.worker("refused", refused),
            bench.worker("well"),
        )
        assert trio.current_time() - begun == 5
        states = {name: row["state"] for name, row in bench.bench.states().items()}
        assert states == {"slow": "running", "sick": "retrying", "refused": "parked", "well": "running"}
        assert bench.bench.states()["sick"]["reason"] == "ZeroDivisionError: "
        nursery.cancel_scope.cancel()


async def test_a_folder_that_cannot_be_made_is_the_trouble_of_one_worker(
    bench: Bench, autojump_clock: MockClock
) -> None:
    bench.workers.mkdir()
    (bench.workers / "one").write_text("in the way")
    async with trio.open_nursery() as nursery:
        await bench.started(nursery, bench.worker("one"), bench.worker("two"))
        assert list(bench.contexts) == ["two"]
        assert bench.bench.states()["one"]["state"] == "retrying"
        (bench.workers / "one").unlink()
        await trio.sleep(20)
        assert bench.bench.states()["one"]["state"] == "running"
        nursery.cancel_scope.cancel()


async def test_a_worker_submits_in_its_own_name_only(bench: Bench, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        await bench.started(nursery, bench.worker("one"), bench.worker("two"))
        submit = bench.contexts["one"].submit
        assert await submit(UNLOCK, me()) == Done(action_id="a1")
        for forged in (
            me(via="two"),
            me(via="control"),
            me(via="rules"),
            me(role="system"),
            who(),
            me(via=""),
        ):
            with pytest.raises(ValueError, match="may not submit"):
                await submit(UNLOCK, forged)
        assert bench.submitted == [(UNLOCK, me())]
        nursery.cancel_scope.cancel()


async def test_a_forgery_is_a_bug_of_that_worker(bench: Bench, autojump_clock: MockClock) -> None:
    async def forge(context: Context, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await context.submit(UNLOCK, me(role="system"))

    async with trio.open_nursery() as nursery:
        await bench.started(nursery, bench.worker("one", forge), bench.worker("two"))
        await trio.sleep(1)
        assert bench.submitted == []
        assert bench.bench.states()["one"]["state"] == "retrying"
        assert bench.bench.states()["two"]["state"] == "running"
        nursery.cancel_scope.cancel()


async def test_page_values_are_kept_over_a_restart_of_the_worker(
    bench: Bench, autojump_clock: MockClock
) -> None:
    async def fall(context: Context, task_status: trio.TaskStatus[None]) -> None:
        context.page("clients", 3)
        context.page("peer", "10.0.0.7")
        context.page("clients", 4)
        raise PeerError("away")

    async with trio.open_nursery() as nursery:
        await bench.started(nursery, bench.worker("one", fall))
        assert bench.bench.states()["one"] == {
            "state": "retrying",
            "reason": "away",
            "page": {"clients": 4, "peer": "10.0.0.7"},
        }
        nursery.cancel_scope.cancel()


async def test_a_part_has_a_state_of_its_own_and_its_failure_leaves_the_worker_alone(
    bench: Bench, autojump_clock: MockClock
) -> None:
    tries = 0

    async def part() -> None:
        nonlocal tries
        tries += 1
        await trio.sleep(1)
        raise PeerError("away")

    async def run(context: Context, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await context.supervise("upstream", part)

    async with trio.open_nursery() as nursery:
        await bench.started(nursery, bench.worker("one", run))
        await trio.sleep(3600)
        states = {name: row["state"] for name, row in bench.bench.states().items()}
        assert states == {"one": "running", "one.upstream": "retrying"}
        assert tries > 50
        changes = [
            event.state
            for event in bench.log.events(WorkerChanged)
            if isinstance(event, WorkerChanged) and event.worker == "one.upstream"
        ]
        assert changes == ["running", "retrying"]
        nursery.cancel_scope.cancel()


async def test_a_part_that_came_back_is_told_once_it_has_settled(
    bench: Bench, autojump_clock: MockClock
) -> None:
    tries = 0

    async def part() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise PeerError("away")
        await trio.sleep_forever()

    async def run(context: Context, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await context.supervise("upstream", part)

    async with trio.open_nursery() as nursery:
        await bench.started(nursery, bench.worker("one", run))
        await trio.sleep(PART_SETTLES_S - 1)
        assert bench.bench.states()["one.upstream"]["state"] == "retrying"
        await trio.sleep(3)
        assert bench.bench.states()["one.upstream"]["state"] == "running"
        nursery.cancel_scope.cancel()


async def test_the_guard_of_a_worker_keeps_its_bugs_in_one_connection(
    bench: Bench, autojump_clock: MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        await bench.started(nursery, bench.worker("one"))
        for _ in range(3):
            async with bench.contexts["one"].guard("10.0.0.7"):
                raise ZeroDivisionError
        assert len(bench.log.events(WorkerFailed)) == 1
        assert bench.bench.states()["one"]["state"] == "running"
        nursery.cancel_scope.cancel()


async def test_what_is_observed_is_published_and_listeners_are_told(
    bench: Bench, autojump_clock: MockClock
) -> None:
    alarm = CameraAlarm(source="zm", monitor_id="1", monitor="Garage", cause="motion", event_id="5")
    async with trio.open_nursery() as nursery:
        await bench.started(nursery, bench.worker("one"))
        bench.contexts["one"].report(alarm)
        bench.contexts["one"].ready("one", "wss://127.0.0.1:9000/")
        assert bench.log.events(CameraAlarm) == [alarm]
        assert bench.ready.listeners == {"one": "wss://127.0.0.1:9000/"}
        nursery.cancel_scope.cancel()


# What a person asks a worker.


class Asked:
    """See runtime.Question."""

    def __init__(self, **arguments: Any) -> None:
        self.account = "local:ana"
        self._arguments = arguments

    def get(self, name: str, kind: Any, default: Any = ...) -> Any:
        return self._arguments.get(name, default)


async def link(question: Question) -> object:
    await trio.lowlevel.checkpoint()
    if question.get("broken", bool, False):
        raise CommandError("there is no server")
    return {"seconds": 60, "for": question.account}


async def test_a_worker_answers_what_it_registered(bench: Bench, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        await bench.started(nursery, bench.worker("one"), bench.worker("two"))
        bench.contexts["one"].answer("link", link)
        assert await bench.bench.ask("one", "link", Asked()) == {"seconds": 60, "for": "local:ana"}
        with pytest.raises(CommandError, match="there is no server"):
            await bench.bench.ask("one", "link", Asked(broken=True))
        for worker, verb in (("one", "pair"), ("two", "link"), ("one", ""), ("one", "__class__")):
            with pytest.raises(
                CommandError, match=f"{worker} has no answer to '{verb}' now: see `portero st"
            ):
                await bench.bench.ask(worker, verb, Asked())
        with pytest.raises(CommandError, match=r"does not speak three: give it a table \[workers.three\]"):
            await bench.bench.ask("three", "link", Asked())
        with trio.testing.assert_checkpoints(), pytest.raises(CommandError):
            await bench.bench.ask("three", "link", Asked())
        nursery.cancel_scope.cancel()


async def test_a_bug_in_an_answer_is_not_taken_for_an_answer(bench: Bench, autojump_clock: MockClock) -> None:
    async def broken(question: Question) -> object:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    async with trio.open_nursery() as nursery:
        await bench.started(nursery, bench.worker("one"))
        bench.contexts["one"].answer("link", broken)
        with pytest.raises(ZeroDivisionError):
            await bench.bench.ask("one", "link", Asked())
        nursery.cancel_scope.cancel()


async def test_a_worker_that_fell_answers_nothing_until_it_is_back(
    bench: Bench, autojump_clock: MockClock
) -> None:
    """What it registered belongs to a run that is over."""
    runs: list[float] = []

    async def fall_once(context: Context, task_status: trio.TaskStatus[None]) -> None:
        runs.append(trio.current_time())
        context.answer("link", link)
        task_status.started()
        await trio.sleep(5)
        if len(runs) == 1:
            raise PeerError("gone")
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await bench.started(nursery, bench.worker("one", fall_once))
        assert await bench.bench.ask("one", "link", Asked())
        while bench.bench.states()["one"]["state"] != "retrying":
            await trio.sleep(0.1)
        with pytest.raises(CommandError, match="has no answer to 'link' now"):
            await bench.bench.ask("one", "link", Asked())
        await trio.sleep(100)
        assert len(runs) == 2
        assert await bench.bench.ask("one", "link", Asked())
        nursery.cancel_scope.cancel()


async def test_a_worker_sees_the_endpoints_on_its_own_system_as_remotes(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    bench = Bench(
        tmp_path,
        endpoints=(
            EndpointInfo(name="strike", label="Door", kind="lock"),
            EndpointInfo(name="yard", label="Yard", kind="light", system="one"),
            EndpointInfo(name="shed", label="Shed", kind="light", system="two"),
            EndpointInfo(name="hall", label="Hall", kind="light", system="one"),
        ),
    )
    async with trio.open_nursery() as nursery:
        await bench.started(nursery, *(bench.worker(name) for name in ("one", "two", "three")))
        remotes: dict[str, Any] = {name: context.remotes for name, context in bench.contexts.items()}
        assert remotes == {"one": ("remote yard", "remote hall"), "two": ("remote shed",), "three": ()}
        for context in bench.contexts.values():
            assert [info.name for info in context.endpoints] == ["strike", "yard", "shed", "hall"]
            assert context.state_of("yard") == EndpointState(state="off")
            assert context.door == "Back door"
            assert context.alarm() == bench.alarm
        nursery.cancel_scope.cancel()


async def test_strict_lets_a_bug_through(tmp_path: Path, autojump_clock: MockClock) -> None:
    bench = Bench(tmp_path, strict=True)

    async def fall(context: Context, task_status: trio.TaskStatus[None]) -> None:
        raise ZeroDivisionError

    async def start() -> None:
        async with trio.open_nursery() as nursery:
            await bench.started(nursery, bench.worker("one", fall))

    with pytest.raises(ExceptionGroup) as caught:
        await start()
    assert caught.group_contains(ZeroDivisionError)
