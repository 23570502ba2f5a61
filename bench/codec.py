"""What a voice packet costs from Python, header, gain and level included: a call per packet at 16 kHz,
against plain libopus in a C loop over the same sound, and against a binding by ctypes where there is one.

CPU time, interleaved, medians: a ratio holds on another machine, a microsecond does not. Needs cc and
pkg-config, for the C loops are compiled here.
"""

from __future__ import annotations

import ctypes
import importlib
import math
import random
import shlex
import statistics
import struct
import subprocess
import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.report import Row, at_most, table
from native import Codec, CodecSettings
from native._voice import lib

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_RATE_HZ = 16_000
OPUS_SIGNAL_VOICE = 3001
ENCODE_ROUNDS, DECODE_ROUNDS = 2, 8
SAMPLES = 61


def voice(frame_us: int) -> list[bytes]:
    """One second of something like a voice: gliding harmonics in syllables, and a little noise."""
    noise = random.Random(1)
    phase = 0.0
    pcm = array("h")
    for n in range(SAMPLE_RATE_HZ):
        t = n / SAMPLE_RATE_HZ
        phase += 2 * math.pi * (125 + 20 * math.sin(2 * math.pi * 2.2 * t)) / SAMPLE_RATE_HZ
        loudness = 0.3 + 0.7 * max(0.0, math.sin(2 * math.pi * 3.5 * t))
        tone = sum(math.sin(k * phase) / k * (2.0 if k in {4, 5, 9} else 1.0) for k in range(1, 18))
        pcm.append(round(loudness * 3_500 * tone + noise.gauss(0, 60)))
    size = SAMPLE_RATE_HZ * frame_us // 1_000_000
    return [pcm[n * size : (n + 1) * size].tobytes() for n in range(len(pcm) // size)]


def compile_loops(folder: str) -> ctypes.CDLL:
    """The loops of codec_loop.c with the library's own sources, compiled like the extension."""
    target = Path(folder) / "codec_loop.so"
    opus = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "opus"], capture_output=True, text=True, check=True
    ).stdout
    flags = "-std=c11 -O3 -fPIC -shared -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"
    sources = [ROOT / "bench/codec_loop.c", *sorted((ROOT / "native/src").glob("*.c"))]
    command: list[str | Path] = ["cc", *flags.split(), f"-I{ROOT / 'native/include'}", "-o", target, *sources]
    subprocess.run([*command, *shlex.split(opus), "-lm"], check=True)
    loops = ctypes.CDLL(str(target))
    pointer, size, u32 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32
    for name in ("dv_codec_size", "raw_encoder_size", "raw_decoder_size"):
        getattr(loops, name).restype = size
    loops.loop_init.argtypes = [pointer, size, u32, u32, u32]
    loops.raw_init.argtypes = [pointer, pointer, ctypes.c_int32, ctypes.c_int32]
    for name in ("loop_encode", "raw_encode"):
        getattr(loops, name).argtypes = [pointer, pointer, size, size, size]
    for name in ("loop_decode", "raw_decode"):
        getattr(loops, name).argtypes = [pointer, pointer, pointer, size, size]
    return loops


def ctypes_binding() -> Any:
    """opuslib-next, a binding of libopus by ctypes, or None where it is not installed."""
    try:
        return importlib.import_module("opuslib_next")
    except ImportError:
        print("opuslib-next is not installed: left out of the comparison")
        return None


