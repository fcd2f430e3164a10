"""The picture itself: paints the newest one with what lies over it, and turns mouse and keys into moves."""

from __future__ import annotations

import time

from PySide6.QtCore import QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.window.viewport import overlay
from app.window.viewport.compare import BLINK_SECONDS, ERROR_MAPS
from app.window.viewport.legend import paint_caption, paint_error_bar, paint_hint
from app.window.viewport.view_model import ViewModel

BACKGROUND = QColor(46, 47, 50)
CLICK_PIXELS = 4  # a press that moves less is a click
DIVIDER_PIXELS = 8
FOG_STEPS = 200  # before which new splats are large, faint and, where no points are known, grey
FLY_MS = 16
TURN_MS = 33
AXIS_KEYS = {  # none with Ctrl, which is the window's, nor with Shift, which makes other keys of digits
    Qt.Key.Key_1: "front",
    Qt.Key.Key_2: "back",
    Qt.Key.Key_3: "right",
    Qt.Key.Key_4: "left",
    Qt.Key.Key_7: "top",
    Qt.Key.Key_8: "bottom",
}
FLY_KEYS = {
    Qt.Key.Key_W: (0, 0, 1),
    Qt.Key.Key_S: (0, 0, -1),
    Qt.Key.Key_A: (-1, 0, 0),
    Qt.Key.Key_D: (1, 0, 0),
    Qt.Key.Key_E: (0, 1, 0),
    Qt.Key.Key_Q: (0, -1, 0),
}


