"""How the C library keeps what a step frees for the next one."""

from __future__ import annotations

import ctypes
import sys

TRIM, LARGEST = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of glibc's malloc.h
KEPT, BLOCK = 64 << 20, 32 << 20  # bytes; as far as glibc goes by itself when larger blocks are freed


def keep_freed_memory() -> None:
    """Let glibc reuse freed blocks up to BLOCK, and return memory only above KEPT; elsewhere nothing changes.

    By default images go back to the system with each step, and the next step waits for every page to be cleared.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(LARGEST, BLOCK)
        mallopt(TRIM, KEPT)
