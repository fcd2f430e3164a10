"""A text field for Python: line numbers, the line that failed marked, indentation kept."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontDatabase, QKeyEvent, QPainter, QPaintEvent, QPalette, QTextCursor, QTextFormat
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QWidget

from app.window.python_highlighter import PythonHighlighter

INDENT = 4


class LineNumbers(QWidget):
    """The strip to the left of the text."""

    def __init__(self, edit: CodeEdit) -> None:
        super().__init__(edit)
        self._edit = edit

    def sizeHint(self) -> QSize:
        """As wide as the largest number."""
        return QSize(self._edit.margin, 0)

    def paintEvent(self, event: QPaintEvent) -> None:
        """The numbers of the lines in sight."""
        self._edit.paint_numbers(self, event.rect())


class CodeEdit(QPlainTextEdit):
    """Python source. Its keys come before the window's, which may use the same ones."""

    save_pressed = Signal()  # Ctrl+S
    run_pressed = Signal()  # F5

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("script_text")
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        font = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        font.setPointSizeF(max(self.font().pointSizeF(), 9.0))
        self.setFont(font)
        self.setTabStopDistance(INDENT * self.fontMetrics().horizontalAdvance(" "))
        self.highlighter = PythonHighlighter(self.document(), self._dark)
        self._numbers = LineNumbers(self)
        self.failed_line = 0  # from 1; 0: none
        self._failed_text = ""
        self.textChanged.connect(self._edited)
        self.blockCountChanged.connect(lambda _count: self.setViewportMargins(self.margin, 0, 0, 0))
        self.updateRequest.connect(self._scrolled)
        self.cursorPositionChanged.connect(self._mark)
        self.setViewportMargins(self.margin, 0, 0, 0)
        self._mark()

    @property
    def _dark(self) -> bool:
        palette = self.palette()
        text, base = palette.color(QPalette.ColorRole.Text), palette.color(QPalette.ColorRole.Base)
        return text.lightness() > base.lightness()

    @property
    def margin(self) -> int:
        """Width of the line numbers in pixels."""
        return 14 + self.fontMetrics().horizontalAdvance("9") * max(3, len(str(self.blockCount())))

    def changeEvent(self, event) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == event.Type.PaletteChange and hasattr(self, "highlighter"):
            self.highlighter.set_dark(self._dark)
            self._mark()

    def go_to(self, line: int, failed: bool = False) -> None:
        """Put the cursor on a line (from 1), marked as failed or not."""
        self.failed_line, self._failed_text = (line, self.toPlainText()) if failed else (0, "")
        block = self.document().findBlockByNumber(line - 1)
        if block.isValid():
            self.setTextCursor(QTextCursor(block))
            self.centerCursor()
        self._mark()

    def clear_failure(self) -> None:
        """No line has failed."""
        self.failed_line = 0
        self._mark()

    def _edited(self) -> None:
        """An edited text has not failed; that the highlighter colours it changes nothing."""
        if self.failed_line and self.toPlainText() != self._failed_text:
            self.clear_failure()

    def _mark(self) -> None:
        marks = []
        lines = [(self.textCursor().block(), self.palette().color(QPalette.ColorRole.AlternateBase))]
        if self.failed_line:
            failed = QColor("#5c2323" if self._dark else "#ffd9d6")
            lines.append((self.document().findBlockByNumber(self.failed_line - 1), failed))
        for block, color in lines:
            mark = QTextEdit.ExtraSelection()
            mark.format.setBackground(color)
            mark.format.setProperty(QTextFormat.Property.FullWidthSelection, True)
            mark.cursor = QTextCursor(block) if block.isValid() else self.textCursor()
            mark.cursor.clearSelection()
            marks.append(mark)
        self.setExtraSelections(marks)
        if hasattr(self, "_numbers"):
            self._numbers.update()

    def _scrolled(self, rect: QRect, pixels: int) -> None:
        if pixels:
            self._numbers.scroll(0, pixels)
        else:
            self._numbers.update(0, rect.y(), self._numbers.width(), rect.height())

    def resizeEvent(self, event) -> None:
        """Keeps the strip at the left."""
        super().resizeEvent(event)
        inside = self.contentsRect()
        self._numbers.setGeometry(QRect(inside.left(), inside.top(), self.margin, inside.height()))

    def paint_numbers(self, strip: QWidget, rect: QRect) -> None:
        """Draw the line numbers that `rect` of the strip shows."""
        palette = self.palette()
        with QPainter(strip) as painter:
            painter.fillRect(rect, palette.color(QPalette.ColorRole.AlternateBase))
            painter.setFont(self.font())
            block, here = self.firstVisibleBlock(), self.textCursor().blockNumber()
            top = self.blockBoundingGeometry(block).translated(self.contentOffset()).top()
            while block.isValid() and top <= rect.bottom():
                height = self.blockBoundingRect(block).height()
                number = block.blockNumber()
                role = QPalette.ColorRole.Text if number == here else QPalette.ColorRole.PlaceholderText
                color = QColor("#e5534b") if number + 1 == self.failed_line else palette.color(role)
                painter.setPen(color)
                place = QRect(0, int(top), strip.width() - 8, int(height))
                painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, str(number + 1))
                block, top = block.next(), top + height

    def _own_key(self, event: QKeyEvent) -> Any:
        """The signal of a key, None of all others."""
        if event.key() == Qt.Key.Key_F5 and not event.modifiers():
            return self.run_pressed
        control = event.modifiers() == Qt.KeyboardModifier.ControlModifier
        return self.save_pressed if control and event.key() == Qt.Key.Key_S else None

    def event(self, event: QEvent) -> bool:
        """Keeps its own keys from the window's shortcuts."""
        if event.type() == QEvent.Type.ShortcutOverride and self._own_key(event) is not None:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Tab indents by four spaces, Return keeps the indentation, Backspace takes four spaces back at once."""
        if (pressed := self._own_key(event)) is not None:
            pressed.emit()
            return
        cursor, key = self.textCursor(), event.key()
        before = cursor.block().text()[: cursor.positionInBlock()]
        if key == Qt.Key.Key_Tab and not event.modifiers():
            if cursor.hasSelection():
                self._indent(+1)
            else:
                cursor.insertText(" " * (INDENT - len(before) % INDENT))
        elif key == Qt.Key.Key_Backtab:
            self._indent(-1)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            deeper = INDENT if before.rstrip().endswith(":") else 0
            cursor.insertText("\n" + " " * (len(before) - len(before.lstrip(" ")) + deeper))
        elif key == Qt.Key.Key_Backspace and not cursor.hasSelection() and before and not before.strip(" "):
            for _ in range((len(before) - 1) % INDENT + 1):
                cursor.deletePreviousChar()
        else:
            super().keyPressEvent(event)
            return
        self.ensureCursorVisible()

    def _indent(self, direction: int) -> None:
        cursor = self.textCursor()
        first = self.document().findBlock(cursor.selectionStart())
        last = self.document().findBlock(max(cursor.selectionEnd() - 1, cursor.selectionStart()))
        cursor.beginEditBlock()
        for number in range(first.blockNumber(), last.blockNumber() + 1):
            block = self.document().findBlockByNumber(number)
            edit = QTextCursor(block)
            if direction > 0:
                edit.insertText(" " * INDENT)
            else:
                for _ in range(min(INDENT, len(block.text()) - len(block.text().lstrip(" ")))):
                    edit.deleteChar()
        cursor.endEditBlock()
