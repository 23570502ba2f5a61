"""A private PulseAudio: two cards without metal, reached through ALSA, gone when the test is.

door_speaker -> null sink "speaker" -> its monitor: door_loop (a microphone that hears the speaker)
visitor      -> null sink "mouth"   -> its monitor: door_microphone
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import trio

PROGRAMS = ("pulseaudio", "pactl", "parec", "paplay")
PLUGIN = "libasound_module_pcm_pulse.so"
READY_S = 10.0
STOP_S = 5.0
AWAKE_S = 0.1

SPEAKER = "door_speaker"
LOOP = "door_loop"
MICROPHONE = "door_microphone"
VISITOR = "visitor"

SETTINGS = """\
.fail
load-module module-native-protocol-unix socket={socket} auth-anonymous=1
load-module module-null-sink sink_name=speaker rate={rate_hz} channels=2
load-module module-null-sink sink_name=mouth rate={rate_hz} channels=2
set-default-sink speaker
set-default-source mouth.monitor
"""

ALSA = """\
</usr/share/alsa/alsa.conf>
pcm.door_speaker { type pulse server "unix:SOCKET" device speaker }
pcm.door_loop { type pulse server "unix:SOCKET" device speaker.monitor }
pcm.door_microphone { type pulse server "unix:SOCKET" device mouth.monitor }
pcm.visitor { type pulse server "unix:SOCKET" device mouth }
pcm.!default {
  type asym
  playback.pcm door_speaker
  capture.pcm door_microphone
}
"""


def missing() -> str:
    """What is needed and not installed, or nothing."""
    names = [name for name in PROGRAMS if shutil.which(name) is None]
    if not list(Path("/usr/lib").glob(f"**/alsa-lib/{PLUGIN}")):
        names.append(f"{PLUGIN} (libasound2-plugins)")
    try:
        import alsaaudio  # noqa: F401
    except ImportError:
        names.append("pyalsaaudio")
    return ", ".join(names)


def require() -> None:
    """Skip the test where the tools are not; on a build machine their absence is a failure."""
    if lacking := missing():
        if os.environ.get("CI"):
            pytest.fail(f"not installed: {lacking}")
        pytest.skip(f"not installed: {lacking}")


class SoundServer:
    """The process. environment: for programs that are to play and record here, ALSA and PulseAudio ones."""

    def __init__(self, folder: Path, rate_hz: int) -> None:
        self.folder = folder
        self.socket = folder / "native"
        self.process: trio.Process | None = None
        self._listeners: list[trio.Process] = []
        self._settings = folder / "default.pa"
        self._settings.write_text(SETTINGS.format(socket=self.socket, rate_hz=rate_hz))
        (folder / "asound.conf").write_text(ALSA.replace("SOCKET", str(self.socket)))
        self.environment: Mapping[str, str] = {
            "ALSA_CONFIG_PATH": str(folder / "asound.conf"),
            "PULSE_SERVER": f"unix:{self.socket}",
            "PULSE_RUNTIME_PATH": str(folder / "pulse"),
            "PULSE_STATE_PATH": str(folder / "state"),
            "PULSE_COOKIE": str(folder / "cookie"),
            "XDG_RUNTIME_DIR": str(folder),
        }

    async def start(self) -> None:
        """Returns when it answers. May be called again after kill()."""
        environment = {**os.environ, **self.environment, "HOME": str(self.folder)}
        del environment["PULSE_SERVER"]  # it would not start where one is named
        self.process = await self._spawn(
            *("pulseaudio", "-n", "-F", str(self._settings), "--daemonize=no", "--use-pid-file=no"),
            *("--exit-idle-time=-1", "--disallow-exit=yes", "--disable-shm=yes"),
            *("--high-priority=no", "--realtime=no", "--log-level=error"),
            environment=environment,
        )
        with trio.fail_after(READY_S):
            while not await self.control("info"):
                assert self.process.poll() is None, (self.folder / "log").read_text()
                await trio.sleep(0.02)
        # An idle null sink renders two seconds ahead, and what is played then is as late. Somebody who
        # listens closely keeps it awake.
        for sink in ("speaker", "mouth"):
            self._listeners.append(await self.listen(f"{sink}.monitor"))
        with trio.fail_after(READY_S):
            while max(await self.latencies_s()) > AWAKE_S:
                await trio.sleep(0.05)

    async def latencies_s(self) -> list[float]:
        """How far ahead each sink is now."""
        environment = {**os.environ, **self.environment, "LC_ALL": "C"}
        answer = await trio.run_process(["pactl", "list", "sinks"], capture_stdout=True, env=environment)
        return [int(us) / 1e6 for us in re.findall(r"Latency: (\d+) usec", answer.stdout.decode())]

    async def control(self, *words: str) -> bool:
        """One command for pactl; whether it worked."""
        answer = await trio.run_process(
            ["pactl", *words],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env={**os.environ, **self.environment},
        )
        return answer.returncode == 0

    async def listen(self, source: str) -> trio.Process:
        return await self._spawn(
            "parec",
            "--raw",
            "--latency-msec=20",
            "-d",
            source,
            environment={**os.environ, **self.environment},
        )

    async def kill(self) -> None:
        """Like a USB plug that is pulled: nobody is told, everything is gone."""
        for process in [*self._listeners, *([self.process] if self.process is not None else [])]:
            if process.poll() is None:
                process.kill()
            with trio.fail_after(STOP_S):
                await process.wait()
        self._listeners.clear()
        self.process = None
        self.socket.unlink(missing_ok=True)

    async def _spawn(self, *command: str, environment: Mapping[str, str]) -> trio.Process:
        with (self.folder / "log").open("ab") as log:
            return await trio.lowlevel.open_process(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, env=environment
            )


@contextlib.asynccontextmanager
async def sound_server(
    folder: Path, patch: pytest.MonkeyPatch | None = None, *, rate_hz: int = 48000
) -> AsyncIterator[SoundServer]:
    """A running server; with `patch`, this process's own ALSA reaches it too.

    folder: short enough for a unix socket. Skips the test where the tools are not installed.
    """
    require()
    server = SoundServer(folder, rate_hz)
    if patch is not None:
        for name, value in server.environment.items():
            patch.setenv(name, value)
    try:
        await server.start()
        yield server
    finally:
        with trio.CancelScope(shield=True):
            await server.kill()
