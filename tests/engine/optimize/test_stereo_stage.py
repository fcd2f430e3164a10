"""The stage stereo on a textured ball with a bite that no mask shows: texture tells how deep it is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import RecipeError
from engine.optimize.messages import Notice, Progress
from engine.optimize.recipe import load_recipe
from engine.optimize.session import Session
from engine.optimize.stages import stereo as stereo_stage
from engine.scene import Frame
from engine.scene.camera import look_at
from tests.engine.optimize.small_run import SmallCapture, SmallPixels

SIZE = 72
BITE, DEEP = 1.15, 0.8  # a ball of radius 0.8 around (0, 0, 1.15) is bitten out of the unit ball
BOTTOM = BITE - DEEP  # z of the bite


def spans(origin: np.ndarray, directions: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter and leave a ball around zero; (inf, -inf) where they miss it."""
    along = -(directions @ origin)
    inside = radius**2 - (origin @ origin - along**2)
    half = np.sqrt(np.maximum(inside, 0))
    return np.where(inside > 0, along - half, np.inf), np.where(inside > 0, along + half, -np.inf)


class BittenCapture(SmallCapture):
    """Views of the bitten ball from a cone of 35 degrees around the z axis; its colour varies in waves."""

    def __init__(self, count: int = 10) -> None:
        super().__init__(size=(SIZE, SIZE))
        self.frames, self._pixels = [], []
        random = np.random.default_rng(2)
        waves = random.normal(size=(16, 3))
        waves *= random.uniform(5, 12, (16, 1)) / np.linalg.norm(waves, axis=1, keepdims=True)
        phases = random.uniform(0, 6, 16)
        for i in range(count):
            turn, tilt = i * 2 * np.pi / count, np.radians(35)
            eye = 3.5 * np.array([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)])
            camera = look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0]), 1.5 * SIZE, SIZE, SIZE)
            origin, directions = camera.rays()
            enter, leave = spans(origin, directions, 1.0)
            begin, end = spans(origin - np.array([0, 0, BITE]), directions, DEEP)
            distance = np.where((begin < enter) & (end > enter), end, enter)
            hit = distance < leave
            point = origin + np.where(hit, distance, 0)[..., None] * directions
            value = 0.4 + 0.3 * np.clip(np.sin(point @ waves.T + phases).sum(-1) / 2.8, -1, 1)
            color = np.where(hit, value, 0)[..., None].repeat(3, -1)
            self.frames.append(Frame(f"view{i}", camera, "train", Path(f"view{i}.png")))
            self._pixels.append(SmallPixels(color.astype(np.float32), hit.astype(np.float32)))

    def require_masks(self) -> None:
        pass


def recipe(**extra):
    options = {
        "stages": "hull,stereo",
        "run.checkpoint_seconds": 1000,
        "run.evaluate": "false",
        "hull.resolution": 24,
        "stereo.image_size": SIZE,
        "stereo.resolution": 64,
        **extra,
    }
    return load_recipe("object", [f"{key}={value}" for key, value in options.items()])


def create(folder: Path, capture=None, **extra) -> Session:
    return Session.create(capture or BittenCapture(), recipe(**extra), folder, device="cpu")


def field_after(session: Session) -> tuple[np.ndarray, list[Notice]]:
    """(the distance field that a run leaves, what the stage said)."""
    notices = []
    assert session.run(lambda message: notices.append(message) if isinstance(message, Notice) else None)
    return session.context.scene.field, [notice for notice in notices if "stereo" in notice.text]


@pytest.fixture(scope="module")
def hull(tmp_path_factory) -> np.ndarray:
    """The distance field that the stage starts from."""
    with create(tmp_path_factory.mktemp("hull") / "run", stages="hull") as session:
        return field_after(session)[0]


@pytest.fixture(scope="module")
def taken(tmp_path_factory) -> tuple[Session, np.ndarray, list[Notice]]:
    """(a finished session, its field, what the stage said)."""
    with create(tmp_path_factory.mktemp("taken") / "run") as session:
        return session, *field_after(session)


def top(field: np.ndarray, box: np.ndarray) -> float:
    """z of the highest surface on the z axis."""
    cells = len(field) - 1
    middle = np.round((0 - box[0, :2]) / (box[1, :2] - box[0, :2]) * cells).astype(int)
    inside = np.flatnonzero(field[middle[0], middle[1]] < 0)
    return box[0, 2] + (box[1, 2] - box[0, 2]) * (inside[-1] + 0.5) / cells


