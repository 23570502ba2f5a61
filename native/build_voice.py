"""The builder of `native._voice`: cffi's out-of-line API mode, named in setup.py. Never imported at run time.

Paths given to the compiler are relative to the root of the source tree, where setuptools runs.
"""

from __future__ import annotations

from pathlib import Path

from cffi import FFI

ffi = FFI()
ffi.cdef(Path(__file__).with_name("voice.cdef.h").read_text(encoding="utf-8"))
ffi.set_source_pkgconfig(
    "native._voice",
    ["opus"],
    '#include "dv_voice.h"',
    libraries=["m"],
    sources=[
        "native/src/dv_codec.c",
        "native/src/dv_features.c",
        "native/src/dv_gain.c",
        "native/src/dv_meter.c",
        "native/src/dv_packet.c",
        "native/src/dv_resampler.c",
    ],
    depends=["native/include/dv_voice.h", "native/voice.cdef.h"],
    include_dirs=["native/include"],
    py_limited_api=True,
    define_macros=[("Py_LIMITED_API", "0x030B0000")],
    extra_compile_args=[
        "-std=c11",
        "-O3",  # gcc vectorises at it what runs per sample
        "-fvisibility=hidden",
        "-fstack-protector-strong",
        "-U_FORTIFY_SOURCE",
        "-D_FORTIFY_SOURCE=2",
        "-Wall",
        "-Wextra",
    ],
    extra_link_args=["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"],
)
