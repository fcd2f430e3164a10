"""A lock that one process holds on a project folder; the system frees it when the process dies, however it dies."""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import ProjectError

_HELD: set[Path] = set()  # record locks do not exclude a second taker in the same process


class ProjectLock:
    """Held from construction to `release`. Raises ProjectError when another process or session has the project."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        if self.path in _HELD:
            raise ProjectError(f"{path.parent}: this process already runs this project; close it first")
        try:
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ProjectError(f"{path.parent}: cannot be written ({error.strerror}); choose another --out") from error
        try:
            _take(self._handle)
        except OSError:
            holder = os.read(self._handle, 32).decode(errors="replace").strip()
            os.close(self._handle)
            who = f"process {holder}" if holder else "another process"
            raise ProjectError(f"{path.parent}: {who} is running this project; wait for it or stop it") from None
        os.ftruncate(self._handle, 0)
        os.write(self._handle, f"{os.getpid()}\n".encode())
        _HELD.add(self.path)

    def release(self) -> None:
        """Let others in; releasing twice does nothing."""
        if self.path in _HELD and self._handle >= 0:
            _HELD.discard(self.path)
            os.close(self._handle)
            self._handle = -1


def require_free(path: Path) -> None:
    """Raise ProjectError where a lock of that path cannot be had, unless it is this process that has it."""
    if path.resolve() not in _HELD:  # else closing the file again would free it
        ProjectLock(path).release()


def _take(handle: int) -> None:
    """Raises OSError when another process holds it."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        os.lseek(handle, 1 << 20, os.SEEK_SET)  # beyond the text, so that others can still read who holds it
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)
        return
    fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not inherited by child processes
