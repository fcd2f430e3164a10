"""Running a script's text in a namespace, and saying in one line where and why it failed."""

from __future__ import annotations

import linecache
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ExchangeError


@dataclass(frozen=True)
class Failure:
    """A script's end by an exception."""

    file: str
    line: int  # in that file, 0 where unknown
    message: str  # kind and text of the exception
    details: str  # the traceback from the script on

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{where}: {self.message}"


def script_text(path: Path) -> str:
    """The text of a script. Raises ExchangeError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ExchangeError(f"{path}: {error.strerror}; give the script's file") from None
    except UnicodeDecodeError:
        raise ExchangeError(f"{path}: not a text in UTF-8; give a Python script") from None


def run_script(text: str, file: str, names: dict[str, Any]) -> Failure | None:
    """Run `text` with `names` as its globals, as if it were the program; what it raised, None where it ended well.

    KeyboardInterrupt passes; `exit(0)` ends well.
    """
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # for tracebacks, also if unsaved
    before = {key: names[key] for key in ("__name__", "__file__") if key in names}
    names |= {"__name__": "__main__", "__file__": file}
    folder = str(Path(file).resolve().parent) if Path(file).is_file() else ""  # its neighbours can be imported
    sys.path[:0] = [folder] if folder else []
    try:
        exec(compile(text, file, "exec"), names)
    except SystemExit as end:
        if end.code in (None, 0):
            return None
        return _failure(end, file)
    except Exception as error:
        return _failure(error, file)
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
        for key in ("__name__", "__file__"):
            names.pop(key, None)
        names |= before
    return None


def _failure(error: BaseException, file: str) -> Failure:
    frames = traceback.extract_tb(error.__traceback__)
    own = [i for i, frame in enumerate(frames) if frame.filename == file]
    if isinstance(error, SyntaxError) and error.filename == file:
        line = error.lineno or 0
    else:
        line = (frames[own[-1]].lineno or 0) if own else 0
    text = str(error.msg if isinstance(error, SyntaxError) else error)
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    shown = error.__traceback__
    while shown is not None and own and shown.tb_frame.f_code.co_filename != file:
        shown = shown.tb_next  # what called the script says nothing about it
    details = "".join(traceback.format_exception(type(error), error, shown if own else None))
    return Failure(file, line, message, details)
