"""Points that captures carry: COLMAP's, a named PLY, a model beside a transforms.json, and damaged files."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from engine.capture import open_capture
from engine.capture.points import model_points, ply_points, similarity
from engine.errors import CaptureError
from engine.scene.conventions import pose_from_opengl

POSITIONS = np.random.default_rng(1).normal(size=(5, 3))
COLORS = np.arange(15, dtype=np.uint8).reshape(5, 3)


def binary(positions=POSITIONS, colors=COLORS) -> bytes:
    out = struct.pack("<Q", len(positions))
    for number, (position, color) in enumerate(zip(positions, colors, strict=True)):
        out += struct.pack("<Q3d3BdQ", number, *position, *color, 0.5, number) + bytes(8 * number)
    return out


def write_ply(path, positions=POSITIONS, colors=COLORS):
    names = [f"property float {name}" for name in "xyz"] + [
        f"property uchar {name}" for name in ("red", "green", "blue")
    ]
    lines = ["ply", "format ascii 1.0", f"element vertex {len(positions)}", *names, "end_header"]
    lines += [" ".join(f"{value:.9g}" for value in (*p, *c)) for p, c in zip(positions, colors, strict=True)]
    path.write_text("\n".join(lines) + "\n")


def write_model(folder, poses: dict[str, np.ndarray]) -> None:
    """A COLMAP text model with cameras `poses` (name: world from camera)."""
    folder.mkdir(parents=True)
    (folder / "cameras.txt").write_text("1 PINHOLE 64 64 80 80 32 32\n")
    lines = []
    for number, (name, pose) in enumerate(poses.items(), 1):
        rotation = pose[:3, :3].T
        w = np.sqrt(max(1e-12, 1 + np.trace(rotation))) / 2
        axis = np.array(
            [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
        )
        numbers = [w, *(axis / (4 * w)), *(-rotation @ pose[:3, 3])]
        lines += [f"{number} {' '.join(map(repr, map(float, numbers)))} 1 {name}", ""]
    (folder / "images.txt").write_text("\n".join(lines) + "\n")


def test_both_forms_of_a_model_give_the_same_points(tmp_path):
    assert model_points(tmp_path) is None
    rows = [
        f"{i} {p[0]!r} {p[1]!r} {p[2]!r} {c[0]} {c[1]} {c[2]} 0.5 1 2"
        for i, (p, c) in enumerate(zip(POSITIONS.tolist(), COLORS, strict=True))
    ]
    (tmp_path / "points3D.txt").write_text("# a comment\n" + "\n".join(rows) + "\n")
    text = model_points(tmp_path)
    (tmp_path / "points3D.bin").write_bytes(binary())
    for positions, colors in (text, model_points(tmp_path)):
        assert np.array_equal(positions, POSITIONS) and np.array_equal(colors, COLORS)


def test_points_that_are_not_finite_are_left_out(tmp_path):
    positions = POSITIONS.copy()
    positions[1, 0], positions[3, 2] = np.nan, np.inf
    (tmp_path / "points3D.bin").write_bytes(binary(positions))
    assert np.array_equal(model_points(tmp_path)[1], COLORS[[0, 2, 4]])
    (tmp_path / "points3D.bin").write_bytes(binary(POSITIONS[:0], COLORS[:0]))
    assert model_points(tmp_path) is None


@pytest.mark.parametrize("data", [b"", binary()[:-1], binary()[:100], struct.pack("<Q", 1 << 60) + bytes(200)])
def test_a_damaged_model_is_said(tmp_path, data):
    (tmp_path / "points3D.bin").write_bytes(data)
    with pytest.raises(CaptureError, match=r"points3D\.bin: is not a valid COLMAP file"):
        model_points(tmp_path)


def test_a_ply_gives_points_with_and_without_colours(tmp_path):
    write_ply(tmp_path / "a.ply")
    positions, colors = ply_points(tmp_path / "a.ply")
    assert np.allclose(positions, POSITIONS, atol=1e-6) and np.array_equal(colors, COLORS)
    (tmp_path / "b.ply").write_bytes(b"ply\nnonsense")
    with pytest.raises(CaptureError, match=r"b\.ply: is not a PLY file of points"):
        ply_points(tmp_path / "b.ply")


def test_a_transforms_json_names_its_points(make_ball, tmp_path):
    capture = make_ball(ply_file_path="cloud.ply")
    assert open_capture(capture).points() is None  # the file is missing
    write_ply(capture / "cloud.ply")
    opened = open_capture(capture)
    assert np.allclose(opened.points()[0], POSITIONS, atol=1e-6) and opened.points() is opened.points()
    write_ply(tmp_path / "outside.ply")
    outside = make_ball(ply_file_path="../outside.ply")
    assert open_capture(outside).points() is None


@pytest.mark.parametrize("moved", [False, True])
def test_a_model_beside_is_brought_to_the_same_frame(ball, edit, moved):
    capture = open_capture(ball)
    poses = {frame.name.removeprefix("images/"): frame.camera.world_from_camera.copy() for frame in capture.frames}
    angle, shift, scale = 0.3, np.array([1.0, -2.0, 0.5]), 2.5
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    for pose in poses.values():
        pose[:3, :3] = rotation @ pose[:3, :3]
        pose[:3, 3] = scale * rotation @ pose[:3, 3] + shift
    model = ball / "sparse" / "0"
    write_model(model, poses)
    (model / "points3D.bin").write_bytes(binary(scale * POSITIONS @ rotation.T + shift))
    if moved:  # now it is of other photos
        edit(
            ball,
            lambda document: [
                frame["transform_matrix"][0].__setitem__(3, i * i % 7.0) for i, frame in enumerate(document["frames"])
            ],
        )
    points = open_capture(ball).points()
    if moved:
        assert points is None
    else:
        assert np.allclose(points[0], POSITIONS, atol=1e-9) and np.array_equal(points[1], COLORS)


def test_no_similarity_is_made_of_a_line_or_of_noise():
    line = np.outer(np.arange(6.0), [1, 2, 3])
    generator = np.random.default_rng(0)
    assert similarity(line, line) is None
    assert similarity(generator.normal(size=(9, 3)), generator.normal(size=(9, 3))) is None
    assert similarity(np.full((4, 3), np.nan), np.zeros((4, 3))) is None
    pose = pose_from_opengl(np.eye(4))
    scale, rotation, shift = similarity(POSITIONS @ pose[:3, :3].T + 1, POSITIONS)
    assert np.isclose(scale, 1) and np.allclose(rotation, pose[:3, :3].T) and np.allclose(rotation @ np.ones(3), -shift)
