"""The window's look: a dark and a light palette, one style sheet for both, chosen in the settings or by the system."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QSettings, Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication

Theme = Literal["system", "dark", "light"]
THEMES: dict[str, str] = {"system": "As the system", "dark": "Dark", "light": "Light"}
SETTING = "window/theme"

_COLORS = {  # role: (dark, light)
    "Window": ("#202327", "#f3f4f5"),
    "WindowText": ("#e4e6e8", "#1d2125"),
    "Base": ("#181a1d", "#ffffff"),
    "AlternateBase": ("#1f2226", "#f0f2f4"),
    "Text": ("#e4e6e8", "#1d2125"),
    "PlaceholderText": ("#8d949b", "#6c757d"),
    "Button": ("#2d3136", "#e6e8ea"),
    "ButtonText": ("#e4e6e8", "#1d2125"),
    "BrightText": ("#ff8a80", "#b3261e"),
    "ToolTipBase": ("#33383e", "#ffffff"),
    "ToolTipText": ("#e4e6e8", "#1d2125"),
    "Highlight": ("#2f7fbf", "#2b78b8"),
    "HighlightedText": ("#ffffff", "#ffffff"),
    "Link": ("#6db3e8", "#1b66a5"),
    "LinkVisited": ("#b79be0", "#6a4ca3"),
    "Light": ("#3d4248", "#ffffff"),
    "Midlight": ("#353a40", "#eceef0"),
    "Mid": ("#3a3f45", "#c6cacd"),
    "Dark": ("#141618", "#a9aeb3"),
    "Shadow": ("#0c0d0e", "#7b8187"),
    "Accent": ("#2f7fbf", "#2b78b8"),
}
_DISABLED = {"WindowText": ("#70777e", "#9aa1a7"), "Text": ("#70777e", "#9aa1a7"), "ButtonText": ("#70777e", "#9aa1a7")}

_EDGE = ("#767d85", "#868c92")  # of what can be ticked

_SHEET = """
QToolTip {{ color: {ToolTipText}; background: {ToolTipBase}; border: 1px solid {Mid}; padding: 3px; }}
QMainWindow::separator {{ background: {Window}; width: 5px; height: 5px; }}
QMainWindow::separator:hover {{ background: {Highlight}; }}
QDockWidget {{ titlebar-close-icon: none; titlebar-normal-icon: none; }}
QDockWidget::title {{ background: {Midlight}; padding: 4px 8px; }}
QToolBar {{ border: none; border-bottom: 1px solid {Mid}; spacing: 4px; padding: 3px; }}
QStatusBar {{ border-top: 1px solid {Mid}; }}
QStatusBar::item {{ border: none; }}
QProgressBar {{ border: 1px solid {Mid}; border-radius: 3px; background: {Base};
    text-align: center; min-height: 15px; }}
QProgressBar::chunk {{ background: {Highlight}; border-radius: 2px; }}
QRadioButton::indicator {{ width: 11px; height: 11px; border: 1px solid {edge}; border-radius: 6px;
    background: {Base}; }}
QRadioButton::indicator:checked {{ width: 5px; height: 5px; border: 4px solid {Highlight}; background: white; }}
QRadioButton::indicator:disabled {{ border-color: {Mid}; }}
QCheckBox::indicator:unchecked, QAbstractItemView::indicator:unchecked {{ width: 11px; height: 11px;
    border: 1px solid {edge}; border-radius: 2px; background: {Base}; }}
QPushButton#start_run {{ background: {Highlight}; color: {HighlightedText}; border: none; border-radius: 4px;
    padding: 5px 14px; }}
QPushButton#start_run:disabled {{ background: {Mid}; color: {off}; }}
"""


def is_dark(theme: Theme, app: QApplication) -> bool:
    """Whether the theme means dark colours now; `system` is dark where the system does not say."""
    if theme == "system":
        return app.styleHints().colorScheme() != Qt.ColorScheme.Light
    return theme == "dark"


def palette(dark: bool) -> QPalette:
    """Every colour of the window."""
    made, column = QPalette(), 0 if dark else 1
    for name, pair in _COLORS.items():
        made.setColor(getattr(QPalette.ColorRole, name), QColor(pair[column]))
    for name, pair in _DISABLED.items():
        made.setColor(QPalette.ColorGroup.Disabled, getattr(QPalette.ColorRole, name), QColor(pair[column]))
    return made


def style_sheet(dark: bool) -> str:
    """What the palette alone cannot say."""
    column = 0 if dark else 1
    names = {name: pair[column] for name, pair in _COLORS.items()}
    return _SHEET.format(**names, off=_DISABLED["Text"][column], edge=_EDGE[column])


def chosen_theme(settings: QSettings) -> Theme:
    """The theme in the settings."""
    name = settings.value(SETTING, "system")
    return name if name in THEMES else "system"


def apply_theme(app: QApplication, theme: Theme) -> bool:
    """Paint the whole application in a theme; whether it is dark."""
    dark = is_dark(theme, app)
    if app.style().objectName() != "fusion":
        app.setStyle("Fusion")  # the same on every system, and it follows the palette
    app.setPalette(palette(dark))
    app.setStyleSheet(style_sheet(dark))
    return dark
