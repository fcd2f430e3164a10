"""The studio window: everything that knows Qt."""

import ctypes
import sys

if sys.version_info < (3, 12) and sys.implementation.name == "cpython":
    # PySide6 6.12.0 gives these back more often than it takes them (100 calls of Signal.emit release `True` 100 times;
    # 6.11 does not), and the interpreter aborts when none is left. Later interpreters never free them; here they get
    # references enough for ever.
    for _constant in (None, True, False):
        ctypes.c_ssize_t.from_address(id(_constant)).value += 1 << 48
