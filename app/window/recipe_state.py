"""The recipe as the window edits it: before a run, during one, and what may change when."""

from __future__ import annotations

import copy
from dataclasses import is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.window import presets
from app.window.edits import OptionEdit, OptionsEdit
from app.window.option_names import in_words, place_of, words_of
from engine.errors import RecipeError
from engine.optimize.messages import SetOption
from engine.optimize.options import difference, find_option, flat, parse_value, set_option
from engine.optimize.recipe import Recipe, load_recipe

if TYPE_CHECKING:
    from app.window.studio_signals import StudioSignals
    from engine.optimize.session import Session

FIXED = ("schema_version", "stages", "run.seed")  # with all of `capture`: what a run is built on


def changeable(session: Session, key: str) -> tuple[bool, str]:
    """Whether an option of a running session may change now, and if not, why and what it would restart."""
    row, section, stages = find_option(session.recipe, key), key.split(".")[0], session.recipe.stages
    begun = stages[: session.stage_index + (session.stage is not None)]
    if section == "capture":
        return False, "It decides how the photos are read: a new run has to start from the beginning."
    if key in FIXED:
        return False, "The whole run is built on it: a new run has to start from the beginning."
    ahead = not begun or (section in stages and section not in begun) or section in ("run", "export")
    if row.meaning.live or ahead:
        return True, ""
    if section in begun:
        return False, f"The stage {words_of(section)} has begun with it: a new run has to start again from there."
    return False, "Stages that have begun use it: a new run has to start from the beginning."


class RecipeState:
    """Holds the recipe for the studio; `put` is the raw setter, the others push edits that can be undone."""

    def __init__(self, studio: StudioSignals) -> None:
        self.studio = studio
        self.recipe: Recipe = load_recipe("object")
        self._base = "object"
        self._defaults: Recipe = load_recipe("object")
        self._seen: tuple[int, Any] = (0, None)  # history of the session as last looked at

    def defaults(self) -> Recipe:
        """The recipe's own values, before anybody changed them; a copy."""
        return copy.deepcopy(self._defaults)

    def load(self, name_or_path: str | Path, overrides: tuple[str, ...] = ()) -> None:
        """Take a named recipe or a TOML file for the next run. Raises RecipeError."""
        recipe = load_recipe(name_or_path, overrides)
        try:
            self._defaults = load_recipe(recipe.name)
        except RecipeError:
            self._defaults = copy.deepcopy(recipe)
        self.replace(recipe)

    def replace(self, recipe: Recipe) -> None:
        """Take a whole recipe for the next run."""
        self.recipe = copy.deepcopy(recipe)
        self.studio.undo_stack.clear()
        self.studio.recipe_changed.emit("")

    def forget_capture(self) -> None:
        """Give the options of how photos are read their defaults again, for other photos; a Notice says which."""
        changed = [words_of(key) for key, _, _ in difference(self.recipe.capture, self._defaults.capture)]
        if changed:
            self.recipe.capture = copy.deepcopy(self._defaults.capture)
            self.studio.notice(f"Back at their defaults for these other photos: {', '.join(changed)}.")
            self.studio.recipe_changed.emit("")

    def set(self, key: str, value: Any) -> bool:
        """Change one option through the undo stack; a Notice says why not, where it may not change."""
        try:
            row = find_option(self.recipe, key)
            parsed = parse_value(row, value)
        except RecipeError as error:
            self.studio.notice(in_words(str(error)), "warning")
            self.studio.recipe_changed.emit(key)  # fields go back to what holds
            return False
        if parsed == row.value and type(parsed) is type(row.value):
            return True
        may, why = self.changeable(key)
        if not may:
            self.studio.notice(f"{place_of(key)} stays {row.value}. {why}", "warning")
            self.studio.recipe_changed.emit(key)
            return False
        self.studio.undo_stack.push(OptionEdit(self.put, key, row.value, parsed))
        return True

    def apply_preset(self, name: str) -> None:
        """Set all options of a preset as one edit. Raises RecipeError for an unknown name."""
        values = presets.values_of(name, self._defaults)
        refused = self.set_together(values, f"preset {presets.preset(name).title}")
        if refused:
            count = f"{len(refused)} option{'s' * (len(refused) != 1)}"
            names = ", ".join(map(place_of, refused))
            self.studio.notice(f"{count} of this preset stay, since the run has begun with them: {names}")

    def set_together(self, values: dict[str, Any], text: str) -> list[str]:
        """Set several options as one edit; the keys of those that differ and may not change now."""
        known = flat(self.recipe)
        changed = {key: value for key, value in values.items() if value != known[key]}
        refused = [key for key in changed if not self.changeable(key)[0]]
        after = {key: value for key, value in changed.items() if key not in refused}
        if after:
            before = {key: known[key] for key in after}
            self.studio.undo_stack.push(OptionsEdit(self.put_together, before, after, text))
        return refused

    def put(self, key: str, value: Any) -> bool:
        """Set one option without the undo stack; whether it was taken."""
        return self.put_together({key: value})

    def put_together(self, values: dict[str, Any]) -> bool:
        """Set several options without the undo stack, told of once; whether any was taken."""
        taken = [key for key, value in values.items() if self._take(key, value)]
        if taken:
            self.studio.recipe_changed.emit(taken[0] if len(taken) == 1 else "")
        if self.studio.session is None and any(key.startswith("capture.") for key in taken):
            self.studio.capture_options_changed.emit()
        return bool(taken)

    def _take(self, key: str, value: Any) -> bool:
        session = self.studio.session
        if session is not None:
            may, why = changeable(session, key)
            if not may:
                self.studio.notice(f"{place_of(key)} stays as it is. {why}", "warning")
                return False
            session.queue(SetOption(key, value))
        set_option(self.recipe, key, value)
        return True

    def changeable(self, key: str) -> tuple[bool, str]:
        """Whether an option may change now, and if not, why and what it would restart."""
        if self.studio.session is not None:
            return changeable(self.studio.session, key)
        if self.studio.state in ("opening", "running"):
            return False, "The run is just starting; try again in a moment."
        return True, ""

    def follow(self, session: Session | None) -> None:
        """Take over what the session changed by itself or was told by a script."""
        if session is None:
            return
        history = session.project.history
        seen = (len(history), id(session))
        if seen == self._seen:
            return
        self._seen = seen
        changed = difference(self.recipe, session.recipe)
        if not changed:
            return
        self.recipe = _copied(session.recipe)
        self.studio.recipe_changed.emit(changed[0][0] if len(changed) == 1 else "")


def _copied(recipe: Any) -> Any:
    assert is_dataclass(recipe)
    return copy.deepcopy(recipe)
