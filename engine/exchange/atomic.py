"""Files that appear complete or not at all: written beside their place under another name, flushed, then renamed."""

from __future__ import annotations

import errno
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from engine.errors import DiskFull, ExchangeError

_TEMPORARY = re.compile(r"\..*\.\d+-\d+\.tmp(\.[^.]*)?")  # what `AtomicFiles.temporary` gives
_PARTIAL = re.compile(r"\..+-[a-z0-9_]{8}\.partial")  # the folders of asset_files.placed_together
_ADVICE = {
    errno.EACCES: "permission denied; choose a folder you may write to",
    errno.EPERM: "permission denied; choose a folder you may write to",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.ENOTDIR: "a part of its path is a file, not a folder; choose another path",
    errno.EISDIR: "there is a folder of that name; choose another name",
}

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}


def write_error(path: Path, error: OSError) -> ExchangeError:
    """The error to show when writing `path` failed."""
    if error.errno in _FULL:
        return DiskFull(f"{path}: cannot be written: {_FULL[error.errno]}")
    advice = _ADVICE.get(error.errno or 0, f"{error.strerror or error}; choose another folder")
    return ExchangeError(f"{path}: cannot be written: {advice}")


class AtomicFiles:
    """A group of files that all take their places when the `with` block ends well; otherwise none does.

    Missing parent folders are made, and removed again on failure. Raises ExchangeError naming the file.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[Path, Path]] = []  # (temporary, final)
        self._folders: list[Path] = []

    def temporary(self, path: Path | str) -> Path:
        """A path to write to now, which becomes `path` at the end; it keeps the suffix."""
        path = Path(path)
        try:
            missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
            for folder in reversed(missing):
                folder.mkdir(exist_ok=True)
                self._folders.append(folder)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        except OSError as error:
            raise write_error(path, error) from error
        temporary = path.with_name(f".{path.stem}.{os.getpid()}-{len(self._pending)}.tmp{path.suffix}")
        self._pending.append((temporary, path))
        return temporary

    def write(self, path: Path | str, data: bytes) -> None:
        """Write `data` to what becomes `path`."""
        try:
            self.temporary(path).write_bytes(data)
        except OSError as error:
            raise write_error(Path(path), error) from error

    def __enter__(self) -> AtomicFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()
            return
        current = Path()
        try:
            for temporary, final in self._pending:
                current = final
                with open(temporary, "rb+") as file:
                    os.fsync(file.fileno())
            for temporary, final in self._pending:
                current = final
                os.replace(temporary, final)
        except OSError as failure:
            self._discard()
            raise write_error(current, failure) from failure

    def _discard(self) -> None:
        for temporary, _ in self._pending:
            with suppress(OSError):  # it was never there
                temporary.unlink()
        for folder in reversed(self._folders):
            with suppress(OSError):  # someone else has put something there
                folder.rmdir()


def remove_temporaries(folder: Path | str) -> None:
    """Remove what a process that was killed while it wrote files to `folder` has left there.

    For when nobody else is writing there: files that another process has not yet renamed would go too.
    """
    for path in sorted(Path(folder).glob(".*.tmp*")):
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            with suppress(OSError):  # it stands in nobody's way
                path.unlink()
    for path in sorted(Path(folder).glob(".*.partial")):
        if _PARTIAL.fullmatch(path.name) and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def write_file(path: Path | str, data: bytes) -> None:
    """Write one file so that it appears complete or not at all; raises ExchangeError."""
    with AtomicFiles() as files:
        files.write(path, data)
