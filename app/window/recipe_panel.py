"""The recipe panel: stages with their progress, presets, locks, and every option grouped, searchable and in words."""

from __future__ import annotations

import inspect
import typing
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt, QTimer
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.window import presets
from app.window.option_names import place_of
from app.window.option_rows import OptionLine, OptionSection
from app.window.painted import CheckBox
from app.window.recipe_bars import LockBar, PresetBar, locked_keys
from app.window.recipe_choice import choose_recipe
from app.window.stage_list import StageList
from engine.errors import RecipeError
from engine.optimize.messages import Failed, StageChanged
from engine.optimize.options import OptionRow, describe, difference
from engine.optimize.recipe import load_recipe

if typing.TYPE_CHECKING:
    from app.window.studio import Studio

HIDDEN = ("schema_version",)  # the file's layout, nothing to choose
NAMED = 3  # options in one sentence
GENERAL = "recipe"  # the section of options that stand in none


def _kept(keys: list[str]) -> str:
    """The sentence about options that a run has used already."""
    named = ", ".join(place_of(key) for key in keys[:NAMED])
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    again = "To change them too, choose Run › New run first, then this again."
    return f"What this run has used stays as it is: {named}{more}. {again}"


class RecipePanel(QWidget):
    """Shows and edits `studio.recipe`."""

    def __init__(self, studio: Studio, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("recipe_panel")
        self.studio = studio
        self.preset = "balanced"
        self.sections: dict[str, OptionSection] = {}
        self.lines: dict[str, OptionLine] = {}
        self._pending: list[tuple[OptionSection, list[OptionRow]]] = []
        self._opened_by_search: set[str] = set()
        self.stage_list, self.preset_bar, self.lock_bar = StageList(), PresetBar(), LockBar()
        self.search, self.changed_only = QLineEdit(), CheckBox("Changed only")
        self.notice, self.empty = QLabel(), QLabel("No option fits. Clear the search to see them all.")
        self.scroll, self.content = QScrollArea(), QWidget()
        self._lay_out()
        self._connect()
        self._stale = QTimer(self, singleShot=True, interval=0)
        self._stale.timeout.connect(self._show_everything)
        self._builder = QTimer(self, interval=0)
        self._builder.timeout.connect(self._build_next)
        self._make_sections()
        self.refresh()

    def _lay_out(self) -> None:
        self.search.setObjectName("option_search")
        self.search.setAccessibleName("Search options")
        self.search.setPlaceholderText("Search options")
        self.search.setClearButtonEnabled(True)
        self.search.setToolTip("Show only options whose name or meaning holds these words")
        self.changed_only.setObjectName("changed_only")
        self.changed_only.setToolTip("Show only options that differ from the preset")
        self.notice.setObjectName("recipe_notice")
        self.notice.setWordWrap(True)
        self.notice.hide()
        self.empty.setWordWrap(True)
        self.empty.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.empty.hide()
        self.column = QVBoxLayout(self.content)
        self.column.setContentsMargins(0, 0, 4, 0)
        self.column.setSpacing(0)
        self.column.addWidget(self.stage_list)  # scrolls with the options, so that low panels have room for them
        self.column.addWidget(self.empty)
        self.column.addStretch(1)
        self.scroll.setObjectName("option_scroll")
        self.scroll.setAccessibleName("Options, scrolled")
        self.scroll.setWidget(self.content)
        self.scroll.setWidgetResizable(True)
        self.scroll.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        finder = QHBoxLayout()
        finder.addWidget(self.search, 1)
        finder.addWidget(self.changed_only)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 4, 4)
        layout.setSpacing(6)
        layout.addWidget(self.preset_bar)
        layout.addWidget(self.lock_bar)
        layout.addLayout(finder)
        layout.addWidget(self.notice)
        layout.addWidget(self.scroll, 1)

    def _connect(self) -> None:
        studio = self.studio
        studio.recipe_changed.connect(self._recipe_changed)
        studio.state_changed.connect(self._state_changed)
        studio.session_changed.connect(self._session_changed)
        studio.message_received.connect(self._message)
        studio.steps_reported.connect(lambda reports: self.stage_list.show_message(reports[-1]) if reports else None)
        self.search.textChanged.connect(self._filter)
        self.changed_only.toggled.connect(self._filter)
        self.stage_list.chosen.connect(self.show_section)
        self.preset_bar.chosen.connect(self._choose_preset)
        self.preset_bar.bundled_wanted.connect(self._use)
        self.preset_bar.load_wanted.connect(self._load)
        self.preset_bar.save_wanted.connect(self._save)
        self.preset_bar.reset_wanted.connect(lambda: self._reset_all())
        self.lock_bar.locked.connect(self._lock)

    def _make_sections(self) -> None:
        grouped: dict[str, list[OptionRow]] = {}
        for row in describe(self.studio.recipe):
            if row.key not in HIDDEN:
                grouped.setdefault(row.key.partition(".")[0] if "." in row.key else GENERAL, []).append(row)
        for name, rows in grouped.items():
            part = getattr(self.studio.recipe, name, None)
            help = inspect.getdoc(type(part)) if is_dataclass(part) else "The recipe's name and its stages, in order."
            section = OptionSection(name, name.replace("_", " ").capitalize(), help or "")
            section.edited.connect(self._edit)
            section.reset.connect(self._reset)
            section.header.clicked.connect(lambda opened, section=section: self._complete(section))
            self.column.insertWidget(self.column.count() - 1, section)
            self.sections[name] = section
            self._pending.append((section, rows))
        self._builder.start()

    def _build_next(self) -> None:
        """Rows come a few at a time, so that the window never stands still for them."""
        if not self._pending:
            self._builder.stop()
            self._filter()
            return
        section, rows = self._pending[0]
        self._add(section, rows[:4])
        del rows[:4]
        if not rows:
            self._pending.pop(0)

    def _complete(self, section: OptionSection) -> None:
        for waiting in [entry for entry in self._pending if entry[0] is section]:
            self._add(section, waiting[1])
            self._pending.remove(waiting)

    def _add(self, section: OptionSection, rows: list[OptionRow]) -> None:
        known = len(section.lines)
        section.add(rows)
        new = section.lines[known:]
        self.lines.update({line.row.key: line for line in new})
        self._show([line.row.key for line in new])

    @property
    def built(self) -> bool:
        """Whether every row has been made."""
        return not self._pending

    def refresh(self) -> None:
        """Show everything as the studio has it."""
        stages = tuple(self.studio.recipe.stages)
        if stages != self.stage_list.stages:
            self.stage_list.show_stages(stages)
            self._session_changed(self.studio.session)
        self._show(list(self.lines))

    def _show_soon(self) -> None:
        """Show everything once the event loop comes to it: stage, session and state often change together."""
        self._stale.start()

    def _show_stale(self) -> None:
        if self._stale.isActive():
            self._show_everything()

    def _show_everything(self) -> None:
        self._show(list(self.lines))
        if self.changed_only.isChecked():
            self._filter()

    def _show(self, keys: list[str]) -> None:
        if len(keys) == len(self.lines):
            self._stale.stop()
        recipe, defaults = self.studio.recipe, self.studio.default_recipe()
        exact = presets.matching(recipe, defaults)
        self.preset = exact or self.preset
        self.preset_bar.show_preset(self.preset, bool(exact), recipe.name)
        self.lock_bar.show_locks(recipe, self.studio.changeable)
        values, baseline = presets.flat(recipe), presets.baseline(self.preset, defaults)
        stages, known, touched = tuple(recipe.stages), presets.stages_of_recipes(), set()
        for key in keys:
            allowed, why_not = self.studio.changeable(key)
            section = key.partition(".")[0] if "." in key else GENERAL
            restarts = "" if self.studio.session is None else section if section in stages else "the run"
            self.lines[key].show_state(values[key], baseline[key], allowed, why_not, restarts)
            touched.add(section)
        for name in touched:
            section = self.sections[name]
            section.note = "not in this recipe" if name in known and name not in stages else ""
            section.show_title()

    def _recipe_changed(self, key: str) -> None:
        if key in ("", "stages") or key not in self.lines:
            self.refresh()
        else:
            preset = self.preset
            self._show([key])
            if preset != self.preset:
                self._show(list(self.lines))
        if self.changed_only.isChecked():
            self._filter()

    def _state_changed(self, state: str) -> None:
        self._show_soon()
        if state == "failed":
            self.stage_list.fail()

    def _session_changed(self, session: Any) -> None:
        self.stage_list.restart(session.stage_index if session is not None else 0)
        self._show_soon()

    def _message(self, message: object) -> None:
        self.stage_list.show_message(message)
        if isinstance(message, Failed):
            self.stage_list.fail()
        elif isinstance(message, StageChanged):
            self._show_soon()

    def _edit(self, key: str, value: Any) -> None:
        self.say("")
        self.studio.set_option(key, value)
        self._show([key])

    def _reset(self, key: str) -> None:
        self._edit(key, presets.baseline(self.preset, self.studio.default_recipe())[key])

    def _reset_all(self) -> None:
        self.preset = "balanced"
        self._make_like(self.studio.default_recipe(), "reset every option")

    def _choose_preset(self, name: str) -> None:
        self.preset = name
        self.say("")
        self._show_soon()
        self.studio.apply_preset(name)
        self._show_stale()  # where every option had its value already

    def _lock(self, part: str, held: bool) -> None:
        changes = [(key, not held) for key in locked_keys(part, self.studio.recipe)]
        self._edit_together(changes, f"{'hold' if held else 'let go of'} {part}")

    def _use(self, name: str) -> None:
        if self.studio.session is None:
            recipe = self.studio.recipe
            choose_recipe(self.studio, name, recipe.refine.mesh, recipe.splats.start_file)
            self.say("")
        else:
            self._make_like(load_recipe(name), f"recipe {name}")

    def _make_like(self, recipe: Any, text: str) -> None:
        """Give every option the value of another recipe, as far as it may change now; say what could not."""
        changes = [(key, value) for key, _, value in difference(self.studio.recipe, recipe) if key not in HIDDEN]
        refused = self._edit_together(changes, text)
        self.say(_kept(refused) if refused else "")

    def _edit_together(self, changes: list[tuple[str, Any]], text: str) -> list[str]:
        """Several options as one edit; the keys of those that may not change now."""
        self._show_soon()
        refused = self.studio.set_options(dict(changes), text)
        self._show_stale()  # where nothing was taken, the buttons go back
        return refused

    def _load(self) -> None:
        chosen, _ = QFileDialog.getOpenFileName(self, "Load recipe", "", "Recipes (*.toml)")
        if chosen:
            self.load(Path(chosen))

    def load(self, path: Path) -> None:
        """Take the options of a recipe file; what is wrong with it is said in the panel, and nothing changes."""
        try:
            recipe = presets.read_recipe(path)
        except RecipeError as error:
            self.say(str(error))
            return
        if self.studio.session is None:
            self.studio.load_recipe(path)
            self.say("")
        else:
            self._make_like(recipe, f"load {path.name}")

    def _save(self) -> None:
        name = f"{self.studio.recipe.name}.toml"
        chosen, _ = QFileDialog.getSaveFileName(self, "Save recipe as", name, "Recipes (*.toml)")
        if chosen:
            self.save(Path(chosen))

    def save(self, path: Path) -> None:
        """Write the recipe as it is now."""
        try:
            self.say(f"Saved {presets.write_recipe(self.studio.recipe, path)}.", wrong=False)
        except RecipeError as error:
            self.say(str(error))

    def say(self, text: str, wrong: bool = True) -> None:
        """Show a sentence above the options; none hides it."""
        self.notice.setForegroundRole(QPalette.ColorRole.BrightText if wrong else QPalette.ColorRole.WindowText)
        self.notice.setText(text)
        self.notice.setVisible(bool(text))

    def show_section(self, name: str) -> None:
        """Unfold a section and bring it into view."""
        self._show_stale()
        section = self.sections.get(name)
        if section is None:
            return
        with QSignalBlocker(self.search), QSignalBlocker(self.changed_only):
            self.search.clear()
            self.changed_only.setChecked(False)
        self._complete(section)
        self._filter()
        section.fold(True)
        QTimer.singleShot(0, lambda: self.scroll.verticalScrollBar().setValue(section.y()))

    def _filter(self) -> None:
        wanted, changed_only = self.search.text().strip(), self.changed_only.isChecked()
        searching, found = bool(wanted or changed_only), 0
        for name, section in self.sections.items():
            count = section.filter(wanted, changed_only)
            found += count
            section.setVisible(count > 0 or not searching)
            if searching and count and not section.header.isChecked():
                self._opened_by_search.add(name)
                section.fold(True)
            elif not searching and name in self._opened_by_search:
                section.fold(False)
        if not searching:
            self._opened_by_search.clear()
        self.empty.setVisible(searching and not found and self.built)
