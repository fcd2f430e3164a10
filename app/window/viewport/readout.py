"""The line under the picture: what the pixel under the cursor is, in numbers."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from app.window.studio_edits import OLD_STEPS
from app.window.viewport.compare import ERROR_MAPS
from app.window.viewport.view_model import ViewModel

SIDE = 6  # pixels left and right
GAP = "   "  # between two facts
LONGEST = (
    "Photo pixel 0000, 0000   Render 000 000 000   Photo: not the object   Error 0.000   Depth 0.0000   "
    "Base colour 0.00 0.00 0.00   Roughness 0.00   Metallic 0.00"
)


def folded(text: str, width: float, metrics: QFontMetrics) -> str:
    """Facts in as many lines as they need at a width, none cut in two."""
    lines: list[str] = []
    for fact in text.split(GAP):
        longer = f"{lines[-1]}{GAP}{fact}" if lines else fact
        if lines and metrics.horizontalAdvance(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(fact)
    return "\n".join(lines)


def numbers(values) -> str:
    """Three numbers as text."""
    return " ".join(f"{value:.2f}" for value in values)


def described(model: ViewModel, x: float, y: float) -> str:
    """What is under the cursor: render, photo, error, depth and material, as far as they are there."""
    drawn = model.drawn
    column, row = model.pixel(x, y)
    if drawn is None or column < 0:
        return ""
    parts = []
    if model.photo_camera is not None:
        left, top, width, height = model.window.rectangle(model.photo_camera)
        camera = drawn.camera
        place = int(left + (column + 0.5) / camera.width * width), int(top + (row + 0.5) / camera.height * height)
        parts.append(f"Photo pixel {place[0]}, {place[1]}")
    if drawn.image is not None:
        values = drawn.image.at(column, row)
        if values.depth is not None:
            parts.append("Render {} {} {}".format(*values.color))
    if drawn.photo_rgba is not None and row < drawn.photo_rgba.shape[0] and column < drawn.photo_rgba.shape[1]:
        red, green, blue, alpha = (int(value) for value in drawn.photo_rgba[row, column])
        parts.append(f"Photo {red} {green} {blue}" if alpha else "Photo: not the object")
    if drawn.error_values is not None:
        height, width = drawn.error_values.shape
        error = drawn.error_values[min(row, height - 1), min(column, width - 1)]
        parts.append(f"Error {error:.3f}")
    if drawn.image is not None and values.depth is not None:
        parts.append(f"Depth {values.depth:.4g}")
        if values.base_color is not None:
            parts.append(f"Base colour {numbers(values.base_color)}")
            parts.append(f"Roughness {values.roughness:.2f}")
            parts.append(f"Metallic {values.metallic:.2f}")
    return GAP.join(parts)


class Readout(QLabel):
    """Follows the cursor; without it says how well the photo is met and how fast the view is."""

    def __init__(self, model: ViewModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("view_readout")
        self.setToolTip("The pixel under the cursor: colours are sRGB from 0 to 255, materials from 0 to 1")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setContentsMargins(SIDE, 2, SIDE, 2)
        self.model = model
        self._place = (-1.0, -1.0)
        model.pictured.connect(self.refresh)
        model.changed.connect(self.refresh)
        model.studio.scores_changed.connect(lambda _: self.refresh())
        model.studio.selection_changed.connect(lambda _: self.refresh())
        self.refresh()

    def point(self, x: float, y: float) -> None:
        """The cursor is there now."""
        self._place = x, y
        self.refresh()

    def refresh(self) -> None:
        """Say it again."""
        text = described(self.model, *self._place) or self._summary() or " "
        self.setText(folded(text, self._room(), self.fontMetrics()))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """As high as the most there is to say, always: the picture must not move with the cursor."""
        super().resizeEvent(event)
        if event.oldSize().width() != event.size().width():
            lines = folded(LONGEST, self._room(), self.fontMetrics()).count("\n") + 1
            self.setFixedHeight(lines * self.fontMetrics().lineSpacing() + 4)
            self.refresh()

    def _room(self) -> int:
        return self.width() - 2 * SIDE

    def _summary(self) -> str:
        model, drawn = self.model, self.model.drawn
        if drawn is None:
            return ""
        parts = []
        if model.frame is not None:
            frame = model.studio.capture.frames[model.frame]
            parts.append(f"{frame.name} ({'kept for testing' if frame.split == 'test' else 'trained on'})")
            score = model.studio.scores.get(model.frame)
            if score is not None:
                age = model.studio.score_age(model.frame)
                parts.append(f"PSNR {score:.1f} dB" + (f", {age} steps ago" if age > OLD_STEPS else ""))
            if drawn.error_values is not None and model.comparing in ERROR_MAPS:
                parts.append(f"Mean error {float(drawn.error_values.mean()):.4f}")
        snapshot = model.studio.snapshot
        if snapshot is not None and snapshot.mesh is not None:
            parts.append(f"{len(snapshot.mesh.triangles):,} triangles")
        elif snapshot is not None and snapshot.shows_splats:
            parts.append(f"{len(snapshot.gaussians):,} splats, {snapshot.gaussians.megabytes:.3g} MB")
            if model.studio.selection is not None:
                parts.append(f"{int(snapshot.gaussians.in_box(model.studio.selection).sum()):,} in the box")
        return GAP.join(parts)
