"""The error dialog is as high as what it says, whatever it said before."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QPushButton

from app.window.error_dialog import LOWEST, TALLEST, WIDEST, WIDTH, ErrorDialog
from tests.app.window.conftest import wait_for

LONG = " ".join(f"photo_{number:03d}.png cannot be read;" for number in range(20))
LONGER = " ".join(f"picture_{number:03d}.png is cut short;" for number in range(40))


@pytest.fixture
def dialog(qtbot):
    made = ErrorDialog()
    qtbot.addWidget(made)
    return made


def reads_well(dialog: ErrorDialog) -> bool:
    """Whether the whole sentence is on the dialog, or can be scrolled to where it is longer than the dialog may be."""
    needed = dialog.sentence.heightForWidth(dialog.sentence.width())
    room = dialog.area.viewport().height()
    inside = dialog.rect().contains(dialog.area.geometry())
    return inside and dialog.sentence.height() >= needed and room >= min(needed, TALLEST)


@pytest.mark.parametrize("sentences", [["Short.", LONG], [LONG, "Short.", LONG], ["Short.", LONGER]])
def test_every_error_is_shown_whole(dialog, qtbot, sentences):
    for sentence in sentences:
        dialog.tell(sentence, "")
        wait_for(qtbot, lambda: reads_well(dialog))
        dialog.close()


def test_a_short_error_is_low_again_after_a_long_one(dialog, qtbot):
    dialog.tell(LONG, "")
    dialog.close()
    dialog.tell("Short.", "")
    wait_for(qtbot, lambda: reads_well(dialog) and dialog.area.height() == LOWEST)


def test_errors_that_come_together_can_be_scrolled(dialog, qtbot, shoot):
    dialog.tell(LONG, "where it was")
    dialog.tell(LONGER, "")
    wait_for(qtbot, lambda: reads_well(dialog) and dialog.area.verticalScrollBar().maximum() > 0)
    assert dialog.area.height() == TALLEST
    shoot(dialog, "error_dialog_long")
    dialog.findChild(QPushButton, "error_more").click()
    wait_for(qtbot, lambda: reads_well(dialog) and dialog.details.isVisible())


def test_a_long_path_makes_the_dialog_wider(dialog, qtbot):
    name, metrics = "x", dialog.sentence.fontMetrics()
    while metrics.horizontalAdvance(name) < (WIDTH + WIDEST) / 2:
        name += "x"
    dialog.tell(f"/{name}: there is no such folder", "")
    wait_for(qtbot, lambda: reads_well(dialog))
    assert WIDTH < dialog.area.width() <= WIDEST and dialog.area.horizontalScrollBar().maximum() == 0
