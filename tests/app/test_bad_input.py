"""Bad input at the command line: one sentence with the file and what to do, a non-zero exit, nothing left behind."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import engine.optimize.checkpoint
from engine.capture import CaptureOptions, open_capture
from tests.app.test_run import checkpoints, lasting
from tests.app.tiny import HULL_ONLY, content, flags, unrender

ROOT = Path(__file__).resolve().parents[2]
CLOSE = [[1.5, 0, 0], [0, 1.5, 0], [0, 0, 1.5]]


def edited(folder: Path, change) -> Path:
    """The capture with `change` applied to its training views' JSON."""
    file = folder / "transforms_train.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    return folder


def pose(document: dict, frame: int, row: int, column: int, value: float) -> None:
    document["frames"][frame]["transform_matrix"][row][column] = value


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:500])


def scribble(path: Path) -> None:
    path.write_text("this is no picture")


def redraw(path: Path, change) -> None:
    pixels = np.array(Image.open(path))
    change(pixels)
    Image.fromarray(pixels).save(path)


def clear_alpha(path: Path) -> None:
    redraw(path, lambda pixels: pixels[..., 3].fill(0))


def fails(told, *words: str, code: int = 1) -> None:
    """One sentence on the error channel that holds all `words`."""
    assert told.code == code, told
    assert told.err.startswith("error: ") and all(word in told.err for word in words), told.err
    assert "Traceback" not in told.err + told.out


@pytest.mark.parametrize(
    "harm, words",
    [
        (remove, ("r_003", "missing")),
        (truncate, ("r_003.png", "truncated")),
        (scribble, ("r_003.png", "cannot")),
        (clear_alpha, ("r_003", "empty")),
    ],
    ids=["missing", "truncated", "no image", "empty mask"],
)
def test_one_bad_photo(capture, copied, tmp_path, harm, words):
    folder = copied(capture)
    harm(folder / "train" / "r_003.png")
    before = content(folder)
    fails(unrender("run", folder, "--out", tmp_path / "run", *flags(HULL_ONLY)), *words)
    assert content(folder) == before and not (tmp_path / "run").exists()
    told = unrender("run", folder, "--out", tmp_path / "run", "--skip-bad-frames", *flags(HULL_ONLY))
    assert told.code == 0 and "r_003" in told.out, "it goes on without the photo, and says so"


def test_all_bad_photos_are_listed_together(capture, copied, tmp_path):
    folder = copied(capture)
    remove(folder / "train" / "r_003.png")
    truncate(folder / "train" / "r_005.png")
    scribble(folder / "test" / "r_008.png")
    told = unrender("run", folder, "--out", tmp_path / "run", *flags(HULL_ONLY))
    fails(told, "r_003", "r_005", "r_008", "--skip-bad-frames")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda d: pose(d, 2, 0, 3, float("nan")), ("r_003", "finite")),
        (lambda d: [pose(d, 2, row, 0, 0.0) for row in range(3)], ("r_003",)),
        (lambda d: d.update(camera_angle_x=0.0), ("camera_angle_x",)),
        (lambda d: d.update(fl_x=0.0, camera_angle_x=None), ("fl_x",)),
        (lambda d: d["frames"].append(d["frames"][0]), ("r_001",)),
        (lambda d: d["frames"][2].update(file_path="../../outside.png"), ("outside.png", "capture.allow_outside=true")),
        (lambda d: d["frames"][2].update(file_path="/etc/hostname"), ("hostname", "capture.allow_outside=true")),
        (lambda d: d.update(frames="all"), ("frames",)),
        (lambda d: d.update(frames=[]), ("transforms",)),
    ],
    ids=["nan", "singular", "no angle", "zero focal", "twice", "escaping", "absolute", "frames", "no frames"],
)
def test_bad_transforms(capture, copied, tmp_path, change, words):
    folder = edited(copied(capture), change)
    before = content(folder)
    fails(unrender("run", folder, "--out", tmp_path / "run", *flags(HULL_ONLY)), *words)
    assert content(folder) == before and not (tmp_path / "run").exists()


def test_a_capture_that_is_none(tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "nowhere"):
        fails(unrender("run", path, "--out", tmp_path / "run"), path.name)
    (tmp_path / "empty" / "transforms.json").write_text('{"frames": [')
    fails(unrender("run", tmp_path / "empty", "--out", tmp_path / "run"), "transforms.json")
    assert not (tmp_path / "run").exists()


