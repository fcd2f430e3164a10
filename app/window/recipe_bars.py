"""The buttons above the options: presets by goal with recipe files, and locks that hold a part of the scene still."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPainter, QPalette, QPen, QPixmap
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.window.painted import StayingButton
from app.window.presets import PRESETS
from engine.optimize.options import flat
from engine.optimize.recipe import recipe_names

MOVES_CAMERAS = {"shape", "refine", "splats"}  # stages
LOCKS = {  # button -> options that are off while it is locked, as far as the recipe has their stages
    "geometry": tuple(f"{stage}.geometry" for stage in ("shape", "refine", "blackbox", "subdivision", "splats")),
    "material": (
        *(f"{stage}.material" for stage in ("shape", "refine", "blackbox", "subdivision")),
        "splats.color",
    ),
    "light": ("shape.light", "refine.light"),
    "cameras": ("optimize.cameras",),
}
HELD = {
    "geometry": "the shape",
    "material": "colours, roughness and metallic",
    "light": "the environment light",
    "cameras": "the training photos' cameras",
}


def locked_keys(part: str, recipe: object) -> list[str]:
    """The options that a lock switches, in this recipe."""
    stages = set(recipe.stages)
    if stages & MOVES_CAMERAS:
        stages.add("optimize")
    return [key for key in LOCKS[part] if key.partition(".")[0] in stages]


def padlock(color: QColor, closed: bool, scale: float = 1.0) -> QPixmap:
    """A padlock of 12x14 logical pixels."""
    picture = QPixmap(round(12 * scale), round(14 * scale))
    picture.setDevicePixelRatio(scale)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(color, 1.4))
    left = 3.0 if closed else 6.0
    painter.drawArc(QRectF(left, 1.2, 5.5, 7.0), 0, 180 * 16)
    painter.drawLine(QPointF(left, 4.6), QPointF(left, 6.5))
    if closed:
        painter.drawLine(QPointF(left + 5.5, 4.6), QPointF(left + 5.5, 6.5))
        painter.setBrush(color)
    painter.drawRoundedRect(QRectF(1.2, 6.5, 9.0, 6.3), 1.2, 1.2)
    painter.end()
    return picture


class PresetBar(QWidget):
    """Three goals to choose from, a sentence about the chosen one, and a menu for recipe files."""

    chosen = Signal(str)
    bundled_wanted = Signal(str)
    load_wanted = Signal()
    save_wanted = Signal()
    reset_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.buttons: dict[str, QToolButton] = {}
        self.group = QButtonGroup(self)
        row = QHBoxLayout()
        row.setSpacing(4)
        for preset in PRESETS:
            button = StayingButton()
            button.setObjectName(f"preset_{preset.name}")
            button.setText(preset.title)
            button.setCheckable(True)
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda _=False, name=preset.name: self.chosen.emit(name))
            self.group.addButton(button)
            self.buttons[preset.name] = button
            row.addWidget(button)
        self.more = QToolButton()
        self.more.setObjectName("recipe_menu")
        self.more.setText("More")
        self.more.setToolTip("Recipe files, the recipes that come with Unrender, and back to the start")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setMenu(self._menu())
        row.addWidget(self.more)
        self.sentence = QLabel()
        self.sentence.setObjectName("preset_sentence")
        self.sentence.setWordWrap(True)
        self.sentence.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.sentence)

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        menu.setObjectName("recipe_menu_items")
        for name in recipe_names():
            action = menu.addAction(f"Use recipe “{name}”", lambda name=name: self.bundled_wanted.emit(name))
            action.setObjectName(f"recipe_{name}")
        menu.addSeparator()
        menu.addAction("Load recipe…", self.load_wanted.emit).setObjectName("recipe_load")
        menu.addAction("Save recipe as…", self.save_wanted.emit).setObjectName("recipe_save")
        menu.addSeparator()
        menu.addAction("Reset every option", self.reset_wanted.emit).setObjectName("recipe_reset")
        return menu

    def show_preset(self, name: str, exact: bool, recipe: str) -> None:
        """Mark the chosen preset of the recipe of that name; `exact` is False where options were changed since."""
        self.group.setExclusive(False)
        for other, button in self.buttons.items():
            button.setChecked(exact and other == name)
        self.group.setExclusive(True)
        for preset in PRESETS:
            self.buttons[preset.name].setToolTip(preset.described(recipe))
            if preset.name == name:
                self.sentence.setText(preset.described(recipe) if exact else f"{preset.title}, with changes of yours.")


class LockBar(QWidget):
    """Toggle buttons that hold geometry, material, light or cameras still."""

    locked = Signal(str, bool)  # part, whether it is held still from now on

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.buttons: dict[str, QToolButton] = {}
        for part in LOCKS:
            button = StayingButton()
            button.setObjectName(f"lock_{part}")
            button.setText(part.capitalize())
            button.setCheckable(True)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setIconSize(QSize(12, 14))
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.toggled.connect(lambda held, part=part: self.locked.emit(part, held))
            self.buttons[part] = button
            layout.addWidget(button)

    def changeEvent(self, event) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "buttons"):
            self._draw_icons()

    def _draw_icons(self) -> None:
        for button in self.buttons.values():
            group = QPalette.ColorGroup.Active if button.isEnabled() else QPalette.ColorGroup.Disabled
            held = button.isChecked() and button.isEnabled()
            role = QPalette.ColorRole.HighlightedText if held else QPalette.ColorRole.ButtonText
            color = self.palette().color(group, role)
            button.setIcon(QIcon(padlock(color, button.isChecked(), self.devicePixelRatioF())))

    def show_locks(self, recipe: object, may_change) -> None:
        """Press the buttons of what the recipe holds still; `may_change(key)` tells (allowed, why not)."""
        values = flat(recipe)
        for part, button in self.buttons.items():
            keys = locked_keys(part, recipe)
            with QSignalBlocker(button):
                button.setChecked(bool(keys) and not any(values[key] for key in keys))
            refusals = [why for allowed, why in map(may_change, keys) if not allowed]
            button.setEnabled(bool(keys) and len(refusals) < len(keys))
            if button.isEnabled():
                verb = "Let go of" if button.isChecked() else "Hold still"
                button.setToolTip(f"{verb} {HELD[part]} from the next step on ({', '.join(keys)})")
            else:
                button.setToolTip(refusals[0] if refusals else f"This recipe has no stage that changes {HELD[part]}.")
        self._draw_icons()
