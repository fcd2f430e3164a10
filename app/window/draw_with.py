"""What draws the view: the one definition of this choice, for the menu, the settings and the view."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QSettings

DrawWith = Literal["automatic", "webgpu", "processor"]
SETTING = "view/draw_with"
DRAW_WITH: dict[DrawWith, tuple[str, str]] = {
    "automatic": ("Automatic", "The graphics card where there is one, else the processor"),
    "webgpu": ("WebGPU", "The graphics card, or a driver that stands in for one"),
    "processor": ("Processor", "As where there is no graphics card"),
}


def chosen_draw_with(settings: QSettings) -> DrawWith:
    """The choice that was made last; automatic where none was, or one that is unknown."""
    chosen = settings.value(SETTING, "automatic")
    return chosen if chosen in DRAW_WITH else "automatic"
