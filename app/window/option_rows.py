"""One option as a row (name, field, reset, what was refused), and the rows of one section under a header."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPalette
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app.window.option_fields import field_for, text_of
from app.window.option_names import place_of, words_of
from engine.optimize.options import OptionRow

LIVE = "May change while running: takes effect at the next step and is recorded in the history."
FIXED = "Fixed once its stage has begun."


class ElidedLabel(QLabel):
    """A label that ends in … where there is no room, so that narrow panels stay narrow."""

    def minimumSizeHint(self) -> QSize:
        """Next to nothing."""
        return QSize(24, super().minimumSizeHint().height())

    def paintEvent(self, event) -> None:
        """Draw what fits."""
        with QPainter(self) as painter:
            text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
            painter.setPen(self.palette().color(self.foregroundRole()))
            painter.drawText(self.rect(), int(self.alignment()), text)


def range_text(row: OptionRow) -> str:
    """Unit and range in words, as the row shows them."""
    unit, allowed = row.meaning.unit, "" if row.meaning.choices else row.meaning.range
    return ", ".join(part for part in (unit, allowed) if part)


def tool_tip(row: OptionRow, baseline: Any, why_not: str = "") -> str:
    """Meaning, unit, range, default and when the option may change, as rich text."""
    meaning, esc = row.meaning, html.escape
    lines = [f"<b>{esc(place_of(row.key))}</b>", esc(meaning.help[:1].upper() + meaning.help[1:]) + "."]
    lines.append(f"In recipe files and scripts: {esc(row.key)}")
    if meaning.unit:
        lines.append(f"Unit: {esc(meaning.unit)}")
    if meaning.range:
        lines.append(f"Allowed: {esc(meaning.range)}")
    lines.append(f"Starts as: {esc(text_of(baseline)) or 'nothing'}")
    lines.append(f"<i>{LIVE if meaning.live else FIXED}</i>")
    if why_not:
        lines.append(f"<b>Cannot change now:</b> {esc(why_not)}")
    return "<br>".join(lines)


class OptionLine(QWidget):
    """One option: its name, unit and range, the field, a button back to the baseline, and what was refused."""

    edited = Signal(str, object)  # key, value
    reset = Signal(str)

    def __init__(self, row: OptionRow, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"option_{row.key}")
        self.row, self.baseline, self.why_not = row, row.default, ""
        self.words = f"{row.key} {words_of(row.key)} {row.meaning.help} {row.meaning.unit}".lower()
        self.mark = QFrame()
        self.mark.setFixedWidth(3)
        self.mark.setAutoFillBackground(False)
        self.name = ElidedLabel(words_of(row.key))
        self.caption = ElidedLabel(range_text(row))
        self.caption.setObjectName(f"caption_{row.key}")
        self.caption.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        small = self.caption.font()
        small.setPointSizeF(small.pointSizeF() * 0.85)
        self.caption.setFont(small)
        self.field = field_for(row)
        self.back = QToolButton()
        self.back.setObjectName(f"reset_{row.key}")
        self.back.setText("↺")
        self.back.setAccessibleName(f"Reset {place_of(row.key)}")
        self.back.setAutoRaise(True)
        policy = self.back.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.back.setSizePolicy(policy)
        self.complaint = QLabel()
        self.complaint.setObjectName(f"refused_{row.key}")
        self.complaint.setWordWrap(True)
        self.complaint.setForegroundRole(QPalette.ColorRole.BrightText)
        self.complaint.hide()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 2, 0, 2)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(0)
        grid.addWidget(self.mark, 0, 0, 2, 1)
        grid.addWidget(self.name, 0, 1)
        grid.addWidget(self.caption, 1, 1)
        grid.addWidget(self.field, 0, 2, 2, 1)
        grid.addWidget(self.back, 0, 3, 2, 1)
        grid.addWidget(self.complaint, 2, 1, 1, 3)
        grid.setColumnStretch(1, 5)
        grid.setColumnStretch(2, 4)
        self.field.edited.connect(self._edited)
        self.field.refused.connect(self.complain)
        self.back.clicked.connect(lambda: self.reset.emit(row.key))
        self.show_state(row.value, row.default, True, "")

    @property
    def changed(self) -> bool:
        """Whether the value differs from the baseline."""
        return self.field.value != self.baseline

    def show_state(self, value: Any, baseline: Any, may_change: bool, why_not: str, restarts: str = "") -> None:
        """Show the value, whether it stands out against `baseline`, and whether it may change now: `why_not` is a
        sentence, `restarts` what a change would start again."""
        if value != self.field.value:
            self.field.show_value(value)
            self.complaint.hide()
        why_not = "" if may_change else why_not
        if (baseline, why_not) != (self.baseline, self.why_not) or not self.toolTip():
            self.baseline, self.why_not = baseline, why_not
            self.setToolTip(tool_tip(self.row, baseline, why_not))
            self.caption.setText(f"would restart {restarts}" if why_not and restarts else range_text(self.row))
            self.caption.setVisible(bool(self.caption.text()))
            self.back.setToolTip(f"Back to {text_of(baseline) or 'nothing'}")
        self.field.setEnabled(may_change)
        font = self.name.font()
        if font.bold() != self.changed:
            font.setBold(self.changed)
            self.name.setFont(font)
        self.mark.setAutoFillBackground(self.changed)
        self.mark.setBackgroundRole(QPalette.ColorRole.Highlight)
        self.back.setVisible(self.changed and may_change)

    def complain(self, sentence: str) -> None:
        """Say under the row why what was entered is not taken."""
        self.complaint.setText(sentence)
        self.complaint.setVisible(bool(sentence))

    def _edited(self, value: Any) -> None:
        self.complaint.hide()
        self.edited.emit(self.row.key, value)


class OptionSection(QWidget):
    """The rows of one section under a header that folds them away."""

    edited = Signal(str, object)
    reset = Signal(str)

    def __init__(self, name: str, title: str, help: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(f"section_{name}")
        self.name, self.title, self.note = name, title, ""
        self.lines: list[OptionLine] = []
        self.header = QToolButton()
        self.header.setObjectName(f"header_{name}")
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setArrowType(Qt.ArrowType.RightArrow)
        self.header.setCheckable(True)
        self.header.setAutoRaise(True)
        self.header.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.header.setToolTip(help)
        self.body = QWidget()
        self.rows = QVBoxLayout(self.body)
        self.rows.setContentsMargins(8, 0, 0, 4)
        self.rows.setSpacing(0)
        self.body.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.header)
        layout.addWidget(self.body)
        self.header.toggled.connect(self.fold)
        self.show_title()

    def add(self, rows: Iterable[OptionRow]) -> None:
        """Make rows for options."""
        for row in rows:
            line = OptionLine(row)
            line.edited.connect(self.edited)
            line.reset.connect(self.reset)
            self.lines.append(line)
            self.rows.addWidget(line)

    def fold(self, open_: bool) -> None:
        """Show or hide the rows."""
        self.header.setChecked(open_)
        self.header.setArrowType(Qt.ArrowType.DownArrow if open_ else Qt.ArrowType.RightArrow)
        self.body.setVisible(open_)

    def show_title(self) -> None:
        """Name the section, say how many of its values are changed, and what else there is to note."""
        changed = sum(line.changed for line in self.lines)
        notes = [note for note in (f"{changed} changed" if changed else "", self.note) if note]
        self.header.setText(f"{self.title}  ({', '.join(notes)})" if notes else self.title)
        font = self.header.font()
        font.setBold(bool(changed))
        self.header.setFont(font)

    def filter(self, wanted: str, changed_only: bool) -> int:
        """Show only rows that hold every word of `wanted`; how many there are."""
        words, found = wanted.lower().split(), 0
        for line in self.lines:
            shown = all(word in line.words for word in words) and (line.changed or not changed_only)
            line.setVisible(shown)
            found += shown
        return found
