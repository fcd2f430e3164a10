"""An axis of a plot: plain numbers that keep apart from one another, whatever room there is."""

from __future__ import annotations

import math

import pyqtgraph as pg
from PySide6.QtGui import QFont, QFontMetricsF

APART = 1.6  # of the width of the widest number: how far the numbers of a lower axis are from middle to middle
FILLED = [(0, 0.5), (6, 0.35)]  # most of the axis that numbers between the large ones may fill, once there are so many

BEYOND = 8  # pixels that a number may reach beyond a lower axis: beside it is the room of another's left axis


class NumberAxis(pg.AxisItem):
    """On a logarithmic scale only 1, 2 and 5 of each power of ten are named."""

    def __init__(self, orientation: str) -> None:
        super().__init__(orientation)
        self.enableAutoSIPrefix(False)
        font = QFont()
        font.setPointSizeF(8)
        self._metrics = QFontMetricsF(font)
        self.setStyle(tickFont=font, textFillLimits=FILLED)
        if orientation == "bottom":
            self.setStyle(hideOverlappingLabels=BEYOND)

    def tickSpacing(self, minVal: float, maxVal: float, size: float) -> list[tuple[float, float]]:
        """pyqtgraph's, whose largest numbers are always drawn, with larger ones where these would run together."""
        levels = super().tickSpacing(minVal, maxVal, size)
        if self.orientation != "bottom" or not levels or maxVal <= minVal or size <= 0:
            return levels
        needed = APART * max(self._metrics.horizontalAdvance(f"{value:.0f}") for value in (minVal, maxVal))
        largest = roomy(levels[0][0], needed * (maxVal - minVal) / size)
        return levels if largest == levels[0][0] else [(largest, 0), *levels]

    def logTickStrings(self, values, scale, spacing) -> list[str]:
        """One text per tick, empty for those between."""
        return [_plain(value) for value in values]


def roomy(spacing: float, least: float) -> float:
    """The first of 1, 2 and 5 times powers of ten, from `spacing` on, that is not below `least`."""
    while spacing < least:
        leading = round(spacing / 10.0 ** math.floor(math.log10(spacing) + 1e-9))
        spacing *= 2.5 if leading == 2 else 2
    return spacing


def _plain(logarithm: float) -> str:
    if abs(logarithm) > 30:  # between two scales the range can be anything
        return ""
    value = 10.0**logarithm
    digit = round(value / 10.0 ** math.floor(logarithm + 1e-9))
    return f"{value:.6g}" if digit in (1, 2, 5) else ""
