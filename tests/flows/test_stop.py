"""The end of a run: orderly, whatever hangs; and the watchdog for when nobody asked for it."""

from __future__ import annotations

import itertools
import json
import signal
import threading
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from harness.notify_socket import NotifySocket
from harness.phones import Phone, dial, phone, trust
from harness.quick_door import PASSWORDS, Door
from harness.raw_websocket import RawClient
from wsproto.events import TextMessage

from agent import app
from agent.boot import next_boot
from agent.bus import EventLog
from agent.commands.exits import CONFIG, INTERRUPTED
from agent.config import simulated
from agent.model.events import ButtonPressed
from agent.registry import WORKERS
from agent.systemd import RingProof, ServiceManager

STOP_WITHIN_S = 5.0
CLIENTS = 49
LOGIN = json.dumps({"event": "auth", "data": {"user": "ana", "password": PASSWORDS["ana"]}})


async def stall(client: RawClient) -> None:
    """Log in and ask for so much, without reading it, that the door's socket is full, its outbox not."""
    await client.upgrade()
    await client.text(LOGIN)
    await client.message()
    version = client.frames.send(TextMessage(data='{"event":"control","data":{"type":"version"}}'))
    port, held, grown = client.socket.getsockname()[1], 0, True
    while grown:
        before = held
        await client.send(version * 16)
        with trio.move_on_after(0.5):
            while (held := _unread_bytes(port)) < before + 1000:
                await trio.sleep(0.005)
        grown = held >= before + 1000
    assert held > 50_000


def _unread_bytes(port: int) -> int:
    """How much the kernel holds on its way to the end of a loopback connection that has this port."""
    held = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        sending, receiving = (int(queue, 16) for queue in queues.split(":"))
        held += sending if remote.endswith(f":{port:04X}") else 0
        held += receiving if local.endswith(f":{port:04X}") else 0
    return held


@pytest.mark.slow
async def test_sigterm_with_fifty_clients_one_of_them_stalled(door: Door) -> None:
    with door() as agent:
        context = trust(agent)
        async with AsyncExitStack() as stack:
            apps: list[Phone] = []

            async def join(number: int) -> None:
                source = f"127.0.0.{number % 20 + 2}"
                one = phone(agent, "ana", PASSWORDS["ana"], source=source, context=context)
                apps.append(await stack.enter_async_context(one))

            for number in range(CLIENTS):
                await join(number)
            stalled = trio.SSLStream(
                await dial(agent), context, server_hostname="127.0.0.1", https_compatible=True
            )
            stack.push_async_callback(trio.aclose_forcefully, stalled)
            await stall(RawClient(stalled))
            assert agent.ask("status")["workers"]["zmes"]["page"]["clients"] == CLIENTS + 1
            assert agent.unlock(hold_s=30)["outcome"] == "done"
            assert agent.relays()["strike"].energised

            begun = time.monotonic()
            async with trio.open_nursery() as nursery:
                codes: list[int] = []

                async def leave(one: Phone) -> None:
                    codes.append(await one.closed())

                for one in apps:
                    nursery.start_soon(leave, one)
                code = await trio.to_thread.run_sync(agent.stop)
                took_s = time.monotonic() - begun
        assert code == 0
        assert took_s < STOP_WITHIN_S
        print(f"stopped after {took_s:.2f} s")
        assert codes == [1001] * CLIENTS
        assert not any(output.energised for output in agent.relays().values())
        assert not (agent.state_dir / "ready.json").exists()
        assert not (agent.state_dir / "control.sock").exists()
        assert agent.stored()[-1]["type"] in ("lock_changed/1", "agent_stopping/1")
        assert agent.stored("agent_stopping")[-1]["reason"] == "SIGTERM"
        assert agent.stored("lock_changed")[-1] | {"action_id": ""} == {
            "type": "lock_changed/1", "endpoint": "strike", "state": "locked", "by": "", "action_id": "",
            "hold_s": None, "reason": "stopped",
        }  # fmt: skip
        assert "Traceback" not in agent.log()
        agent.start()
        agent.press()
        agent.until_stored("button_pressed")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_moment_of_the_start(door: Door, number: signal.Signals) -> None:
    agent = door()
    agent.start()
    delays_s = [agent.ready_after_s * third / 3 for third in range(4)]
    agent.stop()
    if number is signal.SIGINT:
        # Before our first file it would tear into the interpreter's own start, about which we can do nothing;
        # soon after it signals are watched, and before that they come as exceptions.
        delays_s = [0.02 * step for step in range(3)]
    begun_at = (agent.state_dir / "boot.json").stat
    for delay_s in delays_s:
        before = begun_at().st_mtime_ns
        agent.begin()
        while number is signal.SIGINT and begun_at().st_mtime_ns == before:
            time.sleep(0.001)
        time.sleep(delay_s)
        begun = time.monotonic()
        code = agent.stop(by=number)
        assert time.monotonic() - begun < STOP_WITHIN_S
        # Before our own handler is there the interpreter ends as any program does; nothing is energised yet.
        assert code in (0, -number, INTERRUPTED), (delay_s, code, agent.log())
        assert not (agent.state_dir / "ready.json").exists()
        assert not any(output.energised for output in agent.relays().values())
    assert "Traceback" not in agent.log()
    agent.start()
    assert agent.ask("status")["problems"] == []
    assert agent.stop(by=number) == 0
    assert agent.stored("agent_stopping")[-1]["reason"] == number.name


