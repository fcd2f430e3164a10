"""Refined cameras are what the asset is measured with, and are left in a file that opens as a capture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from engine.capture import CaptureOptions, open_capture
from engine.errors import CaptureError, ExchangeError
from engine.optimize.evaluate import image_metrics, material_metrics
from engine.optimize.refined_cameras import moved_cameras, refined_cameras, what_cameras, write_cameras
from engine.optimize.scores import PhotoScores
from engine.optimize.snapshot import SceneSnapshot
from engine.optimize.truth import Truth
from engine.scene import Camera
from engine.scene.camera import look_at
from engine.scene.conventions import pose_to_opengl

COUNT, SIZE = 10, 16
TURN = Rotation.from_rotvec([0.01, -0.02, 0.03]).as_matrix()


def tensors(cameras: list[Camera], lens=(0.0, 0.0, 0.0, 0.0), still=()) -> dict[str, torch.Tensor]:
    """What CameraRefinement leaves once all but `still` have turned about the world's origin."""
    rotations = np.stack([np.eye(3) if frame in still else TURN for frame in range(len(cameras))])
    centres = np.stack([camera.position for camera in cameras])
    offsets = np.einsum("nij,nj->ni", rotations, centres) - centres
    steps = [0 if frame in still else 5 for frame in range(len(cameras))] + [5]
    return {
        "cameras.rotations": torch.from_numpy(rotations),
        "cameras.offsets": torch.from_numpy(offsets),
        "cameras.lens": torch.tensor(lens, dtype=torch.float64),
        "cameras.steps": torch.tensor(steps),
        "other": torch.zeros(1),
    }


def written(folder: Path, masks: bool = False, **extra) -> Path:
    """A capture of grey pictures on a ring, every 8th of them held out."""
    (folder / "images").mkdir(parents=True)
    frames = []
    for number in range(COUNT):
        angle = 0.6 * number
        eye = np.array([4 * np.cos(angle), 4 * np.sin(angle), 1.0])
        camera = look_at(eye, np.zeros(3), np.array([0.0, 0.0, 1.0]), 20.0, SIZE, SIZE)
        name = f"images/{number:03d}.png"
        Image.new("RGB", (SIZE, SIZE), (90, 90, 90)).save(folder / name)
        frames.append({"file_path": name, "transform_matrix": pose_to_opengl(camera.world_from_camera).tolist()})
        if masks:
            (folder / "masks").mkdir(exist_ok=True)
            frames[-1]["mask_path"] = f"masks/{number:03d}.png"
            Image.new("L", (SIZE, SIZE), 255).save(folder / frames[-1]["mask_path"])
    document = {"fl_x": 20.0, "w": SIZE, "h": SIZE, "up": "+y", **extra, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(document))
    return folder


def same(a: Camera, b: Camera) -> None:
    np.testing.assert_allclose(a.world_from_camera, b.world_from_camera, atol=1e-9)
    np.testing.assert_allclose((*a.focal, *a.centre), (*b.focal, *b.centre), rtol=1e-9)
    assert a.size == b.size


def test_held_out_cameras_take_the_lens_and_follow_the_others(tmp_path):
    capture = open_capture(written(tmp_path / "made"))
    given = [frame.camera for frame in capture.frames]
    assert refined_cameras(capture, {"other": torch.zeros(1)}) is None
    got = refined_cameras(capture, tensors(given, (0.1, 0.2, 0.01, -0.02), still=(*capture.test, 3)))
    for frame in capture.test:
        expected = given[frame].world_from_camera.copy()
        expected[:3] = TURN @ expected[:3]
        np.testing.assert_allclose(got[frame].world_from_camera, expected, atol=1e-9)
        np.testing.assert_allclose(got[frame].focal, (20 * np.exp(0.1), 20 * np.exp(0.2)))
        np.testing.assert_allclose(got[frame].centre, (8.2, 7.6))
    assert (got[3].world_from_camera == given[3].world_from_camera).all(), "no step has moved it"
    assert what_cameras({}) == "as given"
    assert what_cameras(tensors(given)) == "refined; held-out follow their neighbours"
    assert what_cameras(tensors(given, (0.1, 0, 0, 0))).startswith("refined with intrinsics;")


LENSES = {
    "pinhole": {},
    "polynomial": {"camera_model": "OPENCV", "k1": 0.02, "k2": -0.01, "p1": 0.001, "p2": -0.002, "k3": 0.001},
    "radial": {"camera_model": "SIMPLE_RADIAL", "k1": 0.03},
    "fisheye": {"camera_model": "OPENCV_FISHEYE", "k1": 0.02, "k2": 0.001, "k3": 0.0, "k4": 0.0},
}


