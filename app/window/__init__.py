"""The studio window: everything that knows Qt."""

import ctypes
import sys

if sys.version_info < (3, 12) and sys.implementation.name == "cpython":
    # PySide6 6.12.0 gives `True` back once too often at every Signal.emit, and the interpreter aborts when none is
    # left (measured: 100 emits take 100 references). Later interpreters never free it; here it gets enough for ever.
    ctypes.c_ssize_t.from_address(id(True)).value += 1 << 48
