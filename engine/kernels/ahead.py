"""Children of low priority that compile the kernels which will be asked for next, while the caller waits or computes.

They go through a list of [module, function, signature] in the order in which a run asked for them (ahead_*.json, of
tests/tools/list_kernels.py), leave out what is stored or being compiled by another process, and skip in silence what
exists no more. They start when a kernel of a list is found missing, so a full cache starts none, and end with the
caller. Those that start later wait until the earlier ones have ended. UNRENDER_COMPILE_AHEAD sets how many there are:
two where it is not set, none on one core.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

ENGINE = Path(__file__).resolve().parent.parent
LISTS = (Path(__file__).with_name("ahead_object.json"), Path(__file__).with_name("ahead_scene.json"))
CHILDREN = 2  # a caller that waits for a kernel which one of them has begun leaves a core to the other
PRIORITY = 10  # niceness above the caller's: what that one waits for comes first
PRIORITY_ON_WINDOWS = getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
MEMORY_MB = 600  # of a child, which starts afresh above it
STOP_SECONDS = 1.0  # to wait for the end of a child


class CompilingAhead:
    """The children of this process, one for each cache and list, which fork."""

    def __init__(self) -> None:
        self.lists = list(LISTS)
        self.count = _count()
        self._begun: set[tuple[Path, Path]] = set()
        self._children: list[subprocess.Popen] = []

    def start(self, root: Path, module: str, name: str) -> None:
        """Start filling the cache `root` from the first list that names this kernel, unless that was done or begun."""
        if not self.count:
            return
        naming = [path for path in self.lists if any(entry[:2] == [module, name] for entry in entries(path))]
        if not naming or any((root, path) in self._begun for path in naming):
            return
        self._begun.add((root, naming[0]))
        if marker(root, naming[0]).exists():
            return
        niceness = PRIORITY + (os.nice(0) if hasattr(os, "nice") else 0)
        values = map(str, (root, naming[0], niceness, self.count))
        with contextlib.suppress(OSError):  # the kernels are compiled when they are needed
            self._children.append(
                subprocess.Popen(
                    [sys.executable, "-m", "engine.kernels.ahead", *values],
                    stdout=subprocess.DEVNULL,
                    creationflags=PRIORITY_ON_WINDOWS,
                    **module_command(),
                )
            )

    def stop(self) -> None:
        """End the children."""
        children, self._children = self._children, []
        self._begun.clear()
        for child in children:
            child.stdin.close()
        for child in children:
            end_child(child)


def module_command() -> dict[str, object]:
    """How to start a module of this package as a child: one that shares the caller's path and no Ctrl-C."""
    path = os.pathsep.join([str(ENGINE.parent), *filter(None, sys.path)])
    return {
        "stdin": subprocess.PIPE,
        "stderr": subprocess.DEVNULL,
        "text": True,
        "env": {**os.environ, "PYTHONPATH": path},
        "process_group": 0,  # not a session, between which Linux shares the cores whatever the niceness
    }


def end_child(child: subprocess.Popen) -> None:
    """Close a child's input, which ends it once it has stored what it may be storing; wait for a moment only."""
    with contextlib.suppress(OSError):  # what it did not read any more
        child.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(STOP_SECONDS)


def end_with_the_caller(storing: threading.Lock, hear: Callable[[str], object] | None = None) -> None:
    """Within a child, tell `hear` the lines of standard input, and end the process with it, but not while `storing`."""

    def listen() -> None:
        with open(0, closefd=False) as lines:  # sys.stdin's own lock would be forked
            for line in lines:
                if hear is not None:
                    hear(line)
        with storing:
            os._exit(0)

    threading.Thread(target=listen, daemon=True).start()


def _count() -> int:
    """How many children there are to be."""
    if os.environ.get("UNRENDER_RECORD_KERNELS"):  # compiling.py says what for
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        return max(0, int(os.environ["UNRENDER_COMPILE_AHEAD"]))
    except (KeyError, ValueError):
        return CHILDREN if cores > 1 else 0


def marker(root: Path, path: Path) -> Path:
    """The file that says that the kernels of a list have been compiled from exactly these sources."""
    digest = hashlib.sha256(f"{sys.version} {metadata.version('numba')}".encode())
    for source in (path, *sorted(ENGINE.rglob("*.py"))):
        text = source.read_bytes() if source.exists() else b""
        if source == path or b"kernels.settings" in text:
            digest.update(text)
    return root / f"ahead-{digest.hexdigest()[:16]}"


def entries(path: Path) -> list[list[str]]:
    """Module, function and signature of each kernel of a list; none of a list that cannot be read."""
    try:
        return [entry for entry in json.loads(path.read_text(encoding="utf-8")) if len(entry) == 3]
    except (OSError, ValueError, TypeError):
        return []


def _memory_mb() -> float:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    except (OSError, ValueError, IndexError):
        return 0.0


def main() -> None:
    """Compile what a list names: the arguments are the cache, the list, the niceness and how many processes to become.

    They fork (on Linux) once all is imported, which takes seconds. One that starts afresh with less memory gives zero.
    """
    root, path, niceness, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    if hasattr(os, "nice"):
        os.nice(max(0, niceness - os.nice(0)))
    storing = threading.Lock()
    end_with_the_caller(storing)
    from filelock import FileLock

    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    others = FileLock(root / "ahead.lock", poll_interval=0.5)
    if count:
        others.acquire()
    done = marker(root, path)
    if done.exists():
        return
    kernels = imported(entries(path))
    for _ in range(count - 1 if sys.platform == "linux" else 0):
        if os.fork() == 0:
            end_with_the_caller(storing)  # threads are not forked
            break
    compile_missing(kernels, storing)
    done.touch()


def imported(kernels: list[list[str]]) -> list[tuple[Any, tuple]]:
    """Kernels and signatures that exist."""
    from engine.kernels.compiling import CompiledElsewhere, read_signature

    found = []
    for module, name, written in kernels:
        with contextlib.suppress(Exception):  # a list that is out of date does no harm
            kernel, signature = getattr(importlib.import_module(module), name), read_signature(written)
            if signature is not None and isinstance(kernel._cache, CompiledElsewhere):
                found.append((kernel, signature))
    return found


def compile_missing(kernels: list[tuple[Any, tuple]], storing: threading.Lock) -> None:
    """Compile every kernel that is neither stored nor held by another process."""
    from engine.kernels.compiling import COMPILER

    COMPILER.elsewhere, COMPILER.storing = False, storing
    for kernel, signature in kernels:
        cache = kernel._cache
        if cache.holds(signature, kernel.targetctx) or not COMPILER.locks.take(cache.lock, wait=False):
            continue
        with contextlib.suppress(Exception):  # it cannot be compiled any more
            kernel.compile(signature)
        COMPILER.locks.free_all()
        if _memory_mb() > MEMORY_MB:
            os.execv(sys.executable, [sys.executable, "-m", "engine.kernels.ahead", *sys.argv[1:4], "0"])


if __name__ == "__main__":
    try:
        main()
    finally:
        os._exit(0)  # the thread that still reads could not be ended otherwise