def test_the_photos_take_the_stereo_shape(taken, hull):
    session, field, (notice,) = taken
    box = np.asarray(session.context.scene.box)
    assert field.shape == (65, 65, 65) and field.dtype == np.float32
    assert "is taken" in notice.text and notice.details["after"] > notice.details["before"] + 1
    json.dumps(notice.details)
    assert top(hull, box) > BOTTOM + 0.35, "the hull covers the bite"
    assert abs(top(field, box) - BOTTOM) < 0.1


def test_the_stereo_shape_stays_within_the_hull(taken):
    session, field, _ = taken
    carved = stereo_stage.resampled(session.context.scene.tensors["hull_field"].numpy(), 64)
    assert (field >= carved).all() and (field > carved).any()


def test_the_same_bits_every_time_and_after_a_resume(taken, tmp_path):
    with create(tmp_path / "run") as session:

        def stop(message) -> None:
            if isinstance(message, Progress) and message.text == "matching photos" and message.done > 0.3:
                session.request_stop()

        assert not session.run(stop)
        assert session.stage_name == "stereo"
    with Session.open(tmp_path / "run", device="cpu", capture=BittenCapture()) as session:
        assert session.stage_name == "stereo"
        field, notices = field_after(session)
    assert np.array_equal(field, taken[1])
    assert [notice.details for notice in notices] == [notice.details for notice in taken[2]]


def test_progress_grows_and_can_stop_every_part(tmp_path):
    reached = []
    with create(tmp_path / "run") as session:
        session.run(lambda m: reached.append(m) if isinstance(m, Progress) and m.stage == "stereo" else None)
    done = [message.done for message in reached]
    assert done == sorted(done) and 0 <= done[0] and done[-1] <= 1
    parts = list(dict.fromkeys(message.text for message in reached))
    assert parts == ["reading photos", "matching photos", "fusing depth", "asking the photos which shape they prefer"]


@pytest.mark.parametrize("option, says", [("stereo.image_size=0", 0), ("stereo.margin=99", 1)])
def test_left_out_the_field_is_as_it_was(hull, tmp_path, option, says):
    with create(tmp_path / "run", **dict([option.split("=")])) as session:
        field, notices = field_after(session)
    assert np.array_equal(field, hull) and len(notices) == says
    assert all("left out" in notice.text for notice in notices)


def test_a_shape_that_photos_contradict_is_left_out(taken, hull, tmp_path, monkeypatch):
    def dented(cameras, photos, masks, ranges, *rest, **options) -> list[np.ndarray]:
        return [np.where(mask, near + 1.6, 0).astype(np.float32) for mask, (near, _) in zip(masks, ranges, strict=True)]

    monkeypatch.setattr(stereo_stage, "stereo_depths", dented)
    with create(tmp_path / "run") as session:
        stage_field, (notice,) = field_after(session)
    assert "left out" in notice.text and notice.details["after"] < notice.details["before"]
    assert np.array_equal(stage_field, hull)


def test_a_photo_without_the_object_does_not_spoil_the_verdict(tmp_path):
    with create(tmp_path / "run") as session:
        view = session.context.views.view

        def blank(frame: int, image_size: int):  # a thin object may leave no pixel of a reduced photo half covered
            whole = view(frame, image_size)
            return dataclasses.replace(whole, alpha=0.4 * whole.alpha) if frame == 3 else whole

        session.context.views.view = blank
        _, (notice,) = field_after(session)
    assert "is taken" in notice.text and np.isfinite([notice.details["before"], notice.details["after"]]).all()


def test_few_photos_are_no_error(tmp_path):
    with create(tmp_path / "run", BittenCapture(2)) as session:
        field, notices = field_after(session)
    assert len(notices) == 1 and (field < 0).any() and np.isfinite(field).all()


def test_without_a_hull_the_stage_says_so(tmp_path):
    with pytest.raises(RecipeError, match="let stages name hull before"):
        create(tmp_path / "run", stages="stereo")


def test_without_an_image_size_the_stage_needs_nothing(tmp_path):
    with create(tmp_path / "run", stages="stereo", **{"stereo.image_size": 0}) as session:
        assert session.run()
