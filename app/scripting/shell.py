"""IPython for the console: a shell whose output goes to a callback, made and used on the console's thread."""

from __future__ import annotations

import shutil
import sys
import tempfile
import types
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Any as AnyTrait
from traitlets import Instance, Type
from traitlets.config import Config

HISTORY = "console.sqlite"
Publish = Callable[[str, dict[str, Any]], None]  # (message type, content)


class _Result(DisplayHook):
    """Sends a cell's value to the shell's `publish`."""

    def start_displayhook(self) -> None:
        self.content: dict[str, Any] = {}

    def write_output_prompt(self) -> None:
        self.content["execution_count"] = self.prompt_count

    def write_format_data(self, format_dict: dict, md_dict: dict | None = None) -> None:
        self.content |= {"data": format_dict, "metadata": md_dict or {}}

    def finish_displayhook(self) -> None:
        if self.content.get("data"):
            self.shell.publish("execute_result", self.content)


class _Display(DisplayPublisher):
    """Sends what `display(...)` is given to the shell's `publish`."""

    def publish(self, data: dict, metadata: dict | None = None, **_: Any) -> None:
        self.shell.publish("display_data", {"data": data, "metadata": metadata or {}, "transient": {}})

    def clear_output(self, wait: bool = False) -> None:
        self.shell.publish("clear_output", {"wait": wait})


class ConsoleShell(InteractiveShell):
    """A shell of its own, not the process's singleton: a restarted console gets a fresh one."""

    displayhook_class = Type(_Result)
    display_pub_class = Type(_Display)
    publish = AnyTrait()
    display_pub = Instance(DisplayPublisher, allow_none=True)
    failure: BaseException | None = None

    def showtraceback(self, exc_tuple: Any = None, *arguments: Any, **named: Any) -> None:
        """Show what was raised; an interrupt at once, as formatting a traceback takes a moment."""
        kind, value, _ = self._get_exc_info(exc_tuple)
        if issubclass(kind, KeyboardInterrupt):
            self._showtraceback(kind, value, [])
        else:
            super().showtraceback(exc_tuple, *arguments, **named)

    def _showtraceback(self, etype: type, evalue: BaseException, stb: list[str]) -> None:
        """Send a traceback as a message; an interrupt needs no more than its name."""
        self.failure = evalue
        if issubclass(etype, KeyboardInterrupt):
            stb = ["\x1b[91mInterrupted\x1b[0m"]
        content = {"ename": etype.__name__, "evalue": str(evalue), "traceback": list(stb)}
        self.publish("error", content)

    def _tee(self, channel: str) -> AbstractContextManager:
        """IPython would keep a copy of all output, and patch the streams of every thread for that."""
        return nullcontext()

    def _format_exception_for_storage(self, exception: BaseException, *_: Any, **__: Any) -> dict[str, Any]:
        """Only what it was: to format a traceback twice would take a moment before the next prompt."""
        return {"ename": type(exception).__name__, "evalue": str(exception), "traceback": []}

    def init_io(self) -> None:
        """Leaves the terminal alone."""

    def enable_gui(self, gui: Any = None) -> None:
        """The window has its own event loop."""

    def ask_exit(self) -> None:
        """`exit` says how to leave."""
        print("The console stays open; close its panel with the x on its title, or restart it with Restart.")


def make_shell(publish: Publish, names: dict[str, Any], folder: Path | None = None, dark: bool = False) -> ConsoleShell:
    """A shell that knows `names`; in `folder` it remembers what was typed, nowhere without one."""
    config = Config()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    config.HistoryManager.hist_file = str(folder / HISTORY) if folder is not None else ":memory:"
    config.Completer.use_jedi = False  # it would analyse whole libraries between two key presses
    config.IPCompleter.use_jedi = False
    config.InteractiveShell.colors = "linux" if dark else "lightbg"
    config.InteractiveShell.xmode = "Context"
    module = types.ModuleType("unrender_console", "What was typed into Unrender's console.")
    hooks = sys.excepthook, sys.displayhook
    home = tempfile.mkdtemp(prefix="unrender-console-")  # IPython wants a folder of settings; nobody's are read
    try:
        shell = ConsoleShell(
            ipython_dir=home, config=config, user_module=module, user_ns=module.__dict__, publish=publish
        )
    finally:
        sys.excepthook, sys.displayhook = hooks
        shutil.rmtree(home, ignore_errors=True)
    shell.user_ns.update(names)
    shell.user_ns_hidden.update(names)
    shell.user_ns["exit"] = shell.user_ns["quit"] = _Leave(shell)
    return shell


class _Leave:
    """`exit` and `quit`."""

    def __init__(self, shell: ConsoleShell) -> None:
        self._shell = shell

    def __call__(self, *_: Any) -> None:
        self._shell.ask_exit()

    def __repr__(self) -> str:
        return "The console stays open; restart it with Restart."
