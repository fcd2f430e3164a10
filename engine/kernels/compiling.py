"""A child process compiles the kernels; everybody else loads them from the cache, and so runs the same machine code.

A process that compiled a kernel itself got other digits from it under fastmath than those that loaded it, so that a
resumed run ended with other bits. The child also keeps the compiler's memory out of the caller, whose other threads run
while it compiles. Further children compile what will be asked for next (engine/kernels/ahead.py); a file lock beside
each kernel's code lets one process at a time compile and store it, and whoever else needs it waits.

UNRENDER_RECORD_KERNELS names a file to which every kernel that is asked for is appended, whether or not the cache has
it, as JSON list [module, function, signature]; nothing is compiled ahead then.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import importlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

from numba import types
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.errors import NumbaError

from engine.kernels.ahead import CompilingAhead, end_child, end_with_the_caller, module_command

IDLE_SECONDS = 20.0  # after which the child ends; another is started when it is needed
POLL_SECONDS = 0.01  # between two looks at a lock that another process holds
TYPES = {**vars(types), "omitted": types.Omitted}


class Locks:
    """The kernels that this process compiles just now, each held by a lock that ends with the process."""

    def __init__(self) -> None:
        self._held = {}

    def take(self, path: str, wait: bool = True) -> bool:
        """Hold a kernel; False where another process holds it and `wait` is off."""
        from filelock import FileLock, Timeout  # here, since a full cache needs none

        if path in self._held:
            return True
        lock = FileLock(path, poll_interval=POLL_SECONDS)
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            return False
        except (OSError, NotImplementedError):  # a file system without locks: what is compiled twice is the same
            return True
        self._held[path] = lock
        return True

    def free(self, path: str) -> None:
        """Let go of a kernel, if it is held."""
        lock = self._held.pop(path, None)
        if lock is not None:
            lock.release()

    def free_all(self) -> None:
        """Let go of what a failed compilation left held."""
        for path in list(self._held):
            self.free(path)


class Compiler:
    """The child process, started when a kernel is missing; numba's compiler lock lets one thread in at a time."""

    def __init__(self) -> None:
        self.elsewhere = True  # False within a child
        self.locks = Locks()
        self.ahead = CompilingAhead()
        self.storing = threading.Lock()  # held while files are written, which a child does not leave half done
        self._child: subprocess.Popen | None = None
        self._record = os.environ.get("UNRENDER_RECORD_KERNELS")

    def compile(self, function, signature, root: Path) -> bool:
        """Have a kernel compiled for a signature and stored in the cache `root`; False where that cannot be done."""
        written = repr(signature)
        if read_signature(written) != signature:
            return False
        self.ahead.start(root, function.__module__, function.__name__)
        request = json.dumps([function.__module__, function.__name__, written])
        return any(self._ask(request) for _ in range(2))  # again where the child had just ended, being idle

    def record(self, function, signature) -> None:
        """Append what is asked for to the file that UNRENDER_RECORD_KERNELS names."""
        if self._record and self.elsewhere:
            with open(self._record, "a", encoding="utf-8") as file:
                file.write(json.dumps([function.__module__, function.__name__, repr(signature)]) + "\n")

    def stop(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            end_child(child)
            child.stdout.close()

    def close(self) -> None:
        """End all children."""
        self.ahead.stop()
        self.stop()

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
atexit.register(COMPILER.close)


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
        self._root = folder.parent
        super().__init__(function)
        self.lock = str(folder / f"{self._impl.filename_base}.lock")

    def load_overload(self, sig, target_context):
        """The compiled kernel; None, where it has to be compiled here after all."""
        COMPILER.record(self._py_func, sig)
        found = super().load_overload(sig, target_context)
        if found is not None:
            return found
        if COMPILER.elsewhere:
            if COMPILER.compile(self._py_func, sig, self._root):
                found = super().load_overload(sig, target_context)
            return found
        COMPILER.locks.take(
            self.lock
        )  # until it is stored; kernels call each other in no circles, so nobody waits long
        found = super().load_overload(sig, target_context)  # another process may have had the lock for this
        if found is not None:
            COMPILER.locks.free(self.lock)
        return found

    def save_overload(self, sig, data) -> None:
        """Store a compiled kernel, one process at a time: two would spoil the index of its signatures."""
        COMPILER.locks.take(self.lock)
        try:
            if not self.holds(sig, data.target_context):  # else others may have loaded that one
                with COMPILER.storing, contextlib.suppress(OSError):  # a full disk: compile each time rather than fail
                    super().save_overload(sig, data)
        finally:
            COMPILER.locks.free(self.lock)

    def holds(self, sig, target_context) -> bool:
        """Whether the compiled kernel is stored."""
        name = self._cache_file._load_index().get(self._index_key(sig, target_context.codegen()))
        return name is not None and Path(self._cache_file._data_path(name)).exists()


@functools.cache
def _digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def read_signature(text: str) -> tuple | None:
    """The types that `text`, a caller's own repr or of a list that came with the package, stands for."""
    try:
        return eval(text, {"__builtins__": {}}, TYPES)
    except (NameError, SyntaxError, TypeError, AttributeError):
        return None


def _start() -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "engine.kernels.compiling"],
        stdout=subprocess.PIPE,
        **module_command(),
    )


def serve() -> None:
    """Compile what the lines of standard input ask for, answering each with "done" or "failed", until no more come."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a module prints is no answer
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    end_with_the_caller(COMPILER.storing, requests.put)
    while True:
        try:
            module, name, written = json.loads(requests.get(timeout=IDLE_SECONDS))
        except queue.Empty:
            return
        try:
            getattr(importlib.import_module(module), name).compile(read_signature(written))
            answer = "done"
        except (ImportError, AttributeError, NumbaError):
            answer = "failed"
        finally:
            COMPILER.locks.free_all()
        answers.write(f"{answer}\n")
        answers.flush()


if __name__ == "__main__":
    from engine.kernels import compiling  # the module that the kernels know, not this one, which is __main__

    compiling.COMPILER.elsewhere = False
    try:
        compiling.serve()
    finally:
        os._exit(0)  # the thread that still reads could not be ended otherwise
