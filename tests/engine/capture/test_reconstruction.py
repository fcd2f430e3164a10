"""Photos to poses: against cameras that are known, with odd photos among them, and every way it can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.capture import open_capture, reconstruction_child
from engine.capture.doctor import examine
from engine.capture.points import similarity
from engine.capture.reconstruction import find_poses, posed_path
from engine.errors import Cancelled, CaptureError
from tests.engine.capture.room import SIDE, cameras, photo, texture, write_photos, write_video


def checked_against(posed: Path, truth: dict[str, np.ndarray]) -> tuple[float, np.ndarray]:
    """(median error of the camera places as a share of their extent, points in the room's frame)."""
    capture = open_capture(posed)
    named = {Path(frame.name).stem: frame.camera for frame in capture.frames}
    places = np.array([camera.position for camera in named.values()])
    true = np.array([truth[name] for name in named])
    scale, rotation, shift = similarity(places, true)
    error = np.linalg.norm(scale * places @ rotation.T + shift - true, axis=1)
    points, colors = capture.points()
    assert points.dtype == np.float64 and colors.dtype == np.uint8 and colors.shape == points.shape
    return float(np.median(error) / np.linalg.norm(np.ptp(true, axis=0))), scale * points @ rotation.T + shift


@pytest.mark.slow
def test_photos_of_all_kinds_become_a_capture(tmp_path):
    folder, made = tmp_path / "room", cameras(9)
    write_photos(folder, made[:7])
    turned = Image.fromarray(np.rot90(photo(made[7])[..., ::-1], 1).copy())  # stored on its side
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "007.jpg", quality=98, exif=exif)
    tall = cameras(9, 260, 340)[8]  # portrait among landscape, and of another size
    cv2.imwrite(str(folder / "the tall öne.png"), photo(tall))
    cv2.imwrite(str(folder / "grey.png"), np.full((240, 320, 3), 120, np.uint8))
    cv2.imwrite(str(folder / "elsewhere.png"), texture(77)[:240, :320])
    (folder / "broken.jpg").write_bytes(b"no JPEG")
    told: list[tuple[float, str]] = []
    posed = find_poses(folder, lambda done, text: told.append((done, text)))
    assert posed.folder == tmp_path / "room-posed" and not posed.was_there
    assert sorted(path.name for path in tmp_path.iterdir()) == ["room", "room-posed"]
    report = posed.report
    assert (report.photos, report.registered) == (12, 9) and report.reprojection < 0.7 and report.points > 200
    reasons = dict(report.failed)
    assert "cannot be decoded" in reasons["broken.jpg"] and "too few details" in reasons["grey.png"]
    assert "shows nothing that another photo shows" in reasons["elsewhere.png"] and len(reasons) == 3
    assert "Poses: 9 of 12 photos, reprojection error 0." in report.lines()[0]
    assert [done for done, _ in told] == sorted(done for done, _ in told) and told[0][0] >= 0 and told[-1][0] <= 1
    assert any("placing photo" in text for _, text in told)

    truth = {f"{number:03d}": camera.position for number, camera in enumerate(made)} | {"the tall öne": tall.position}
    error, points = checked_against(posed.folder, truth)
    assert error < 0.01
    assert np.median(np.abs(points).min(1)) < 0.02 * SIDE  # they lie on the walls
    capture = open_capture(posed.folder)
    turned_view = next(frame for frame in capture.frames if frame.name == "007.jpg")
    assert turned_view.camera.width > turned_view.camera.height
    assert all(view.lens.is_pinhole for view in capture.views)
    assert any("3 of 12 photos have no pose" in text for text in capture.warnings)

    again = find_poses(folder)
    assert again.was_there and again.folder == posed.folder and again.report == report
    text = "\n".join(examine(folder).lines())
    assert "room-posed was made from" in text and "Frames: 9 usable" in text
    (folder / "broken.jpg").unlink()
    assert posed_path(folder) is None  # other photos


