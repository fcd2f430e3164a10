"""A project whose photos are not where it has them: the error leads to where they are now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.window.error_dialog import ErrorDialog
    from app.window.files import Files
    from app.window.studio import Studio

TIP = "Choose the folder that the photos are in now; the project then remembers it"


def offer_photos(studio: Studio, files: Files, errors: ErrorDialog) -> None:
    """Have the dialog of such an error ask for the photos' folder, and open the project with it."""

    def offer(project: Path) -> None:
        errors.offer("Where are they now\u2026", TIP, lambda: files.find_photos(project))

    studio.photos_missing.connect(offer)
