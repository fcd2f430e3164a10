"""The lines that a drawer may put into the picture itself, so that the surface hides them where it is nearer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtGui import QColor

from app.window.viewport.overlay import ALPHA, EXCLUDED, GRID, HIDDEN_ALPHA, Frusta, grid_segments, score_color
from engine.optimize.preview_lines import SceneLines

if TYPE_CHECKING:
    from app.window.viewport.view_model import ViewModel


def lines_of(model: ViewModel) -> SceneLines | None:
    """The ground grid and the cameras, as far as they are switched on; None through a photo."""
    if model.frame is not None:
        return None
    parts: list[tuple] = []  # begin, end, colour and what is left of it behind the surface per line
    if model.grid:
        begin, end, _ = grid_segments(model.box if model.box is not None else model.looked_at, model.control.up)
        parts.append((begin, end, np.tile(GRID.getRgbF(), (len(begin), 1)), np.zeros(len(begin))))
    if model.frusta_shown and len(model.frusta.centres):
        begin, end = model.frusta.segments()
        colors = np.array([_frustum_color(model, frame) for frame in range(len(model.frusta.centres))])
        left = np.full(len(begin), HIDDEN_ALPHA / ALPHA)
        parts.append((begin, end, np.repeat(colors, len(Frusta.EDGES), 0), left))
    if not parts:
        return None
    begin, end, color, hidden = (np.concatenate(column) for column in zip(*parts, strict=True))
    return SceneLines(begin, end, color, model.ratio, hidden)


def _frustum_color(model: ViewModel, frame: int) -> tuple[float, float, float, float]:
    color = QColor(EXCLUDED if frame in model.studio.excluded else score_color(model.studio.scores.get(frame)))
    color.setAlpha(ALPHA)
    return color.getRgbF()