def test_one_view_only(capture, copied, tmp_path):
    folder = edited(copied(capture), lambda document: document.update(frames=document["frames"][:1]))
    (folder / "transforms_test.json").unlink()
    fails(unrender("run", folder, "--out", tmp_path / "run", *flags(HULL_ONLY)), "one")
    assert not (tmp_path / "run").exists()


def test_an_object_outside_every_view(capture, tmp_path):
    told = unrender(
        *("run", capture, "--out", tmp_path / "run", "--set", "capture.region=100,100,100,101,101,101"),
        *flags(HULL_ONLY),
    )
    fails(told, "region")
    assert not (tmp_path / "run").exists()


def test_masks_that_share_no_volume(capture, copied, tmp_path):
    def turned(document):
        for number, frame in enumerate(document["frames"]):
            matrix = np.array(frame["transform_matrix"])
            matrix[:3, 3] += 50.0 * number * matrix[:3, 0]  # beside the object, each in another place
            frame["transform_matrix"] = matrix.tolist()

    folder = edited(copied(capture), turned)
    told = unrender("run", folder, "--out", tmp_path / "run", *flags(HULL_ONLY))
    fails(told, "doctor")


def test_an_empty_surface(capture, tmp_path, monkeypatch):
    monkeypatch.setattr("engine.optimize.stages.hull.carve", lambda *_, **__: np.ones((17, 17, 17), np.float32))
    told = unrender("run", capture, "--out", tmp_path / "run", *flags(HULL_ONLY))
    fails(told, "the iso-surface is empty", "check the masks")


def one_place(document: dict) -> None:
    for frame in document["frames"]:
        for row in range(3):
            frame["transform_matrix"][row][3] = 0.5 + row


@pytest.mark.parametrize(
    ("option", "change", "words"),
    [
        ("stages=refine,hull", None, "stage refine needs an unwrapped mesh"),
        ("run.seed=99999999999999999999", None, "must be 0 to 9223372036854775807"),
        ("stages=hull", one_place, "all cameras to train from stand at the same place"),
        ("stages=hull", "empty", "the iso-surface is empty"),
    ],
    ids=["order", "seed", "one place", "empty"],
)
def test_a_finished_run_survives_a_bad_overwrite(finished, capture, tmp_path, monkeypatch, option, change, words):
    project, photos = tmp_path / "run", tmp_path / "photos"
    shutil.copytree(finished[0], project)
    shutil.copytree(capture, photos)
    (project / "exports" / "asset.blend").write_text("mine")
    if callable(change):
        edited(photos, change)
    elif change == "empty":
        monkeypatch.setattr("engine.optimize.stages.hull.carve", lambda *_, **__: np.ones((17, 17, 17), np.float32))
    before = content(project)
    told = unrender("run", photos, "--out", project, "--overwrite", "--set", option)
    fails(told, words, code=2 if change is None else 1)
    assert content(project) == before
    fails(unrender("run", photos, "--out", tmp_path / "new", "--set", option), words, code=2 if change is None else 1)
    assert not (tmp_path / "new").exists(), "what failed does not stand in the way of the next"


def unmasked(folder: Path, background=(0, 255, 0)) -> Path:
    """The capture with plain RGB photos before a plain background, and its masks in a folder of their own."""
    for path in [*(folder / "train").glob("*.png"), *(folder / "test").glob("*.png")]:
        pixels = np.array(Image.open(path))
        (folder / "silhouettes").mkdir(exist_ok=True)
        Image.fromarray(pixels[..., 3]).save(folder / "silhouettes" / path.name)
        pixels[pixels[..., 3] < 128, :3] = background
        Image.fromarray(pixels[..., :3]).save(path)
    return folder


def test_a_mask_of_the_wrong_size(capture, copied, tmp_path):
    folder = unmasked(copied(capture))
    Image.fromarray(np.full((20, 30), 255, np.uint8)).save(folder / "silhouettes" / "r_003.png")
    told = unrender("run", folder, "--out", tmp_path / "run", "--masks", folder / "silhouettes", *flags(HULL_ONLY))
    fails(told, "mask r_003.png has 30 x 20 pixels")
    assert not (tmp_path / "run").exists()


