"""Bare photos on the command line: what doctor, run and script do before they open them."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.poses import posed
from app.progress import PLAIN_INTERVAL, BarProgress, PlainProgress
from engine.capture import doctor
from engine.capture.reconstruction import Posed, PoseReport
from tests.app.tiny import PATIENCE, content, started, unrender, wait_until
from tests.engine.capture.room import cameras, write_photos


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder of three photos of nothing."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.jpg"), np.full((100, 120, 3), 50 * number, np.uint8))
    return folder


def test_doctor_only_looks_at_photos_where_asked_to(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.capture.reconstruction.find_poses", lambda *_, **__: pytest.fail("COLMAP was called"))
    told = unrender("doctor", photos, "--no-poses")
    assert told.code == 0 and "Photos: 3, 3 x 120x100" in told.out
    assert "there are no camera poses; `unrender run` and the window find them (COLMAP)" in told.out
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_doctor_says_why_no_poses_can_be_found_and_what_photos_there_are(photos, tmp_path):
    told = unrender("doctor", photos)
    assert told.code == 1 and "holds no camera poses: finding them" in told.out
    assert "Photos: 3, 3 x 120x100" in told.out and "find them (COLMAP)" not in told.out
    assert "Problem: " in told.out and "no camera poses can be found: 3 of 3 photos have too few details" in told.out
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_doctor_looks_for_masks_before_it_searches_poses(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.capture.reconstruction.find_poses", lambda *_, **__: pytest.fail("COLMAP was called"))
    told = unrender("doctor", photos, "--masks", tmp_path / "nowhere")
    assert told.code == 1 and "nowhere: is not a folder" in told.out
    told = unrender("doctor", photos, "--set", "capture.region=1,2")
    assert told.code == 2 and "capture.region" in told.err


@pytest.mark.parametrize("masks", [False, True])
def test_doctor_finds_poses_then_examines_the_capture_made_with_them(photos, capture, tmp_path, monkeypatch, masks):
    """What is said of the search is not said again among the findings."""
    made = photos.with_name("photos-posed")
    asked = []

    def find_poses(path, progress, keep_pixels):
        asked.append((path, keep_pixels))
        was_there = made.exists()
        if not was_there:
            shutil.copytree(capture, made)
        return Posed(made, PoseReport(17, 16, 0.5, 1234, [("2.jpg", "too dark")], ["something"], 7.0), was_there)

    monkeypatch.setattr("engine.capture.reconstruction.find_poses", find_poses)
    monkeypatch.setattr("engine.capture.reconstruction.recorded_notes", lambda _: ["a note of the search"])
    examine = doctor.examine

    def noted(*given, **named):
        report = examine(*given, **named)
        report.warnings += ["a note of the search", "another"]
        return report

    monkeypatch.setattr(doctor, "examine", noted)
    (tmp_path / "masks").mkdir()
    more = ("--masks", tmp_path / "masks") if masks else ()
    for begin in ("wrote ", "found before, in "):
        told = unrender("doctor", photos, *more)
        expected = [
            f"{photos} holds no camera poses: finding them",
            f"{begin}{made}",
            "Poses: 16 of 17 photos, reprojection error 0.50 px, 1,234 points, 7 s",
            "Note: something",
            "Without a pose: 2.jpg: too dark",
            f"Capture: {made}",
        ]
        assert told.out.splitlines()[: len(expected)] == expected, told
        assert ("Frames: 16 usable" in told.out) is not masks  # the folder of masks is empty
        assert "Note: another" in told.out
        assert "a note of the search" not in told.out
    assert asked == [(photos, masks)] * 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--masks DIR"),
        (("--masks", "nowhere"), "nowhere: is not a folder"),
        (
            ("--recipe", "scene", "--set", "stages=fuse,splats", "--set", "fuse.resolution=64"),
            "stage fuse needs splats",
        ),
        (("--recipe", "scene", "--set", "capture.region=1,2"), "capture.region"),
        (("--recipe", "scene", "--out", "."), "is not empty"),
    ],
    ids=["no masks", "no such masks", "stages", "region", "out"],
)
@pytest.mark.parametrize("command", [("run",), ("script", "own.py", "--capture")], ids=["run", "script"])
def test_what_is_wrong_is_told_before_poses_are_searched(photos, tmp_path, monkeypatch, command, arguments, words):
    monkeypatch.setattr("engine.capture.reconstruction.find_poses", lambda *_, **__: pytest.fail("COLMAP was called"))
    (tmp_path / "own.py").write_text("run()")
    monkeypatch.chdir(tmp_path)
    if command[0] == "script":
        arguments = [{"--masks": "--set", "nowhere": "capture.masks=nowhere"}.get(word, word) for word in arguments]
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "notes.txt").write_text("mine")
    out = () if "--out" in arguments else ("--out", "out")
    before = content(tmp_path)
    told = unrender(*command, photos, *arguments, *out)
    assert told.code in (1, 2) and words in told.err, told
    assert content(tmp_path) == before


def test_run_says_why_no_poses_can_be_found(photos, tmp_path):
    told = unrender("run", photos, "--out", tmp_path / "out", "--recipe", "scene")
    assert told.code == 1 and "holds no camera poses: finding them" in told.out
    assert "no camera poses can be found: 3 of 3 photos have too few details" in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("was_there", [False, True])
def test_poses_are_found_once_and_reported(photos, monkeypatch, capsys, was_there, masks):
    def find_poses(path, progress, keep_pixels):
        assert path == photos and keep_pixels is masks
        progress(0.5, "placing photo 2 of 3")
        report = PoseReport(3, 2, 0.5, 1234, [("2.jpg", "has too few details")], ["something"], 7.0)
        return Posed(photos.with_name("photos-posed"), report, was_there)

    monkeypatch.setattr("engine.capture.reconstruction.find_poses", find_poses)
    assert posed(photos, masks) == photos.with_name("photos-posed")
    told = capsys.readouterr().out
    assert ("found before, in" in told) is was_there and "photos-posed" in told
    assert "Poses: 2 of 3 photos, reprojection error 0.50 px, 1,234 points" in told
    assert "Note: something" in told and "Without a pose: 2.jpg: has too few details" in told


def test_a_capture_is_left_alone(capture):
    assert posed(capture, False) == capture


def test_progress_of_posing_is_shown_on_terminals_and_in_logs(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    plain = PlainProgress()
    plain.posing(0.5, "too soon")
    now[0] += PLAIN_INTERVAL
    plain.posing(0.5, "placing photo 2 of 3")
    monkeypatch.undo()
    assert capsys.readouterr().out == "poses 50%: placing photo 2 of 3\n"
    with BarProgress() as bar:
        bar.posing(0.5, "placing photo 2 of 3")
        assert bar.bar.tasks[-1].percentage == 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "number"), [("run", signal.SIGINT), ("run", signal.SIGTERM), ("doctor", signal.SIGINT)]
)
def test_stopping_leaves_nothing_behind(tmp_path, command, number):
    """While COLMAP works: a child in its place says that it has begun, and ends with its parent only."""
    child, here = tmp_path / "child.py", tmp_path / "pid"
    child.write_text(
        f"import os, pathlib\nmade = pathlib.Path({str(tmp_path / 'partly')!r})\n"
        f"made.write_text(str(os.getpid()))\nmade.rename({str(here)!r})\nos.read(0, 1)\n"
    )
    replaced = "import pathlib, engine.capture.reconstruction as made\n"
    replaced += f"made.CHILD = pathlib.Path({str(child)!r})"
    beside = tmp_path / "photos"
    folder = write_photos(beside / "room", cameras(4))
    more = ("--recipe", "scene", "--out", beside / "out") if command == "run" else ()
    process = started(command, folder, *more, first=replaced)
    wait_until(here.exists, process)
    process.send_signal(number)
    told, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130 and "stopped" in told
    assert [path.name for path in beside.iterdir()] == ["room"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(here.read_text()), 0)
