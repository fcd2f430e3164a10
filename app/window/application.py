"""Starting the window: a display, the application, the studio, the event loop."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

NO_DISPLAY = (
    "there is no display to open the window on; run without it: unrender run CAPTURE --out DIR "
    "(QT_QPA_PLATFORM=offscreen opens the window without showing it)"
)


def has_display() -> bool:
    """Whether Qt will find a place to show windows; a platform named by the user counts as one."""
    if sys.platform in ("win32", "darwin"):
        return True
    platform = os.environ.get("QT_QPA_PLATFORM", "").split(";")[0].split(":")[0]
    if platform and platform not in ("xcb", "wayland"):
        return True
    return bool(os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY"))


def _say_and_leave(kind: object, _context: object, text: str) -> None:
    """Qt's message handler until the application stands: Qt aborts the process when its platform does not start."""
    from PySide6.QtCore import QtMsgType

    if kind == QtMsgType.QtFatalMsg:
        print(f"error: {NO_DISPLAY}\n{text.strip().splitlines()[0]}", file=sys.stderr, flush=True)
        os._exit(1)
    if kind == QtMsgType.QtCriticalMsg:
        print(text, file=sys.stderr)


def run_window(target: Path | None = None) -> int:
    """Open the window, with a project or capture in it where `target` is given, and run it to its end; exit code."""
    if not has_display():
        print(f"error: {NO_DISPLAY}", file=sys.stderr)
        return 1
    from PySide6.QtCore import QSettings, Qt, QTimer, qInstallMessageHandler
    from PySide6.QtGui import QGuiApplication
    from PySide6.QtWidgets import QApplication

    qInstallMessageHandler(_say_and_leave)
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication.instance() or QApplication(sys.argv[:1])
    qInstallMessageHandler(None)
    app.setApplicationName("Unrender")
    app.setOrganizationName("Unrender")
    app.setDesktopFileName("unrender")

    from app.window.background import described
    from app.window.garbage import GuiGarbage
    from app.window.main_window import MainWindow
    from app.window.studio import Studio

    garbage = GuiGarbage()
    studio = Studio(QSettings("Unrender", "studio"))
    window = MainWindow(studio)
    hook = sys.excepthook

    def tell(kind, error, trace) -> None:
        """A slot failed: say it in the window, and on the terminal as usual."""
        hook(kind, error, trace)
        studio.failed.emit(*described(error))

    sys.excepthook = tell
    before = signal.signal(signal.SIGINT, lambda *_: window.close())  # the inbox's timer lets Python hear it
    window.show()
    QTimer.singleShot(0, lambda: after_showing(studio, target))
    try:
        return app.exec()
    finally:
        sys.excepthook = hook
        signal.signal(signal.SIGINT, before)
        studio.close()
        garbage.stop()


def after_showing(studio, target: Path | None) -> None:
    """Open what was asked for and load the engine, once the window is there to be looked at."""
    if target is not None:
        studio.open(target)
    studio.warm_up()
