"""How the C library keeps what a step frees for the next one, and gives back what a stage leaves."""

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


def return_freed_memory() -> None:
    """Have glibc return all free pages, also from among what is in use; elsewhere nothing changes."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
