"""Every dialect of transforms.json gives the cameras that were meant, and what it cannot mean is refused by name."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.capture import CaptureOptions, open_capture
from engine.capture.entry import locate
from engine.errors import CaptureError
from engine.scene.conventions import OPENCV_FROM_OPENGL


def test_blender_split_files_with_angle_and_no_extension(ball, edit):
    document = json.loads((ball / "transforms.json").read_text())
    angle = 2 * math.atan(64 / 2 / 80)
    frames = [{**frame, "file_path": "./" + frame["file_path"][:-4]} for frame in document["frames"]]
    for name, part in {"train": frames[:6], "test": frames[6:]}.items():
        (ball / f"transforms_{name}.json").write_text(json.dumps({"camera_angle_x": angle, "frames": part}))
    (ball / "transforms.json").unlink()
    capture = open_capture(ball)
    assert (len(capture.train), len(capture.test)) == (6, 3)
    camera = capture.frames[0].camera
    assert camera.focal == pytest.approx((80, 80))
    assert camera.centre == (32, 32)
    expected = np.array(frames[0]["transform_matrix"]) @ OPENCV_FROM_OPENGL
    np.testing.assert_allclose(camera.world_from_camera, expected, atol=1e-12)
    np.testing.assert_allclose(capture.up, [0, 0, 1])


def test_main_file_takes_its_split_from_the_split_files(ball):
    document = json.loads((ball / "transforms.json").read_text())
    for name, part in {"train": document["frames"][:7], "test": document["frames"][7:]}.items():
        (ball / f"transforms_{name}.json").write_text(json.dumps({**document, "frames": part}))
    capture = open_capture(ball)
    assert capture.format == "transforms.json"
    assert [capture.frames[i].name for i in capture.test] == ["images/007.png", "images/008.png"]


def test_validation_views_test_where_there_is_no_test_file(ball):
    document = json.loads((ball / "transforms.json").read_text())
    for name, part in {"train": document["frames"][:7], "val": document["frames"][7:]}.items():
        (ball / f"transforms_{name}.json").write_text(json.dumps({**document, "frames": part}))
    (ball / "transforms.json").unlink()
    assert len(open_capture(ball).test) == 2


def test_nerfstudio_lists_decide_the_split(ball, edit):
    def listed(document):
        names = [frame["file_path"] for frame in document["frames"]]
        document.update(train_filenames=names[2:], test_filenames=names[:2], val_filenames=names[:2])
        document["applied_transform"] = [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]]

    edit(ball, listed)
    capture = open_capture(ball)
    assert capture.test == [0, 1]
    assert len(capture.train) == 7


def test_listed_validation_views_are_told_as_such(ball, edit):
    def listed(document):
        names = [frame["file_path"] for frame in document["frames"]]
        document.update(train_filenames=names[4:], test_filenames=names[:1], val_filenames=names[1:3])

    edit(ball, listed)
    told = [text for text in open_capture(ball).warnings if "not used" in text]
    assert told[0] == "transforms.json: its 2 validation views are not used"
    assert told[1].startswith("1 frames of transforms.json are in no split") and len(told) == 2


def test_every_eighth_view_tests_otherwise(ball):
    assert open_capture(ball).test == [0, 8]


def test_frame_intrinsics_override_shared_ones(ball, edit):
    edit(ball, lambda document: document["frames"][3].update(fl_x=91.0, fl_y=92.0, cx=30.5, cy=33.5))
    cameras = [frame.camera for frame in open_capture(ball).frames]
    assert cameras[3].focal == (91.0, 92.0)
    assert cameras[3].centre == (30.5, 33.5)
    assert cameras[2].focal == (80.0, 80.0)


@pytest.mark.parametrize(
    "keys",
    [
        {"k1": 0.1, "k2": -0.05, "p1": 0.002, "p2": -0.001},
        {"camera_model": "OPENCV", "k1": -0.1, "k2": 0.02, "k3": 0.001, "k4": 0.0005},
        {"camera_model": "OPENCV_FISHEYE", "k1": 0.05, "k2": 0.01, "k3": -0.002, "k4": 0.001},
        {"is_fisheye": True, "k1": 0.03, "k2": 0.0, "k3": 0.0, "k4": 0.0},
        {"camera_model": "SIMPLE_RADIAL", "k1": 0.1},
    ],
)
def test_undistorted_images_show_points_where_the_pinhole_camera_projects_them(make_ball, keys):
    """A dot drawn at the distorted projection of a point must appear at the point's pinhole projection."""
    folder = make_ball(masks="none", fl_y=81.0, cx=31.0, cy=33.0, **keys)
    capture = open_capture(folder)
    view = capture.views[0]
    assert not view.lens.is_pinhole
    points = np.array([[0.05, 0.1], [-0.2, 0.15], [0.22, -0.18]])
    x, y = points.T
    r2 = x * x + y * y
    k1, k2, k3, k4, p1, p2 = (keys.get(key, 0.0) for key in ("k1", "k2", "k3", "k4", "p1", "p2"))
    if "FISHEYE" in keys.get("camera_model", "") or keys.get("is_fisheye"):  # Kannala-Brandt
        r, t = np.sqrt(r2), np.arctan(np.sqrt(r2))
        scale = t * (1 + k1 * t**2 + k2 * t**4 + k3 * t**6 + k4 * t**8) / r
        bent = points * scale[:, None]
    else:  # Brown-Conrady
        scale = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3 + k4 * r2**4
        bent = np.stack(
            [x * scale + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * scale + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], -1
        )
    pixels = bent * [80.0, 81.0] + [31.0, 33.0]
    np.testing.assert_allclose(view.lens.project(points), pixels, atol=1e-9)
    camera = view.frame.camera
    rows, columns = np.mgrid[:64, :64] + 0.5
    for point, pixel in zip(points, pixels, strict=True):
        dot = 255 * np.exp(-((columns - pixel[0]) ** 2 + (rows - pixel[1]) ** 2) / 8)
        Image.fromarray(np.repeat(np.rint(dot).astype(np.uint8)[..., None], 3, -1)).save(view.frame.image_path)
        seen = open_capture(folder).pixels(0).color[..., 0] ** (1 / 2.2)
        at = np.mgrid[: camera.height, : camera.width] + 0.5
        seen = np.where(seen > 0.2, seen, 0)
        centre = [(at[1] * seen).sum() / seen.sum(), (at[0] * seen).sum() / seen.sum()]
        np.testing.assert_allclose(centre, point * camera.focal + camera.centre, atol=0.1)


