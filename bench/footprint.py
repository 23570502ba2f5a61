"""What the agent costs at rest: import CPU beside trio's, resident memory, CPU per second, time to ready.

python -m bench.footprint [--quick]
"""

from __future__ import annotations

import argparse
import compileall
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.report import Row, at_most, table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

MEASURE = "import time; t = time.process_time(); import {}; print(time.process_time() - t)"
LIBRARIES = "trio, trio_websocket, msgspec, cbor2, sqlite3, ssl, gpiozero"
LEAN = "agent.app, agent.workers.zmes.server, hw.gpio"
VOICE = """
[voice]
microphone = "sim"
speaker = "sim"
[workers.zmes.server]
[workers.zello.server]
"""
SMART_HOME = """
[workers.zmes.server]
[workers.deconz.server]
"""
IDLE_S = 30.0
QUICK_IDLE_S = 6.0


def import_cpu_s(modules: str) -> float:
    """CPU seconds that importing takes in a fresh interpreter."""
    answer = subprocess.run(
        [sys.executable, "-c", MEASURE.format(modules)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return float(answer.stdout)


def imports(rounds: int) -> list[Row]:
    """The lean agent, and the libraries that it stands on, beside trio, in turn."""
    # As an installed agent has them; an environment may have told Python not to write any.
    for package in ("agent", "hw", "native"):
        compileall.compile_dir(str(ROOT / package), quiet=2)
    spent: dict[str, list[float]] = {"trio": [], LIBRARIES: [], LEAN: []}
    for _ in range(rounds + 1):
        for modules, times in spent.items():
            times.append(import_cpu_s(modules))
    base, libraries, lean = (statistics.median(times[1:]) for times in spent.values())
    return [
        Row("import trio", base * 1000, "ms CPU"),
        Row("import the libraries alone", libraries * 1000, "ms CPU"),
        Row("import the lean agent", lean * 1000, "ms CPU"),
        Row("ratio of the libraries alone to trio", libraries / base, ""),
        at_most("ratio of the lean agent to trio", lean / base, "", 2.2),
    ]


def at_rest(idle_s: float) -> list[Row]:
    """Ready agents that nobody talks to: the lean one, the one with a voice, the one in a smart home."""
    return [
        *_at_rest("lean", "[workers.zmes.server]\n", idle_s, 40),
        *_at_rest("with sound and channels", VOICE, idle_s, 75),
        *_at_rest("with the smart home (deCONZ)", SMART_HOME, idle_s, 75),
    ]


def _at_rest(name: str, config: str, idle_s: float, limit_mb: float) -> list[Row]:
    """A second start, as on any day but the first."""
    from harness.agent_process import AgentProcess

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "portero.toml"
        path.write_text(config)
        agent = AgentProcess(Path(folder) / "state", config=path)
        with agent:
            agent.stop()
        with agent:
            time.sleep(2)
            before = cpu_s(agent.pid)
            time.sleep(idle_s)
            spent = cpu_s(agent.pid) - before
            rows = [
                at_most(f"{name}: start to ready", agent.ready_after_s, "s", 2.0),
                at_most(f"{name}: idle RSS", rss_mb(agent.pid), "MB", limit_mb),
                at_most(f"{name}: idle CPU", 100 * spent / idle_s, "%", 0.2),
            ]
            agent.stop()
    return rows


def cpu_s(pid: int) -> float:
    """User and system CPU seconds of a process so far, ended threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident megabytes (10^6 bytes) of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"no VmRSS for process {pid}")


def run(quick: bool = False) -> list[Row]:
    """All figures."""
    return imports(3 if quick else 9) + at_rest(QUICK_IDLE_S if quick else IDLE_S)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    print(table(run(parser.parse_args().quick)))


if __name__ == "__main__":
    main()