@pytest.mark.parametrize("kind", LENSES)
def test_the_file_opens_as_a_capture_with_these_cameras(tmp_path, kind):
    capture = open_capture(written(tmp_path / "made", masks=True, **LENSES[kind]))
    moved = tensors([frame.camera for frame in capture.frames], still=capture.test)
    path = tmp_path / "exports" / "cameras.json"
    assert write_cameras(path, capture, moved) == ""
    assert [file.name for file in path.parent.iterdir()] == ["cameras.json"]
    with pytest.raises(CaptureError, match="allow_outside"):
        open_capture(path)
    again = open_capture(path, CaptureOptions(allow_outside=True))
    assert again.train == capture.train and again.test == capture.test and (again.up == capture.up).all()
    for frame, view, camera in zip(again.frames, capture.views, refined_cameras(capture, moved), strict=True):
        same(frame.camera, camera)
        assert frame.image_path.samefile(view.frame.image_path) and frame.mask_path.samefile(view.frame.mask_path)


def test_the_file_is_of_the_stored_images_and_has_the_refined_lens(tmp_path):
    folder, lens = written(tmp_path / "made"), (0.1, 0.2, 0.01, -0.02)
    capture = open_capture(folder, CaptureOptions(max_size=8))
    path = tmp_path / "cameras.json"
    write_cameras(path, capture, tensors([frame.camera for frame in capture.frames], lens))
    got = open_capture(path, CaptureOptions(allow_outside=True)).frames[2].camera
    np.testing.assert_allclose((*got.focal, *got.centre), (20 * np.exp(0.1), 20 * np.exp(0.2), 8.2, 7.6))
    assert got.size == (SIZE, SIZE)


def test_a_lens_without_words_and_a_place_that_cannot_be_written_are_told(tmp_path):
    capture = open_capture(written(tmp_path / "made"))
    moved = tensors([frame.camera for frame in capture.frames])
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(ExchangeError, match="cameras.json"):
        write_cameras(blocked / "cameras.json", capture, moved)
    view = capture.views[0]
    capture.views[0] = replace(view, lens=replace(view.lens, model="FOV", coefficients=(0.1,)))
    said = write_cameras(tmp_path / "cameras.json", capture, moved)
    assert "FOV" in said and not (tmp_path / "cameras.json").exists()


class Looking:
    """Draws where it was looked from."""

    def __init__(self, capture) -> None:
        self.capture, self.asked = capture, []

    def render(self, camera):
        self.asked.append(camera)
        return np.full((*camera.size, 3), 0.1, np.float32), np.ones(camera.size, np.float32)

    def render_maps(self, camera):
        self.asked.append(camera)

        class Maps:
            base_color, roughness = np.zeros((*camera.size, 3), np.float32), np.zeros(camera.size, np.float32)
            metallic, alpha = np.zeros(camera.size, np.float32), np.zeros(camera.size, np.float32)

        return Maps


def test_photos_are_scored_from_where_a_running_stage_has_moved_their_cameras(tmp_path):
    capture = open_capture(written(tmp_path / "made"))
    given = [frame.camera for frame in capture.frames]
    running = SimpleNamespace(refinement=SimpleNamespace(named_state=lambda: tensors(given, still=capture.test)))
    before = {"other": torch.zeros(1)}
    assert moved_cameras(None, before) == {}
    assert moved_cameras(None, tensors(given)).keys() == moved_cameras(running, before).keys()
    for cameras in (moved_cameras(running, before), {}):
        scores = PhotoScores(SceneSnapshot("shape", 1, 1, cameras=cameras), capture)
        scores._renderer = looking = Looking(capture)
        scores.psnr(1)
        expected = refined_cameras(capture, cameras) or given
        same(looking.asked[0], expected[1])
        assert (looking.asked[0].position == given[1].position).all() == (not cameras)


def test_the_asset_is_seen_by_refined_cameras_and_the_hull_by_those_that_carved_it(tmp_path):
    capture = open_capture(written(tmp_path / "made"))
    given = [frame.camera for frame in capture.frames]
    cameras = refined_cameras(capture, tensors(given, still=capture.test))
    asset, hull = Looking(capture), Looking(capture)
    image_metrics(asset, capture, capture.test, hull, cameras=cameras)
    assert asset.asked == [cameras[frame] for frame in capture.test]
    assert hull.asked == [given[frame] for frame in capture.test]
    asset.asked.clear()
    material_metrics(asset, capture, capture.test, Truth(tmp_path, None, {}), cameras)
    assert asset.asked == [cameras[frame] for frame in capture.test]
