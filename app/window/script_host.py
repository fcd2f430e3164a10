"""What the console and the script editor share: one kernel per studio, started when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QSettings, QStandardPaths, Signal
from PySide6.QtWidgets import QWidget

from app.window.studio import Studio


def script_host(studio: Studio, widget: QWidget) -> ScriptHost:
    """The studio's host, made with the first panel that asks; `widget` is in the window that scripts see."""
    host = studio.findChild(ScriptHost)
    return host if host is not None else ScriptHost(studio, widget)


class ScriptHost(QObject):
    """`start`, `run`, `interrupt` and `restart` return at once."""

    loaded = Signal()  # the console may show its widget, the kernel starts next
    busy_changed = Signal(bool)
    restarted = Signal()

    def __init__(self, studio: Studio, widget: QWidget) -> None:
        super().__init__(studio)
        self.setObjectName("scriptHost")
        self._studio, self._widget = studio, widget
        self._driver: Any = None
        self._state = "new"  # new, loading, ready
        self._then: list[Callable[[], None]] = []
        self.client: Any = None  # KernelClient
        self.dark = False
        self._script = ""  # the file that runs
        self.busy = False
        studio.ending.connect(self.close)

    @property
    def folder(self) -> Path:
        """Where the console remembers what was typed."""
        settings = self._studio.settings
        if settings.format() == QSettings.Format.IniFormat:
            return Path(settings.fileName()).parent
        return Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppDataLocation))

    def start(self, then: Callable[[], None] | None = None) -> None:
        """Load IPython on a worker thread and start the kernel; `then()` is called once it takes requests."""
        if self._state == "ready":
            if then is not None:
                then()
            return
        if then is not None:
            self._then.append(then)
        if self._state == "new":
            self._state = "loading"
            self._studio.background("", lambda handle: _load(), self._loaded)

    def _loaded(self, _: Any) -> None:
        from app.scripting.kernel_client import KernelClient
        from app.window.script_driver import StudioDriver

        self._driver = StudioDriver(self._studio, self._widget)
        self.client = KernelClient(self)
        self.client.busy_changed.connect(self._busy)
        self.loaded.emit()
        self._begin()
        self._state = "ready"
        waiting, self._then = self._then, []
        for function in waiting:
            function()

    def _begin(self) -> None:
        from app.scripting.namespace import namespace

        driver, folder = self._driver, self.folder
        self.client.start(lambda: namespace(driver), folder, self.dark)

    def _busy(self, busy: bool) -> None:
        if busy != self.busy:
            self.busy = busy
            self.busy_changed.emit(busy)

    def run(self, text: str, file: str, done: Callable[[Any, bool], None]) -> None:
        """Run a script's text in the console's namespace; `done(failure or None, interrupted)` on the GUI thread."""
        self.start(lambda: self._run(text, file, done))

    def _run(self, text: str, file: str, done: Callable[[Any, bool], None]) -> None:
        client = self.client

        def ended(failure: Any, interrupted: bool) -> None:
            client.call_later(lambda: finished(failure, interrupted))

        def finished(failure: Any, interrupted: bool) -> None:
            self._busy(False)
            done(failure, interrupted)

        self._busy(True)
        client.kernel.run(text, file, ended)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in what runs."""
        if self.client is not None:
            self.client.interrupt()

    def restart(self) -> None:
        """Begin with a fresh namespace; what runs is interrupted, and left behind where that does not help."""
        if self._state != "ready":
            self.start()
            return
        self._busy(False)
        self._begin()
        self.restarted.emit()

    def set_dark(self, dark: bool) -> None:
        """Choose the colours of tracebacks and help texts."""
        if dark != self.dark:
            self.dark = dark
            if self.client is not None and self.client.kernel is not None:
                self.client.kernel.set_dark(dark)

    def close(self) -> bool:
        """End the kernel; whether its thread ended in time."""
        return self.client is None or self.client.stop()


def _load() -> None:
    """Import what takes time, away from the GUI thread."""
    import IPython.core.completer  # noqa: F401
    import qtconsole.rich_jupyter_widget  # noqa: F401

    import app.scripting.kernel_client
    import app.scripting.namespace
    import app.window.script_driver  # noqa: F401
