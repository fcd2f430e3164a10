"""Masks that tell what to ignore: nothing there counts, in the metrics, the comparison, the scores and the findings."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engine.capture import CaptureOptions, open_capture
from engine.capture.doctor import examine
from engine.exchange.splats import read_splats, write_splats
from engine.optimize.comparison import CAPTION, WIDTH
from engine.optimize.evaluate import evaluate_session, photo_compared
from engine.optimize.messages import Notice, StepReport
from engine.optimize.metrics import psnr
from engine.optimize.recipe import load_recipe
from engine.optimize.scores import photo_psnr
from engine.optimize.session import Session
from tests.engine.optimize.splatted_capture import UP, draw, wall

SIDE = 48


@pytest.fixture(scope="module")
def passed_by(tmp_path_factory):
    """(capture of a wall before black with a white block painted into each photo, masks that are black there)."""
    folder = tmp_path_factory.mktemp("passer-by")
    photos, masks = draw(folder / "photos", wall(), None, size=SIDE), folder / "masks"
    masks.mkdir()
    random = np.random.default_rng(4)
    for path in sorted(photos.glob("*.png")):
        image, mask = cv2.imread(str(path)), np.full((SIDE, SIDE), 255, np.uint8)
        x, y = random.integers(8, 30, 2)
        mask[y : y + 10, x : x + 10], image[y : y + 10, x : x + 10] = 0, 255
        cv2.imwrite(str(path), image)
        cv2.imwrite(str(masks / path.name), mask)
    write_splats(folder / "wall.ply", wall(), up=UP)
    return open_capture(photos, CaptureOptions(masks=masks)), folder / "wall.ply"


@pytest.fixture(scope="module")
def true(passed_by, tmp_path_factory):
    """A session that ends where it starts, with the splats that the photos were drawn from."""
    capture, start = passed_by
    options = ["splats.masks=ignore", f"splats.start_file={start}", "splats.degree=0", "splats.coarse=0"]
    options += ["splats.steps=1", "splats.learning_rate=0", "splats.color=0", "splats.geometry=0"]
    options += ["export.spz=false", "export.html=false"]
    heard = []
    with Session.create(capture, load_recipe("scene", options), tmp_path_factory.mktemp("true") / "run") as session:
        session.listen(heard.append)
        session.run()
        evaluate_session(session)
        yield session, heard


def test_what_is_ignored_does_not_count_in_the_metrics(true):
    metrics = true[0].project.read_metrics()
    assert metrics["psnr"] > 45 and metrics["psnr"] == metrics["psnr_masked"]
    assert metrics["ssim"] > 0.99 and metrics["flip"] < 0.01


def test_the_comparison_shows_the_photo_and_no_difference_in_what_is_ignored(true):
    picture = cv2.imread(str(true[0].project.folder / "comparison.png"))[CAPTION:]
    photo, render, difference = (picture[:SIDE, at : at + SIDE].astype(int) for at in (0, WIDTH, 2 * WIDTH))
    assert difference.max() < 20
    assert np.abs(photo - render).max() > 100, "the photo is shown as it is"


def test_the_scores_are_those_of_the_metrics(true):
    session, snapshot = true[0], true[0].snapshot_now()
    assert snapshot.shows_splats and snapshot.splat_look.ignoring
    for frame, view in zip(session.capture.test, session.project.read_metrics()["per_view"], strict=True):
        assert photo_psnr(snapshot, session.capture, frame) == pytest.approx(view["psnr"], abs=0.5)


def test_a_step_tells_the_psnr_of_what_is_not_ignored(passed_by, tmp_path):
    """Of splats that nobody sees and so of black."""
    capture, start = passed_by
    far = read_splats(start).select(np.arange(3))
    far.means[:] -= 1e4
    write_splats(tmp_path / "far.ply", far, up=UP)
    options = ["splats.masks=ignore", f"splats.start_file={tmp_path / 'far.ply'}", "splats.coarse=0", "splats.steps=1"]
    told = []
    with Session.create(capture, load_recipe("scene", options), tmp_path / "run", "cpu") as session:
        session.listen(lambda message: told.append(message.psnr) if isinstance(message, StepReport) else None)
        session.run(until=1)
    photos = [photo_compared(capture, frame, np.zeros((SIDE, SIDE, 3)), True) for frame in capture.train]
    assert min(abs(told[0] - psnr(np.zeros_like(photo), photo, mask)) for photo, mask in photos) < 1e-3


def test_nobody_calls_right_masks_inverted(true, passed_by):
    session, heard = true
    assert not any("inverted" in message.text for message in heard if isinstance(message, Notice))
    capture = passed_by[0]
    report = examine(capture.path, capture.options, ignoring=True)
    assert not report.problems and report.hull_is_empty is None
    text = "\n".join(report.lines())
    assert "white (1) = what to keep, black is ignored" in text and "border" not in text
    assert any(
        "right, with splats.masks=ignore" in problem for problem in examine(capture.path, capture.options).problems
    )
