"""Python in colours: keywords, texts, comments, numbers, names being defined; simple, and quick on long files."""

from __future__ import annotations

import builtins
import keyword
import re

from PySide6.QtGui import QColor, QFont, QSyntaxHighlighter, QTextCharFormat, QTextDocument

COLORS = {  # kind: (on dark, on light)
    "keyword": ("#c792ea", "#8a1bb3"),
    "builtin": ("#82aaff", "#1750a8"),
    "string": ("#a5d67b", "#2b7a1f"),
    "comment": ("#7d8790", "#6a737d"),
    "number": ("#f7a36c", "#a3490a"),
    "defined": ("#6cc7e8", "#0b6f94"),
}
_TOKENS = re.compile(
    r"(?P<comment>#.*)"
    r"|(?P<open>[rRbBfFuU]{0,2}(?:\"\"\"|'''))"
    r"|(?P<string>[rRbBfFuU]{0,2}(?:\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?))"
    r"|(?P<number>\b(?:0[xX][\da-fA-F_]+|\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?)\b)"
    r"|(?P<defined>(?<=\bdef )\w+|(?<=\bclass )\w+)"
    r"|(?P<word>\b[A-Za-z_]\w*\b)"
)
_NAMES = {name for name in dir(builtins) if not name.startswith("_") and name[0].islower()}
_IN_TEXT = {1: '"""', 2: "'''"}  # block states


class PythonHighlighter(QSyntaxHighlighter):
    """Colours a document as it changes."""

    def __init__(self, document: QTextDocument, dark: bool) -> None:
        super().__init__(document)
        self._formats: dict[str, QTextCharFormat] = {}
        self.set_dark(dark)

    def set_dark(self, dark: bool) -> None:
        """Choose the colours for a dark or a light background."""
        for kind, pair in COLORS.items():
            form = QTextCharFormat()
            form.setForeground(QColor(pair[0 if dark else 1]))
            if kind == "keyword":
                form.setFontWeight(QFont.Weight.DemiBold)
            if kind == "comment":
                form.setFontItalic(True)
            self._formats[kind] = form
        self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        """One line."""
        self.setCurrentBlockState(0)
        start = 0
        if (state := self.previousBlockState()) in _IN_TEXT:
            start = self._text(text, 0, 0, state)
        while start < len(text) and (found := _TOKENS.search(text, start)) is not None:
            kind, begin, end = found.lastgroup, *found.span()
            if kind == "open":
                end = self._text(text, begin, end, 1 if text[end - 1] == '"' else 2)
            elif kind == "word":
                word = found.group()
                if keyword.iskeyword(word):
                    self.setFormat(begin, end - begin, self._formats["keyword"])
                elif word in _NAMES:
                    self.setFormat(begin, end - begin, self._formats["builtin"])
            else:
                self.setFormat(begin, end - begin, self._formats[kind])
            start = max(end, start + 1)

    def _text(self, line: str, begin: int, inside: int, state: int) -> int:
        """Colour a text over several lines from `begin`, whose inside starts at `inside`; where it ends."""
        end = line.find(_IN_TEXT[state], inside)
        if end < 0:
            self.setCurrentBlockState(state)
            end = len(line)
        else:
            end += 3
        self.setFormat(begin, end - begin, self._formats["string"])
        return end
