"""Where the capture made from bare photos lies, and where it is made; nothing that exists is ever replaced."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from engine.errors import CaptureError

MOST_FOLDERS = 1000


def named_after(path: Path) -> Path:
    """Where the capture of the photos at `path` goes, unless that is taken."""
    named = path.resolve()
    if named.is_file():
        named = named.with_suffix("")
    elif named.parent == named:
        raise CaptureError(f"{path}: the photos lie in the root folder, beside which nothing can be put; move them")
    return named.with_name(f"{named.name}-posed")


def candidates(folder: Path) -> Iterator[Path]:
    """`folder`, and the names that it gets where that is taken."""
    yield folder
    for number in range(2, MOST_FOLDERS):
        yield folder.with_name(f"{folder.name}-{number}")


def placed(out: Path, target: Path) -> Path:
    """Rename the finished `out` to the first free name after `target`, and return it."""
    for folder in candidates(target):
        if not folder.exists():
            os.rename(out, folder)
            return folder
    raise CaptureError(f"{target}: {MOST_FOLDERS} folders of that name are taken; remove some")


def unfinished(target: Path) -> Path:
    """The folder beside `target` in which this thread makes it; its name tells the process."""
    return target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.tmp")


def remove_abandoned(target: Path) -> None:
    """Remove what processes that were killed while they made `target` have left beside it."""
    with suppress(OSError):  # it stands in nobody's way
        for folder in target.parent.iterdir():
            found = re.fullmatch(rf"\.{re.escape(target.name)}\.(\d{{1,9}})-\d+\.tmp", folder.name)
            if found is not None and not _may_run(int(found[1])):
                shutil.rmtree(folder, ignore_errors=True)


def _may_run(process: int) -> bool:
    if os.name == "nt":  # to ask would be to end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