def test_photos_without_masks_name_three_remedies(capture, copied, tmp_path):
    folder = unmasked(copied(capture))
    told = unrender("run", folder, "--out", tmp_path / "run", *flags(HULL_ONLY))
    fails(told, "--masks DIR", "--set capture.region=x0,y0,z0,x1,y1,z1", "--set capture.color_key=r,g,b")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "remedy",
    [
        ["--masks", "silhouettes"],
        ["--set", "capture.region=-1.6,-1.6,-1.6,1.6,1.6,1.6"],
        ["--set", "capture.color_key=0,255,0"],
    ],
    ids=["masks", "region", "colour key"],
)
def test_each_remedy_works(capture, copied, tmp_path, monkeypatch, remedy):
    folder = unmasked(copied(capture))
    monkeypatch.chdir(folder)
    told = unrender("run", folder, "--out", tmp_path / "run", *remedy, *flags(HULL_ONLY))
    assert told.code == 0, told.err
    assert unrender("resume", tmp_path / "run").code == 0, "from a stored recipe too"


@pytest.mark.parametrize("color_key, share", [("0,255,0", 0.02)])
def test_a_colour_key_finds_the_masks(capture, copied, color_key, share):
    folder = unmasked(copied(capture))
    found = open_capture(folder, CaptureOptions(color_key=tuple(map(float, color_key.split(",")))))
    true = open_capture(folder, CaptureOptions(masks=folder / "silhouettes"))
    for index in found.train:
        assert np.abs((found.pixels(index).mask > 0.5) ^ (true.pixels(index).mask > 0.5)).mean() < share


def test_an_out_folder_that_cannot_be(capture, tmp_path):
    (tmp_path / "file").write_text("keep me")
    for out, words in ((tmp_path / "file", "is a file"), (tmp_path / "file" / "below" / "run", "file")):
        fails(unrender("run", capture, "--out", out, *flags(HULL_ONLY)), words)
    assert content(tmp_path) == {"file": b"keep me"}
    fails(unrender("run", capture, "--out", "/proc/unrender", *flags(HULL_ONLY)), "/proc/unrender")


def test_a_full_disk_while_a_run_goes_on(capture, tmp_path, monkeypatch):
    def full(path, data):
        if path.suffix == ".safetensors":
            raise engine.optimize.checkpoint.ProjectError(f"{path}: cannot be written ({os.strerror(errno.ENOSPC)})")
        return write(path, data)

    write = engine.optimize.checkpoint.write_atomically
    monkeypatch.setattr(engine.optimize.checkpoint, "write_atomically", full)
    told = unrender("run", capture, "--out", tmp_path / "run", *flags(HULL_ONLY))
    assert told.code == 0 and "no checkpoint" in told.out and "No space left" in told.out


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_files_that_cannot_grow_leave_no_half_written_asset(finished, copied):
    project = copied(finished[0])
    before = content(project / "exports")
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); sys.dont_write_bytecode = True;"
        "from app.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "export", str(project)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ended.returncode == 1 and ended.stderr.startswith("error: "), ended.stderr
    assert "asset.glb" in ended.stderr and "Traceback" not in ended.stderr
    after = content(project / "exports")
    assert after == before


def test_a_project_that_is_in_use(finished, copied):
    from engine.optimize.session import Session

    project = copied(finished[0])
    with Session.open(project):
        fails(unrender("resume", project), "already runs this project")


def test_a_project_of_a_newer_version(finished, copied):
    project = copied(finished[0])
    file = project / "project.toml"
    file.write_text(file.read_text().replace("schema_version = 1", "schema_version = 9", 1))
    before = content(project)
    fails(unrender("resume", project), "project.toml", "newer", "update Unrender")
    assert content(project) == before


def test_a_checkpoint_of_a_newer_version(finished, copied):
    import hashlib

    project = copied(finished[0])
    manifest = checkpoints(project)[-1]
    body = json.dumps(json.loads(json.loads(manifest.read_text())["body"]) | {"schema_version": 9})
    manifest.write_text(json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest(), "body": body}))
    fails(unrender("resume", project), manifest.name, "newer", "update Unrender")


def test_a_capture_that_changed_since(finished, capture, copied, monkeypatch, tmp_path):
    project, moved = copied(finished[0]), tmp_path / "moved"
    file = project / "project.toml"
    file.write_text(file.read_text().replace(str(capture), str(moved)))
    fails(unrender("resume", project), "moved")
    shutil.copytree(capture, moved)
    assert unrender("resume", project).code == 0 and lasting(project) == lasting(finished[0])
    edited(moved, lambda document: pose(document, 2, 0, 3, 0.25))
    fails(unrender("resume", project), "changed since")
