"""What the doctor found in a capture, in plain words, problems first, with buttons for what an option can mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QColor, QGuiApplication, QResizeEvent
from PySide6.QtWidgets import (
    QColorDialog,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.window.choosers import Chooser, Question, ask_path
from app.window.findings import Finding, Remedy, findings, plain_background
from app.window.wrapped_label import WrappedLabel
from engine.scene.conventions import UP_AXES

if TYPE_CHECKING:
    from app.window.studio import Studio
    from engine.capture.doctor import Report

ORDER = {"problem": 0, "warning": 1, "fact": 2}
NOTHING_OPEN = "Open photos to see what is in them."
LOOKING = "Looking at the photos\u2026"
MARKS = {
    "problem": ("!", "#d9534f"),
    "warning": ("!", "#d08a1d"),
}


class DoctorView(QWidget):
    """Shows the studio's newest report; changed options take effect by reading the photos again."""

    summary_changed = Signal(str, int)  # one line, number of problems

    def __init__(
        self, studio: Studio, parent: QWidget | None = None, choose: Chooser = ask_path, whole: bool = False
    ) -> None:
        super().__init__(parent)
        self.setObjectName("doctor_view")
        self.studio, self.choose = studio, choose
        self.whole = whole  # as high as its content, for a page that scrolls by itself
        self.report: Report | None = None
        self.summary = QLabel(NOTHING_OPEN)
        self.summary.setObjectName("doctor_summary")
        self.summary.setWordWrap(True)
        self.copy_button = QPushButton("Copy")
        self.copy_button.setObjectName("doctor_copy")
        self.copy_button.setToolTip("Copy the whole report as text")
        self.copy_button.clicked.connect(self.copy)
        head = QHBoxLayout()
        head.addWidget(self.summary, 1)
        head.addWidget(self.copy_button, 0, Qt.AlignmentFlag.AlignTop)
        self.scroll = QScrollArea()
        self.scroll.setObjectName("doctor_findings")
        self.scroll.setAccessibleName("What was found in the photos")
        self.scroll.setWidgetResizable(True)
        self.scroll.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addLayout(head)
        layout.addWidget(self.scroll, 1)
        studio.doctor_changed.connect(self.show_report)
        studio.state_changed.connect(self._enable_remedies)
        self.show_report(None)

    def text(self) -> str:
        """The report as `unrender doctor` prints it."""
        return "\n".join(self.report.lines()) if self.report is not None else ""

    def copy(self) -> None:
        """Put the report on the clipboard."""
        QGuiApplication.clipboard().setText(self.text())

    def show_report(self, report: Report | None) -> None:
        """Show another report, or that there is none yet."""
        self.report = report
        found = findings(report) if report is not None else []
        problems = sum(item.level == "problem" for item in found)
        if report is None:
            line = NOTHING_OPEN if self.studio.capture is None else LOOKING
        elif problems:
            line = f"{problems} problem{'s' * (problems != 1)} found"
        else:
            notes = sum(item.level == "warning" for item in found)
            line = "No problems found" + (f", {notes} thing{'s' * (notes != 1)} to look at" if notes else "")
        self.summary.setText(f"<b>{line}</b>" if report is not None else line)
        self.copy_button.setVisible(report is not None)
        content = QWidget()
        rows = QVBoxLayout(content)
        rows.setContentsMargins(0, 4, 0, 4)
        rows.setSpacing(6)
        for item in sorted(found, key=lambda finding: ORDER[finding.level]):
            if item.level != "fact":
                rows.addWidget(self._row(item))
        facts = WrappedLabel("\n".join(item.text for item in found if item.level == "fact"))
        facts.setObjectName("doctor_facts")
        facts.setTextFormat(Qt.TextFormat.PlainText)
        facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        rows.addWidget(facts)
        if report is not None and self.studio.capture is not None:
            rows.addLayout(self._up_choice(report))
        rows.addStretch(1)
        self.scroll.setWidget(content)
        if self.whole:
            QTimer.singleShot(0, self, self._fit)
        self._enable_remedies()
        self.summary_changed.emit(line, problems)
        if report is not None and report.frames and not report.mask_source:
            self._look_for_plain_background()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width, another height of the content."""
        super().resizeEvent(event)
        if self.whole and event.oldSize().width() != event.size().width():
            QTimer.singleShot(0, self, self._fit)

    def _fit(self) -> None:
        content = self.scroll.widget()
        if content is not None:
            content.layout().activate()
            self.scroll.setMinimumHeight(content.sizeHint().height() + 4)

    def _row(self, item: Finding) -> QWidget:
        row = QWidget()
        row.setObjectName(f"finding_{item.level}")
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        sign, color = MARKS[item.level]
        mark = QLabel(sign)
        mark.setFixedSize(18, 18)
        mark.setAlignment(Qt.AlignmentFlag.AlignCenter)
        mark.setStyleSheet(f"background: {color}; color: white; border-radius: 9px; font-weight: bold;")
        words = WrappedLabel(item.text)
        words.setTextFormat(Qt.TextFormat.PlainText)
        words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column = QVBoxLayout()
        column.addWidget(words)
        for remedy in item.remedies:
            column.addWidget(self._button(remedy), 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(mark, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(column, 1)
        return row

    def _button(self, remedy: Remedy) -> QPushButton:
        title, tip = {
            Remedy.MASKS: (
                "Choose a folder of masks\u2026",
                "One mask per photo with the same name; white is the object",
            ),
            Remedy.COLOR: ("Choose the background colour\u2026", "For photos before a plain background of one colour"),
            Remedy.SKIP: ("Go on without these photos", "Leave out the photos that cannot be used"),
        }[remedy]
        action: Callable[[], None] = {
            Remedy.MASKS: self.choose_masks,
            Remedy.COLOR: self.choose_color,
            Remedy.SKIP: lambda: self.apply("capture.skip_bad_frames", True),
        }[remedy]
        button = QPushButton(title)
        button.setObjectName(f"remedy_{remedy.value}")
        button.setToolTip(tip)
        button.setProperty("remedy", True)
        button.clicked.connect(lambda: action())
        return button

    def _up_choice(self, report: Report) -> QHBoxLayout:
        box = QComboBox()
        box.setObjectName("up_axis")
        box.setAccessibleName("Which way is up")
        box.setProperty("remedy", True)
        box.setToolTip("Which way is up, where the capture has it wrong")
        box.addItem("as found", "")
        for name in UP_AXES:
            box.addItem(name, name)
        box.setCurrentIndex(max(0, box.findData(self.studio.recipe.capture.up)))
        box.activated.connect(lambda index: self.apply("capture.up", box.itemData(index)))
        layout = QHBoxLayout()
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(QLabel("Up axis"))
        layout.addWidget(box)
        layout.addStretch(1)
        return layout

    def choose_masks(self) -> None:
        """Ask for the folder of masks."""
        start = self.report.path if self.report is not None else None
        question = Question("Folder of masks, named like the photos", "folder", start=start)
        self.choose(self, question, lambda path: self.apply("capture.masks", str(path)))

    def choose_color(self) -> None:
        """Ask for the colour of the background."""
        dialog = QColorDialog(QColor(255, 255, 255), self)
        dialog.setObjectName("background_color")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setOption(QColorDialog.ColorDialogOption.DontUseNativeDialog)
        dialog.setWindowTitle("Colour of the background")
        dialog.colorSelected.connect(
            lambda color: self.apply("capture.color_key", tuple(float(value) for value in color.getRgb()[:3]))
        )
        dialog.open()

    def apply(self, key: str, value: object) -> None:
        """Set an option of the capture and read the photos again."""
        path = Path(self.report.path) if self.report is not None else None
        if self.studio.set_option(key, value) and self.studio.capture is None and path is not None:
            self.studio.open(path)  # could not be opened as it was; otherwise the studio reads it again by itself

    def _enable_remedies(self, *_: object) -> None:
        free = self.studio.session is None and self.studio.state not in ("opening", "running")
        for widget in self.findChildren(QWidget):
            if widget.property("remedy"):
                widget.setEnabled(free)

    def _look_for_plain_background(self) -> None:
        """Where photos without masks all have the same border colour, offer to remove it."""
        report, capture = self.report, self.studio.capture
        if capture is None:
            return
        paths = [frame.image_path for frame in capture.frames]

        def offer(color: tuple[int, int, int] | None) -> None:
            buttons = self.scroll.widget().findChildren(QPushButton, f"remedy_{Remedy.COLOR.value}")
            if color is None or self.report is not report or not buttons:
                return
            button = QPushButton("Remove the background colour {}, {}, {}".format(*color))
            button.setObjectName("remedy_found_color")
            button.setToolTip("The photos' borders have this colour; everything of that colour is taken as background")
            button.setProperty("remedy", True)
            button.clicked.connect(lambda: self.apply("capture.color_key", tuple(float(value) for value in color)))
            column = buttons[0].parentWidget().layout().itemAt(1).layout()
            column.insertWidget(1, button, 0, Qt.AlignmentFlag.AlignLeft)
            self._enable_remedies()

        self.studio.background("", lambda handle: plain_background(paths), offer, lambda error: None)
