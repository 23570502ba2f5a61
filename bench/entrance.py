"""From the tag to the strike: last byte of a frame on a pty -> the relay line, with 10,000 keys in the store.

Beside ours stands what a user would write: pyserial in a thread, a dict of numbers, and the relay. Also: the
decision alone, and a key file of 10,000 rows.

    python -m bench.entrance [--quick]
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import statistics
import tempfile
import threading
import time
import tty
from functools import partial
from pathlib import Path
from typing import Any

import openpyxl
import trio

from agent.bus import EventLog
from agent.dispatch import Dispatch
from agent.endpoints import House
from agent.entrance.config import SIMULATED, EntranceConfig, ReaderConfig
from agent.entrance.decision import decide
from agent.entrance.doorkeeper import Doorkeeper
from agent.entrance.importer import Importer
from agent.entrance.panel import Presented
from agent.entrance.readers import Readers
from agent.entrance.store import KeyStore
from agent.journal.config import JournalConfig
from agent.journal.store import Journal
from bench.report import Row, at_most, table
from hw.board import LockPins, open_board
from hw.fake import FakePins
from hw.rdm6300 import Rdm6300, frame

KEYS = 10_000
TAGS = 200
PAUSE_S = 0.01
PIN_MAP = {"strike": LockPins(pin=27)}


class Watched(FakePins):
    """Knows when the strike's line was driven."""

    def __init__(self) -> None:
        super().__init__()
        self.driven_ns = 0
        self.driven = threading.Event()

    def drive(self, name: str, active: bool) -> None:
        super().drive(name, active)
        if active:
            self.driven_ns = time.monotonic_ns()
            self.driven.set()


def numbers() -> list[str]:
    """The tags of the house."""
    return [f"{0x62_0000_0000 + number * 7919:010X}" for number in range(KEYS)]


def workbook() -> bytes:
    """Their file, as a VMS exports it."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append(["Key", "Flat", "User"])
    for row, number in enumerate(numbers()):
        sheet.append([number, row // 4, f"resident {row}"])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def _ours(folder: Path, tags: int, found: dict[str, Any]) -> None:
    log = EventLog(boot_id="bench")
    journal = Journal.open(folder / "journal.db", JournalConfig()).journal
    house = House(PIN_MAP, log=log)
    ids = iter(map(str, range(10**6)))
    dispatch = Dispatch(log=log, journal=journal, performers=house.performers, new_id=ids.__next__)
    store = KeyStore.open(folder, report=log.publish)
    content = workbook()
    before_mb, begun = _peak_mb(), time.monotonic()
    await Importer(store).apply(content, file="keys.xlsx", source="vms", by="bench")
    found["import_s"] = time.monotonic() - begun
    found["import_mb"] = _peak_mb() - before_mb
    # A grant of sixty at once is for households, and not for benchmarks.
    keeper = Doorkeeper(
        EntranceConfig(), store, submit=lambda action, who: dispatch.submit(action, _patient(who)),
        report=log.publish,
    )  # fmt: skip
    config = ReaderConfig(device=SIMULATED, kind="rdm6300", opens="strike")
    readers = Readers({"front": config}, keeper, log=log)
    known = numbers()
    presented = Presented(method="tag", tag=known[17])
    costs = []
    for _ in range(2000):
        at = time.perf_counter()
        decide(presented, config, store.index, store.digester, now_ns=1)
        costs.append((time.perf_counter() - at) * 1e6)
    found["decision_us"] = statistics.median(costs)
    pins = Watched()
    with pins, open_board(PIN_MAP, pins=pins) as board:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(journal.run, after=0, report=log.publish), log)
            await nursery.start(house.run, board)
            await nursery.start(readers.run)
            await trio.sleep(0.2)
            show = partial(_show, readers.hands["front"].send, pins, known, tags)
            found["ours_ms"] = await trio.to_thread.run_sync(show)
            nursery.cancel_scope.cancel()
        await journal.close()


def _patient(who: Any) -> Any:
    from msgspec.structs import replace

    return replace(who, via="rules")


def _show(send: Any, pins: Watched, known: list[str], tags: int) -> list[float]:
    """Hold tags to the reader, one after the other; milliseconds from the frame's end to the relay."""
    delays = []
    for number in range(tags + 10):
        data = frame(known[number * 31 % KEYS])
        pins.driven.clear()
        send(data[:-1])
        time.sleep(PAUSE_S)
        sent_ns = time.monotonic_ns()
        send(data[-1:])
        if not pins.driven.wait(5):
            raise RuntimeError("a tag did not open")
        if number >= 10:
            delays.append((pins.driven_ns - sent_ns) / 1e6)
    return delays


def _theirs(tags: int) -> list[float]:
    """What a user would write."""
    import serial

    ours, theirs = os.openpty()
    tty.setraw(theirs)
    known = dict.fromkeys(numbers(), "somebody")
    pins = Watched()
    stop = threading.Event()
    with pins, open_board(PIN_MAP, pins=pins) as board:
        port = serial.Serial(os.ttyname(theirs), 9600, timeout=0.05)

        def listen() -> None:
            framer = Rdm6300()
            while not stop.is_set():
                for told in framer.feed(port.read(port.in_waiting or 1), time.monotonic()):
                    if getattr(told, "number", "") in known:
                        board.locks["strike"].energise()

        thread = threading.Thread(target=listen)
        thread.start()
        delays = _show(partial(os.write, ours), pins, numbers(), tags)
        stop.set()
        thread.join()
        port.close()
    os.close(ours)
    os.close(theirs)
    return delays


def run(quick: bool = False) -> list[Row]:
    """Latency from tag to strike, the decision, and an import."""
    tags = 60 if quick else TAGS
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        trio.run(_ours, Path(folder), tags, found)
    plain = statistics.median(_theirs(tags))
    delays = sorted(found["ours_ms"])
    label = f"tag -> strike relay, {KEYS} keys, journal on disk"
    return [
        at_most(f"{label}, p50", statistics.median(delays), "ms", 3.0),
        Row(f"{label}, p99", delays[len(delays) * 99 // 100], "ms"),
        Row("the same by pyserial in a thread and a dict, nothing written down, p50", plain, "ms"),
        at_most("the decision alone", found["decision_us"], "us", 100.0),
        at_most(f"key file of {KEYS} rows, read, compared, stored", found["import_s"], "s", 3.0),
        at_most("its extra memory in the agent, peak", found["import_mb"], "MB", 60.0),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    print(table(run(parser.parse_args().quick)))


if __name__ == "__main__":
    main()
