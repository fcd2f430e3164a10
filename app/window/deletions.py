"""The Edit menu's entries that delete the splats which the box in the view selects."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QMenu

from app.window.actions import action

if TYPE_CHECKING:
    from app.window.studio import Studio

KEYS = {"inside": "Ctrl+Del", "outside": "Ctrl+Shift+Del"}


def fill_deletions(menu: QMenu, studio: Studio) -> None:
    """Add them to `menu`; they are enabled while the box is shown."""
    menu.addSeparator()
    made = []
    for where, keys in KEYS.items():
        tip = f"Take out the splats {where} the selection box, which the view's button Show shows"
        call = partial(studio.delete_splats, where == "inside")
        made.append(action(menu, f"edit_delete_{where}", f"Delete splats {where} the box", tip, call, keys))
        menu.addAction(made[-1])

    def enable(*_: object) -> None:
        for entry in made:
            entry.setEnabled(studio.selection is not None and studio.edits_splats)

    for signal in (studio.selection_changed, studio.snapshot_changed, studio.session_changed):
        signal.connect(enable)
    enable()
