"""Numbers on a plot's axis keep apart, and there are always some."""

from __future__ import annotations

import pyqtgraph as pg
import pytest
from PySide6.QtGui import QPainter, QPixmap

from app.window.number_axis import NumberAxis, roomy


def texts(axis: NumberAxis) -> list[tuple[float, float, str]]:
    """(left, right, number) of what is drawn, from the left."""
    pixmap = QPixmap(10, 10)
    with QPainter(pixmap) as painter:
        painter.setFont(axis.style["tickFont"])
        specs = axis.generateDrawSpecs(painter)[2]
    return sorted((rect.left(), rect.right(), text) for rect, _, text in specs)


@pytest.mark.parametrize("width", [150, 180, 260, 600])
@pytest.mark.parametrize("high", [7, 120, 1120, 1800, 2500, 98_000, 1_000_000])
def test_numbers_do_not_run_together(qtbot, width, high):
    view = pg.GraphicsLayoutWidget()
    qtbot.addWidget(view)
    view.resize(width, 130)
    plot = pg.PlotItem(axisItems={"left": NumberAxis("left"), "bottom": NumberAxis("bottom")})
    plot.getAxis("left").setWidth(52)
    view.addItem(plot)
    plot.setXRange(0, high, padding=0.02)
    view.show()
    view.grab()
    drawn = texts(plot.getAxis("bottom"))
    assert drawn, "no number at all"
    for (_, right, one), (left, _, other) in zip(drawn, drawn[1:], strict=False):
        assert left - right >= 6, (one, other)


def test_spacing_stays_a_plain_number():
    assert [roomy(1, least) for least in (0.3, 1, 1.5, 3, 7, 30)] == [1, 1, 2, 5, 10, 50]
    assert roomy(0.5, 0.9) == 1 and roomy(20, 21) == 50
