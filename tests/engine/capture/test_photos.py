"""Bare photos: what counts as such, what the headers say, turned and odd files, and what the doctor says of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from engine.capture import CaptureOptions, open_capture
from engine.capture.doctor import examine
from engine.capture.entry import FrameProblem
from engine.capture.photos import (
    free_names,
    listed_photos,
    photo_source,
    read_photos,
    require_photo_masks,
    source_digest,
    write_photo,
)
from engine.errors import CaptureError

PICTURE = np.random.default_rng(0).integers(0, 255, (80, 120, 3), np.uint8)


def save(path, pixels=PICTURE, orientation=1, focal=0.0, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    if focal:
        exif.get_ifd(0x8769)[0x920A] = focal
    Image.fromarray(pixels).save(path, exif=exif, **options)
    return path


def test_only_photos_without_poses_are_bare(tmp_path, ball):
    assert photo_source(ball) is None and photo_source(tmp_path / "nowhere") is None
    assert photo_source(tmp_path) is None
    photos = save(tmp_path / "photos" / "a.JPG").parent
    assert photo_source(photos) == photos
    (photos / "notes.txt").write_text("no photo")
    save(photos / ".hidden.jpg")
    assert [path.name for path in listed_photos(photos)] == ["a.JPG"]
    assert photo_source(tmp_path) == photos  # `photos` below a folder without any
    (photos / "project.toml").write_text("")
    assert photo_source(photos) is None


def test_a_video_is_bare_alone_or_in_a_folder(tmp_path):
    video = tmp_path / "walk.MOV"
    video.write_bytes(b"")
    assert photo_source(video) == video and photo_source(tmp_path) == video
    (tmp_path / "second.mp4").write_bytes(b"")
    assert photo_source(tmp_path) is None


def test_a_capture_of_bare_photos_says_who_finds_poses(tmp_path):
    save(tmp_path / "a.png")
    with pytest.raises(CaptureError, match="holds photos but no camera poses; `unrender run` and the window find them"):
        open_capture(tmp_path)


def test_photos_of_one_camera_share_it_and_others_do_not(tmp_path):
    save(tmp_path / "a.jpg", focal=4.2)
    save(tmp_path / "b.jpg", focal=4.2)
    save(tmp_path / "longer_lens.jpg", focal=9.0)
    save(tmp_path / "portrait.jpg", PICTURE.transpose(1, 0, 2).copy(), focal=4.2)
    save(tmp_path / "smaller.jpg", PICTURE[:70], focal=4.2)
    (tmp_path / "broken.jpg").write_bytes(b"no JPEG")
    photos, bad = read_photos(tmp_path)
    keys = {photo.path.stem: photo.camera for photo in photos}
    assert keys["a"] == keys["b"] and len(set(keys.values())) == 4
    assert [name for name, _ in bad] == ["broken.jpg"] and "cannot be decoded" in bad[0][1]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_pixels_are_turned_as_exif_asks(tmp_path, suffix, orientation):
    smooth = np.linspace(0, 250, 80 * 120).reshape(80, 120, 1).astype(np.uint8).repeat(3, 2)
    smooth[:20, :20] = 255
    save(tmp_path / f"a{suffix}", smooth, orientation, focal=4.2, quality=100, subsampling=0)
    (photo,), bad = read_photos(tmp_path)
    assert photo.turn == orientation and not bad
    assert (photo.width, photo.height) == ((120, 80) if orientation == 3 else (80, 120))
    (tmp_path / "out").mkdir()
    (name,) = free_names([photo])
    write_photo(photo, tmp_path / "out" / name, link=True)
    expected = np.rot90(smooth, {3: 2, 6: 3, 8: 1}[orientation])
    with Image.open(tmp_path / "out" / name) as made:
        assert made.getexif().get(0x0112, 1) == 1
        if suffix == ".jpg":  # COLMAP starts from it
            assert float(made.getexif().get_ifd(0x8769)[0x920A]) == pytest.approx(4.2)
        assert np.abs(np.asarray(made.convert("RGB")).astype(int) - expected).max() <= 6


def test_other_formats_become_8_bit_png_under_names_of_their_own(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "a.tif"), PICTURE.astype(np.uint16) * 257)
    save(tmp_path / "a.png")
    save(tmp_path / "a.webp", lossless=True)
    photos, _ = read_photos(tmp_path)
    names = free_names(photos)
    assert len(set(names)) == 3 and all(name.endswith(".png") for name in names)
    (tmp_path / "out").mkdir()
    for photo, name in zip(photos, names, strict=True):
        write_photo(photo, tmp_path / "out" / name, link=False)
        with Image.open(tmp_path / "out" / name) as made:
            found = np.asarray(made)
        assert found.dtype == np.uint8
        assert np.array_equal(found, PICTURE[..., ::-1] if photo.path.suffix == ".tif" else PICTURE)


def test_truncated_and_tiny_photos_are_refused(tmp_path):
    whole = save(tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    save(tmp_path / "b.png", PICTURE[:20])
    (cut, tiny), _ = read_photos(tmp_path)
    with pytest.raises(FrameProblem, match=r"a\.jpg cannot be decoded"):
        write_photo(cut, tmp_path / "x.jpg", link=False)
    with pytest.raises(FrameProblem, match="120 x 20 pixels, too few"):
        write_photo(tiny, tmp_path / "x.png", link=False)


def test_the_digest_knows_the_files(tmp_path):
    save(tmp_path / "a.png")
    before = source_digest(tmp_path)
    assert source_digest(tmp_path) == before
    save(tmp_path / "b.png")
    assert source_digest(tmp_path) != before


def test_the_doctor_describes_bare_photos_without_posing_them(tmp_path):
    folder = tmp_path / "photos"
    for number in range(4):
        save(folder / f"{number}.jpg", orientation=6 if number == 1 else 1)
    (folder / "9.jpg").write_bytes(b"no JPEG")
    report = examine(folder)
    text = "\n".join(report.lines())
    assert "Photos: 4, 3 x 120x80, 1 x 80x120" in text and "photos without camera poses" in text
    assert "EXIF asks to turn 1 of the photos" in text and "2 cameras are told apart" in text
    assert "`unrender run` and the window find them" in text and "Bad frame: 9.jpg" in text
    assert not report.problems and [path.name for path in tmp_path.iterdir()] == ["photos"]
    for number in range(1, 4):
        (folder / f"{number}.jpg").unlink()
    (problem,) = examine(folder).problems
    assert "1 usable photo (1 cannot be used: 9.jpg" in problem and "20 or more" in problem


def test_photos_that_will_have_no_masks_are_told_from_their_headers(tmp_path, ball):
    require_photo_masks(ball, CaptureOptions())  # has poses: whoever opens it says so
    photos, alpha = tmp_path / "photos", np.dstack([PICTURE, PICTURE[..., 0]])
    for name in "ab":
        save(photos / f"{name}.png", alpha)
    require_photo_masks(photos, CaptureOptions())
    save(photos / "c.png")
    with pytest.raises(CaptureError, match="photos: .*--masks DIR.*capture.region=.*capture.color_key="):
        require_photo_masks(photos, CaptureOptions())
    with pytest.raises(CaptureError, match="nowhere: is not a folder"):
        require_photo_masks(photos, CaptureOptions(masks=tmp_path / "nowhere"))
    for remedy in ({"masks": photos}, {"region": ((0, 0, 0), (1, 1, 1))}, {"color_key": (0, 0, 0)}):
        require_photo_masks(photos, CaptureOptions(**remedy))


def test_a_folder_without_photos_says_where_there_are_some(tmp_path):
    with pytest.raises(CaptureError, match="no photos; open a folder that holds JPEG or PNG photos, or images with a"):
        open_capture(tmp_path)
    for name in ("one.mp4", "two.mov"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(CaptureError, match="several videos: open one of them"):
        open_capture(tmp_path)
    save(tmp_path / "day one" / "a.jpg")
    with pytest.raises(CaptureError, match="its folder day one holds photos: open .*day one$"):
        open_capture(tmp_path)


def test_a_file_that_is_no_capture_is_told_from_a_part_of_a_model(tmp_path):
    photo, notes, part = save(tmp_path / "a.jpg"), tmp_path / "a.txt", tmp_path / "images.txt"
    notes.write_text("")
    part.write_text("")
    for path in (photo, notes):
        with pytest.raises(CaptureError, match=f"{path.name}: is no capture by itself; open the folder that holds"):
            open_capture(path)
    with pytest.raises(CaptureError, match="there is no COLMAP model"):
        open_capture(part)
