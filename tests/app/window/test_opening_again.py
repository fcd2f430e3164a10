"""Runs that cannot start, other photos in place of those that are open, and what is kept or forgotten then."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.window.studio import STAYS
from app.window.viewport.view_model import ViewModel
from engine.optimize.messages import EvalReport, Notice
from engine.optimize.options import set_option
from tests.app.window.conftest import SECONDS, wait_for
from tests.app.window.made_project import finished_project

BOX = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


@pytest.fixture
def photos(tiny_capture, tmp_path) -> Path:
    """A capture that may be changed."""
    return Path(shutil.copytree(tiny_capture, tmp_path / "photos"))


@pytest.fixture
def others(tiny_capture, tmp_path) -> Path:
    """Another one."""
    return Path(shutil.copytree(tiny_capture, tmp_path / "others"))


@pytest.fixture
def opened(studio, photos, qtbot):
    """A studio with `photos` open, of which a run is short."""
    for key, value in {"stages": ("hull", "volume"), "run.evaluate": False}.items():
        set_option(studio.recipe, key, value)
    return read(studio, photos, qtbot)


def read(studio, path: Path, qtbot):
    studio.open(path)
    wait_for(qtbot, lambda: studio.state == "ready" and studio.doctor is not None)
    return studio


def truncate(photo: Path) -> bytes:
    """Leave a photo whose header can be read; what it held."""
    held = photo.read_bytes()
    photo.write_bytes(held[: len(held) // 2])
    return held


@pytest.mark.slow
def test_a_run_that_cannot_start_leaves_every_photo_where_it_was(opened, photos, qtbot):
    studio, capture = opened, opened.capture
    held = truncate(photos / "photo_03.png")
    for number in (1, 2):
        studio.run_until(1)
        wait_for(qtbot, lambda number=number: len(studio.problems) == number and studio.state == "ready")
        assert "photo_03" in studio.problems[-1][0] and "1 of 10" in studio.problems[-1][0]
        assert studio.capture is capture and len(capture.frames) == 10
    (photos / "photo_03.png").write_bytes(held)
    studio.run_until(1)
    wait_for(qtbot, lambda: studio.state == "paused")
    assert studio.session.capture is capture and len(studio.problems) == 2


@pytest.mark.slow
def test_photos_that_went_and_came_back_can_be_run(opened, photos, qtbot):
    studio, model = opened, ViewModel(opened)
    try:
        studio.look_through(9)
        away = photos.rename(photos.with_name("away"))
        studio.run_until(1)
        wait_for(qtbot, lambda: studio.problems and studio.state == "ready")
        assert "10 of 10" in studio.problems[0][0]
        assert model.photo_camera is studio.capture.frames[9].camera
        away.rename(photos)
        studio.run_until(1)
        wait_for(qtbot, lambda: studio.state == "paused")
        assert len(studio.capture.frames) == 10 and len(studio.problems) == 1
    finally:
        model.close()


@pytest.mark.slow
def test_photos_that_are_skipped_at_the_start_leave_the_window_too(opened, photos, qtbot):
    studio, heard = opened, []
    studio.set_option("capture.skip_bad_frames", True)
    wait_for(qtbot, lambda: studio.capture.options.skip_bad_frames and studio.doctor is not None)
    out = studio.capture.train[-1]
    name = studio.capture.frames[out].name
    studio.exclude(out)
    studio.look_through(3)
    studio.capture_changed.connect(heard.append)
    truncate(photos / "photo_03.png")
    studio.run_until(1)
    wait_for(qtbot, lambda: studio.state == "paused")
    assert heard == [studio.session.capture] and studio.capture is heard[0] and len(studio.capture.frames) == 9
    assert studio.view_frame is None
    wait_for(qtbot, lambda: [studio.capture.frames[frame].name for frame in studio.excluded] == [name])
    wait_for(qtbot, lambda: studio.doctor is not None)
    assert not studio.problems


def test_a_photo_that_is_not_there_is_not_looked_through(opened):
    model = ViewModel(opened)
    try:
        opened.view_frame = 10
        assert model.frame is None and model.photo_camera is None
    finally:
        model.close()


@pytest.mark.slow
def test_a_run_that_was_never_measured_is_measured_when_it_goes_on(studio, tiny_capture, tmp_path, qtbot):
    folder, heard = finished_project(tiny_capture, tmp_path / "cup"), []
    studio.message_received.connect(lambda message: heard.append(message) if isinstance(message, EvalReport) else None)
    studio.open(folder)
    wait_for(qtbot, lambda: studio.state == "finished")
    assert not heard and not (folder / "metrics.json").exists()
    studio.set_option("run.evaluate", True)
    assert studio.call(lambda session: session.recipe.run.evaluate).result(SECONDS)
    studio.run()
    wait_for(qtbot, lambda: heard and studio.state == "finished")
    assert (folder / "metrics.json").exists() and len(heard) == 1 and not studio.problems


def test_options_of_how_photos_are_read_stay_with_these_photos(opened, photos, others, qtbot):
    studio, said, boxes = opened, [], []
    studio.message_received.connect(lambda message: said.append(message.text) if isinstance(message, Notice) else None)
    studio.set_option("capture.skip_bad_frames", True)
    studio.set_region(BOX)
    wait_for(qtbot, lambda: studio.capture.options.region is not None and studio.capture.options.skip_bad_frames)
    read(studio, photos, qtbot)
    assert studio.capture.options.region is not None and studio.region is not None and not said
    studio.region_changed.connect(boxes.append)
    read(studio, others, qtbot)
    options = studio.capture.options
    assert options.region is None and not options.skip_bad_frames
    assert studio.region is None and boxes == [None] and not studio.recipe.capture.skip_bad_frames
    assert [text for text in said if "Region" in text and "Skip bad frames" in text]


def test_a_folder_that_cannot_be_opened_leaves_what_is_open(opened, others, tmp_path, qtbot):
    studio, capture = opened, opened.capture
    studio.set_region(BOX)
    wait_for(qtbot, lambda: studio.capture is not capture and studio.doctor is not None)
    out = studio.capture.train[0]
    studio.exclude(out)
    studio.look_through(2)
    capture, text, empty, closed = studio.capture, tmp_path / "a.txt", tmp_path / "empty", []
    text.write_text("no photo")
    empty.mkdir()
    truncate(others / "photo_03.png")
    (others / "photo_05.png").write_bytes(b"not a picture")
    studio.capture_changed.connect(closed.append)
    said = {
        text: "open the folder",
        empty: "and no photos; open a folder",
        others: "photo_05",
        tmp_path / "nowhere": "no such",
    }
    for number, (path, words) in enumerate(said.items(), 1):
        studio.open(path)
        wait_for(qtbot, lambda number=number: len(studio.problems) == number)
        sentence = studio.problems[-1][0]
        assert words in sentence and str(path) in sentence and sentence.endswith(STAYS)
        assert studio.state == "ready" and studio.capture is capture and studio.doctor is not None
        assert studio.region is not None and studio.excluded == {out} and studio.view_frame == 2
        assert studio.undo_stack.count() == 2
    assert not closed
    studio.close_all()
    studio.open(others)
    wait_for(qtbot, lambda: len(studio.problems) == 5)
    assert studio.state == "empty" and studio.region is None  # the remedies are for these photos
    assert STAYS not in studio.problems[-1][0]
    studio.set_option("capture.skip_bad_frames", True)
    studio.open(others)
    wait_for(qtbot, lambda: studio.state == "ready")
    assert len(studio.capture.frames) == 9  # whose header is broken


@pytest.mark.slow
def test_a_finished_run_stays_where_nothing_else_can_be_opened(studio, tiny_capture, tmp_path, qtbot):
    studio.open(finished_project(tiny_capture, tmp_path / "cup"))
    wait_for(qtbot, lambda: studio.state == "finished" and studio.snapshot is not None)
    session, snapshot, states = studio.session, studio.snapshot, []
    in_use, damaged, other = (finished_project(tiny_capture, tmp_path / name) for name in ("used", "damaged", "other"))
    for path in (damaged / "checkpoints").glob("*.safetensors"):
        path.write_bytes(b"damaged")
    text = (other / "project.toml").read_text()
    (other / "project.toml").write_text(text.replace('capture_fingerprint = "', 'capture_fingerprint = "0'))
    script = "import sys; from engine.optimize.project_lock import ProjectLock; from pathlib import Path; "
    script += "lock = ProjectLock(Path(sys.argv[1])); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(in_use / "project.lock")]
    user = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    user.stdout.readline()
    studio.state_changed.connect(states.append)
    said = {tmp_path / "nowhere": "no such", in_use: "is running this project", damaged: "no checkpoint can be read"}
    said[other] = "photos or poses changed"
    for number, (path, words) in enumerate(said.items(), 1):
        studio.open(path)
        wait_for(qtbot, lambda number=number: len(studio.problems) == number)
        assert words in studio.problems[-1][0] and studio.problems[-1][0].endswith(STAYS)
        assert states == ["opening", "finished"] * number
        assert studio.session is session and studio.snapshot is snapshot
    user.communicate()
    studio.open(in_use)
    wait_for(qtbot, lambda: studio.session is not session and studio.state == "finished")
    studio.open(in_use)  # which this window itself has open
    wait_for(qtbot, lambda: states[-2:] == ["opening", "finished"] and studio.session is not None)
    assert len(studio.problems) == 4
    studio.set_scores({0: 20.0})
    scores = []
    studio.scores_changed.connect(scores.append)
    studio.new_run()
    assert studio.scores == {} and scores == [{}]  # they were the last run's
    read(studio, tiny_capture, qtbot)
    assert studio.session is None


def test_the_newest_of_two_folders_is_opened(studio, photos, others, qtbot):
    studio.open(photos)
    studio.open(others)
    wait_for(qtbot, lambda: studio.state == "ready")
    wait_for(qtbot, lambda: not studio._background.labels)
    assert studio.capture.path == others and studio.state == "ready" and not studio.problems


def test_findings_go_with_the_folder_that_they_are_of(studio, photos, tmp_path, qtbot):
    heard = []
    studio.doctor_changed.connect(heard.append)
    (photos / "photo_03.png").write_bytes(b"not a picture")
    studio.open(photos)
    wait_for(qtbot, lambda: heard and heard[-1] is not None)
    studio.open(tmp_path / "nowhere")
    assert heard[-1] is None
    wait_for(qtbot, lambda: studio.state == "empty" and not studio._background._handles)
    assert heard[-1] is None
    studio.open(photos)
    wait_for(qtbot, lambda: heard[-1] is not None)
    studio.close_all()
    assert heard[-1] is None
