"""Evaluation measures what it says, over the test views only, against photos composited on white."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from engine.errors import CaptureError
from engine.optimize.evaluate import finite, image_metrics, material_metrics, on_white, photo_on_white
from engine.optimize.hull_baseline import UnlitRenderer, mean_vertex_colors
from engine.optimize.truth import find_truth
from engine.scene import Mesh
from engine.scene.conventions import linear_to_srgb, srgb_to_linear
from tests.engine.optimize.small_run import SmallCapture


class Replay:
    """Renders the photos themselves, darkened."""

    def __init__(self, capture: SmallCapture, factor: float = 1.0) -> None:
        self.capture, self.factor = capture, factor

    def render(self, camera):
        index = next(i for i, frame in enumerate(self.capture.frames) if frame.camera is camera)
        pixels = self.capture.pixels(index)
        return self.factor * pixels.color * pixels.mask[..., None], pixels.mask

    def render_maps(self, camera):
        alpha = self.render(camera)[1]

        class Maps:
            base_color = np.full((*alpha.shape, 3), 0.25, np.float32)
            roughness = np.full(alpha.shape, 0.5, np.float32)
            metallic = np.zeros(alpha.shape, np.float32)

        Maps.alpha = alpha
        return Maps


def test_compositing_is_straight_alpha_on_white_in_encoded_space():
    color, alpha = np.full((1, 1, 3), 0.2, np.float32), np.full((1, 1), 0.25, np.float32)
    np.testing.assert_allclose(on_white(color, alpha), linear_to_srgb(color) * 0.25 + 0.75, rtol=1e-6)
    assert on_white(color * 100, alpha * 4).max() == pytest.approx(1)


def test_image_metrics_are_means_over_the_test_views():
    capture = SmallCapture()
    perfect = image_metrics(Replay(capture), capture, capture.test, Replay(capture, 0.5))
    assert [view["name"] for view in perfect["per_view"]] == ["view2", "view5"]
    assert perfect["psnr"] > 90 and perfect["ssim"] == pytest.approx(1) and perfect["flip"] < 1e-6
    darker = image_metrics(Replay(capture, 0.5), capture, capture.test)
    assert perfect["hull_psnr"] == pytest.approx(darker["psnr"]) and darker["hull_psnr"] is None
    assert darker["psnr"] == pytest.approx(np.mean([view["psnr"] for view in darker["per_view"]]))
    assert darker["psnr_masked"] < darker["psnr"], "the white background is not counted"
    none = image_metrics(Replay(capture), capture, [])
    assert none["psnr"] is None and none["per_view"] == []


def square(z: float, size: float) -> Mesh:
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32) * size
    corners[:, 2] = z
    return Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32))


def grid(z: float, cells: int) -> Mesh:
    line = np.linspace(-1, 1, cells + 1, dtype=np.float32)
    x, y = np.meshgrid(line, line)
    vertices = np.stack([x.ravel(), y.ravel(), np.full(x.size, z, np.float32)], 1)
    corner = (np.arange(cells)[:, None] * (cells + 1) + np.arange(cells)).ravel()
    quads = np.stack([corner, corner + 1, corner + cells + 2, corner + cells + 1], 1)
    return Mesh(vertices, np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32))


def test_vertices_take_the_mean_of_the_views_that_see_them_and_hidden_ones_their_neighbours():
    from dataclasses import replace

    from engine.raster import rasterizer
    from engine.scene.camera import look_at

    capture = SmallCapture(size=(64, 64))
    up = np.array([0.0, 1.0, 0.0])
    eyes = [(0.2, 0.0, 3.0), (-0.2, 0.0, 3.0), (0.0, 0.3, 3.0), (0.0, 0.0, -3.0)]
    cameras = [look_at(np.array(eye), np.zeros(3), up, 60.0, 64, 64) for eye in eyes]
    capture.frames = [replace(capture.frames[0], camera=camera, split="train") for camera in cameras]
    for index, value in enumerate((0.2, 0.4, 0.6, 0.9)):
        pixels = capture.pixels(index)
        pixels.color[:], pixels.mask[:] = value, 1.0
    front, hidden = grid(0.0, 8), square(-1.0, 0.1)  # all look from the front but one, which the normals exclude
    mesh = Mesh(
        np.concatenate([front.vertices, hidden.vertices]),
        np.concatenate([front.triangles, hidden.triangles + len(front.vertices)]),
    )
    colors = mean_vertex_colors(mesh, capture, rasterizer("numba"))
    np.testing.assert_allclose(colors, 0.4, atol=1e-6)
    image, alpha = UnlitRenderer(mesh, colors, rasterizer("numba")).render(cameras[0])
    assert alpha[32, 32] == 1 and alpha[0, 0] == 0
    np.testing.assert_allclose(image[32, 32], 0.4, atol=1e-5)


def test_true_maps_are_found_and_compared(tmp_path):
    capture = SmallCapture(str(tmp_path))
    folder = tmp_path / "truth"
    assert find_truth(tmp_path) is None
    folder.mkdir()
    (folder / "mesh.ply").write_text("x")
    patterns = {"base_color": "{name}_b.png", "roughness": "{name}_r.png"}
    (folder / "truth.json").write_text(json.dumps({"mesh": "mesh.ply", "maps": patterns}))
    height, width = capture.frames[0].camera.size
    for frame in ("view2", "view5"):
        cv2.imwrite(str(folder / f"{frame}_b.png"), np.full((height, width, 3), (200, 128, 64), np.uint8))
        cv2.imwrite(str(folder / f"{frame}_r.png"), np.full((height, width), 153, np.uint8))
    truth = find_truth(tmp_path)
    assert truth.mesh_path == folder / "mesh.ply"
    maps = truth.maps(capture.frames[2])
    expected = srgb_to_linear(np.float32([64, 128, 200]) / 255)
    np.testing.assert_allclose(maps.base_color[0, 0], expected, rtol=1e-5)
    result = material_metrics(Replay(capture), capture, capture.test, truth)
    assert result["roughness_rmse"] == pytest.approx(0.1, abs=1e-3)
    assert result["base_color_psnr"] > 60, "one scale per channel is forgiven"
    assert "metallic_rmse" not in result
    (folder / "view2_b.png").write_text("no image")
    with pytest.raises(CaptureError, match="view2_b.png"):
        truth.maps(capture.frames[2])
    for pattern in ("{other}.png", "{}.png", "{name.x}.png", "{name", "{name:d}"):
        (folder / "truth.json").write_text(json.dumps({"maps": {"roughness": pattern}}))
        with pytest.raises(CaptureError, match="truth.json.*maps.roughness.*only {name}"):
            find_truth(tmp_path)
    (folder / "truth.json").write_text("{")
    with pytest.raises(CaptureError, match="truth.json"):
        find_truth(tmp_path)


def test_metrics_are_json():
    value = finite({"a": np.float32(1.5), "b": [float("nan"), np.int64(3)], "c": (None, float("inf"))})
    assert json.loads(json.dumps(value)) == {"a": 1.5, "b": [None, 3], "c": [None, None]}
    assert photo_on_white(SmallCapture(), 0)[1].dtype == bool