def test_ctrl_c_before_signals_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, because the moment is too short to be hit from outside."""

    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "open_board", interrupted)
    config = simulated({worker.name: worker.config for worker in WORKERS})
    with pytest.raises(KeyboardInterrupt):
        app.run(config, state_dir=tmp_path / "state", simulated=True, any_port=True)


def test_two_agents_on_one_state_directory(door: Door) -> None:
    with door() as agent:
        second = door()
        second.begin()
        assert second.wait() == CONFIG
        assert "another agent is running on this state directory" in agent.log()
        assert "Traceback" not in agent.log()
        agent.press()
        agent.until_stored("button_pressed")
        assert agent.ask("status")["pid"] == agent.pid


@pytest.mark.slow
def test_the_service_manager_hears_all_of_it(door: Door, tmp_path: Path) -> None:
    with NotifySocket(tmp_path / "notify") as manager:
        environ = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "450000"}
        with door(environ=environ) as agent:
            manager.until("READY=1")
            manager.until("WATCHDOG=1", 8)
            assert agent.stop() == 0
        (ready_at,) = manager.times("READY=1")
        (stopping_at,) = manager.times("STOPPING=1")
        fed_at = manager.times("WATCHDOG=1")
        assert ready_at < stopping_at
        assert manager.heard[-1][1] == "STOPPING=1"
        gaps_s = [later - earlier for earlier, later in itertools.pairwise(fed_at)]
        assert max(gaps_s) < 0.4, "little time to spare"
        assert sorted(gaps_s)[len(gaps_s) // 2] == pytest.approx(0.15, abs=0.05)


def test_another_ones_watchdog_is_not_fed(door: Door, tmp_path: Path) -> None:
    with NotifySocket(tmp_path / "notify") as manager:
        environ = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "30000", "WATCHDOG_PID": "1"}
        with door(environ=environ) as agent:
            manager.until("READY=1")
            assert agent.stop() == 0
        assert {text for _, text in manager.heard} == {"READY=1", "STOPPING=1"}


async def test_a_reader_that_stands_still_starves_the_watchdog(tmp_path: Path) -> None:
    """In this process, because the agent has no handle to make its journal hang."""
    log = EventLog(boot_id=next_boot(tmp_path).id)
    reached = 0
    stuck = False

    async def read() -> None:
        nonlocal reached
        async for entry in log.follow(after=0):
            while stuck:
                await trio.sleep(0.01)
            reached = entry.last if hasattr(entry, "last") else entry.seq

    with NotifySocket(tmp_path / "notify") as ear:
        manager = ServiceManager({"NOTIFY_SOCKET": str(ear.path), "WATCHDOG_USEC": "150000"})
        proof = RingProof(lambda: log.last_seq, {"the journal": lambda: reached})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(manager.feed, proof)
            for _ in range(5):
                log.publish(ButtonPressed(endpoint="bell"))
                await trio.sleep(0.05)
            fed = len(ear.times("WATCHDOG=1"))
            assert fed >= 4
            stuck = True
            log.publish(ButtonPressed(endpoint="bell"))
            await trio.sleep(0.12)
            fed = len(ear.times("WATCHDOG=1"))
            await trio.sleep(0.4)
            assert len(ear.times("WATCHDOG=1")) == fed
            assert any(text.startswith("STATUS=the journal stands still at 5") for _, text in ear.heard)
            stuck = False
            await trio.sleep(0.3)
            assert len(ear.times("WATCHDOG=1")) > fed
            nursery.cancel_scope.cancel()


def test_a_hung_loop_starves_the_watchdog(tmp_path: Path) -> None:
    hang = threading.Event()

    async def main(manager: ServiceManager) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(manager.feed, lambda: None)
            await trio.sleep(0.3)
            hang.wait()  # what no task of a trio program may do
            nursery.cancel_scope.cancel()

    with NotifySocket(tmp_path / "notify") as ear:
        manager = ServiceManager({"NOTIFY_SOCKET": str(ear.path), "WATCHDOG_USEC": "150000"})
        loop = threading.Thread(target=trio.run, args=(main, manager))
        loop.start()
        try:
            time.sleep(0.4)
            fed = len(ear.times("WATCHDOG=1"))
            time.sleep(0.4)
            assert len(ear.times("WATCHDOG=1")) == fed >= 5
        finally:
            hang.set()
            loop.join()