class Canvas(QWidget):
    """Paints `model`; never waits for a picture."""

    pointed = Signal(float, float)  # the cursor's place, -1 where it left

    def __init__(self, model: ViewModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("view_canvas")
        self.setAccessibleName("View of the scene")
        self.setToolTip("")
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(160, 120)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.model = model
        self.divider = 0.5  # of the picture's width, in a wipe
        self.region: overlay.RegionBox | None = None
        self._selects = False  # whether it selects splats
        self._pressed: QPointF | None = None
        self._last = QPointF()
        self._dragging = ""  # "", "orbit", "pan", "divider" or "region"
        self._hovered: int | None = None
        self._keys: set[int] = set()
        self._ticked = 0.0
        self._fly_timer = QTimer(self, interval=FLY_MS)
        self._fly_timer.timeout.connect(self._fly)
        self._turn_timer = QTimer(self, interval=TURN_MS)
        self._turn_timer.timeout.connect(self._turn)
        self._blink_timer = QTimer(self, interval=int(1000 * BLINK_SECONDS))
        self._blink_timer.timeout.connect(self._blink)
        self._blinked = False
        model.changed.connect(self._changed)
        model.pictured.connect(self.update)
        model.studio.scores_changed.connect(lambda _: self.update())
        model.studio.excluded_changed.connect(lambda _: self.update())
        model.studio.region_changed.connect(lambda _: self._take_box())
        model.studio.selection_changed.connect(lambda _: self._take_box())
        model.studio.mark_changed.connect(lambda _: self.update())
        model.studio.picking_changed.connect(lambda _: self._hover(self._last))

    # ---- what the model says

    def _changed(self) -> None:
        for timer, wanted in (
            (self._turn_timer, self.model.turning),
            (self._blink_timer, self.model.comparing == "blink"),
        ):
            if wanted != timer.isActive():
                self._ticked = time.perf_counter()
                timer.start() if wanted else timer.stop()
        model = self.model
        if model.region_shown and (self.region is None or self._selects != model.selecting):
            self._take_box()
        selects = model.selecting and model.region_shown
        if selects != (model.studio.selection is not None):
            model.studio.set_selection(self.region.box if selects else None)
        self.update()

    def _take_box(self) -> None:
        """Show the selection of splats, or the region that limits the reconstruction."""
        model, studio = self.model, self.model.studio
        box = studio.selection if model.selecting else studio.region
        if box is None and self.region is not None and self._selects and model.selecting:
            box = self.region.box  # hidden for a while
        if box is None:
            box = model.box if model.box is not None else model.looked_at
        self._selects = model.selecting
        self.region = overlay.RegionBox(box.astype(float).copy())
        self.update()

    def _blink(self) -> None:
        self._blinked = not self._blinked
        self.update()

    def _turn(self) -> None:
        now = time.perf_counter()
        self.model.turn(min(now - self._ticked, 0.2))
        self._ticked = now

    def _fly(self) -> None:
        now = time.perf_counter()
        move = [sum(FLY_KEYS[key][axis] for key in self._keys) for axis in range(3)]
        if any(move):
            self.model.fly(*move, min(now - self._ticked, 0.2))
        self._ticked = now

    # ---- painting

    def resizeEvent(self, _event) -> None:
        self.model.resize(self.width(), self.height(), self.devicePixelRatioF())

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        try:
            self._paint_all(painter)
        finally:
            painter.end()  # here and now: whoever looks at this thread's frames may keep the painter alive

    def _paint_all(self, painter: QPainter) -> None:
        model, drawn = self.model, self.model.drawn
        painter.fillRect(self.rect(), BACKGROUND)
        if model.studio.capture is None and model.studio.snapshot is None:
            paint_hint(
                painter, QRectF(self.rect()), "Nothing is open", "Open a folder of photos, or drop one here to begin."
            )
            return
        camera = model.shown_camera()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if model.grid and model.frame is None and not model.has_lines:
            overlay.paint_grid(
                painter, camera, model.box if model.box is not None else model.looked_at, model.control.up
            )
        areas = model.areas()
        if drawn is not None:
            self._paint_pictures(painter, areas)
        if model.frame is None:
            if model.frusta_shown:
                studio = model.studio
                marks = studio.scores, studio.excluded, self._hovered
                model.frusta.paint(painter, camera, *marks, model.hidden, only_hovered=model.has_lines)
            if model.region_shown and self.region is not None:
                self.region.paint(painter, camera, model.selecting or model.studio.region is not None)
            overlay.paint_gizmo(painter, camera, 46, self.height() - 46)
        if model.studio.mark is not None:
            overlay.paint_mark(painter, camera, model.studio.mark)
        self._paint_words(painter, areas)

    def _paint_pictures(self, painter: QPainter, areas: list[QRectF]) -> None:
        drawn, compare = self.model.drawn, self.model.comparing
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        area = areas[0]
        if drawn.picture is None:
            self._paint(painter, area, drawn.photo)
        elif compare == "side" and len(areas) > 1:
            self._paint(painter, area, drawn.picture)
            self._paint(painter, areas[1], drawn.photo)
        elif compare == "wipe" and drawn.photo is not None:
            at = area.x() + self.divider * area.width()
            for picture, left, right in ((drawn.photo, area.left(), at), (drawn.picture, at, area.right())):
                painter.save()
                painter.setClipRect(QRectF(left, area.y(), right - left, area.height()))
                self._paint(painter, area, picture)
                painter.restore()
            painter.setPen(QPen(QColor(255, 255, 255, 220), 1.5))
            painter.drawLine(QPointF(at, area.top()), QPointF(at, area.bottom()))
            painter.setBrush(QColor(255, 255, 255, 230))
            painter.drawEllipse(QPointF(at, area.center().y()), 5, 5)
            painter.setBrush(Qt.BrushStyle.NoBrush)
        elif compare == "blink" and self._blinked and drawn.photo is not None:
            self._paint(painter, area, drawn.photo)
        elif compare in ERROR_MAPS and drawn.error is not None and drawn.request.compare == compare:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
            self._paint(painter, area, drawn.error)
        else:
            self._paint(painter, area, drawn.picture)

    @staticmethod
    def _paint(painter: QPainter, area: QRectF, picture: QImage | None) -> None:
        if picture is not None:
            painter.drawImage(area, picture, QRectF(picture.rect()))

    def _paint_words(self, painter: QPainter, areas: list[QRectF]) -> None:
        model, drawn = self.model, self.model.drawn
        if drawn is not None and drawn.problem:
            paint_hint(painter, QRectF(self.rect()), "This cannot be shown", drawn.problem)
            return
        where = QRectF(0, self.height() - 90, self.width(), 60)
        if model.studio.snapshot is not None and (drawn is None or drawn.request.snapshot is None):  # kernels compile
            paint_hint(
                painter, where, "", "Preparing the view\u2026 The first time this takes longer."
            )  # kernels compile
            return
        if model.frame is None:
            text = self._hint()
            if text:
                paint_hint(painter, where, "", text)
            return
        area, compare = areas[0], model.comparing
        if compare == "side" and len(areas) > 1:
            paint_caption(painter, area, "Render")
            paint_caption(painter, areas[1], "Photo")
        elif compare == "wipe":
            paint_caption(painter, area, "Photo")
            paint_caption(painter, area, "Render", right=True)
        elif compare == "blink":
            paint_caption(painter, area, "Photo" if self._blinked else "Render")
        elif compare in ERROR_MAPS:
            ready = drawn is not None and drawn.error is not None and drawn.request.compare == compare
            if ready:
                paint_error_bar(painter, area, compare)
            else:
                paint_caption(painter, area, "Measuring the error…")
        elif drawn is not None and drawn.picture is None:
            paint_caption(painter, area, "Photo")

    def _hint(self) -> str:
        """What one should know of a free view on what there is."""
        studio, snapshot = self.model.studio, self.model.studio.snapshot
        waiting = studio.state in ("running", "opening")
        if snapshot is None:
            return "The first shape will appear here soon." if waiting else "Press Run to see the shape emerge."
        if snapshot.shows_splats and snapshot.total_step < FOG_STEPS and (waiting or studio.state == "paused"):
            return "Splats begin as a fog: shape and colour emerge within the first few hundred steps."
        return ""

    # ---- mouse and keys

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        self._pressed = self._last = event.position()
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if event.button() != Qt.MouseButton.LeftButton or shift:
            self._dragging = "pan"
        elif self._on_divider(event.position()):
            self._dragging = "divider"
        elif self._face_at(event.position()) is not None:
            self._dragging = "region"
            self.region.dragged = self._face_at(event.position())
        else:
            self._dragging = "orbit"

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        place = event.position()
        self.pointed.emit(place.x(), place.y())
        moved = place - self._last
        if not self._dragging:
            self._hover(place)
            return
        started = self._pressed is None or (place - self._pressed).manhattanLength() >= CLICK_PIXELS
        if not started and self._dragging in ("orbit", "pan"):
            return
        self._pressed, self._last = None, place
        if self._dragging == "orbit":
            self.model.orbit(moved.x(), moved.y())
        elif self._dragging == "pan":
            self.model.pan(moved.x(), moved.y())
        elif self._dragging == "divider":
            area = self.model.areas()[0]
            self.divider = min(max((place.x() - area.x()) / area.width(), 0.0), 1.0)
            self.update()
        elif self._dragging == "region":
            self.region.drag(self.model.shown_camera(), place.x(), place.y())
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        dragging, self._dragging = self._dragging, ""
        if dragging == "region" and self.region is not None:
            self.region.dragged = None
            if self._pressed is None:
                keep = self.model.studio.set_selection if self.model.selecting else self.model.studio.set_region
                keep(self.region.box.copy())
            self.update()
        elif dragging == "orbit" and self._pressed is not None and self.model.studio.picking:
            picked = self.model.picked(event.position().x(), event.position().y())
            if picked is not None:
                self.model.studio.picked.emit(picked)
        elif dragging == "orbit" and self._pressed is not None:
            frame = self._frame_at(event.position())
            if frame is not None:
                self.model.studio.look_through(frame)
        self._pressed = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.model.look_at_pixel(event.position().x(), event.position().y())

    def leaveEvent(self, _event) -> None:
        self.pointed.emit(-1.0, -1.0)
        if self._hovered is not None:
            self._hovered = None
            self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        notches = event.angleDelta().y() / 120
        if notches:
            self.model.zoom(notches, event.position().x(), event.position().y())
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, control = event.key(), bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if key in FLY_KEYS and not control:
            if not event.isAutoRepeat():
                self._keys.add(key)
                if not self._fly_timer.isActive():
                    self._ticked = time.perf_counter()
                    self._fly_timer.start()
        elif key in AXIS_KEYS and not control:
            self.model.axis_view(AXIS_KEYS[key])
        elif key == Qt.Key.Key_F and not control:
            self.model.frame_object()
        elif key == Qt.Key.Key_T and not control:
            self.model.set_shown("turning", not self.model.turning)
        elif key in (Qt.Key.Key_BracketLeft, Qt.Key.Key_BracketRight):
            self.model.next_photo(1 if key == Qt.Key.Key_BracketRight else -1)
        elif key == Qt.Key.Key_Escape and self.model.frame is not None:
            self.model.free()
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if not event.isAutoRepeat():
            self._release(event.key())
        super().keyReleaseEvent(event)

    def focusOutEvent(self, event) -> None:
        self._keys.clear()
        self._fly_timer.stop()
        super().focusOutEvent(event)

    def _release(self, key: int) -> None:
        self._keys.discard(key)
        if not self._keys:
            self._fly_timer.stop()

    # ---- what is under the cursor

    def _hover(self, place: QPointF) -> None:
        picking = self.model.studio.picking
        frame = None if picking else self._frame_at(place)
        if frame != self._hovered:
            self._hovered = frame
            self.setToolTip("" if frame is None else f"Look through {self.model.studio.capture.frames[frame].name}")
            self.update()
        shape = Qt.CursorShape.CrossCursor if picking else Qt.CursorShape.ArrowCursor
        if self._on_divider(place):
            shape = Qt.CursorShape.SplitHCursor
        elif frame is not None or self._face_at(place) is not None:
            shape = Qt.CursorShape.PointingHandCursor
        self.setCursor(shape)

    def _frame_at(self, place: QPointF) -> int | None:
        if not self.model.frusta_shown or self.model.frame is not None or self.model.studio.capture is None:
            return None
        return self.model.frusta.at(self.model.shown_camera(), place.x(), place.y())

    def _face_at(self, place: QPointF) -> tuple[int, int] | None:
        if not self.model.region_shown or self.region is None or self.model.frame is not None:
            return None
        return self.region.at(self.model.shown_camera(), place.x(), place.y())

    def _on_divider(self, place: QPointF) -> bool:
        if self.model.comparing != "wipe":
            return False
        area = self.model.areas()[0]
        return abs(place.x() - area.x() - self.divider * area.width()) < DIVIDER_PIXELS
