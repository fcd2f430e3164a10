"""What a capture promises: lazy bounded decoding, masks from every source, and all bad files listed together."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from engine.capture import CaptureOptions, open_capture
from engine.capture.doctor import examine
from engine.errors import CaptureError
from engine.scene.conventions import srgb_to_linear


def test_pixels_are_linear_straight_and_masked(ball, ball_views):
    capture = open_capture(ball)
    pixels = capture.pixels(2)
    np.testing.assert_allclose(pixels.color[32, 32], srgb_to_linear(np.array([200, 40, 20]) / 255), atol=1e-6)
    np.testing.assert_allclose(pixels.mask, ball_views(9)[1][2], atol=1 / 255)
    assert capture.has_masks
    capture.require_masks()


def test_scaling_keeps_what_the_camera_sees(ball, ball_views):
    capture = open_capture(ball, CaptureOptions(max_size=16))
    camera = capture.frames[0].camera
    assert camera.size == (16, 16) and camera.focal == (20, 20)
    pixels = capture.pixels(0)
    expected = ball_views(9)[1][0].reshape(16, 4, 16, 4).mean((1, 3))
    np.testing.assert_allclose(pixels.mask, expected, atol=2 / 255)
    covered = pixels.mask > 0.02  # straight colour does not darken where the mask is partial
    np.testing.assert_allclose(pixels.color[covered], pixels.color[8, 8] + np.zeros((covered.sum(), 1)), atol=1e-4)


def test_the_cache_stays_within_its_bound(ball):
    capture = open_capture(ball, CaptureOptions(cache_megabytes=1))
    size = capture.pixels(0).bytes
    assert size == 64 * 64 * 16
    assert capture.pixels(0) is capture.pixels(0)
    capture._limit = 3 * size
    for index in (1, 2, 0, 3):  # 0 was used after 1, so 1 goes first
        capture.pixels(index)
    assert [capture.frames.index(frame) for frame in capture.frames if frame.name in capture._cache] == [0, 2, 3]
    assert capture._cached_bytes == 3 * size


def test_all_bad_files_are_listed_together(make_ball):
    folder = make_ball(masks="files")
    capture = open_capture(folder)
    for name in ("images/001.png", "masks/003.png"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(folder / "masks/004.png")
    with pytest.raises(CaptureError) as caught:
        capture.check_images()
    assert len(capture.frames) == 9  # whoever holds it may mend the files and check again
    for said in ("3 of 9", "001.png cannot be decoded", "003.png cannot be decoded", "004.png is empty", "--skip-bad"):
        assert said in str(caught.value)
    capture = open_capture(folder, CaptureOptions(skip_bad_frames=True))
    seen = []
    checked = capture.check_images(lambda done, total, name: seen.append((done, total)))
    assert seen[-1] == (9, 9)
    assert (len(checked.frames), len(capture.frames)) == (6, 9)
    assert any("3 of 9 frames are skipped" in warning for warning in checked.warnings)
    assert not any("skipped" in warning for warning in capture.warnings)
    kept = [capture.frames.index(frame) for frame in checked.frames]
    assert all(checked.pixels(new) is capture.pixels(old) for new, old in enumerate(kept))  # decoded once


def test_a_capture_that_has_gone_can_be_checked_again_when_it_is_back(make_ball, tmp_path):
    folder = make_ball()
    capture = open_capture(folder)
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(CaptureError, match="9 of 9 frames cannot be used"):
        capture.check_images()
    (tmp_path / "elsewhere").rename(folder)
    assert capture.check_images() is capture and len(capture.frames) == 9


def test_a_mask_of_another_size_is_refused(make_ball):
    folder = make_ball(masks="files")
    Image.fromarray(np.full((32, 32), 255, np.uint8)).save(folder / "masks/002.png")
    with pytest.raises(CaptureError, match="mask 002.png has 32 x 32 pixels but its image 64 x 64"):
        open_capture(folder)


def test_masks_beside_the_images_are_found_and_missing_ones_named(make_ball, edit):
    folder = make_ball(masks="files")
    edit(folder, lambda document: [frame.pop("mask_path") for frame in document["frames"]])
    capture = open_capture(folder)
    assert capture.frames[3].mask_path == folder / "masks/003.png"
    (folder / "masks/003.png").unlink()
    with pytest.raises(CaptureError, match="images/003.png: has no mask while other frames have one"):
        open_capture(folder)


def test_a_folder_of_masks_overrides(make_ball, tmp_path, ball_views):
    folder = make_ball(masks="none")
    (tmp_path / "cut").mkdir()
    for number, mask in enumerate(ball_views(9)[1]):
        Image.fromarray(np.rint(mask * 255).astype(np.uint8)).save(tmp_path / f"cut/{number:03d}.png")
    capture = open_capture(folder, CaptureOptions(masks=tmp_path / "cut"))
    np.testing.assert_allclose(capture.pixels(5).mask, ball_views(9)[1][5], atol=1 / 255)
    (tmp_path / "cut/002.png").unlink()
    with pytest.raises(CaptureError, match="images/002.png: there is no mask for it"):
        open_capture(folder, CaptureOptions(masks=tmp_path / "cut"))
    with pytest.raises(CaptureError, match="is not a folder"):
        open_capture(folder, CaptureOptions(masks=tmp_path / "nowhere"))


def test_unmasked_photos_name_the_three_remedies(make_ball):
    capture = open_capture(make_ball(masks="none"))
    assert not capture.has_masks
    with pytest.raises(CaptureError) as caught:
        capture.require_masks()
    for remedy in ("--masks DIR", "--set capture.region=", "--set capture.color_key="):
        assert remedy in str(caught.value)


def test_opaque_alpha_is_no_mask(make_ball):
    folder = make_ball(masks="none")
    for file in (folder / "images").iterdir():
        Image.open(file).convert("RGBA").save(file)
    assert not open_capture(folder).has_masks


def test_a_colour_key_cuts_the_object_out(make_ball, ball_views):
    capture = open_capture(make_ball(masks="none"), CaptureOptions(color_key=(0, 255, 0)))
    capture.require_masks()
    np.testing.assert_array_equal(capture.pixels(1).mask, (ball_views(9)[1][1] >= 0.5 / 255).astype(np.float32))


def test_a_colour_key_or_region_that_removes_nothing_is_refused(make_ball):
    folder = make_ball(masks="none")
    wrong = CaptureOptions(color_key=(0, 0, 255))
    trained = len(open_capture(folder, wrong).train)
    words = f"the colour key 0,0,255 matches no background in {trained} of {trained} photos"
    with pytest.raises(CaptureError, match=words):
        open_capture(folder, wrong).check_images()
    assert any("the colour key 0,0,255 matches no background" in problem for problem in examine(folder, wrong).problems)
    with pytest.raises(CaptureError, match="capture.region covers"):
        open_capture(folder, CaptureOptions(region=((-9, -9, -9), (9, 9, 9)))).check_images()
    for right in ({"color_key": (0, 255, 0)}, {"region": ((-1, -1, -1), (1, 1, 1))}, {}):
        open_capture(folder, CaptureOptions(**right)).check_images()


def test_a_region_restricts_masks_to_the_silhouette_of_its_box(make_ball):
    folder = make_ball(masks="none")
    capture = open_capture(folder, CaptureOptions(region=((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5))))
    for index, frame in enumerate(capture.frames):
        mask = capture.pixels(index).mask > 0.5
        corners = np.stack(np.meshgrid([-0.5, 0.5], [-0.5, 0.5], [-0.5, 0.5]), -1).reshape(-1, 3)
        pixels, _ = frame.camera.project(corners)
        rows, columns = np.nonzero(mask)
        np.testing.assert_allclose([columns.min(), rows.min()], pixels.min(0) - 0.5, atol=1.5)
        np.testing.assert_allclose([columns.max(), rows.max()], pixels.max(0) - 0.5, atol=1.5)
    with pytest.raises(CaptureError, match="9 of 9 frames.*correct the region"):
        open_capture(folder, CaptureOptions(region=((90, 90, 90), (91, 91, 91)))).check_images()


def test_inverted_masks_are_noticed(make_ball):
    folder = make_ball(masks="files")
    for file in (folder / "masks").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    capture = open_capture(folder)
    capture.check_images()
    assert any("inverted" in warning for warning in capture.warnings)


@pytest.mark.parametrize(
    "values",
    [
        {"region": ((1, 0, 0), (0, 1, 1))},
        {"region": ((0, 0), (1, 1))},
        {"region": ((0, 0, float("nan")), (1, 1, 1))},
        {"color_key": (0, 0, 300)},
        {"max_size": -1},
        {"up": "z"},
        {"color_tolerance": 0},
    ],
)
def test_options_out_of_range_are_refused_by_key(values):
    with pytest.raises(CaptureError, match=f"capture.{next(iter(values))}"):
        CaptureOptions(**values)


def test_the_fingerprint_tells_captures_apart_but_not_places(make_ball, ball, edit, tmp_path):
    first = open_capture(ball).fingerprint()
    ball.rename(tmp_path / "elsewhere")
    assert open_capture(tmp_path / "elsewhere").fingerprint() == first
    assert open_capture(tmp_path / "elsewhere", CaptureOptions(max_size=32)).fingerprint() != first
    edit(tmp_path / "elsewhere", lambda document: document["frames"][0].update(cx=30))
    assert open_capture(tmp_path / "elsewhere").fingerprint() != first


def test_a_folder_without_poses_says_what_is_needed(tmp_path):
    with pytest.raises(CaptureError, match=r"transforms\.json.*COLMAP"):
        open_capture(tmp_path)
    with pytest.raises(CaptureError, match="there is no such capture"):
        open_capture(tmp_path / "nothing")


def test_importing_the_room_is_cheap():
    code = "import sys, engine.capture, engine.capture.doctor; print([m for m in sys.modules if m in "
    code += "('torch', 'numba', 'cv2', 'pycolmap', 'PIL', 'imageio')])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def without_alpha(folder, *numbers):
    for number in numbers:
        file = folder / f"images/{number:03d}.png"
        Image.open(file).convert("RGB").save(file)


def test_photos_that_lack_alpha_are_named_where_most_have_it(ball):
    without_alpha(ball, 2, 5)
    reason = "images/002.png, images/005.png: has no alpha while other frames have one"
    with pytest.raises(CaptureError, match=f"2 of 9 frames cannot be used .*{reason}"):
        open_capture(ball)
    report = examine(ball)
    assert any(reason in line for line in report.lines()) and report.mask_source == "the images' alpha"
    capture = open_capture(ball, CaptureOptions(skip_bad_frames=True))
    assert len(capture.frames) == 7 and capture.has_masks
    assert len(open_capture(ball, CaptureOptions(color_key=(0, 255, 0))).frames) == 9, "the key cuts those out"


def test_alpha_of_a_few_photos_is_told_and_not_used(ball):
    without_alpha(ball, *range(7))
    capture = open_capture(ball)
    assert not capture.has_masks and len(capture.frames) == 9
    assert any("images/007.png, images/008.png" in warning for warning in capture.warnings)


@pytest.mark.parametrize("given", [False, True])
def test_masks_are_found_in_folders_like_those_of_the_images(make_ball, edit, given):
    folder = make_ball(masks="files")
    for what in ("images", "masks"):
        for side, numbers in (("left", range(5)), ("right", range(5, 9))):
            (folder / what / side).mkdir()
            for number in numbers:
                (folder / f"{what}/{number:03d}.png").rename(folder / f"{what}/{side}/{number % 5}.png")

    def move(document):
        for number, frame in enumerate(document["frames"]):
            del frame["mask_path"]
            frame["file_path"] = f"images/{'left' if number < 5 else 'right'}/{number % 5}.png"

    edit(folder, move)
    capture = open_capture(folder, CaptureOptions(masks=folder / "masks" if given else None))
    found = {frame.name: str(frame.mask_path.relative_to(folder)) for frame in capture.frames}
    assert len(found) == 9 and found == {name: name.replace("images", "masks") for name in found}


@pytest.mark.parametrize(
    ("shared", "said"),
    [
        ({"fl_x": 0}, "transforms.json: fl_x is 0"),
        ({"k1": "bent"}, "transforms.json: k1 is 'bent'"),
        ({"w": 1e308, "h": 1e308}, "transforms.json: w, h = 1e.308, 1e.308 is not an image size"),
        ({"w": 64, "h": 48}, "its image has 64 x 64 pixels but its camera 64 x 48"),
    ],
)
def test_a_fault_of_all_frames_is_said_once(ball, edit, shared, said):
    edit(ball, lambda document: document.update(shared))
    with pytest.raises(CaptureError, match=f"9 of 9 frames cannot be used: every frame: ({said})") as caught:
        open_capture(ball)
    assert len(str(caught.value)) < 300 + len(str(ball))
    assert sum("Bad frame:" in line for line in examine(ball).lines()) == 1


def test_of_many_frames_with_one_fault_the_doctor_names_all(make_ball, edit, monkeypatch):
    monkeypatch.setattr("engine.capture.capture.SHOWN_NAMES", 3)
    folder = make_ball()
    edit(folder, lambda document: [frame.update(k1="bent") for frame in document["frames"][:5]])
    with pytest.raises(CaptureError, match="001.png, images/002.png and 2 more: transforms.json: k1 is 'bent'"):
        open_capture(folder)
    assert any("003.png, images/004.png: transforms.json: k1" in line for line in examine(folder).lines())


def test_frames_skipped_for_their_headers_and_for_their_pixels_are_counted_together(make_ball):
    folder = make_ball(masks="files")
    (folder / "images/002.png").unlink()
    for name in ("images/001.png", "images/005.png"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
    checked = open_capture(folder, CaptureOptions(skip_bad_frames=True)).check_images()
    told = [text for text in checked.warnings if "skipped" in text]
    assert len(told) == 1 and told[0].startswith("3 of 9 frames are skipped")
    assert all(name in told[0] for name in ("001.png", "002.png", "005.png")) and len(checked.frames) == 6
