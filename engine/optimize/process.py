"""What a run records about its process: time since it started, peak memory, thread counts."""

from __future__ import annotations

import ctypes
import sys

from engine import BEGAN


def started() -> float:
    """`time.monotonic()` at which this program began executing, the interpreter's start and imports included.

    The process can be older, since a shell that ends in `exec` lends its own with its age. So this is when `engine` was
    first imported, less the processor time used until then; what the start waited for the disk is left out.
    """
    return BEGAN


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
