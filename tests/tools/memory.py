"""What memory this process holds, as the system and as the C library see it."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path


def resident() -> float:
    """Megabytes of physical memory (Linux)."""
    text = Path("/proc/self/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024


class _Allocated(ctypes.Structure):
    """The C library's mallinfo2."""

    _fields_ = [(name, ctypes.c_size_t) for name in "arena a b c mapped d e used free f".split()]


def allocated() -> float:
    """Megabytes that are allocated and not freed; the rest of resident memory is code and holes (glibc, else 0)."""
    try:
        look = ctypes.CDLL("libc.so.6").mallinfo2
    except (OSError, AttributeError):
        return 0.0
    look.restype = _Allocated
    now = look()
    return (now.used + now.mapped) / 2**20
