"""COLMAP models, as pycolmap writes them, in every camera model, binary and text, give the same cameras as pycolmap."""

from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image

from engine.capture import CaptureOptions, open_capture
from engine.capture.lens import Lens
from engine.errors import CaptureError

MODELS = [name for name in pycolmap.CameraModelId.__members__ if name != "INVALID"]


def bent_camera(model: str, number: int = 1) -> pycolmap.Camera:
    """A 96x64 camera with coefficients that bend it noticeably."""
    camera = pycolmap.Camera.create_from_model_name(number, model, 90.0, 96, 64)
    parameters = np.array(camera.params)
    first = len(camera.focal_length_idxs()) + len(camera.principal_point_idxs())
    if model == "FOV":
        parameters[first:] = 0.6
    elif model == "EUCM":
        parameters[first:] = 0.6, 1.1
    elif model != "EQUIRECTANGULAR":
        parameters[first:] = 0.02 * np.cos(np.arange(len(parameters) - first))
        parameters[camera.principal_point_idxs()] += 1.5, -2.0
    camera.params = parameters
    return camera


def write_model(
    folder: Path, model: str, count: int = 5, binary: bool = True, images: bool = True
) -> pycolmap.Reconstruction:
    """A capture with `count` images of one camera."""
    generator = np.random.default_rng(3)
    reconstruction = pycolmap.Reconstruction()
    reconstruction.add_camera_with_trivial_rig(bent_camera(model))
    (folder / "images/left view").mkdir(parents=True)
    for number in range(count):
        quaternion = generator.normal(size=4)
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(quaternion / np.linalg.norm(quaternion)), generator.normal(size=3))
        name = f"left view/{number}.png"
        image = pycolmap.Image(name, camera_id=1, image_id=number + 1)
        if number % 2:
            image.points2D = pycolmap.Point2DList([pycolmap.Point2D(np.array([3.0, 4.0]))])
        reconstruction.add_image_with_trivial_frame(image, pose)
        if images:
            Image.fromarray(np.full((64, 96, 3), 40 * number, np.uint8)).save(folder / "images" / name)
    target = folder / "sparse/0"
    target.mkdir(parents=True)
    (reconstruction.write_binary if binary else reconstruction.write_text)(str(target))
    return reconstruction


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "text"])
@pytest.mark.parametrize("model", MODELS)
def test_cameras_are_those_of_pycolmap(tmp_path, model, binary):
    reconstruction = write_model(tmp_path, model, binary=binary)
    capture = open_capture(tmp_path)
    assert len(capture.frames) == 5
    by_name = {image.name: image for image in reconstruction.images.values()}
    directions = np.random.default_rng(0).uniform(-0.3, 0.3, (50, 2))
    for view in capture.views:
        image = by_name[view.frame.name]
        expected = image.cam_from_world().inverse().matrix()
        np.testing.assert_allclose(view.frame.camera.world_from_camera[:3], expected, atol=1e-9)
        local = np.concatenate([directions, np.ones((50, 1))], -1)
        np.testing.assert_allclose(view.lens.project(directions), image.camera.img_from_cam(local), atol=1e-9)
    pixels = capture.pixels(1)
    assert pixels.color.shape == (*capture.frames[1].camera.size, 3)
    np.testing.assert_allclose(pixels.color, pixels.color[0, 0, 0], atol=1e-6)  # no blank pixels came in


@pytest.mark.parametrize("model", [name for name in MODELS if name != "EQUIRECTANGULAR"])
def test_undistortion_maps_invert_the_lens(tmp_path, model):
    """A pixel of the undistorted image must come from where pycolmap projects the pixel's ray."""
    camera = bent_camera(model)
    focals = len(camera.focal_length_idxs())
    p = list(map(float, camera.params))
    lens = Lens(model, (p[0], p[focals - 1]), (p[focals], p[focals + 1]), 96, 64, tuple(p[focals + 2 :]))
    pinhole = lens.pinhole(np.eye(4))
    map_x, map_y = lens.maps()
    assert map_x.shape == pinhole.size
    _, rays = pinhole.rays()
    expected = camera.img_from_cam((rays / rays[..., 2:]).reshape(-1, 3)).reshape(*pinhole.size, 2)
    np.testing.assert_allclose(np.stack([map_x, map_y], -1) + 0.5, expected, atol=1e-4)
    assert map_x.min() > -0.1 and map_x.max() < 95.1 and map_y.min() > -0.1 and map_y.max() < 63.1
    theirs = pycolmap.undistort_camera(pycolmap.UndistortCameraOptions(), camera)
    assert abs(theirs.width - pinhole.width) <= 2 and abs(theirs.height - pinhole.height) <= 2


