"""Loading torch, numba and the engine beside a window that goes on drawing."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.optimize.session import Session

# Importing these modules maps large libraries into memory while the interpreter is held, for tenths of a second.
LIBRARIES = (
    ("torch", ("lib/libc10.so", "lib/libtorch_cpu.so", "lib/libtorch.so", "lib/libtorch_python.so")),
    ("llvmlite", ("binding/libllvmlite.so",)),
)
_LOCK = threading.Lock()


def is_loaded() -> bool:
    """Whether the engine has been imported."""
    return "engine.optimize.session" in sys.modules


def load_engine() -> type[Session]:
    """The Session class, imported with everything that a run needs; for any thread but the window's."""
    with _LOCK:
        if not is_loaded():
            map_libraries()
        import torch._inductor  # noqa: F401  (by far the slowest part of making a session, which else imports it)

        import engine.optimize.stages  # noqa: F401  (registers the stages)
        from engine.optimize.session import Session

        return Session


def map_libraries() -> None:
    """Map the largest libraries into memory without holding the interpreter; what fails is left to the import."""
    if sys.platform != "linux":
        return
    dlopen = ctypes.CDLL(None).dlopen  # called as a foreign function, which lets other threads run
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    for package, names in LIBRARIES:
        found = importlib.util.find_spec(package)
        folder = Path(found.origin).parent if found is not None and found.origin else None
        for name in names if folder is not None else ():
            path = folder / name
            if path.exists():
                _read_ahead(path)
                dlopen(os.fsencode(path), os.RTLD_LAZY | os.RTLD_LOCAL)


def _read_ahead(path: Path) -> None:
    """Have the file in the system's cache, read in pieces that leave the interpreter free."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 22):
            pass
