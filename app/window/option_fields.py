"""A field for every type an option can have, built from the option's own definition; refuses nonsense in place."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QValidator
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QToolButton,
    QWidget,
)

from app.window.option_names import place_of, words_of
from app.window.painted import CheckBox
from engine.errors import RecipeError
from engine.optimize.options import OptionRow, parse_value


def text_of(value: Any) -> str:
    """A value as its field shows it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (tuple, list)):
        return ", ".join(text_of(item) for item in value)
    return str(value)


class OptionField(QWidget):
    """Shows one option's value; tells `edited` with a valid new one, or `refused` with a sentence.

    Each kind of field gives a function `display` that puts a value into its widgets.
    """

    edited = Signal(object)
    refused = Signal(str)

    def __init__(self, row: OptionRow, display: Callable[[Any], None], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.row, self.value, self.display = row, row.value, display
        self.box = QHBoxLayout(self)
        self.box.setContentsMargins(0, 0, 0, 0)
        self.box.setSpacing(4)

    def show_value(self, value: Any) -> None:
        """Show a value without telling anyone."""
        self.value = value
        self.display(value)

    def offer(self, entered: Any) -> None:
        """Tell what the user entered, or put the old value back and tell why."""
        try:
            value = parse_value(self.row, entered)
        except RecipeError as error:
            self.display(self.value)
            self.refused.emit(str(error).replace(self.row.key, words_of(self.row.key)))
            return
        if value == self.value and type(value) is type(self.value):
            self.display(self.value)  # perhaps written differently
            return
        self.show_value(value)
        self.edited.emit(value)

    def _add(self, widget: QWidget, stretch: int = 0) -> QWidget:
        first = self.box.count() == 0
        widget.setObjectName(f"field_{self.row.key}" if first else f"choose_{self.row.key}")
        widget.setAccessibleName(place_of(self.row.key) if first else f"Choose {place_of(self.row.key)}")
        self.box.addWidget(widget, stretch)
        if self.box.count() == 1:
            self.setFocusProxy(widget)
        return widget


class NumberEntry(QAbstractSpinBox):
    """A spin box that takes any text, and whose step is a tenth of the value's leading digit's unit."""

    stepped = Signal(object)

    def __init__(self, row: OptionRow, whole: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.row, self.whole = row, whole
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(84)

    def validate(self, text: str, position: int):
        """Everything may be typed; what it means is decided when it is done."""
        return QValidator.State.Acceptable, text, position

    def stepEnabled(self) -> QAbstractSpinBox.StepEnabledFlag:
        """Arrows work within the option's range."""
        value, flags = self._number(), QAbstractSpinBox.StepEnabledFlag.StepNone
        low, high = 0 if self.row.meaning.or_zero else self.row.meaning.low, self.row.meaning.high
        if high is None or value is None or value < high:
            flags |= QAbstractSpinBox.StepEnabledFlag.StepUpEnabled
        if low is None or value is None or value > low:
            flags |= QAbstractSpinBox.StepEnabledFlag.StepDownEnabled
        return flags

    def stepBy(self, steps: int) -> None:
        """Go up or down from what is typed."""
        value = self._number()
        for _ in range(abs(steps)):
            value = stepped(0.0 if value is None else value, 1 if steps > 0 else -1, self.whole)
        low, high = self.row.meaning.low, self.row.meaning.high
        if self.row.meaning.or_zero and steps < 0 and value < low:
            low = 0  # below the range lies only what leaves it out
            value = 0.0
        value = max(value, low) if low is not None else value
        value = min(value, high) if high is not None else value
        self.stepped.emit(int(value) if self.whole else float(value))

    def wheelEvent(self, event) -> None:
        """Turn only what has the focus: scrolling the panel must not change values."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def _number(self) -> float | None:
        try:
            value = float(self.lineEdit().text())
        except ValueError:
            return None
        return value if math.isfinite(value) else None


def stepped(value: float, direction: int, whole: bool) -> float:
    """The next value up or down: a tenth of the power of ten at or below it, so that steps are even on a log scale."""
    if value == 0:
        return direction * (1.0 if whole else 0.001)
    power = math.floor(math.log10(abs(value)) + 1e-9)
    if direction * value < 0 and math.isclose(abs(value), 10.0**power):
        power -= 1  # 100 goes down to 99, not 90
    step = 10.0 ** (power - 1)
    step = max(step, 1.0) if whole else max(step, 1e-6)
    moved = round(value / step + direction) * step
    return 0.0 if abs(moved) < 1e-9 else float(f"{moved:.10g}")


class NumberField(OptionField):
    """A whole or real number."""

    def __init__(self, row: OptionRow, whole: bool, parent: QWidget | None = None) -> None:
        super().__init__(row, self._display, parent)
        self.entry = self._add(NumberEntry(row, whole), 1)
        self.entry.stepped.connect(self.offer)
        self.entry.editingFinished.connect(self._typed)
        self.display(row.value)

    def _display(self, value: Any) -> None:
        self.entry.lineEdit().setText(text_of(value))

    def _typed(self) -> None:
        text = self.entry.lineEdit().text().strip()
        if text != text_of(self.value):
            self.offer(text)


class SwitchField(OptionField):
    """Yes or no."""

    def __init__(self, row: OptionRow, parent: QWidget | None = None) -> None:
        super().__init__(row, self._display, parent)
        self.entry = self._add(CheckBox(), 1)
        self.display(row.value)
        self.entry.toggled.connect(self.offer)

    def _display(self, value: Any) -> None:
        with QSignalBlocker(self.entry):
            self.entry.setChecked(bool(value))
        self.entry.setText("on" if value else "off")


class ChoiceEntry(QComboBox):
    """A combo box that the wheel turns only when it has the focus."""

    def wheelEvent(self, event) -> None:
        """Leave the wheel to the panel."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class ChoiceField(OptionField):
    """One of a few."""

    def __init__(self, row: OptionRow, parent: QWidget | None = None) -> None:
        super().__init__(row, self._display, parent)
        self.entry = self._add(ChoiceEntry(), 1)
        self.entry.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for choice in row.meaning.choices:
            self.entry.addItem(text_of(choice), choice)
        self.display(row.value)
        self.entry.currentIndexChanged.connect(lambda index: self.offer(self.entry.itemData(index)))

    def _display(self, value: Any) -> None:
        with QSignalBlocker(self.entry):
            self.entry.setCurrentIndex(self.row.meaning.choices.index(value))


class TextField(OptionField):
    """A text, or a list with commas between."""

    def __init__(self, row: OptionRow, parent: QWidget | None = None) -> None:
        super().__init__(row, self._display, parent)
        self.entry = self._add(QLineEdit(), 1)
        self.entry.setMinimumWidth(60)
        self.entry.setPlaceholderText(self._hint())
        self.display(row.value)
        self.entry.editingFinished.connect(self._typed)

    def _display(self, value: Any) -> None:
        self.entry.setText(text_of(value))
        self.entry.setCursorPosition(0)

    def _hint(self) -> str:
        if typing.get_origin(self.row.type) is tuple:
            return "none"
        return "none" if self.row.default == "" else ""

    def _typed(self) -> None:
        text = self.entry.text().strip()
        if text != text_of(self.value):
            self.offer(text)


class PathField(TextField):
    """A file or folder, typed or chosen."""

    def __init__(self, row: OptionRow, parent: QWidget | None = None) -> None:
        super().__init__(row, parent)
        self.chooser = self._add(QToolButton())
        self.chooser.setText("…")
        self.chooser.setToolTip(f"Choose a {row.meaning.path}")
        self.chooser.clicked.connect(self._choose)

    def _choose(self) -> None:
        start = str(Path(self.value).parent) if self.value else ""
        title = f"Choose {words_of(self.row.key).lower()}"
        if self.row.meaning.path == "folder":
            chosen = QFileDialog.getExistingDirectory(self, title, start)
        else:
            chosen, _ = QFileDialog.getOpenFileName(self, title, start)
        if chosen:
            self.offer(chosen)


def field_for(row: OptionRow, parent: QWidget | None = None) -> OptionField:
    """The field that fits an option's type."""
    types = [kind for kind in typing.get_args(row.type) or (row.type,) if kind is not type(None)]
    optional = len(types) < len(typing.get_args(row.type))
    if row.meaning.choices and typing.get_origin(row.type) is not tuple:
        return ChoiceField(row, parent)
    if row.type is bool:
        return SwitchField(row, parent)
    if row.type in (int, float):
        return NumberField(row, row.type is int, parent)
    if optional and types in ([int], [float]):
        return NumberField(row, types == [int], parent)
    if row.meaning.path or row.type is Path:
        return PathField(row, parent)
    return TextField(row, parent)
