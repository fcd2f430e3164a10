"""The gradient lens: pick a vertex, a texel or where the light comes from, and see which pixels of a photo move it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from app.window.actions import button
from app.window.lens_choices import ALONG, KINDS, Place, facing_photo, place_of, shading_remark, texture_side
from app.window.lens_pictures import CosineBars, LensMaps, LightTexels
from app.window.light_maps import light_picture
from app.window.loading import load_engine
from app.window.painted import ForwardButton, ProgressBar, StayingButton
from engine.errors import Cancelled

if TYPE_CHECKING:
    from app.window.background import ProgressHandle
    from app.window.studio import Studio
    from app.window.studio_signals import Picked
    from engine.optimize.snapshot import SceneSnapshot

SAMPLES, MOST_SAMPLES = 128, 4096
IMAGE_SIZE = 256  # pixels, longest side
ARROW = 34  # pixels, of a choice beside its words
LOOKING, COMPARING = "Gradient lens", "Comparing gradients"


class LensPanel(QWidget):
    """Works on the newest snapshot when asked, on a worker thread; the run goes on meanwhile."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("lens_panel")
        self._studio = studio
        self.place: Place | None = None
        self._work: ProgressHandle | None = None
        self._shown_light: Any = None
        self._build()
        studio.snapshot_changed.connect(lambda _snapshot: self._refresh())
        studio.capture_changed.connect(lambda _capture: self._list_photos())
        studio.state_changed.connect(lambda _state: self._refresh())
        studio.view_frame_changed.connect(self._follow_view)
        studio.picking_changed.connect(self.pick.setChecked)
        studio.picked.connect(self._picked)
        studio.busy_changed.connect(self._busy)
        self._list_photos()

    # ---- what it looks like

    def _build(self) -> None:
        self.kind = self._combo(
            "lens_kind", "Put the lens on", "What the lens is put on", [(text, key) for key, (text, _) in KINDS.items()]
        )
        for number, (_text, tip) in enumerate(KINDS.values()):
            self.kind.setItemData(number, tip, Qt.ItemDataRole.ToolTipRole)
        self.along = self._combo("lens_along", "Direction", "Which way it is moved", ALONG["vertex"])
        self.photo = self._combo("lens_photo", "Photo", "The photo whose pixels are looked at", [])
        self.samples = QSpinBox()
        self.samples.setObjectName("lens_samples")
        self.samples.setAccessibleName("Random pairs of renders")
        self.samples.setToolTip("Random pairs of renders that the stochastic map is the mean of; more is less noisy")
        self.samples.setRange(8, MOST_SAMPLES)
        self.samples.setSingleStep(64)
        self.samples.setSuffix(" samples")
        self.samples.setValue(SAMPLES)
        self.pick = StayingButton()
        self.pick.setObjectName("lens_pick")
        self.pick.setText("Pick in the view")
        self.pick.setToolTip("Then click the surface in the view")
        self.pick.setCheckable(True)
        self.pick.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.pick.toggled.connect(self._studio.set_picking)
        self.light = LightTexels()
        self.light.chosen.connect(lambda _x, _y: self._chosen())
        self.chosen = QLabel()
        self.chosen.setObjectName("lens_chosen")
        self.chosen.setToolTip("What the lens is on")
        self.chosen.setWordWrap(True)
        self.look = ForwardButton("Look")
        self.look.setObjectName("lens_look")
        self.look.setToolTip("Compute the three maps from the scene as it is now")
        self.look.clicked.connect(lambda _checked=False: self.start())
        tip = "Report how well the three engines agree on this photo, on every kind of parameter; takes a minute or two"
        self.compare = button("lens_compare", "Compare engines", tip, self.start_comparing)
        self.progress = ProgressBar()
        self.progress.setObjectName("lens_progress")
        self.progress.setToolTip("How far the work is")
        self.cancel = button("lens_cancel", "Cancel", "End this work", self._cancel)
        self.maps, self.cosines = LensMaps(), CosineBars()
        self.facts = QLabel()
        self.facts.setObjectName("lens_facts")
        self.facts.setToolTip(
            "Cosines of the analytic and the stochastic map with the judge, pixel by pixel, and the time that all took"
        )
        self.facts.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.waiting = QLabel()
        self.waiting.setObjectName("lens_waiting")
        self.waiting.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.waiting.setWordWrap(True)
        self._lay_out()
        self.kind.activated.connect(lambda _index: self._kind_changed())
        self.along.activated.connect(lambda _index: self._chosen())
        self.photo.activated.connect(lambda _index: self._chosen())

    def _combo(self, name: str, title: str, tip: str, entries: Any) -> QComboBox:
        combo = QComboBox()
        combo.setObjectName(name)
        combo.setAccessibleName(title)
        combo.setToolTip(tip)
        combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        combo.setMinimumContentsLength(6)
        for text, data in entries:
            combo.addItem(text, data)
        return combo

    def _lay_out(self) -> None:
        column = QVBoxLayout()
        column.addLayout(_row(self.kind, self.along))
        column.addLayout(_row(self.photo, self.samples))
        for part in (self.pick, self.light, self.chosen):
            column.addWidget(part)
        column.addStretch(1)
        column.addLayout(_row(self.look, self.compare))
        column.addLayout(_row(self.progress, self.cancel))
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        controls = QWidget()
        controls.setLayout(column)
        words = [text for choices in ALONG.values() for text, _ in choices]
        widest = max(self.along.fontMetrics().horizontalAdvance(text) for text in words)
        controls.setFixedWidth(max(250, 2 * (widest + ARROW)))
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(4, 4, 4, 2)
        column.setSpacing(2)
        column.addWidget(self.maps, 1)
        column.addWidget(self.facts)
        self.tabs = QTabWidget()
        self.tabs.setObjectName("lens_tabs")
        self.tabs.setToolTip("One parameter's pixels, or how well the engines agree on all parameters")
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setAccessibleName("Parts of the gradient lens")
        self.tabs.addTab(page, "Pixels")
        self.tabs.addTab(self.cosines, "Agreement")
        content = QWidget()
        row = QHBoxLayout(content)
        row.setContentsMargins(6, 4, 6, 4)
        row.addWidget(controls)
        row.addWidget(self.tabs, 1)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.waiting)
        self.pages.addWidget(content)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.pages)

    # ---- what can be chosen

    @property
    def _snapshot(self) -> SceneSnapshot | None:
        """The newest, where it has a surface."""
        snapshot = self._studio.snapshot
        return snapshot if snapshot is not None and snapshot.mesh is not None and len(snapshot.mesh.triangles) else None

    def _list_photos(self) -> None:
        self.photo.clear()
        capture = self._studio.capture
        if capture is not None:
            for index, frame in enumerate(capture.frames):
                self.photo.addItem(frame.name, index)
            if capture.train:
                self.photo.setCurrentIndex(self.photo.findData(capture.train[0]))
        self.place = self.light.texel = None
        self._studio.set_mark(None)
        self.maps.show_lens(None)
        self.cosines.show_report([])
        self.facts.setText("")
        self._refresh()

    def _follow_view(self, frame: int | None) -> None:
        if frame is not None:
            self.photo.setCurrentIndex(self.photo.findData(frame))

    def _kind_changed(self) -> None:
        self.along.clear()
        for text, data in ALONG[self.kind.currentData()]:
            self.along.addItem(text, data)
        self._refresh()
        self._chosen()

    def _refresh(self) -> None:
        snapshot, kind = self._snapshot, self.kind.currentData()
        there = snapshot is not None and self._studio.capture is not None
        self.pages.setCurrentIndex(1 if there else 0)
        if not there:
            self.waiting.setText(self._when())
            self.maps.show_lens(None)
            if self._studio.picking:
                self._studio.set_picking(False)
            return
        side = texture_side(snapshot)
        if self.place is not None and (self.place.vertices, self.place.side) != (len(snapshot.mesh.vertices), side):
            self.place = None
            self._studio.set_mark(None)
        for number, key in enumerate(KINDS):
            self.kind.model().item(number).setEnabled(key in ("vertex", "light") or side > 0)
        self.pick.setVisible(kind != "light")
        self.light.setVisible(kind == "light")
        self.along.setEnabled(self.along.count() > 1)
        if kind == "light":
            self._show_light(snapshot)
        self.chosen.setText(self._words(kind, side, snapshot) + shading_remark(self._studio.recipe))
        working = self._work is not None
        self.look.setEnabled(self._choice() is not None and not working)
        self.compare.setEnabled(not working)
        self.progress.setVisible(working)
        self.cancel.setVisible(working)
        if self.maps.lens is None:
            self.maps.text = "Computing …" if working else "The pixels that move what you pick appear here."
            self.maps.update()

    def _when(self) -> str:
        if self._studio.capture is None:
            return "Open images first; the lens then shows which pixels move which part of the scene."
        if self._studio.state == "ready":
            return "No surface yet. Press Run: the lens works as soon as there is a mesh."
        return "No surface yet: the lens works as soon as a stage has made a mesh."

    def _words(self, kind: str, side: int, snapshot: SceneSnapshot) -> str:
        if kind == "light":
            if snapshot.environment is None:
                return "This scene has no light of its own yet; wait for a stage that learns it."
            texel = self.light.texel
            return "Click the map to choose." if texel is None else f"Texel {texel[0]}, {texel[1]} of the light"
        if kind != "vertex" and not side:
            return "This scene has no textures yet; choose a vertex or the light."
        if self.place is None:
            return "Nothing picked yet."
        if kind == "vertex":
            return f"Vertex {self.place.vertex}"
        return f"Texel {self.place.texel[0]}, {self.place.texel[1]} of {side} × {side}"

    def _show_light(self, snapshot: SceneSnapshot) -> None:
        if snapshot.environment is not None and snapshot.environment is not self._shown_light:
            self._shown_light = snapshot.environment
            picture = light_picture(snapshot.environment, 0.0)
            rows = min(picture.size[0], 64)  # the lens averages larger maps down, as all shading does
            self.light.show_map(picture.rgb, (rows, 2 * rows) if picture.size[0] > rows else picture.size)

    def _picked(self, picked: Picked) -> None:
        self.place = place_of(picked)
        self._studio.set_mark(picked.snapshot.mesh.vertices[self.place.vertex])
        photo = facing_photo(picked, self._studio.capture, self.photo.currentData())
        self.photo.setCurrentIndex(self.photo.findData(photo))
        if self.kind.currentData() == "light":
            self.kind.setCurrentIndex(0)
            self._kind_changed()
        else:
            self._chosen()

    def _choice(self) -> Callable[[Any], Any] | None:
        """Makes the chosen parameter of the engine's module, on a worker; None where nothing is chosen."""
        kind, along = self.kind.currentData(), self.along.currentData()
        if kind == "light":
            texel = self.light.texel
            there = self._snapshot is not None and self._snapshot.environment is not None
            return (lambda engine: engine.LightParameter(*texel, along)) if texel is not None and there else None
        place = self.place
        if place is None or (kind != "vertex" and place.texel is None):
            return None
        if kind == "vertex":
            return lambda engine: engine.VertexParameter(place.vertex, along)
        return lambda engine: engine.TexelParameter(kind, *place.texel, along)

    def hideEvent(self, event: Any) -> None:
        """Clicks in the view mean what they did before when the lens is not looked at."""
        super().hideEvent(event)
        self._studio.set_picking(False)

    # ---- work

    def _chosen(self) -> None:
        """Another parameter or photo: begin anew with it."""
        self._refresh()
        if self._choice() is not None:
            if self._work is not None:
                self._work.cancel()
                self._work = None
            self.start()

    def start(self) -> None:
        """Compute the three maps."""
        choice, snapshot, capture = self._choice(), self._snapshot, self._studio.capture
        if choice is None or snapshot is None or capture is None:
            return
        frame, samples = self.photo.currentData(), self.samples.value()

        def work(handle: ProgressHandle) -> Any:
            options = {"samples": samples, "image_size": IMAGE_SIZE, "progress": handle.report}
            with _engine() as engine:
                return engine.gradient_lens(snapshot, capture, frame, choice(engine), **options)

        self._begin(LOOKING, work, self._show)

    def start_comparing(self) -> None:
        """Report how well the engines agree."""
        snapshot, capture, frame = self._snapshot, self._studio.capture, self.photo.currentData()
        if snapshot is None or capture is None:
            return

        def work(handle: ProgressHandle) -> Any:
            with _engine() as engine:
                options = {"image_size": IMAGE_SIZE, "progress": handle.report}
                return engine.compare_engines(snapshot, capture, frame, **options)

        def show(report: Any) -> None:
            self.cosines.show_report(report)
            self.tabs.setCurrentIndex(1)

        self._begin(COMPARING, work, show)

    def _begin(self, label: str, work: Callable, show: Callable[[Any], None]) -> None:
        def ended(result: Any = None, error: BaseException | None = None) -> None:
            if self._work is not handle:
                return  # another has begun meanwhile
            self._work = None
            self._refresh()
            if error is not None:
                if not isinstance(error, Cancelled):
                    self._studio.say(error)
            else:
                show(result)

        self.progress.setRange(0, 0)
        handle = self._studio.background(label, work, ended, lambda error: ended(error=error))
        self._work = handle
        self._refresh()

    def _cancel(self) -> None:
        if self._work is not None:
            self._work.cancel()
            self._work = None
        self._refresh()

    def _busy(self, _label: str, _done: float) -> None:
        if self._work is not None and self._work.done >= 0:
            self.progress.setRange(0, 100)
            self.progress.setValue(round(100 * self._work.done))

    def _show(self, lens: Any) -> None:
        self.maps.show_lens(lens)
        self.tabs.setCurrentIndex(0)
        seen = any(values.any() for values in lens.maps.values())
        pairs = [lens.cosine(*pair) for pair in CosineBars.PAIRS]
        words = "Cosine {1:.3f} and {2:.3f} with differences, {0:.3f} with each other; {3:.1f} s".format(
            *pairs, sum(lens.seconds.values())
        )
        words = words if seen else "This photo does not see it: no pixel moves it."
        self.facts.setText(words)


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, 1)
    return row


@contextmanager
def _engine() -> Iterator[Any]:
    """The lens's module, on a worker; kernels leave the other cores to the steps: windows of a photo are small."""
    load_engine()
    import numba

    from engine.optimize import gradient_lens

    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield gradient_lens
    finally:
        numba.set_num_threads(threads)
