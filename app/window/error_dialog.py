"""An error in one sentence, with details to copy; it never blocks the window."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QStyle,
    QVBoxLayout,
    QWidget,
)

WIDTH, WIDEST = 420, 700  # pixels, of the sentence: wider where a single word needs it
LOWEST, TALLEST = 36, 320  # a longer sentence scrolls


class ErrorDialog(QDialog):
    """Shown with `tell`; a second error while it is open is added to the first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("error_dialog")
        self.setWindowTitle("Unrender")
        self.setModal(False)
        self.problems: list[tuple[str, str]] = []
        picture = QLabel()
        mark = self.style().standardIcon(QStyle.StandardPixmap.SP_MessageBoxWarning)
        picture.setPixmap(mark.pixmap(LOWEST, LOWEST))
        picture.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.sentence = QLabel()
        self.sentence.setObjectName("error_sentence")
        self.sentence.setWordWrap(True)
        self.sentence.setTextFormat(Qt.TextFormat.PlainText)
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.area = QScrollArea()
        self.area.setObjectName("error_area")
        self.area.setAccessibleName("What happened, scrolled")
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setWidgetResizable(True)
        self.area.setWidget(self.sentence)
        self.details = QPlainTextEdit()
        self.details.setObjectName("error_details")
        self.details.setAccessibleName("Details")
        self.details.setReadOnly(True)
        self.details.setToolTip("What to send along when you report this")
        self.details.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.details.setMinimumHeight(180)
        self.details.hide()
        self.more = QPushButton("Show details")
        self.more.setObjectName("error_more")
        self.more.setToolTip("Show where in the program it happened")
        self.more.clicked.connect(self._toggle)
        copy = QPushButton("Copy")
        copy.setObjectName("error_copy")
        copy.setToolTip("Copy the sentence and the details")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.text()))
        self._offered: Callable[[], None] = lambda: None
        self.way_out = QPushButton("Mend it\u2026")
        self.way_out.setObjectName("error_way_out")
        self.way_out.clicked.connect(self._go)
        self.way_out.hide()
        buttons = QDialogButtonBox()
        buttons.addButton("Close", QDialogButtonBox.ButtonRole.RejectRole)
        buttons.setObjectName("error_buttons")
        buttons.addButton(self.way_out, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(self.more, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(copy, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.close)
        row = QHBoxLayout()
        row.setSpacing(14)
        row.addWidget(picture)
        row.addWidget(self.area, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(row)
        layout.addWidget(self.details, 1)
        layout.addWidget(buttons)

    def tell(self, sentence: str, details: str) -> None:
        """Show an error, or add it to the one that is shown."""
        if not self.isVisible():
            self.problems = []
            self.way_out.hide()
        if (sentence, details) not in self.problems:
            self.problems.append((sentence, details))
        self.sentence.setText("\n\n".join(dict.fromkeys(text for text, _ in self.problems)))
        self.details.setPlainText("\n\n".join(text for _, text in self.problems if text))
        self.more.setVisible(bool(self.details.toPlainText()))
        self._fit()
        self.show()
        self.raise_()

    def offer(self, text: str, tip: str, call: Callable[[], None]) -> None:
        """Have a button of the error that is shown lead out of it; the dialog is closed first."""
        self._offered = call
        self.way_out.setText(text)
        self.way_out.setToolTip(tip)
        self.way_out.show()
        self._fit()

    def _go(self) -> None:
        self.close()
        self._offered()

    def text(self) -> str:
        """What is copied."""
        return f"{self.sentence.text()}\n\n{self.details.toPlainText()}".strip()

    def _toggle(self) -> None:
        shown = self.details.isHidden()
        self.details.setVisible(shown)
        self.more.setText("Hide details" if shown else "Show details")
        self._fit()

    def _fit(self) -> None:
        """Become as high as the text needs; a layout alone would go by the text before."""
        bar = self.area.verticalScrollBar().sizeHint().width()
        self.area.setFixedWidth(min(max(WIDTH, self.sentence.minimumSizeHint().width() + bar), WIDEST))
        height = self.sentence.heightForWidth(self.area.width())
        if height > TALLEST:
            height = self.sentence.heightForWidth(self.area.width() - bar)
        self.area.setFixedHeight(min(max(LOWEST, height), TALLEST))
        self.layout().activate()
        self.adjustSize()