def test_intrinsics_follow_images_stored_smaller(ball, edit):
    edit(ball, lambda document: document.update(w=128, h=128, fl_x=160.0, cx=62.0, cy=66.0))
    capture = open_capture(ball)
    assert capture.frames[0].camera.focal == (80.0, 80.0)
    assert capture.frames[0].camera.centre == (31.0, 33.0)
    assert any("scaled" in warning for warning in capture.warnings)


def test_all_missing_images_are_named_together_and_can_be_skipped(ball):
    (ball / "images/002.png").unlink()
    (ball / "images/005.png").unlink()
    with pytest.raises(CaptureError, match=r"002\.png.*missing.*005\.png.*missing"):
        open_capture(ball)
    capture = open_capture(ball, CaptureOptions(skip_bad_frames=True))
    assert len(capture.frames) == 7
    assert any("002.png" in warning for warning in capture.warnings)


def bad_pose(frame, **entries):
    for key, value in entries.items():
        frame["transform_matrix"][int(key[1])][int(key[2])] = value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: bad_pose(d["frames"][1], m03=math.nan), "finite"),
        (lambda d: d["frames"][1].update(transform_matrix=np.diag([1, 1, 0, 1]).tolist()), "singular"),
        (lambda d: d["frames"][1].update(transform_matrix=np.diag([1, 1, -1, 1]).tolist()), "mirrored"),
        (lambda d: d["frames"][1].update(transform_matrix=np.diag([1, 2, 1, 1]).tolist()), "not a rotation"),
        (lambda d: d["frames"][1].update(transform_matrix=[[1, 2], [3, 4]]), "4x4"),
        (lambda d: d["frames"][1].update(fl_x=0), "fl_x is 0"),
        (lambda d: d["frames"][1].update(fl_x=-5), "fl_x is -5"),
        (lambda d: d["frames"][1].update(fl_x="wide"), "not a number"),
        (lambda d: d["frames"][1].update(camera_model="WIDE"), "not known"),
        (lambda d: d["frames"][1].update(file_path="images/000.png"), "duplicate"),
        (lambda d: d["frames"][1].update(file_path="../../secret.png"), "outside"),
        (lambda d: d["frames"][1].update(file_path="/etc/passwd"), "outside"),
        (lambda d: d["frames"][1].update(mask_path="../m.png"), "outside"),
        (lambda d: d["frames"][1].update(mask_path="masks/none.png"), "mask masks/none.png is missing"),
        (lambda d: d["frames"][1].update(h=48), "64 x 64 pixels but its camera 64 x 48"),
    ],
)
def test_a_bad_frame_is_named_and_can_be_skipped(ball, edit, change, said):
    edit(ball, change)
    with pytest.raises(CaptureError, match="1 of 9 frames") as caught:
        open_capture(ball)
    assert said in str(caught.value)
    assert len(open_capture(ball, CaptureOptions(skip_bad_frames=True)).frames) == 8


