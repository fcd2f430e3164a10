"""A child process compiles the kernels; everybody else loads them from the cache, and so runs the same machine code.

A process that compiled a kernel itself got other digits from it under fastmath than those that loaded it, so that a
resumed run ended with other bits. The child also keeps the compiler's memory out of the caller, whose other threads run
while it compiles.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import importlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from numba import types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.errors import NumbaError

IDLE_SECONDS = 20.0  # after which the child ends; another is started when it is needed
TYPES = {**vars(types), "omitted": types.Omitted}
ROOT = Path(__file__).resolve().parents[2]


class Compiler:
    """The child process, started when a kernel is missing; numba's compiler lock lets one thread in at a time."""

    def __init__(self) -> None:
        self.elsewhere = True  # False within the child
        self._child: subprocess.Popen | None = None

    def compile(self, function, signature) -> bool:
        """Have a kernel compiled for a signature and stored; False where that cannot be done."""
        written = repr(signature)
        if not self.elsewhere or _read_signature(written) != signature:
            return False
        request = json.dumps([function.__module__, function.__name__, written])
        return any(self._ask(request) for _ in range(2))  # again where the child had just ended, being idle

    def stop(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            child.stdout.close()
            with contextlib.suppress(BrokenPipeError):  # what it did not read any more
                child.stdin.close()

    def _ask(self, request: str) -> bool:
        try:
            if self._child is None:
                self._child = _start()
            self._child.stdin.write(f"{request}\n")
            self._child.stdin.flush()
            answer = self._child.stdout.readline()
        except OSError:
            answer = ""
        except BaseException:  # Ctrl-C: its answer would be taken for the next one's
            self.stop()
            raise
        if not answer:
            self.stop()
        return answer == "done\n"


COMPILER = Compiler()
atexit.register(COMPILER.stop)


class _Folder(_CacheLocator):
    """Where a kernel's compiled code lies: known by its source alone, so that all copies of the project share it."""

    def __init__(self, function, folder: Path) -> None:
        self._folder, self._function = folder, function

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return _digest(self._function.__code__.co_filename)

    def get_disambiguator(self) -> str:
        return str(self._function.__code__.co_firstlineno)


class _Stored(CompileResultCacheImpl):
    def __init__(self, function, folder: Path) -> None:
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Folder(function, folder)
        name = f"{function.__module__}.{function.__qualname__}"
        self._filename_base = self.get_filename_base(name, getattr(sys, "abiflags", ""))


class CompiledElsewhere(FunctionCache):
    """Numba's cache of one kernel's compiled code in a folder, which has the child compile what it lacks."""

    def __init__(self, function, folder: Path) -> None:
        self._impl_class = functools.partial(_Stored, folder=folder)
        super().__init__(function)

    def load_overload(self, sig, target_context):
        """The compiled kernel; None, where it has to be compiled here after all."""
        found = super().load_overload(sig, target_context)
        if found is None and COMPILER.compile(self._py_func, sig):
            found = super().load_overload(sig, target_context)
        return found


@functools.cache
def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _read_signature(text: str) -> tuple | None:
    try:
        return eval(text, {"__builtins__": {}}, TYPES)  # a caller's own repr, never from a file
    except (NameError, SyntaxError, TypeError):
        return None


def _start() -> subprocess.Popen:
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    return subprocess.Popen(
        [sys.executable, "-m", "engine.kernels.compiling"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C is for the caller
    )


def serve() -> None:
    """Compile what the lines of standard input ask for, answering each with "done" or "failed", until no more come."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a module prints is no answer
    while True:
        idle = threading.Timer(IDLE_SECONDS, os._exit, (0,))
        idle.daemon = True
        idle.start()
        line = sys.stdin.readline()
        idle.cancel()
        if not line:
            return
        module, name, written = json.loads(line)
        try:
            getattr(importlib.import_module(module), name).compile(_read_signature(written))
            answer = "done"
        except (ImportError, AttributeError, NumbaError):
            answer = "failed"
        answers.write(f"{answer}\n")
        answers.flush()


if __name__ == "__main__":
    from engine.kernels import compiling  # the module that the kernels know, not this one, which is __main__

    compiling.COMPILER.elsewhere = False
    compiling.serve()
