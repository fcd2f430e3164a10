"""What the user changes through the studio: options, photos, the region, and how it is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from app.window.edits import ExcludeEdit, RegionEdit, SplatsEdit
from app.window.studio_signals import StudioSignals
from engine.errors import UnrenderError
from engine.optimize.messages import DeleteSplats, ExcludeView, RestoreSplats
from engine.optimize.options import find_option
from engine.optimize.recipe import Recipe
from engine.optimize.snapshot import SceneSnapshot, SplatLook

if TYPE_CHECKING:
    from engine.scene import Environment, Gaussians

OLD_STEPS = 50  # from which a photo's score is shown as an old one


class StudioEdits(StudioSignals):
    """`set_*`, `exclude` and `apply_preset` can be undone; `put_*` are the raw setters below them."""

    _splat_edits = 0  # deletions so far, each with a number to be put back by

    # ---- edits

    def set_option(self, key: str, value: Any) -> bool:
        """Change an option, now or for the next run; a Notice says why not, where it may not change."""
        return self._recipe.set(key, value)

    def set_options(self, values: dict[str, Any], text: str) -> list[str]:
        """Set several options as one edit named `text`; the keys of those that may not change now and stay."""
        return self._recipe.set_together(values, text)

    def reset_option(self, key: str) -> bool:
        """Give an option its default again."""
        return self._recipe.set(key, find_option(self._recipe.defaults(), key).value)

    def apply_preset(self, name: str) -> None:
        """Set the options of a goal, as one edit."""
        try:
            self._recipe.apply_preset(name)
        except UnrenderError as error:
            self.say(error)

    def load_recipe(self, name_or_path: str | Path) -> None:
        """Take a named recipe or a TOML file for the next run; errors go to `failed`."""
        try:
            self._recipe.load(name_or_path)
        except UnrenderError as error:
            self.say(error)

    def set_recipe(self, recipe: Recipe) -> None:
        """Take a whole recipe for the next run."""
        self._recipe.replace(recipe)

    def default_recipe(self) -> Recipe:
        """The recipe's own values, to compare with; a copy."""
        return self._recipe.defaults()

    def changeable(self, key: str) -> tuple[bool, str]:
        """Whether an option may change now, and if not, what it would restart."""
        return self._recipe.changeable(key)

    def put_option(self, key: str, value: Any) -> bool:
        """`set_option` without the undo stack; whether it was taken."""
        return self._recipe.put(key, value)

    def exclude(self, frame: int, excluded: bool = True) -> None:
        """Leave a training photo out, or take it in again, from the next step on."""
        if self.capture is None or frame not in self.capture.train or (frame in self.excluded) == excluded:
            return
        if excluded and len(set(self.capture.train) - self.excluded) <= 2:
            self.notice("At least two photos must stay; take another in before you leave this one out.", "warning")
            return
        name = self.capture.frames[frame].name
        self.undo_stack.push(ExcludeEdit(self.put_excluded, frame, excluded, name))

    def put_excluded(self, frame: int, excluded: bool) -> None:
        """`exclude` without the undo stack."""
        if self._session is not None:
            self._session.queue(ExcludeView(frame, excluded))
        else:
            self.excluded = self.excluded | {frame} if excluded else self.excluded - {frame}
            self.excluded_changed.emit(self.excluded)

    def set_region(self, box: np.ndarray | None) -> None:
        """Limit the reconstruction to a box [2,3] in capture units; None lifts the limit."""
        before = self.region
        if (box is None and before is None) or (box is not None and before is not None and np.array_equal(box, before)):
            return
        may, why = self.changeable("capture.region")
        if not may:
            self.notice(f"The region stays as it is. {why}", "warning")
            self.region_changed.emit(before)
            return
        self.undo_stack.push(RegionEdit(self.put_region, before, box))

    def put_region(self, box: np.ndarray | None) -> bool:
        """`set_region` without the undo stack; whether it was taken."""
        value = () if box is None else tuple(float(number) for number in np.asarray(box).reshape(6))
        taken = self._recipe.put("capture.region", value)
        self.region_changed.emit(self.region)
        return taken

    @property
    def edits_splats(self) -> bool:
        """Whether there are splats that can be deleted: of a run, or of a file that is only looked at."""
        shown = self.snapshot is not None and self.snapshot.shows_splats
        return shown and (self._session is not None or self.capture is None)

    def delete_splats(self, inside: bool = True) -> None:
        """Take out the splats inside or outside of the selection, from the next step on."""
        if not self.edits_splats or self.selection is None:
            return
        splats, box = self.snapshot.gaussians, self.selection.copy()
        gone = splats.in_box(box) == inside
        where = "inside" if inside else "outside"
        if not gone.any() or gone.all():
            what = "There are no splats" if not gone.any() else "All splats lie, and some must stay,"
            self.notice(f"{what} {where} the box; drag its handles to another size.", "warning")
            return
        if self._session is not None:
            self._splat_edits += 1
            number, corners = self._splat_edits, tuple(float(value) for value in box.reshape(6))
            delete, restore = DeleteSplats(number, corners, inside), RestoreSplats(number)
            put = self._session.queue
            apply = lambda deleted: put(delete if deleted else restore)  # noqa: E731
        else:
            left = splats.select(~gone)
            apply = lambda deleted: self.show_splats(left if deleted else splats)  # noqa: E731
        self.undo_stack.push(SplatsEdit(apply, int(gone.sum())))

    def show_splats(self, splats: Gaussians | None) -> None:
        """Show splats that are no run's, such as a file's; None shows nothing. Not while there is a run."""
        if self._session is not None:
            return
        version = 0 if self.snapshot is None else self.snapshot.version + 1
        look = SplatLook() if self.capture is None else SplatLook.trained(self.recipe.splats, self.capture)
        self.snapshot = None if splats is None else SceneSnapshot("", 0, version, gaussians=splats, splat_look=look)
        self.snapshot_changed.emit(self.snapshot)

    # ---- looking

    def look_through(self, frame: int | None) -> None:
        """Look through a photo's camera, or freely again with None."""
        if frame != self.view_frame:
            self.view_frame = frame
            self.view_frame_changed.emit(frame)

    def set_relight(self, environment: Environment | None) -> None:
        """Show the scene in another light; what is optimized does not change."""
        if environment is not self.relight:
            self.relight = environment
            self.relight_changed.emit(environment)

    def set_scores(self, scores: dict[int, float], steps: dict[int, int] | None = None) -> None:
        """How well the newest snapshot matches each photo, PSNR in dB; `steps` says since when, where it is older."""
        self.scores, self.scored_at = dict(scores), dict(steps or {})
        self.scores_changed.emit(self.scores)

    def score_age(self, frame: int) -> int:
        """How many steps the run has gone since a photo's score was measured."""
        if self.snapshot is None or frame not in self.scored_at:
            return 0
        return max(0, self.snapshot.total_step - self.scored_at[frame])