@pytest.mark.slow
def test_a_video_becomes_a_capture_beside_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.capture.video.LEAST_FRAMES", 8)
    monkeypatch.setattr("engine.capture.video.MOST_FRAMES", 8)
    made = cameras(8)
    video = write_video(tmp_path / "walk.mp4", [photo(camera) for camera in made for _ in range(2)])
    mine = tmp_path / "walk-posed" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("not of Unrender")
    posed = find_poses(video)
    assert posed.folder == tmp_path / "walk-posed-2" and os.listdir(mine.parent) == ["mine.txt"]
    assert posed.report.registered == 8 and "8 of 16 video frames are used" in posed.report.lines()[1]
    truth = {path.stem: made[int(path.stem[6:]) // 2].position for path in (posed.folder / "images").iterdir()}
    assert checked_against(posed.folder, truth)[0] < 0.03


@pytest.mark.slow
def test_photos_with_alpha_stay_as_they_are(tmp_path):
    folder = tmp_path / "room"
    folder.mkdir()
    for number, camera in enumerate(cameras(6)):
        pixels = np.concatenate([photo(camera), np.full((240, 320, 1), 255, np.uint8)], -1)
        pixels[:20, :, 3] = 0
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
    posed = find_poses(folder).folder
    for path in folder.iterdir():
        assert (posed / "images" / path.name).read_bytes() == path.read_bytes()
    capture = open_capture(posed)
    assert capture.uses_alpha and capture.pixels(0).mask.min() == 0


def test_photos_without_overlap_or_details_are_said(tmp_path):
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), texture(100 + number, 160))
    with pytest.raises(CaptureError, match="no camera poses can be found: 4 of 4 photos show nothing that another"):
        find_poses(tmp_path)
    plain = tmp_path / "plain" / "photos"
    plain.mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(plain / f"{number}.png"), np.full((100, 100, 3), 60 * number, np.uint8))
    with pytest.raises(CaptureError, match="3 of 3 photos have too few details"):
        find_poses(plain)
    assert os.listdir(tmp_path / "plain") == ["photos"]


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell which processes run without ending them")
def test_what_killed_processes_left_is_removed(tmp_path):
    write_photos(tmp_path / "room", cameras(1))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = [f".room-posed.{gone.pid}-140.tmp", f".room-posed-2.{gone.pid}-1.tmp", f".room-posed.{os.getpid()}-1.tmp"]
    for name in left:
        (tmp_path / name / "photos").mkdir(parents=True)
    with pytest.raises(CaptureError, match="1 usable photo"):
        find_poses(tmp_path / "room")
    assert sorted(os.listdir(tmp_path)) == sorted(["room", *left[1:]])


def test_one_photo_is_too_few(tmp_path):
    write_photos(tmp_path / "room", cameras(1))
    with pytest.raises(CaptureError, match=r"1 usable photo cannot fix camera poses; at least 3 are needed"):
        find_poses(tmp_path / "room")
    assert os.listdir(tmp_path) == ["room"]


def test_what_is_a_capture_already_is_refused(ball):
    with pytest.raises(CaptureError, match="is no folder of photos and no video without poses"):
        find_poses(ball)
    assert posed_path(ball) is None


@pytest.mark.parametrize("when", ["reading photo", "finding details"])
def test_cancelling_ends_it_and_leaves_nothing(tmp_path, monkeypatch, when):
    child, beside = tmp_path / "child.py", tmp_path / "photos"  # one that does not get beyond its first words
    child.write_text(
        "import json, os\nprint(json.dumps({'stage': 'features', 'rows': 'keypoints', 'total': 4}), flush=True)\n"
        "os.read(0, 1)\n"
    )
    monkeypatch.setattr("engine.capture.reconstruction.CHILD", child)
    folder, heard = write_photos(beside / "room", cameras(4)), []
    with pytest.raises(Cancelled, match="nothing was written"):
        find_poses(folder, lambda _, text: heard.append(text), lambda: bool(heard) and when in heard[-1])
    assert when in heard[-1] and os.listdir(beside) == ["room"]


def test_a_child_that_fails_is_said(tmp_path, monkeypatch):
    child = tmp_path / "child.py"
    child.write_text("import sys\nprint('no JSON')\nsys.exit('Error: out of luck')\n")
    monkeypatch.setattr("engine.capture.reconstruction.CHILD", child)
    folder = write_photos(tmp_path / "room", cameras(3))
    with pytest.raises(CaptureError, match="COLMAP failed with exit code 1 .*out of luck"):
        find_poses(folder)
    assert sorted(os.listdir(tmp_path)) == ["child.py", "room"]


def test_a_damaged_record_is_not_trusted(tmp_path):
    folder = write_photos(tmp_path / "room", cameras(3))
    posed = tmp_path / "room-posed"
    posed.mkdir()
    for text in ("", "[]", "{}", json.dumps({"version": 1, "source": 3, "keep_pixels": False, "report": {}})):
        (posed / "poses.json").write_text(text)
        assert posed_path(folder) is None


def test_the_database_stays_open_while_the_parent_looks_into_it(tmp_path, monkeypatch):
    seen = []

    def is_open(*_: object, **__: object) -> None:
        seen.append((tmp_path / "work" / "database.db-shm").exists())  # what its connections share

    for name in ("say", "extract", "match", "reconstruct"):
        monkeypatch.setattr(reconstruction_child, name, is_open)
    monkeypatch.setattr(reconstruction_child, "connections", lambda _: (is_open(), ({}, {}))[1])
    monkeypatch.setattr(reconstruction_child, "end_with_parent", lambda: None)
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"images": "", "work": str(tmp_path / "work"), "out": "", "groups": []}))
    reconstruction_child.main(str(job))
    assert seen == [True] * 5
