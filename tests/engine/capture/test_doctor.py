"""The doctor says what was understood and what is wrong, and never falls ill itself."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.window.findings import findings
from engine.capture import open_capture
from engine.capture.doctor import examine
from engine.capture.options import CaptureOptions


def test_a_sound_capture_is_described(ball):
    report = examine(ball)
    assert report.problems == []
    text = "\n".join(report.lines())
    for said in (
        "Format: transforms.json",
        "9 usable, 7 to train, 2 to test (every 8th view by name)",
        "9 x PINHOLE",
        "9 x 64x64",
        "9 x sRGB 8 bit",
        "up is (0, 0, 1)",
        "9 of 9 pass through the object",
        "9 of 9, from the images' alpha; white (1) = object",
        "Visual hull of the masks: not empty",
        "No problems found.",
    ):
        assert said in text, text
    assert report.baseline > 1 and abs(report.target_distance[0] - 4) < 0.01


def test_missing_and_broken_files_are_all_named(ball):
    (ball / "images/002.png").unlink()
    (ball / "images/004.png").write_bytes(b"broken")
    data = (ball / "images/006.png").read_bytes()
    (ball / "images/006.png").write_bytes(data[: len(data) // 2])
    report = examine(ball)
    assert report.frames == 6
    text = "\n".join(report.lines())
    assert "images/002.png: image images/002.png is missing" in text
    assert "3 of 9 frames cannot be used: images/002.png, images/004.png, images/006.png" in text


def test_inverted_masks_are_reported(make_ball):
    folder = make_ball(masks="files")
    for file in (folder / "masks").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    assert any("inverted" in problem for problem in examine(folder).problems)


def test_masks_of_what_to_ignore_are_not_called_inverted(make_ball):
    folder = make_ball(masks="files")
    for file in (folder / "masks").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    report = examine(folder, ignoring=True)
    assert report.problems == [] and report.hull_is_empty is None
    assert any("white (1) = what to keep, black is ignored" in line for line in report.lines())
    said = [finding.text for finding in findings(report) if "Masks" in finding.text]
    assert said and "What they keep covers" in said[0] and "cut off" not in said[0]


@pytest.mark.parametrize("data", [b"", b"\0\0\0\x20ftypisom and then nothing"], ids=["empty", "cut off"])
def test_a_video_that_is_none_is_a_problem(tmp_path, data):
    (tmp_path / "walk.mp4").write_bytes(data)
    for path in (tmp_path, tmp_path / "walk.mp4"):
        (problem,) = examine(path).problems
        assert "walk.mp4: cannot be decoded as a video" in problem


def test_ffmpegs_own_words_are_not_for_users(tmp_path):
    """In a process of its own: FFmpeg takes its loudness from the first video that a process opens."""
    (tmp_path / "walk.mp4").write_bytes(b"\0\0\0\x20ftypisom and then nothing")
    code = "import sys; from engine.capture.doctor import examine; print(*examine(sys.argv[1]).problems)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    told = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    assert "cannot be decoded as a video" in told.stdout and told.stderr == ""


def test_an_empty_hull_blames_the_view_that_causes_it(make_ball):
    folder = make_ball(masks="files")
    for number in range(9):
        file = folder / f"masks/{number:03d}.png"
        mask = np.zeros((64, 64), np.uint8)
        mask[28:36, 28:36] = 255
        if number == 5:
            mask = np.roll(mask, 26, 1)
        Image.fromarray(mask).save(file)
    report = examine(folder)
    assert report.hull_is_empty
    assert not any("unrender doctor" in problem for problem in report.problems)
    assert any("without images/005.png it would not be empty" in problem for problem in report.problems), (
        report.problems
    )


def test_cameras_that_look_away_are_reported(ball, edit):
    def turn(document):
        for frame in document["frames"]:
            for row in frame["transform_matrix"][:3]:
                row[0], row[2] = -row[0], -row[2]

    edit(ball, turn)
    assert any("cameras look toward the point" in problem for problem in examine(ball).problems)


def test_unmasked_photos_are_no_problem_but_said(make_ball):
    report = examine(make_ball(masks="none"))
    assert report.problems == []
    assert any(line.startswith("Masks: none") for line in report.lines())


def test_what_is_no_capture_is_one_problem(tmp_path):
    assert len(examine(tmp_path).problems) == 1
    (tmp_path / "transforms.json").write_text("{")
    assert "not valid JSON" in examine(tmp_path).problems[0]
    (tmp_path / "transforms.json").write_text(json.dumps({"frames": [{"file_path": "a.png"}]}))
    report = examine(tmp_path, CaptureOptions())
    assert any("a.png" in problem for problem in report.problems)
    assert any("at least 2" in problem for problem in report.problems)


def test_a_capture_without_test_views_is_noted(ball, edit):
    names = [f"images/{number:03d}.png" for number in range(9)]
    edit(ball, lambda document: document.update(train_filenames=names))
    report = examine(ball)
    assert report.test == 0 and report.problems == []
    assert any("no test views" in warning for warning in report.warnings)


def test_a_capture_so_far_out_that_its_numbers_are_coarse_is_said(ball, edit):
    def shifted(by):
        def change(transforms):
            for frame in transforms["frames"]:
                for axis, value in enumerate(by):
                    frame["transform_matrix"][axis][3] += value

        return change

    edit(ball, shifted((5000, 3000, 100)))
    assert not [text for text in examine(ball).warnings if "single precision" in text]
    edit(ball, shifted((5e5, 5.4e6, 300)))
    (said,) = (text for text in examine(ball).warnings if "single precision" in text)
    assert "steps of 0.5 units" in said and "subtract (505000, 5403000, 400)" in said
    assert said in open_capture(ball).warnings, "runs say it too"


def test_inverted_poses_around_a_centre_are_named(ball, edit):
    def inverted(document):
        for frame in document["frames"]:
            pose = np.array(frame["transform_matrix"])
            distance = np.linalg.norm(pose[:3, 3])
            pose[:3, 3] = pose[:3, 2] * distance  # looking straight at the origin
            frame["transform_matrix"] = np.linalg.inv(pose).tolist()

    edit(ball, inverted)
    report = examine(ball)
    assert any("as if their poses were inverted" in problem for problem in report.problems)
    assert not any("too coarse" in text for text in report.warnings)
