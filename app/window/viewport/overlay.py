"""What is painted over the picture: camera frusta, ground grid, axes, the region's box; geometry with little Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QLineF, QPointF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen

from engine.scene import Camera
from engine.scene.conventions import gltf_from_capture

AXES = (("X", QColor(226, 84, 84)), ("Y", QColor(120, 190, 70)), ("Z", QColor(82, 140, 240)))
UNKNOWN = QColor(170, 175, 185)
EXCLUDED = QColor(110, 110, 110)
CHOSEN = QColor(255, 255, 255)
REGION = QColor(255, 190, 60)
GRID = QColor(255, 255, 255, 34)
GRID_LINES = 10
SCORE_LOW, SCORE_HIGH = 18.0, 34.0  # dB at red and at green
HIT_PIXELS = 9.0
ALPHA, HIDDEN_ALPHA = 190, 45  # of a camera's pyramid before and behind the surface
HANDLE_PIXELS = 6.0
MARK_PIXELS = 6.0


def score_color(score: float | None) -> QColor:
    """Red for a photo that is met badly, through yellow, to green."""
    if score is None or not np.isfinite(score):
        return UNKNOWN
    share = float(np.clip((score - SCORE_LOW) / (SCORE_HIGH - SCORE_LOW), 0, 1))
    return QColor.fromHsvF(0.33 * share, 0.75, 0.92)


def visible_segments(camera: Camera, begin: np.ndarray, end: np.ndarray, near: float) -> tuple[np.ndarray, np.ndarray]:
    """([N,4] pixels x0 y0 x1 y1, [N] whether any is in front) of world segments, cut at the near plane."""
    matrix = camera.camera_from_world
    a, b = (points @ matrix[:3, :3].T + matrix[:3, 3] for points in (begin, end))
    shown = (a[:, 2] > near) | (b[:, 2] > near)
    span = b[:, 2] - a[:, 2]
    share = (near - a[:, 2]) / np.where(np.abs(span) < 1e-12, 1e-12, span)
    cut = a + share[:, None] * (b - a)
    a = np.where((a[:, 2] <= near)[:, None], cut, a)
    b = np.where((b[:, 2] <= near)[:, None], cut, b)
    focal, centre = np.array(camera.focal), np.array(camera.centre)
    pixels = [p[:, :2] / np.maximum(p[:, 2:], near * 0.5) * focal + centre for p in (a, b)]
    return np.clip(np.concatenate(pixels, 1), -1e5, 1e5), shown


def _lines(painter: QPainter, pixels: np.ndarray) -> None:
    painter.drawLines([QLineF(*row) for row in pixels.tolist()])


class Frusta:
    """The photos' cameras as small pyramids."""

    EDGES = ((0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (2, 3), (3, 4), (4, 1))

    def __init__(self, cameras: Sequence[Camera]) -> None:
        self.centres = np.array([camera.position for camera in cameras]).reshape(-1, 3)
        self._size = self._scale()
        points = []
        for camera in cameras:
            half = np.array([camera.width, camera.height]) / 2 / np.array(camera.focal)
            corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
            local = np.vstack([[0, 0, 0], np.column_stack([corners, np.ones(4)]) * self._size])
            points.append(local @ camera.world_from_camera[:3, :3].T + camera.position)
        self._points = np.array(points).reshape(-1, 5, 3)

    def _scale(self) -> float:
        """A pyramid's height: less than the way to the next camera."""
        if len(self.centres) < 2:
            return 0.1
        sample = self.centres[:: max(1, len(self.centres) // 100)]
        apart = np.linalg.norm(sample[:, None] - self.centres[None], axis=-1)
        nearest = np.sort(apart, axis=1)[:, 1]
        extent = float(np.linalg.norm(np.ptp(self.centres, axis=0)))
        return float(np.clip(0.3 * np.median(nearest), 0.005 * extent, 0.04 * extent)) or 0.1

    def paint(
        self,
        painter: QPainter,
        camera: Camera,
        scores: dict[int, float],
        excluded: set[int],
        hovered: int | None,
        hidden: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda pixels, depth: np.zeros(len(depth), bool),
        only_hovered: bool = False,  # the others are in the picture already
    ) -> None:
        """Draw all of them, the one under the cursor brighter, those behind the surface (`hidden`) faint."""
        count = len(self._points)
        if not count:
            return
        behind = hidden(*camera.project(self.centres))
        begin, end = self.segments()
        pixels, shown = visible_segments(camera, begin, end, self._size * 0.05)
        inside = (np.minimum(pixels[:, :2], pixels[:, 2:]) < (camera.width, camera.height)).all(1)
        shown &= inside & (np.maximum(pixels[:, :2], pixels[:, 2:]) > 0).all(1)
        pixels, shown = pixels.reshape(count, -1, 4), shown.reshape(count, -1)
        for frame in np.flatnonzero(shown.any(1)).tolist():
            if only_hovered and frame != hovered:
                continue
            color = QColor(EXCLUDED if frame in excluded else score_color(scores.get(frame)))
            if frame == hovered:
                color = CHOSEN
            else:
                color.setAlpha(HIDDEN_ALPHA if behind[frame] else ALPHA)
            painter.setPen(QPen(color, 2.0 if frame == hovered else 1.0))
            _lines(painter, pixels[frame, shown[frame]])

    def segments(self) -> tuple[np.ndarray, np.ndarray]:
        """(begin, end), each [8 C,3] in the world: the edges of the C pyramids, one pyramid after the other."""
        begin, end = (self._points[:, [edge[k] for edge in self.EDGES]].reshape(-1, 3) for k in range(2))
        return begin, end

    def at(self, camera: Camera, x: float, y: float) -> int | None:
        """The frame whose pyramid is under the cursor, the nearest to the eye first."""
        if not len(self._points):
            return None
        middle = np.concatenate([self._points, self._points.mean(1, keepdims=True)], 1)
        pixels, depth = camera.project(middle.reshape(-1, 3))
        pixels, depth = pixels.reshape(-1, 6, 2), depth.reshape(-1, 6)
        near = np.hypot(*(pixels - (x, y)).transpose(2, 0, 1)) < HIT_PIXELS
        hit = np.flatnonzero((near & (depth > 0)).any(1))
        return int(hit[np.argmin(depth[hit, 0])]) if len(hit) else None


def grid_segments(box: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(begin [N,3], end [N,3], span of the box) of a ground grid under `box` [2,3], level in the capture's `up`."""
    world_from_gltf = gltf_from_capture(up).T
    corners = np.stack(np.meshgrid(*box.T, indexing="ij"), -1).reshape(-1, 3) @ world_from_gltf  # in glTF's axes
    low, high = corners.min(0), corners.max(0)
    span = max(high[0] - low[0], high[2] - low[2], 1e-9)
    step = 10 ** np.floor(np.log10(span / 2))
    step *= 5 if span / step > 10 else 2 if span / step > 4 else 1
    step /= 2
    middle = np.round((low + high) / 2 / step) * step
    offsets = np.arange(-GRID_LINES, GRID_LINES + 1) * step
    reach = GRID_LINES * step
    begin, end = [], []
    for offset in offsets:
        begin += [(middle[0] + offset, low[1], middle[2] - reach), (middle[0] - reach, low[1], middle[2] + offset)]
        end += [(middle[0] + offset, low[1], middle[2] + reach), (middle[0] + reach, low[1], middle[2] + offset)]
    begin, end = (np.array(part) @ world_from_gltf.T for part in (begin, end))
    return begin, end, float(span)


def paint_grid(painter: QPainter, camera: Camera, box: np.ndarray, up: np.ndarray) -> None:
    """The ground grid under `box`."""
    begin, end, span = grid_segments(box, up)
    pixels, shown = visible_segments(camera, begin, end, 0.01 * span)
    painter.setPen(QPen(GRID, 1.0))
    _lines(painter, pixels[shown])


def paint_mark(painter: QPainter, camera: Camera, point: np.ndarray) -> None:
    """A ring around a point [3] of the scene."""
    pixels, depth = camera.project(np.asarray(point, float)[None])
    if depth[0] > 0 and np.abs(pixels).max() < 1e5:
        for color, width in ((QColor(20, 20, 20, 170), 4.0), (REGION, 2.0)):
            painter.setPen(QPen(color, width))
            painter.drawEllipse(QPointF(*pixels[0]), MARK_PIXELS, MARK_PIXELS)


def paint_gizmo(painter: QPainter, camera: Camera, x: float, y: float, radius: float = 30.0) -> None:
    """The capture's axes at a corner of the picture, seen as the camera is turned."""
    local = camera.world_from_camera[:3, :3].T  # column k: axis k in the camera's frame
    font = QFont(painter.font())
    font.setPixelSize(11)
    font.setBold(True)
    painter.setFont(font)
    for k in np.argsort(-local[2]):  # far ones first
        name, color = AXES[k]
        color = QColor(color)
        color.setAlpha(255 if local[2, k] < 0.5 else 150)
        tip = QPointF(x + radius * local[0, k], y + radius * local[1, k])
        painter.setPen(QPen(color, 2.2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        painter.drawLine(QPointF(x, y), tip)
        beyond = QPointF(x + (radius + 9) * local[0, k] - 4, y + (radius + 9) * local[1, k] + 4)
        painter.drawText(beyond, name)


@dataclass
class RegionBox:
    """A box [2,3] with a handle on each face that can be dragged along its axis."""

    box: np.ndarray
    dragged: tuple[int, int] | None = None  # (0 low or 1 high, axis)

    FACES = tuple((side, axis) for axis in range(3) for side in range(2))

    def middle_of(self, side: int, axis: int) -> np.ndarray:
        """[3] the middle of a face."""
        point = self.box.mean(0)
        point[axis] = self.box[side, axis]
        return point

    def paint(self, painter: QPainter, camera: Camera, active: bool) -> None:
        """The edges, dashed while the box limits nothing yet, and the handles."""
        corners = np.array([[self.box[(i >> a) & 1, a] for a in range(3)] for i in range(8)])
        pairs = [(i, i | (1 << a)) for i in range(8) for a in range(3) if not i >> a & 1]
        extent = float(np.linalg.norm(self.box[1] - self.box[0]))
        begin, end = (corners[[pair[k] for pair in pairs]] for k in range(2))
        pixels, shown = visible_segments(camera, begin, end, 0.01 * extent)
        painter.setPen(QPen(REGION, 1.4, Qt.PenStyle.SolidLine if active else Qt.PenStyle.DashLine))
        _lines(painter, pixels[shown])
        painter.setPen(QPen(QColor(30, 30, 30), 1.0))
        for face in self.FACES:
            position, depth = camera.project(self.middle_of(*face)[None])
            if depth[0] > 0:
                painter.setBrush(CHOSEN if face == self.dragged else AXES[face[1]][1])
                painter.drawEllipse(QPointF(*position[0]), HANDLE_PIXELS, HANDLE_PIXELS)
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def at(self, camera: Camera, x: float, y: float) -> tuple[int, int] | None:
        """The face whose handle is under the cursor."""
        for face in self.FACES:
            position, depth = camera.project(self.middle_of(*face)[None])
            if depth[0] > 0 and np.hypot(*(position[0] - (x, y))) < HIT_PIXELS:
                return face
        return None

    def drag(self, camera: Camera, x: float, y: float) -> None:
        """Move the dragged face to where its axis passes the cursor's ray nearest; a box keeps some thickness."""
        side, axis = self.dragged
        ray = camera.world_from_camera[:3, :3] @ [
            (x - camera.centre[0]) / camera.focal[0],
            (y - camera.centre[1]) / camera.focal[1],
            1.0,
        ]
        ray /= np.linalg.norm(ray)
        point, along = self.middle_of(side, axis), np.eye(3)[axis]
        apart = point - camera.position
        cosine = float(ray @ along)
        if 1 - cosine * cosine < 1e-4:  # looking along the axis
            return
        moved = (cosine * float(ray @ apart) - float(along @ apart)) / (1 - cosine * cosine)
        value = point[axis] + moved
        least = 0.02 * float(np.linalg.norm(self.box[1] - self.box[0]))
        other = self.box[1 - side, axis]
        self.box[side, axis] = min(value, other - least) if side == 0 else max(value, other + least)
