"""The console: IPython in the window, on a thread of its own, with the run, the photos and the window at hand."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtGui import QFontDatabase, QPalette
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.scripting.namespace import BANNER
from app.window.actions import button
from app.window.script_host import script_host
from app.window.studio import Studio

PATIENCE_MS = 1000  # between asking for an interrupt and saying that it takes longer


def is_dark(widget: QWidget) -> bool:
    """Whether text is lighter than what is behind it."""
    palette = widget.palette()
    text, base = palette.color(QPalette.ColorRole.Text), palette.color(QPalette.ColorRole.Base)
    return text.lightness() > base.lightness()


class ConsolePanel(QWidget):
    """Loads IPython when it is first shown, or when a script is to run."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("console_panel")
        self._host = script_host(studio, self)
        self._colouring = QTimer(self)  # ends with the panel, unlike a single shot
        self._colouring.setSingleShot(True)
        self._colouring.timeout.connect(self._colour)
        self.console: Any = None  # RichJupyterWidget, once it is loaded
        self._status = QLabel("Not started")
        self._status.setObjectName("console_status")
        self._status.setToolTip("What the console is doing")
        tip = "Stop what the console runs (Ctrl+C); the run itself goes on"
        self._interrupt = button("console_interrupt", "Interrupt", tip, self._stop)
        tip = "Begin afresh: stop what the console runs and forget all names"
        self._restart = button("console_restart", "Restart", tip, self._again)
        for made in (self._interrupt, self._restart):
            made.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the cursor where one types
        self._interrupt.setEnabled(False)
        bar = QHBoxLayout()
        bar.setContentsMargins(6, 4, 6, 0)
        bar.addWidget(self._status, 1)
        bar.addWidget(self._interrupt)
        bar.addWidget(self._restart)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self._layout.addLayout(bar)
        self._waiting = QLabel("Loading the console …")
        self._waiting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._layout.addWidget(self._waiting, 1)
        self._host.loaded.connect(self._build)
        self._host.busy_changed.connect(self._show_busy)
        if self._host.client is not None:
            self._build()

    def showEvent(self, event: Any) -> None:
        """Load the console now that it is looked at."""
        super().showEvent(event)
        self._host.start()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and self.console is not None:
            self._colouring.start()

    def _build(self) -> None:
        if self.console is not None:
            return
        from qtconsole.rich_jupyter_widget import RichJupyterWidget

        self.console = console = RichJupyterWidget(gui_completion="droplist", paging="inside", parent=None)
        console.setObjectName("console")
        console.setToolTip("")
        for part, title in ((console._control, "Console"), (console._page_control, "Pages of the console")):
            part.setAccessibleName(title)
        console.banner = "\n".join(BANNER) + "\n"
        console.include_other_output = False
        console.confirm_restart = False
        console.custom_restart = console.custom_interrupt = True
        console.custom_restart_requested.connect(self._again)
        console.custom_interrupt_requested.connect(self._stop)
        console.exit_requested.connect(lambda *_: None)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(max(self.font().pointSizeF(), 9.0))
        console.font = font
        self._colour()
        console.kernel_client = self._host.client
        self._layout.replaceWidget(self._waiting, console)
        self._waiting.deleteLater()
        self._status.setText("Ready")
        self.setFocusProxy(console)

    def _colour(self) -> None:
        """Take the theme's colours for text, prompts and syntax."""
        dark = is_dark(self)
        self._host.set_dark(dark)
        palette = self.palette()
        text, base = (palette.color(role).name() for role in (QPalette.ColorRole.Text, QPalette.ColorRole.Base))
        chosen, over = (
            palette.color(role).name() for role in (QPalette.ColorRole.Highlight, QPalette.ColorRole.HighlightedText)
        )
        prompt, result, error = ("#6aa9ff", "#ff9b6a", "#ff6a6a") if dark else ("#1a4f9c", "#a8480c", "#b00020")
        self.console.set_default_style("linux" if dark else "lightbg")
        self.console.style_sheet = (
            f"QPlainTextEdit, QTextEdit {{ background-color: {base}; color: {text}; border: none;"
            f" selection-background-color: {chosen}; selection-color: {over}; }}\n"
            f".error {{ color: {error}; }}\n"
            f".in-prompt {{ color: {prompt}; }} .in-prompt-number {{ font-weight: bold; }}\n"
            f".out-prompt {{ color: {result}; }} .out-prompt-number {{ font-weight: bold; }}\n"
        )
        self.console.syntax_style = "monokai" if dark else "default"
        prompt = self.console._previous_prompt_obj
        if prompt is not None and not self.console._executing:  # the one that waits was painted in the old colours
            self.console._update_prompt(prompt.number)

    def _show_busy(self, busy: bool) -> None:
        self._interrupt.setEnabled(busy)
        self._status.setText("Running …" if busy else "Ready")

    def _stop(self) -> None:
        self._host.interrupt()
        QTimer.singleShot(PATIENCE_MS, self._still_running)

    def _still_running(self) -> None:
        if self._host.busy and self._interrupt.isEnabled():
            self._status.setText("Still running: it ends when the call it is in returns, or with Restart")

    def _again(self) -> None:
        self._host.restart()
        self._status.setText("Ready")