def test_a_rig_of_two_cameras_gives_each_image_its_own_pose(tmp_path):
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig, options.num_points3D = 1, 2, 4, 20
    reconstruction = pycolmap.synthesize_dataset(options)
    (tmp_path / "sparse").mkdir()
    reconstruction.write_binary(str(tmp_path / "sparse"))
    for image in reconstruction.images.values():
        path = tmp_path / "images" / image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((image.camera.height, image.camera.width, 3), np.uint8)).save(path)
    capture = open_capture(tmp_path)
    assert len(capture.frames) == 8
    assert "rigs" in capture.format
    by_name = {image.name: image for image in reconstruction.images.values()}
    for frame in capture.frames:
        expected = by_name[frame.name].cam_from_world().inverse().matrix()
        np.testing.assert_allclose(frame.camera.world_from_camera[:3], expected, atol=1e-9)


@pytest.mark.parametrize("place", ["", "colmap/sparse/0", "sparse"])
def test_the_model_is_found_where_people_put_it(tmp_path, place):
    write_model(tmp_path, "PINHOLE")
    if place:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sparse/0").rename(tmp_path / "moved")
        if place == "sparse":
            (tmp_path / "sparse").rmdir()
        (tmp_path / "moved").rename(tmp_path / place)
    assert len(open_capture(tmp_path).frames) == 5


def test_the_model_itself_may_be_named(tmp_path):
    write_model(tmp_path, "PINHOLE")
    assert len(open_capture(tmp_path / "sparse/0").frames) == 5
    assert len(open_capture(tmp_path / "sparse/0/cameras.bin").frames) == 5


def test_smaller_images_stand_in_for_missing_ones(tmp_path):
    write_model(tmp_path, "PINHOLE", images=False)
    (tmp_path / "images/left view").rmdir()
    (tmp_path / "images").rmdir()
    (tmp_path / "images_2/left view").mkdir(parents=True)
    for number in range(5):
        Image.fromarray(np.zeros((32, 48, 3), np.uint8)).save(tmp_path / f"images_2/left view/{number}.png")
    capture = open_capture(tmp_path)
    assert capture.frames[0].camera.focal == (45.0, 45.0)
    assert any("images_2" in warning for warning in capture.warnings)


def test_up_comes_from_level_cameras_and_can_be_set(tmp_path, ball_views):
    cameras, _ = ball_views(20)
    from engine.capture.up import up_direction

    up, source = up_direction(cameras)
    np.testing.assert_allclose(up, [0, 0, 1], atol=1e-6)
    assert "cameras" in source
    write_model(tmp_path, "PINHOLE")
    capture = open_capture(tmp_path, CaptureOptions(up="-y"))
    assert capture.up.tolist() == [0, -1, 0]
    assert capture.up_source == "capture.up"


def test_names_that_leave_the_image_folder_are_refused(tmp_path):
    write_model(tmp_path, "PINHOLE", binary=False)
    file = tmp_path / "sparse/0/images.txt"
    file.write_text(file.read_text().replace("left view/2.png", "../../../secret.png"))
    with pytest.raises(CaptureError, match="outside the capture's folder"):
        open_capture(tmp_path)


def test_a_panorama_becomes_its_forward_quarter(tmp_path):
    write_model(tmp_path, "EQUIRECTANGULAR")
    capture = open_capture(tmp_path)
    assert capture.frames[0].camera.size == (24, 24)
    assert any("panorama" in warning for warning in capture.warnings)
