"""What the Python wrapper costs: a call per 20 ms packet at 16 kHz, against a C loop over the same packets.

CPU time, interleaved, medians: a ratio holds on another machine, a microsecond does not. Needs cc and
pkg-config, for the C loops are compiled here.
"""

from __future__ import annotations

import ctypes
import math
import random
import shlex
import statistics
import subprocess
import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from bench.report import Row, at_most, table
from native import Codec
from native._voice import lib

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_RATE_HZ = 16_000
FRAME_US = 20_000
FRAMES = 50
ENCODE_ROUNDS, DECODE_ROUNDS = 2, 8
SAMPLES = 101


def voice() -> list[bytes]:
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
    size = SAMPLE_RATE_HZ * FRAME_US // 1_000_000
    return [pcm[n * size : (n + 1) * size].tobytes() for n in range(FRAMES)]


def compile_loops(folder: str) -> ctypes.CDLL:
    """The loops of codec_loop.c with the library's own sources, compiled like the extension."""
    target = Path(folder) / "codec_loop.so"
    opus = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "opus"], capture_output=True, text=True, check=True
    ).stdout
    sources = [
        ROOT / "bench/codec_loop.c",
        ROOT / "native/src/dv_codec.c",
        ROOT / "native/src/dv_packet.c",
    ]
    hardening = ["-fstack-protector-strong", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]
    include = f"-I{ROOT / 'native/include'}"
    command: list[str | Path] = [
        "cc",
        "-std=c11",
        "-O2",
        "-fPIC",
        "-shared",
        *hardening,
        include,
        "-o",
        target,
        *sources,
    ]
    subprocess.run([*command, *shlex.split(opus)], check=True)
    loops = ctypes.CDLL(str(target))
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    for name in ("dv_codec_size", "raw_encoder_size", "raw_decoder_size"):
        getattr(loops, name).restype = size
    loops.dv_codec_init.argtypes = [pointer, size, ctypes.c_uint32, ctypes.c_uint32, pointer]
    loops.raw_init.argtypes = [pointer, pointer, ctypes.c_int32]
    for name in ("loop_encode", "raw_encode"):
        getattr(loops, name).argtypes = [pointer, pointer, size, size, size]
    for name in ("loop_decode", "raw_decode"):
        getattr(loops, name).argtypes = [pointer, pointer, pointer, size, size]
    return loops


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


def run(quick: bool = False) -> list[Row]:
    """Rows of (name, value, unit or target)."""
    samples = SAMPLES // 5 if quick else SAMPLES
    frames = voice()
    codec = Codec(SAMPLE_RATE_HZ, FRAME_US)
    packets = [codec.encode_packet(1, n, frame) for n, frame in enumerate(frames)]
    pcm = b"".join(frames)
    slots = b"".join(packet.ljust(lib.DV_ENCODE_MAX_BYTES, b"\0") for packet in packets)
    lens = (ctypes.c_uint32 * FRAMES)(*map(len, packets))

    with tempfile.TemporaryDirectory() as folder:
        loops = compile_loops(folder)
        size = loops.dv_codec_size()
        block = ctypes.create_string_buffer(size + lib.DV_CODEC_ALIGN)
        c_codec = aligned(block)
        assert loops.dv_codec_init(c_codec, size, SAMPLE_RATE_HZ, FRAME_US, None) == 0
        encoder = ctypes.create_string_buffer(loops.raw_encoder_size() + lib.DV_CODEC_ALIGN)
        decoder = ctypes.create_string_buffer(loops.raw_decoder_size() + lib.DV_CODEC_ALIGN)
        assert loops.raw_init(aligned(encoder), aligned(decoder), SAMPLE_RATE_HZ) == 0

        def encode_from_python() -> None:
            encode = codec.encode_packet
            for _ in range(ENCODE_ROUNDS):
                for n, frame in enumerate(frames):
                    encode(1, n, frame)

        def decode_from_python() -> None:
            decode = codec.decode_packet
            for _ in range(DECODE_ROUNDS):
                for packet in packets:
                    decode(packet)

        encode = interleaved(
            {
                "python": encode_from_python,
                "c": lambda: loops.loop_encode(c_codec, pcm, FRAMES, codec.frame_samples, ENCODE_ROUNDS),
                "raw": lambda: loops.raw_encode(
                    aligned(encoder), pcm, FRAMES, codec.frame_samples, ENCODE_ROUNDS
                ),
            },
            FRAMES * ENCODE_ROUNDS,
            samples,
        )
        decode = interleaved(
            {
                "python": decode_from_python,
                "c": lambda: loops.loop_decode(c_codec, slots, lens, FRAMES, DECODE_ROUNDS),
                "raw": lambda: loops.raw_decode(aligned(decoder), slots, lens, FRAMES, DECODE_ROUNDS),
            },
            FRAMES * DECODE_ROUNDS,
            samples,
        )
    rows: list[Row] = []
    for name, spent, target in (("encode", encode, 1.02), ("decode", decode, 1.08)):
        rows += [
            Row(f"{name}, from Python", statistics.median(spent["python"]), "us/packet"),
            Row(f"{name}, the same in a C loop", statistics.median(spent["c"]), "us/packet"),
            at_most(f"{name}, ratio to the C loop", ratio(spent, "python", "c"), "", target),
            Row(f"{name}, ratio of the C loop to plain libopus", ratio(spent, "c", "raw"), ""),
        ]
    return rows


if __name__ == "__main__":
    print(table(run()))
