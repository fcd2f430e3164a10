"""The light: the map that is being optimized, shown and turned, or another one to look at the scene under."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSlider,
    QVBoxLayout,
    QWidget,
)

import assets
from app.window import light_maps
from app.window.actions import button
from app.window.choosers import LIGHTS, Chooser, Question, ask_path
from app.window.light_picture import LightPictureView
from engine.errors import ExchangeError
from engine.scene import Environment

if TYPE_CHECKING:
    from app.window.studio import Studio

PERIOD_MS = 1000  # between two pictures of a light that is being optimized
QUICK_MS = 40  # between two pictures while a slider moves
STOPS = 6.0
OWN = "The run's light"
BELOW_MAP = 200  # pixels that everything but the map takes


class LightPanel(QWidget):
    """What is chosen here changes how the scene is shown, never what is optimized."""

    def __init__(self, studio: Studio, parent: QWidget | None = None, chooser: Chooser = ask_path) -> None:
        super().__init__(parent)
        self.setObjectName("light_panel")
        self._studio, self._ask = studio, chooser
        self._chosen: Environment | None = None  # None: the light being optimized
        self._path: Path | None = None
        self._made: Environment | None = None  # what was given to the studio last
        self._working = self._dirty = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._work)
        self._build()
        studio.snapshot_changed.connect(self._snapshot_changed)
        studio.capture_changed.connect(lambda _capture: self._reset_choice())
        studio.relight_changed.connect(self._relight_changed)
        self._refresh()

    # ---- what it looks like

    def _build(self) -> None:
        self.picture = LightPictureView()
        self.picture.turned.connect(lambda degrees: self.turn.setValue(round(degrees) % 360))
        self.source = QComboBox()
        self.source.setObjectName("light_source")
        self.source.setAccessibleName("Light")
        self.source.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.source.setMinimumContentsLength(8)
        self.source.setToolTip("The light to look at the scene under; training goes on with its own")
        self.source.addItem(OWN, None)
        for name in assets.environments():
            self.source.addItem(name.replace("_", " ").capitalize(), assets.environment(name))
        self.source.activated.connect(lambda _index: self._choose(self.source.currentData()))
        self.open = button(
            "light_open", "Open HDR …", "Look at the scene under the light of an .hdr file", self._ask_open
        )
        self.turn, self.turn_text = self._slider(
            "light_turn", "Turn of the light", 0, 359, "Turn the light about the up axis"
        )
        self.exposure, self.exposure_text = self._slider(
            "light_exposure",
            "Exposure of the light",
            int(-10 * STOPS),
            int(10 * STOPS),
            "Brighten the light for looking, in photographic stops",
        )
        self.back = button(
            "light_back", "Back to the run's light", "Show the light being optimized, as it is", self._reset_choice
        )
        self.save = button("light_save", "Save as HDR …", "Write the light as shown to an .hdr file", self._ask_save)
        self.facts = QLabel()
        self.facts.setObjectName("light_facts")
        self.facts.setWordWrap(True)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Light", _row(self.source, self.open))
        form.addRow("Turn", _row(self.turn, self.turn_text))
        form.addRow("Exposure", _row(self.exposure, self.exposure_text))
        content = QWidget()
        column = QVBoxLayout(content)
        column.addWidget(self.picture)
        column.addWidget(self.facts)
        column.addLayout(form)
        column.addLayout(_row(self.back, self.save))
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(content)
        scroll.setAccessibleName("Light, scrolled")
        scroll.setWidgetResizable(True)
        scroll.setSizeAdjustPolicy(QScrollArea.SizeAdjustPolicy.AdjustToContents)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)

    def _slider(self, name: str, title: str, low: int, high: int, tip: str) -> tuple[QSlider, QLabel]:
        slider, text = QSlider(Qt.Orientation.Horizontal), QLabel()
        slider.setObjectName(name)
        slider.setAccessibleName(title)
        slider.setRange(low, high)
        slider.setToolTip(tip)
        slider.setMinimumWidth(60)
        slider.valueChanged.connect(lambda _value: self._moved())
        text.setMinimumWidth(text.fontMetrics().horizontalAdvance("+6.0 stops"))
        text.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return slider, text

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Where there is little room, the map is small and leaves it to what can be chosen."""
        super().resizeEvent(event)
        self.picture.setMaximumHeight(max(self.picture.minimumHeight(), self.height() - BELOW_MAP))

    # ---- choosing

    @property
    def _own(self) -> Environment | None:
        return None if self._studio.snapshot is None else self._studio.snapshot.environment

    @property
    def _shown(self) -> Environment | None:
        """The light that is looked at, neither turned nor brightened."""
        return self._own if self._chosen is None else self._chosen

    @property
    def _up(self) -> Any:
        capture = self._studio.capture
        return np.array([0.0, 0.0, 1.0]) if capture is None else capture.up

    def _choose(self, path: Path | None) -> None:
        self._path = path
        if path is None:
            self._chosen = None
            self._moved()
            return
        up = self._up

        def took(environment: Environment) -> None:
            if self._path == path:
                self._chosen = environment
                self._moved()

        def failed(error: BaseException) -> None:
            if self.source.currentData() == path:
                self.source.removeItem(self.source.currentIndex())
            self._reset_choice()
            self._studio.say(error)

        self._studio.background("Reading the light", lambda _handle: light_maps.read_light(path, up), took, failed)

    def _ask_open(self) -> None:
        self._ask(self, Question("Open a light", "file", LIGHTS), self.open_file)

    def open_file(self, path: Path) -> None:
        """Look at the scene under the light of an .hdr file."""
        index = self.source.findData(path)
        if index < 0:
            self.source.addItem(path.name, path)
            index = self.source.count() - 1
        self.source.setCurrentIndex(index)
        self._choose(path)

    def _reset_choice(self) -> None:
        """Back to the light being optimized, as it is."""
        for widget, value in ((self.turn, 0), (self.exposure, 0)):
            with QSignalBlocker(widget):
                widget.setValue(value)
        self.source.setCurrentIndex(0)
        self._choose(None)

    def _ask_save(self) -> None:
        self._ask(self, Question("Save the light", "save", LIGHTS), self.save_file)

    def save_file(self, path: Path) -> None:
        """Write the light as shown, turned and brightened, upright as exports have it."""
        environment, up = self._shown, self._up
        degrees, stops = float(self.turn.value()), self.exposure.value() / 10
        path = path if path.suffix.lower() == ".hdr" else path.with_name(path.name + ".hdr")
        if environment is None:
            return

        def work(_handle: Any) -> Path:
            from engine.exchange.hdr import write_environment

            if not path.parent.is_dir():
                raise ExchangeError(f"{path}: there is no folder {path.parent}; choose one that exists")
            write_environment(path, light_maps.turned(environment, up, degrees, stops), up)
            return path

        self._studio.background("Saving the light", work, lambda done: self._studio.notice(f"wrote {done}"))

    # ---- showing

    def _moved(self) -> None:
        """A slider or the choice has changed."""
        self.picture.set_degrees(self.turn.value())
        self._refresh()
        self._soon(QUICK_MS)

    def _refresh(self) -> None:
        stops = self.exposure.value() / 10
        self.turn_text.setText(f"{self.turn.value()}°")
        self.exposure_text.setText(f"{stops:+.1f} stops")
        there = self._shown is not None
        as_it_is = self._chosen is None and self._path is None and not self.turn.value() and not stops
        self.back.setEnabled(not as_it_is)
        for widget in (self.turn, self.exposure, self.save):
            widget.setEnabled(there)
        if not there:
            self.picture.show_map(None)
            self.picture.text = "No light yet: it appears with the first step that needs one"
            self.facts.setText("")

    def _snapshot_changed(self, _snapshot: Any) -> None:
        if self._chosen is None:
            self._refresh()
            self._soon(PERIOD_MS)

    def showEvent(self, event: Any) -> None:
        """Catch up with what changed while nobody looked."""
        super().showEvent(event)
        self._soon(0)

    def _soon(self, milliseconds: int) -> None:
        if not self._later.isActive() or self._later.remainingTime() > milliseconds:
            self._later.start(milliseconds)

    def _work(self) -> None:
        """Make picture and relight in the background, one at a time."""
        environment, up = self._shown, self._up
        degrees, stops = float(self.turn.value()), self.exposure.value() / 10
        relit = self._chosen is not None or degrees != 0 or stops != 0
        if environment is None:
            self._give(None)
            return
        if not self.isVisible() and not relit:
            self._give(None)
            return
        if self._working:
            self._dirty = True
            return
        self._working, self._dirty = True, False

        def work(_handle: Any) -> tuple[Any, Environment | None]:
            shown = None
            if relit:
                shown = light_maps.turned(light_maps.for_viewing(environment), up, degrees, stops)
            return light_maps.light_picture(environment, stops), shown

        def done(result: tuple[Any, Environment | None]) -> None:
            self._working = False
            if self._shown is None:
                return
            picture, shown = result
            self.picture.show_map(picture.rgb)
            rows, columns = picture.size
            self.facts.setText(f"{columns} × {rows} pixels, mean {picture.mean:.3g}, brightest {picture.brightest:.3g}")
            if self._dirty:
                self._soon(QUICK_MS)
            else:
                self._give(shown)

        def failed(error: BaseException) -> None:
            self._working = False
            self._studio.say(error)

        self._studio.background("", work, done, failed)

    def _give(self, environment: Environment | None) -> None:
        if environment is not None or self._made is not None:
            self._made = environment
            self._studio.set_relight(environment)

    def _relight_changed(self, environment: Environment | None) -> None:
        """Somebody else, such as the console, has changed it."""
        if environment is not self._made and environment is None:
            self._made = None
            self._reset_choice()


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    for index, widget in enumerate(widgets):
        row.addWidget(widget, 1 if index == 0 else 0)
    return row
