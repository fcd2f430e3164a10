"""The window's look: a dark and a light palette over the style Fusion, chosen in the settings or by the system."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QSettings, Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QToolTip

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


def chosen_theme(settings: QSettings) -> Theme:
    """The theme in the settings."""
    name = settings.value(SETTING, "system")
    return name if name in THEMES else "system"


def apply_theme(app: QApplication, theme: Theme) -> bool:
    """Paint the whole application in a theme; whether it is dark.

    By the palette alone, which takes milliseconds: with a style sheet on the application every widget would be styled
    anew, which holds the window still for half a second and more, and one on a widget does not follow the palette.
    What the palette cannot say is painted by the widgets of `app.window.painted`.
    """
    dark = is_dark(theme, app)
    if app.style().objectName() != "fusion":
        app.setStyle("Fusion")  # the same on every system, and it follows the palette
    colors = palette(dark)
    app.setPalette(colors)
    QToolTip.setPalette(colors)
    return dark
