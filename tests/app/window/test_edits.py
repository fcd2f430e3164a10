"""Edits undo, redo, merge, and refuse."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtGui import QUndoStack

from app.window import edits
from app.window.edits import ExcludeEdit, OptionEdit, OptionsEdit, RegionEdit


class Target:
    """Takes changes as the studio does; what is in `closed` is refused."""

    def __init__(self) -> None:
        self.values = {"shape.steps": 700, "shape.mask": 4.0, "run.seed": 0}
        self.excluded: set[int] = set()
        self.region = None
        self.closed: set[str] = set()

    def options(self, values):
        return any([self.option(key, value) for key, value in values.items()])

    def option(self, key, value):
        if key in self.closed:
            return False
        self.values[key] = value
        return True

    def photo(self, frame, excluded):
        (self.excluded.add if excluded else self.excluded.discard)(frame)

    def box(self, box):
        self.region = box


@pytest.fixture
def target():
    return Target()


class Clock:
    """Stands still until the test sets it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(edits, "clock", made)
    return made


@pytest.fixture
def stack(qapp):
    return QUndoStack()


def edit(stack, target, key, value):
    stack.push(OptionEdit(target.option, key, target.values[key], value))


def test_an_option_goes_back_and_forth(stack, target):
    edit(stack, target, "shape.steps", 300)
    assert target.values["shape.steps"] == 300 and stack.undoText() == "shape.steps = 300"
    stack.undo()
    assert target.values["shape.steps"] == 700
    stack.redo()
    assert target.values["shape.steps"] == 300


def test_consecutive_edits_of_one_key_are_one(stack, target):
    for value in (710, 720, 730):
        edit(stack, target, "shape.steps", value)
    assert stack.count() == 1 and stack.undoText() == "shape.steps = 730"
    edit(stack, target, "shape.mask", 5.0)
    edit(stack, target, "shape.steps", 740)
    assert stack.count() == 3
    stack.undo()
    stack.undo()
    stack.undo()
    assert target.values == Target().values


def test_what_was_in_force_for_a_while_can_be_gone_back_to(stack, target, clock):
    for value in (710, 720, 730):  # an arrow that is held for longer than a second
        edit(stack, target, "shape.steps", value)
        clock.now += 0.6
    clock.now += 5.0
    edit(stack, target, "shape.steps", 800)
    assert stack.count() == 2
    stack.undo()
    assert target.values["shape.steps"] == 730
    stack.undo()
    assert target.values["shape.steps"] == 700


def test_edits_that_end_where_they_began_leave_nothing(stack, target):
    edit(stack, target, "shape.steps", 710)
    edit(stack, target, "shape.steps", 700)
    assert stack.count() == 0 and target.values["shape.steps"] == 700


def test_a_refused_edit_is_not_kept(stack, target):
    target.closed = {"run.seed"}
    edit(stack, target, "run.seed", 1)
    assert stack.count() == 0 and target.values["run.seed"] == 0


def test_an_undo_that_comes_too_late_changes_nothing(stack, target):
    edit(stack, target, "shape.steps", 300)
    target.closed = {"shape.steps"}
    stack.undo()
    assert stack.count() == 0 and target.values["shape.steps"] == 300


def test_a_preset_is_one_edit(stack, target):
    after = {"shape.steps": 100, "shape.mask": 1.0}
    stack.push(OptionsEdit(target.options, {key: target.values[key] for key in after}, after, "preset Quick look"))
    assert stack.undoText() == "preset Quick look" and target.values["shape.steps"] == 100
    stack.undo()
    assert target.values == Target().values


def test_photos_and_region_can_be_undone(stack, target):
    stack.push(ExcludeEdit(target.photo, 3, True, "cup_03.png"))
    box = np.array([[0, 0, 0], [1, 1, 1]])
    stack.push(RegionEdit(target.box, None, box))
    stack.push(RegionEdit(target.box, box, box * 2))
    assert stack.count() == 2 and stack.text(0) == "leave out cup_03.png"
    box += 5  # whoever drags may reuse its array
    assert target.region[1].tolist() == [2, 2, 2]
    stack.undo()
    assert target.region is None and target.excluded == {3}
    stack.undo()
    assert not target.excluded
