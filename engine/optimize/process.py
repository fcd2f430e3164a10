"""What a run records about its process: time since it started, peak memory, thread counts."""

from __future__ import annotations

import ctypes
import os
import sys
import time

_IMPORTED = time.monotonic()


def started() -> float:
    """`time.monotonic()` at which this process began, the interpreter's start and imports included.

    Where the system does not tell (no /proc), the moment this module was imported.
    """
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            ticks = int(file.read().rsplit(")", 1)[1].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        return time.monotonic() - max(0.0, age)
    except (OSError, ValueError, IndexError, AttributeError):
        return _IMPORTED


def peak_memory_mb() -> float:
    """Largest resident memory so far of this process or of any finished child, MB; 0 where the system does not tell.

    Linux counts a child from its fork, so a child's figure may include what the parent held then.
    """
    try:
        import resource
    except ImportError:
        return 0.0
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak / (2**20 if sys.platform == "darwin" else 1024)


def thread_counts() -> dict[str, int]:
    """Threads of torch and numba, which the order of sums in torch may depend on."""
    import numba
    import torch

    return {"torch": torch.get_num_threads(), "numba": numba.get_num_threads()}


def return_memory() -> None:
    """Give what was freed back to the system, where the C library keeps it for itself (glibc)."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        pass