def aligned(memory: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(memory) + -ctypes.addressof(memory) % lib.DV_CODEC_ALIGN


def cpu_us(work: Callable[[], object], packets: int) -> float:
    """Microseconds of CPU per packet."""
    start = time.process_time_ns()
    result = work()
    spent = time.process_time_ns() - start
    assert not result, result
    return spent / packets / 1000


def interleaved(works: dict[str, Callable[[], object]], packets: int, samples: int) -> dict[str, list[float]]:
    """Every work `samples` times, in turns, the order reversed each time, after one warm-up."""
    for work in works.values():
        work()
    spent: dict[str, list[float]] = {name: [] for name in works}
    order = list(works)
    for _ in range(samples):
        for name in order:
            spent[name].append(cpu_us(works[name], packets))
        order.reverse()
    return spent


def ratio(spent: dict[str, list[float]], name: str, reference: str) -> float:
    return statistics.median(a / b for a, b in zip(spent[name], spent[reference], strict=True))


class Bench:
    """One second of sound and all that encodes and decodes it, at one length of packet and one complexity."""

    def __init__(self, loops: ctypes.CDLL, binding: Any, frame_us: int, complexity: int) -> None:
        self.loops = loops
        self.frames = voice(frame_us)
        self.count = len(self.frames)
        self.pcm = b"".join(self.frames)
        self.codec = Codec(SAMPLE_RATE_HZ, frame_us, CodecSettings(complexity=complexity))
        self.samples = self.codec.frame_samples
        self.packets = [self.codec.encode_packet(1, n, frame) for n, frame in enumerate(self.frames)]
        self.slots = b"".join(packet.ljust(lib.DV_ENCODE_MAX_BYTES, b"\0") for packet in self.packets)
        self.lens = (ctypes.c_uint32 * self.count)(*map(len, self.packets))
        size = loops.dv_codec_size()
        self.blocks = [
            ctypes.create_string_buffer(bytes_ + lib.DV_CODEC_ALIGN)
            for bytes_ in (size, loops.raw_encoder_size(), loops.raw_decoder_size())
        ]
        self.c_codec, self.encoder, self.decoder = map(aligned, self.blocks)
        assert loops.loop_init(self.c_codec, size, SAMPLE_RATE_HZ, frame_us, complexity) == 0
        assert loops.raw_init(self.encoder, self.decoder, SAMPLE_RATE_HZ, complexity) == 0
        self.binding = binding
        if binding is not None:
            self.foreign_encoder = binding.Encoder(SAMPLE_RATE_HZ, 1, "voip")
            self.foreign_encoder.bitrate = CodecSettings().bitrate_bps
            self.foreign_encoder.complexity = complexity
            self.foreign_encoder.signal = OPUS_SIGNAL_VOICE
            self.foreign_decoder = binding.Decoder(SAMPLE_RATE_HZ, 1)

    def encode_from_python(self) -> None:
        encode = self.codec.encode_packet
        for _ in range(ENCODE_ROUNDS):
            for n, frame in enumerate(self.frames):
                encode(1, n, frame)

    def decode_from_python(self) -> None:
        decode = self.codec.decode_packet
        for _ in range(DECODE_ROUNDS):
            for packet in self.packets:
                decode(packet)

    def encode_by_binding(self) -> None:
        encode, samples, pack = self.foreign_encoder.encode, self.samples, struct.Struct(">BII").pack
        for _ in range(ENCODE_ROUNDS):
            for n, frame in enumerate(self.frames):
                _ = pack(1, 1, n) + encode(frame, samples)

    def decode_by_binding(self) -> None:
        decode, samples, unpack = self.foreign_decoder.decode, self.samples, struct.Struct(">BII").unpack_from
        for _ in range(DECODE_ROUNDS):
            for packet in self.packets:
                unpack(packet)
                decode(packet[9:], samples)

    def encoders(self) -> dict[str, Callable[[], object]]:
        works: dict[str, Callable[[], object]] = {
            "python": self.encode_from_python,
            "library": lambda: self.loops.loop_encode(
                self.c_codec, self.pcm, self.count, self.samples, ENCODE_ROUNDS
            ),
            "c": lambda: self.loops.raw_encode(
                self.encoder, self.pcm, self.count, self.samples, ENCODE_ROUNDS
            ),
        }
        if self.binding is not None:
            works["ctypes"] = self.encode_by_binding
        return works

    def decoders(self) -> dict[str, Callable[[], object]]:
        works: dict[str, Callable[[], object]] = {
            "python": self.decode_from_python,
            "library": lambda: self.loops.loop_decode(
                self.c_codec, self.slots, self.lens, self.count, DECODE_ROUNDS
            ),
            "c": lambda: self.loops.raw_decode(
                self.decoder, self.slots, self.lens, self.count, DECODE_ROUNDS
            ),
        }
        if self.binding is not None:
            works["ctypes"] = self.decode_by_binding
        return works


def rows_of(name: str, spent: dict[str, list[float]], limit: float) -> list[Row]:
    """The budget is for all of it: Python, header, gain and level. Python's own share is told beside it."""
    rows = [
        Row(f"{name}, from Python", statistics.median(spent["python"]), "us/packet"),
        Row(f"{name}, plain libopus in a C loop", statistics.median(spent["c"]), "us/packet"),
        at_most(f"{name}, ratio to the C loop", ratio(spent, "python", "c"), "", limit),
        Row(f"{name}, ratio to the same call from C", ratio(spent, "python", "library"), ""),
    ]
    if "ctypes" in spent:
        rows.append(Row(f"{name}, ratio of opuslib-next to the C loop", ratio(spent, "ctypes", "c"), ""))
    return rows


def run(quick: bool = False) -> list[Row]:
    """Rows of (name, value, unit or target)."""
    samples = SAMPLES // 5 if quick else SAMPLES
    binding = ctypes_binding()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        loops = compile_loops(folder)
        for frame_us in (20_000, 60_000):
            for complexity in (5, 10):
                bench = Bench(loops, binding, frame_us, complexity)
                what = f"{frame_us // 1000} ms, complexity {complexity}"
                encode = interleaved(bench.encoders(), bench.count * ENCODE_ROUNDS, samples)
                rows += rows_of(f"encode {what}", encode, 1.02)
                if complexity == 5:  # nothing that a decoder notices
                    decode = interleaved(bench.decoders(), bench.count * DECODE_ROUNDS, samples)
                    rows += rows_of(f"decode {frame_us // 1000} ms", decode, 1.08)
    return rows


if __name__ == "__main__":
    print(table(run()))
