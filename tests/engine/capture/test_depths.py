"""Depth that photos come with: what is read, what is refused and how, and what the doctor says of it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from app.window.findings import findings
from engine.capture import CaptureOptions, open_capture
from engine.capture.depths import DepthCache, DepthFile, nearest, read_depth
from engine.capture.doctor import examine
from engine.capture.entry import FrameProblem
from engine.errors import CaptureError

WIDTH, HEIGHT, COUNT = 32, 24, 4


def millimetres(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    values = (1000 + 10 * np.arange(height)[:, None] + np.arange(width)).astype(np.uint16)
    values[0, 0] = 0
    return values


def drawn(folder: Path, with_depth: int = COUNT, **changes) -> Path:
    """A capture of COUNT photos around a point, the first of them with depth; `changes` go into transforms.json."""
    frames = []
    for number in range(COUNT):
        image = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), image)
        pose = np.eye(4)
        pose[:3, 3] = number, 0, 4
        frame = {"file_path": f"{number}.png", "transform_matrix": pose.tolist()}
        if number < with_depth:
            cv2.imwrite(str(folder / f"{number}_depth.png"), millimetres())
            frame["depth_file_path"] = f"{number}_depth.png"
        frames.append(frame)
    document = {"fl_x": 30.0, "w": WIDTH, "h": HEIGHT, "frames": frames} | changes
    (folder / "transforms.json").write_text(json.dumps(document))
    return folder


def change(folder: Path, number: int, **keys) -> None:
    path = folder / "transforms.json"
    document = json.loads(path.read_text())
    document["frames"][number] |= keys
    path.write_text(json.dumps(document))


def test_png_is_in_millimetres(tmp_path):
    capture = open_capture(drawn(tmp_path))
    assert capture.has_depth
    depth = capture.depth(1)
    assert depth.dtype == np.float32 and np.allclose(depth, millimetres() / 1000)
    assert depth[0, 0] == 0 and capture.depth(1) is depth  # kept


def test_numbers_may_have_another_unit_and_come_as_npy(tmp_path):
    drawn(tmp_path, depth_unit_scale_factor=0.5)
    metres = np.full((HEIGHT, WIDTH), 3.0)
    metres[0, :3] = np.nan, -1, np.inf
    np.save(tmp_path / "a.npy", metres)
    change(tmp_path, 0, depth_file_path="a.npy", depth_unit_scale_factor=1)
    capture = open_capture(tmp_path)
    assert np.array_equal(capture.depth(0)[0, :4], [0, 0, 0, 3])  # what is no depth is not known
    assert np.allclose(capture.depth(1), millimetres() * 0.5)


def test_photos_without_depth_have_none(tmp_path):
    capture = open_capture(drawn(tmp_path, with_depth=1))
    assert capture.has_depth and capture.depth(3) is None
    bare = tmp_path / "bare"
    bare.mkdir()
    assert not open_capture(drawn(bare, with_depth=0)).has_depth


def test_depth_is_of_the_size_of_its_photo_without_mixing_pixels(tmp_path):
    drawn(tmp_path)
    coarse = millimetres(HEIGHT // 2, WIDTH // 2)
    cv2.imwrite(str(tmp_path / "0_depth.png"), coarse)
    capture = open_capture(tmp_path)
    assert np.allclose(capture.depth(0), np.repeat(np.repeat(coarse, 2, 0), 2, 1) / 1000)
    small = open_capture(tmp_path, CaptureOptions(max_size=16))
    assert small.depth(1).shape == (12, 16) and set(np.unique(small.depth(1))) <= set(np.unique(capture.depth(1)))


def test_depth_is_undistorted_as_its_photo(tmp_path):
    capture = open_capture(drawn(tmp_path, k1=-0.2))
    depth = capture.depth(1)
    assert depth.shape == capture.pixels(1).color.shape[:2]
    known = np.rint(depth[depth > 0] * 1000)
    assert known.size and np.isin(known, millimetres()).all()
    middle = tuple(side // 2 for side in depth.shape)
    assert abs(depth[middle] - millimetres()[HEIGHT // 2, WIDTH // 2] / 1000) < 0.012
    corner = np.rint(depth[1, 1] * 1000)  # k1 < 0 pulls corners in: what is seen here lies nearer to the photo's corner
    assert corner == 0 or corner < millimetres()[5, 5]


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        (
            "x.png",
            lambda p: cv2.imwrite(str(p), millimetres(20, 20)),
            r"has 20 x 20 pixels but its image 32 x 24; make",
        ),
        ("x.png", lambda p: p.write_bytes(b"no"), r"depth x.png cannot be decoded"),
        ("x.png", lambda p: cv2.imwrite(str(p), millimetres().astype(np.uint8)), r"is not a grey picture of 16 bits"),
        ("x.npy", lambda p: p.write_bytes(b"no"), r"depth x.npy cannot be decoded; restore the file"),
        ("x.npy", lambda p: np.save(p, np.ones((2, 3, 4, 5))), r"depth x.npy holds 2 x 3 x 4 x 5 of float64; save"),
        ("x.npy", lambda p: np.save(p, np.array([{}]), allow_pickle=True), r"depth x.npy cannot be decoded"),
        ("x.exr", lambda p: p.write_bytes(b"no"), r"depth x.exr is neither a PNG nor a .npy file"),
        ("../x.png", lambda p: cv2.imwrite(str(p), millimetres()), r"depth ../x.png lies outside the capture's folder"),
    ],
)
def test_bad_depth_is_listed_with_its_frame(tmp_path, name, write, reason):
    folder = tmp_path / "photos"
    folder.mkdir()
    drawn(folder)
    write(folder / name)
    change(folder, 2, depth_file_path=name)
    with pytest.raises(CaptureError, match=rf"1 of 4 frames cannot be used .*2.png: .*{reason}"):
        open_capture(folder).check_images()


def test_a_cut_off_file_is_listed_with_other_bad_frames(tmp_path):
    drawn(tmp_path)
    path = tmp_path / "1_depth.png"
    path.write_bytes(path.read_bytes()[:-60])
    (tmp_path / "2.png").unlink()
    with pytest.raises(CaptureError, match=r"2 of 4 frames cannot be used: 1.png: depth 1_depth.png.*2.png: image"):
        open_capture(tmp_path)


def test_missing_depth_is_said_and_its_photo_used(tmp_path):
    drawn(tmp_path)
    (tmp_path / "2_depth.png").unlink()
    capture = open_capture(tmp_path)
    assert len(capture.frames) == COUNT and capture.depth(2) is None and capture.depth(1) is not None
    assert "depth maps are missing, and splats do not learn from them: 2.png" in capture.warnings


@pytest.mark.parametrize("value", [np.nan, -1.0, 0.0])
def test_depth_maps_that_hold_none_are_said(tmp_path, value):
    drawn(tmp_path)
    np.save(tmp_path / "a.npy", np.full((HEIGHT, WIDTH), value))
    change(tmp_path, 1, depth_file_path="a.npy")
    said = "depth maps hold no depth, only zeros, negative or undefined numbers: 1.png"
    assert said in open_capture(tmp_path).check_images().warnings
    assert said in examine(tmp_path).warnings


def test_a_unit_that_is_none_is_refused(tmp_path):
    drawn(tmp_path, depth_unit_scale_factor=0)
    with pytest.raises(CaptureError, match="depth_unit_scale_factor is 0; give capture units per stored number"):
        open_capture(tmp_path)


def test_the_doctor_counts_photos_with_depth(tmp_path):
    lines = examine(drawn(tmp_path, with_depth=3)).lines()
    assert "Depth: 3 of 4 photos; splats learn from it (splats.depth_weight)" in lines
    assert any(found.text.startswith("Depth: 3 of 4") for found in findings(examine(tmp_path)))  # the window's words
    bare = tmp_path / "bare"
    bare.mkdir()
    assert not any(line.startswith("Depth") for line in examine(drawn(bare, with_depth=0)).lines())


def test_memory_is_bounded(tmp_path):
    capture = open_capture(drawn(tmp_path))
    cache = DepthCache(2 * 4 * WIDTH * HEIGHT)
    maps = [cache.of(view) for view in capture.views]
    assert cache._held == 2 * 4 * WIDTH * HEIGHT and len(cache._kept) == 2
    assert cache.of(capture.views[3]) is maps[3] and cache.of(capture.views[0]) is not maps[0]


def test_nearest_takes_the_pixel_at_the_middle():
    assert np.array_equal(nearest(np.arange(12.0).reshape(2, 6), 1, 2), [[7, 10]])
    with pytest.raises(FrameProblem):
        read_depth(DepthFile(Path("/nowhere/a.png")))