def test_a_scaled_rotation_is_normalised_with_a_warning(ball, edit):
    def scale(document):
        for frame in document["frames"]:
            for row in frame["transform_matrix"][:3]:
                row[:3] = [3 * value for value in row[:3]]

    before = open_capture(ball).frames[4].camera.world_from_camera
    edit(ball, scale)
    capture = open_capture(ball)
    np.testing.assert_allclose(capture.frames[4].camera.world_from_camera, before, atol=1e-12)
    assert any("scale" in warning for warning in capture.warnings)


def test_symbolic_links_may_not_leave_the_folder_unless_allowed(ball, tmp_path):
    outside = tmp_path / "outside.png"
    shutil.move(ball / "images/001.png", outside)
    (ball / "images/001.png").symlink_to(outside)
    with pytest.raises(CaptureError, match="001.png lies outside the capture's folder"):
        open_capture(ball)
    assert len(open_capture(ball, CaptureOptions(allow_outside=True)).frames) == 9


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"frames": []}', '{"frames": 3}', '{"frames": [1, 2]}', "\x00", "[" * 100_000, "nul"]
)
def test_malformed_json_is_one_clear_error(ball, text):
    (ball / "transforms.json").write_text(text)
    with pytest.raises(CaptureError, match="transforms.json"):
        open_capture(ball)


def test_one_view_is_refused(make_ball):
    with pytest.raises(CaptureError, match="1 usable training view cannot fix a shape"):
        open_capture(make_ball(1))


@pytest.mark.parametrize(("value", "up"), [("+y", (0, 1, 0)), ("-x", (-1, 0, 0)), ([0, 3, 4], (0, 0.6, 0.8))])
def test_the_file_may_say_which_way_is_up(ball, edit, value, up):
    edit(ball, lambda document: document.update(up=value))
    capture = open_capture(ball)
    np.testing.assert_allclose(capture.up, up)
    assert capture.up_source == "`up` in transforms.json"
    assert open_capture(ball, CaptureOptions(up="+z")).up_source == "capture.up"


@pytest.mark.parametrize("value", ["y", "", 3, [0, 0, 0], [0, 1], [0, "1", 0], {"y": 1}])
def test_an_up_that_is_no_axis_is_refused(ball, edit, value):
    edit(ball, lambda document: document.update(up=value))
    with pytest.raises(CaptureError, match="transforms.json: up is .*not one of"):
        open_capture(ball)


def test_a_focal_length_of_a_frame_overrides_shared_ones_however_it_is_stated(ball, edit):
    def change(document):
        document.update(fl_y=81.0)
        document["frames"][3].update(camera_angle_x=math.pi / 2)
        document["frames"][4].update(fl_x=None)

    edit(ball, change)
    frames = open_capture(ball).frames
    assert frames[2].camera.focal == frames[4].camera.focal == (80.0, 81.0)
    np.testing.assert_allclose(frames[3].camera.focal, (32.0, 32.0))


def test_frames_listed_for_training_and_testing_only_test(ball, edit):
    names = [f"images/{number:03d}.png" for number in range(9)]
    edit(ball, lambda document: document.update(train_filenames=names[:7], test_filenames=names[5:]))
    capture = open_capture(ball)
    assert capture.test == [5, 6, 7, 8] and len(capture.train) == 5
    assert any("only tested on: images/005, images/006" in warning for warning in capture.warnings)
    edit(ball, lambda document: document.update(train_filenames=names, test_filenames=names))
    capture = open_capture(ball)
    assert capture.test == [0, 8] and capture.split_source == "every 8th view by name"
    assert any("every training view of transforms.json" in warning for warning in capture.warnings)


def test_a_folder_is_listed_once_for_all_that_is_missing(tmp_path, monkeypatch):
    listed, iterdir = [], Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: listed.append(folder) or iterdir(folder))
    for number in range(20):
        with pytest.raises(CaptureError, match="restore the file"):
            locate(tmp_path, tmp_path, f"{number}.png", CaptureOptions(), "image")
    assert len(listed) == 1


def test_a_file_whose_name_differs_in_case_only_is_named(ball):
    (ball / "images/003.png").rename(ball / "images/003.PNG")
    if (ball / "images/003.png").exists():
        pytest.skip("this file system knows no case")
    with pytest.raises(CaptureError, match="images/003.png is missing; there is 003.PNG: rename it"):
        open_capture(ball)


def test_a_name_with_control_characters_is_shown_escaped(ball, edit):
    edit(ball, lambda document: document["frames"][2].update(file_path="images/00\0\x1b2.png"))
    with pytest.raises(CaptureError, match="is not a file name") as caught:
        open_capture(ball)
    assert str(caught.value).isprintable()
