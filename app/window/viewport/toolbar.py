"""The row of choices above the picture: display, photo, comparison, exposure, and menus of views and what is shown."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QMenu, QToolButton, QWidget

from app.window.viewport.camera_control import AXIS_VIEWS
from app.window.viewport.compare import COMPARES
from app.window.viewport.flow_layout import FlowLayout
from app.window.viewport.view_model import ViewModel
from engine.optimize.displays import displays_of, shown_display

DISPLAY_NAMES = {
    "shaded": "Shaded",
    "base_color": "Base colour",
    "roughness": "Roughness",
    "metallic": "Metallic",
    "normal": "Normals",
    "depth": "Depth",
    "wireframe": "Wireframe",
    "light": "Light only",
    "triangle_id": "Triangles",
    "quality": "Mesh quality",
    "opacity": "Opacity",
    "outlines": "Outlines",
    "density": "Density score",
}
DISPLAY_TIPS = {
    "shaded": "The surface with its materials under the light",
    "base_color": "The surface's own colour, without light",
    "roughness": "Black is mirror-smooth, white is matt",
    "metallic": "White is metal",
    "normal": "Which way the surface faces: red, green and blue are X, Y and Z",
    "depth": "Yellow is near, violet is far",
    "wireframe": "The triangles' edges over the shaded surface",
    "light": "White clay under the light",
    "triangle_id": "Every triangle in a colour of its own",
    "quality": "Green triangles are well shaped, red ones thin; yellow edges are open, pink ones join three faces",
    "opacity": "White is opaque, black is empty",
    "outlines": "Every splat as the ellipse that it is, in its own colour",
    "density": "How much each splat asks to be split or cloned: violet is little, yellow is much",
}
SPLAT_TIPS = {
    "shaded": "The splats as they are trained",
    "base_color": "The splats' colours without what depends on the direction (degree 0)",
    "normal": "Which way the splats' shortest axes point: red, green and blue are X, Y and Z",
}
COMPARE_TIPS = {
    "none": "Only the render",
    "side": "Render and photo beside each other",
    "wipe": "Photo left, render right of a line that you can drag",
    "blink": "Photo and render in turn",
    "difference": "How far the colours are apart",
    "flip": "What a person would notice when flipping between the two (FLIP)",
}
AXIS_TIPS = {"front": "1", "back": "2", "right": "3", "left": "4", "top": "7", "bottom": "8"}  # as the canvas has them

SHOWN = {  # what the model can show: name, text, tip
    "frusta_shown": ("view_frusta", "Cameras", "Where the photos were taken, coloured by how well they are met"),
    "grid": ("view_grid", "Ground grid", "A grid on the ground, which is level with the photos' up"),
    "region_shown": ("view_region", "Region", "The box that limits the reconstruction; drag its handles"),
    "background": ("view_background", "Light behind the object", "The light itself as a backdrop"),
}
SELECTION = (
    "view_region",
    "Selection box",
    "The box that selects splats to delete (menu Edit); drag its handles",
)
PHOTO_LETTERS = 8  # of the combo; its list is as wide as it needs


class ViewToolbar(QWidget):
    """Shows and sets what the model holds."""

    picture_wanted = Signal()
    film_wanted = Signal()

    def __init__(self, model: ViewModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("view_toolbar")
        self.model = model
        self._displays: tuple = ()
        self._row = FlowLayout(self)
        self.display = self._combo(
            "view_display", "Display", "What is shown of the surface", DISPLAY_NAMES, DISPLAY_TIPS
        )
        self.display.activated.connect(lambda _: model.set_display(self.display.currentData()))
        self.previous = self._button("view_previous_photo", "◀", "Look through the previous photo  [")
        self.previous.setAccessibleName("Previous photo")
        self.previous.clicked.connect(lambda: model.next_photo(-1))
        self.photo = self._combo("view_photo", "Photo", "Look freely, or through a photo's camera  Esc", {}, {})
        self.photo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.photo.setMinimumContentsLength(PHOTO_LETTERS)
        self.photo.activated.connect(self._photo_chosen)
        self.next = self._button("view_next_photo", "▶", "Look through the next photo  ]")
        self.next.setAccessibleName("Next photo")
        self.next.clicked.connect(lambda: model.next_photo(1))
        self.compare = self._combo(
            "view_compare", "Comparison", "Hold the render against a photo", COMPARES, COMPARE_TIPS
        )
        self.compare.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.compare.activated.connect(lambda _: model.set_compare(self.compare.currentData()))
        self.exposure = QDoubleSpinBox(self)
        self.exposure.setObjectName("view_exposure")
        self.exposure.setAccessibleName("Exposure of the view")
        self.exposure.setToolTip("Exposure in stops, for looking only: nothing that is learned changes")
        self.exposure.setRange(-8, 8)
        self.exposure.setSingleStep(0.5)
        self.exposure.setDecimals(1)
        self.exposure.setPrefix("\u2600 ")  # a sun
        self.exposure.setKeyboardTracking(False)
        self.exposure.valueChanged.connect(model.set_exposure)
        self._row.addWidget(self.exposure)
        self.views = self._menu_button("view_axis_views", "Views", "Look along an axis, or turn around the object")
        self.shown = self._menu_button("view_shown", "Show", "What is drawn beside the object")
        self.turning = self._fill_views(self.views.menu())
        self.switches = {what: self._switch(self.shown.menu(), what, *SHOWN[what]) for what in SHOWN}
        self.save = self._menu_button("view_save", "Save", "Save what the view shows, as a picture or a film")
        self._fill_save(self.save.menu())
        model.changed.connect(self.refresh)
        model.studio.snapshot_changed.connect(lambda _: self.refresh())
        model.studio.capture_changed.connect(lambda _: self._list_photos())
        self._list_photos()

    def _combo(self, name: str, title: str, tip: str, entries: dict, tips: dict) -> QComboBox:
        combo = QComboBox(self)
        combo.setObjectName(name)
        combo.setAccessibleName(title)
        combo.setToolTip(tip)
        combo.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        for key, text in entries.items():
            combo.addItem(text, key)
            combo.setItemData(combo.count() - 1, tips[key], Qt.ItemDataRole.ToolTipRole)
        self._row.addWidget(combo)
        return combo

    def _button(self, name: str, text: str, tip: str) -> QToolButton:
        button = QToolButton(self)
        button.setObjectName(name)
        button.setText(text)
        button.setToolTip(tip)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._row.addWidget(button)
        return button

    def _menu_button(self, name: str, text: str, tip: str) -> QToolButton:
        button = self._button(name, text, tip)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(button)
        menu.setObjectName(f"{name}_menu")
        menu.setToolTipsVisible(True)
        button.setMenu(menu)
        return button

    def _switch(self, menu: QMenu, what: str, name: str, text: str, tip: str) -> QAction:
        action = menu.addAction(text)
        action.setObjectName(name)
        action.setToolTip(tip)
        action.setCheckable(True)
        action.triggered.connect(lambda checked: self.model.set_shown(what, checked))
        return action

    def _fill_views(self, menu: QMenu) -> QAction:
        whole = menu.addAction("Whole object\tF", self.model.frame_object)
        whole.setObjectName("view_frame")
        whole.setToolTip("Have all of it in view")
        menu.addSeparator()
        for view in AXIS_VIEWS:
            action = menu.addAction(f"{view.capitalize()}\t{AXIS_TIPS[view]}")
            action.setObjectName(f"view_axis_{view}")
            action.triggered.connect(lambda _=False, view=view: self.model.axis_view(view))
        menu.addSeparator()
        return self._switch(menu, "turning", "view_turntable", "Turntable\tT", "Turn around the object until stopped")

    def _fill_save(self, menu: QMenu) -> None:
        for name, text, signal in (
            ("view_save_picture", "Picture of the view\u2026", self.picture_wanted),
            ("view_save_film", "Turntable film\u2026", self.film_wanted),
        ):
            action = menu.addAction(text)
            action.setObjectName(name)
            action.triggered.connect(lambda _=False, signal=signal: signal.emit())

    def _list_photos(self) -> None:
        self.photo.clear()
        self.photo.addItem("Free camera", None)
        capture = self.model.studio.capture
        if capture is not None:
            for index, frame in enumerate(capture.frames):
                self.photo.addItem(frame.name, index)
        _widen_list(self.photo)
        self.refresh()

    def _photo_chosen(self, index: int) -> None:
        frame = self.photo.itemData(index)
        if frame is None:
            self.model.free()
        else:
            self.model.studio.look_through(frame)

    def refresh(self) -> None:
        """Show what the model holds."""
        model = self.model
        has_photos = model.studio.capture is not None
        self._grey_displays()
        self.display.setCurrentIndex(self.display.findData(model.display))
        self.compare.setCurrentIndex(self.compare.findData(model.compare))
        self.photo.setCurrentIndex(0 if model.frame is None else model.frame + 1)
        for widget in (self.photo, self.previous, self.next, self.compare):
            widget.setEnabled(has_photos)
        self.views.setEnabled(has_photos or model.studio.snapshot is not None)
        self.switches["frusta_shown"].setEnabled(has_photos)
        self.switches["region_shown"].setEnabled(has_photos or model.selecting)
        _, text, tip = SELECTION if model.selecting else SHOWN["region_shown"]
        self.switches["region_shown"].setText(text)
        self.switches["region_shown"].setToolTip(tip)
        splats = model.studio.snapshot is not None and model.studio.snapshot.shows_splats
        self.switches["background"].setEnabled(not splats)
        self.switches["background"].setToolTip(
            "Splats have no light of their own" if splats else SHOWN["background"][2]
        )
        self.save.setEnabled(has_photos or model.studio.snapshot is not None)
        self.save.menu().actions()[1].setEnabled(model.studio.snapshot is not None)
        for what, action in self.switches.items():
            action.setChecked(getattr(model, what))
        self.turning.setChecked(model.turning)

    def _grey_displays(self) -> None:
        """Leave only the displays that make sense of what is to be seen."""
        snapshot = self.model.studio.snapshot
        known, splats = displays_of(snapshot), snapshot is not None and snapshot.shows_splats
        if known == self._displays:
            return
        self._displays = known
        for row in range(self.display.count()):
            name, item = self.display.itemData(row), self.display.model().item(row)
            item.setEnabled(name in known)
            tip = (SPLAT_TIPS if splats else {}).get(name, DISPLAY_TIPS[name])
            instead = DISPLAY_NAMES[shown_display(name, known)]
            what = "Splats have no such thing" if splats else "Only splats have this"
            item.setToolTip(tip if name in known else f"{what}; {instead} is shown instead")


def _widen_list(combo: QComboBox) -> None:
    """Let the list that drops down be wider than the combo, as its longest entry."""
    combo.view().setMinimumWidth(combo.view().sizeHintForColumn(0) + 24)
