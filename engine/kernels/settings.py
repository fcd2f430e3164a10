"""One place for how numba compiles, caches and threads; kernels are decorated with `kernel` or `parallel_kernel`.

A kernel may call kernels of its own room (its top-level folder of engine/) and of engine/kernels only: the cache of
compiled code is keyed by exactly those sources, because numba leaves a caller's cache stale when a callee is edited.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import sys
from pathlib import Path

import numba
from numba.extending import intrinsic

from engine.kernels.compiling import CompiledElsewhere

# 'fast' would also assume that NaN and infinity never occur, which deletes isnan guards.
FASTMATH = {"contract", "arcp", "nsz", "reassoc"}

WIDEST = '"prefer-vector-width"="512"'  # LLVM's attribute of a function, which llvmlite's own list lacks

ENGINE = Path(__file__).resolve().parent.parent


def _load_tbb() -> bool:
    """Make the tbb wheel's library visible to numba, which looks for it on the system's path only."""
    folders = (Path(sys.prefix) / "lib", Path(sys.prefix) / "Library" / "bin")
    for name in ("libtbb.so.12", "libtbb.12.dylib", "tbb12.dll"):
        for folder in folders:
            if (folder / name).exists():
                ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
                return True
    return False


HAS_TBB = _load_tbb()
if HAS_TBB:
    numba.config.THREADING_LAYER = "tbb"


def cache_root() -> Path:
    """The user's cache folder for compiled kernels; never a shared temporary folder."""
    base = os.environ.get("UNRENDER_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "unrender" / "numba"


@functools.cache
def _room_key(room: Path) -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    for folder in sorted({room, ENGINE / "kernels"}):
        for source in sorted(folder.rglob("*.py")):
            text = source.read_bytes()
            if b"kernels.settings import" in text or source == Path(__file__).resolve():
                digest.update(source.name.encode())
                digest.update(text)
    return digest.hexdigest()[:16]


def _room_of(function) -> Path:
    source = Path(function.__code__.co_filename).resolve()
    if ENGINE in source.parents:
        return ENGINE / source.relative_to(ENGINE).parts[0]
    return source.parent


def _compile(function, parallel: bool, fastmath, inline: bool = False):
    room = _room_of(function)
    folder = cache_root() / f"{room.name}-{_room_key(room)}"
    cached = True
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:  # a read-only home: compile each time rather than fail
        cached = False
    compiled = numba.njit(
        parallel=parallel,
        nogil=True,
        fastmath=fastmath,
        error_model="numpy",
        boundscheck=False,
        forceinline=inline,
    )(function)
    if cached:
        compiled._cache = CompiledElsewhere(function, folder)  # what `cache=True` does, with its own class
    return compiled


def kernel(function):
    """Compile a serial kernel, which goes inline into the kernels that call it."""
    return _compile(function, parallel=False, fastmath=FASTMATH, inline=True)


@intrinsic
def widest_vectors(typing_context):
    """Within a kernel's prange: let its loops use 512 bits where the processor has them.

    LLVM keeps to 256 on many that have, for the sake of short bursts; long loops of mostly arithmetic lose by that.
    """

    def generate(context, builder, signature, arguments):
        set.add(builder.function.attributes, WIDEST)
        return context.get_dummy_value()

    return numba.types.void(), generate


def exact_kernel(function):
    """Compile a serial kernel with strict IEEE arithmetic, for predicates that must agree bit for bit."""
    return _compile(function, parallel=False, fastmath=False)


def parallel_kernel(function):
    """Compile a kernel whose `prange` loops run on numba's thread pool."""
    return _compile(function, parallel=True, fastmath=FASTMATH)
