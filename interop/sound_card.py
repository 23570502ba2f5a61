"""A sound card of software: a private PulseAudio with two null sinks, which pace like hardware."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

READY_S = 10.0
ALSA = """\
</usr/share/alsa/alsa.conf>
pcm.door_microphone { type pulse server "unix:SOCKET" device visitor.monitor }
pcm.door_speaker { type pulse server "unix:SOCKET" device street }
"""


class SoundCard:
    """`visitor` is played where the door's microphone listens, `street` is what its loudspeaker plays."""

    def __init__(self, folder: Path) -> None:
        self._runtime = folder / "pulse"
        self._runtime.mkdir(mode=0o700)
        self._socket = self._runtime / "native"
        self._log = folder / "pulse.log"
        self._processes: list[subprocess.Popen[bytes]] = []
        config = folder / "asound.conf"
        config.write_text(ALSA.replace("SOCKET", str(self._socket)))
        self.environment = {
            "ALSA_CONFIG_PATH": str(config),
            "PULSE_RUNTIME_PATH": str(self._runtime),
            "PULSE_COOKIE": str(self._runtime / "cookie"),
            "HOME": str(folder),
        }

    def start(self) -> SoundCard:
        modules = [
            f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}",
            "module-null-sink sink_name=visitor rate=48000 channels=1",
            "module-null-sink sink_name=street rate=48000 channels=1",
        ]
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
        command += ["--disable-shm=yes", *(part for module in modules for part in ("-L", module))]
        with self._log.open("wb") as log:
            environment = {**os.environ, **self.environment}
            self._processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        begun = time.monotonic()
        while not self._answers():
            if self._processes[0].poll() is not None or time.monotonic() - begun > READY_S:
                raise RuntimeError(f"no PulseAudio:\n{self._log.read_text(errors='replace')}")
            time.sleep(0.05)
        # An idle null sink renders two seconds ahead; somebody who listens closely keeps it awake.
        for sink in ("visitor", "street"):
            listening = ["parec", "--raw", "--latency-msec=20", f"--device={sink}.monitor"]
            self._processes.append(
                subprocess.Popen(listening, env=self._environ(), stdout=subprocess.DEVNULL)
            )
        return self

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def play(self, wav: Path) -> None:
        """Say a recording to the microphone; returns when it is over."""
        subprocess.run(["paplay", "--device=visitor", str(wav)], env=self._environ(), check=True)

    def record(self, wav: Path) -> subprocess.Popen[bytes]:
        """Record what the loudspeaker plays until the process is terminated."""
        command = ["parecord", "--device=street.monitor", "--rate=16000", "--channels=1", "--format=s16le"]
        return subprocess.Popen([*command, "--file-format=wav", str(wav)], env=self._environ())

    def _answers(self) -> bool:
        command = ["pactl", "info"]
        return subprocess.run(command, env=self._environ(), capture_output=True, check=False).returncode == 0

    def _environ(self) -> dict[str, str]:
        return {**os.environ, **self.environment, "PULSE_SERVER": f"unix:{self._socket}"}
