"""Files become linear, straight colour and masks of stated polarity; damaged ones are told apart."""

import struct
import subprocess
import sys

import cv2
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from engine.capture.entry import FrameProblem
from engine.capture.images import read_header, read_image, read_mask
from engine.scene.conventions import srgb_to_linear

BYTES = np.random.default_rng(0).integers(0, 256, (12, 17, 4), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_8_bit_colour_is_decoded_from_srgb(tmp_path, suffix):
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(BYTES[..., :3]).save(file, **({"lossless": True} if suffix == "webp" else {}))
    color, alpha = read_image(file)
    np.testing.assert_allclose(color, srgb_to_linear(BYTES[..., :3] / 255), atol=1e-6)
    assert alpha is None and color.dtype == np.float32


def test_alpha_is_straight_and_not_decoded(tmp_path):
    Image.fromarray(BYTES).save(tmp_path / "a.png")
    color, alpha = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(alpha, BYTES[..., 3] / 255, atol=1e-6)
    np.testing.assert_allclose(color, srgb_to_linear(BYTES[..., :3] / 255), atol=1e-6)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_keeps_its_precision(tmp_path, suffix, channels):
    deep = np.random.default_rng(1).integers(0, 65536, (9, 11, channels), dtype=np.uint16)
    file = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(file), deep[..., [2, 1, 0, 3][:channels]])
    color, alpha = read_image(file)
    np.testing.assert_allclose(color, srgb_to_linear(deep[..., :3] / 65535), atol=1e-6)
    assert read_header(file).color_space == "sRGB 16 bit"
    if channels == 4:
        np.testing.assert_allclose(alpha, deep[..., 3] / 65535, atol=1e-6)


def test_grey_and_palette_images_become_three_channels(tmp_path):
    for mode in ("L", "P", "1", "LA"):
        Image.fromarray(BYTES[..., :3]).convert(mode).save(tmp_path / "a.png")
        color, alpha = read_image(tmp_path / "a.png")
        assert color.shape == (12, 17, 3)
        assert (alpha is None) == (mode != "LA")


def test_hdr_stays_linear(tmp_path):
    radiance = np.random.default_rng(2).uniform(0.1, 8, (9, 11, 3)).astype(np.float32)
    cv2.imwrite(str(tmp_path / "a.hdr"), radiance[..., ::-1])
    color, _ = read_image(tmp_path / "a.hdr")
    np.testing.assert_allclose(color, radiance, atol=0.05)
    assert read_header(tmp_path / "a.hdr").color_space == "linear float"


@pytest.mark.parametrize("depth", ["half", "float"])
@pytest.mark.parametrize("layout", ["grayf32le", "gbrpf32le", "gbrapf32le"])
def test_exr_stays_linear_with_straight_alpha(tmp_path, layout, depth):
    """ffmpeg's writer takes straight values and, as EXR asks, stores them multiplied by alpha."""
    count = {"grayf32le": 1, "gbrpf32le": 3, "gbrapf32le": 4}[layout]
    planes = np.random.default_rng(3).uniform(0, 8, (count, 9, 11))
    planes[3:] = planes[3:] / 9 + 0.1
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo", "-pix_fmt", layout, "-s", "11x9"]
    command += ["-i", "-", "-c:v", "exr", "-format", depth, "-compression", "zip16", "-frames:v", "1"]
    subprocess.run([*command, str(tmp_path / "a.exr")], input=planes.astype("<f4").tobytes(), check=True)
    color, alpha = read_image(tmp_path / "a.exr")
    tolerance = 1e-5 if depth == "float" else 3e-3
    expected = planes[[2, 0, 1]] if len(planes) > 1 else planes[[0, 0, 0]]
    np.testing.assert_allclose(color, expected.transpose(1, 2, 0), rtol=tolerance)
    header = read_header(tmp_path / "a.exr")
    assert (header.width, header.height, header.has_alpha) == (11, 9, len(planes) == 4)
    if alpha is not None:
        np.testing.assert_allclose(alpha, planes[3], rtol=tolerance)
    (tmp_path / "a.exr").write_bytes((tmp_path / "a.exr").read_bytes()[:-8])
    with pytest.raises(FrameProblem, match=r"a\.exr cannot be decoded"):
        read_image(tmp_path / "a.exr")


def write_exr(path, channels: dict[str, np.ndarray]) -> None:
    """An EXR file of float channels [H,W], one scan line a chunk, not compressed."""
    height, width = next(iter(channels.values())).shape
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    listed = b"".join(name.encode() + b"\0" + struct.pack("<iB3xii", 2, 0, 1, 1) for name in sorted(channels)) + b"\0"
    head = b"\x76\x2f\x31\x01" + struct.pack("<I", 2)
    for name, kind, value in (
        ("channels", "chlist", listed),
        ("compression", "compression", b"\0"),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
    ):
        head += name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<I", len(value)) + value
    head += b"\0"
    rows = [b"".join(channels[name][y].astype("<f4").tobytes() for name in sorted(channels)) for y in range(height)]
    chunks = [struct.pack("<iI", y, len(row)) + row for y, row in enumerate(rows)]
    starts = np.cumsum([len(head) + 8 * height, *map(len, chunks[:-1])]).astype("<u8")
    path.write_bytes(head + starts.tobytes() + b"".join(chunks))


def test_exr_luminance_may_have_alpha(tmp_path):
    luminance, coverage = np.random.default_rng(4).uniform(0.1, 1, (2, 5, 7)).astype(np.float32)
    write_exr(tmp_path / "a.exr", {"Y": luminance * coverage, "A": coverage})
    color, alpha = read_image(tmp_path / "a.exr")
    np.testing.assert_allclose(color, np.repeat(luminance[..., None], 3, -1), rtol=1e-5)
    np.testing.assert_array_equal(alpha, coverage)
    assert read_header(tmp_path / "a.exr").has_alpha


@pytest.mark.parametrize("names", [["View.Combined.R", "View.Combined.G", "View.Combined.B"], ["Z"], ["Y", "RY", "BY"]])
def test_an_exr_without_plain_colours_says_what_it_has(tmp_path, names):
    write_exr(tmp_path / "a.exr", {name: np.ones((5, 7)) for name in names})
    for read in (read_header, read_image):
        with pytest.raises(FrameProblem, match=f"a.exr has no channels R, G and B but .*{names[0]}.*without layers"):
            read(tmp_path / "a.exr")


def test_hdr_needs_no_temporary_file(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "a.hdr"), np.ones((9, 11, 3), np.float32))
    monkeypatch.setattr(cv2, "imdecode", lambda *given: pytest.fail("it writes a file to decode"))
    assert read_image(tmp_path / "a.hdr")[0].shape == (9, 11, 3)


def test_damaged_files_leave_what_they_say_to_us(tmp_path):
    cv2.imwrite(str(tmp_path / "a.hdr"), np.random.default_rng(5).random((9, 11, 3)).astype(np.float32))
    (tmp_path / "a.hdr").write_bytes((tmp_path / "a.hdr").read_bytes()[:200])
    (tmp_path / "b.hdr").touch()
    code = "from pathlib import Path; from engine.capture.images import FrameProblem, read_image\n"
    code += "for name in 'a.hdr', 'b.hdr':\n try: read_image(Path(name))\n except FrameProblem as said: print(said)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == "" and len(done.stdout.splitlines()) == 2
    assert "a.hdr cannot be decoded (not a whole Radiance HDR image)" in done.stdout and "OpenCV" not in done.stdout


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp"])
def test_truncated_files_are_not_half_an_image(tmp_path, suffix):
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(FrameProblem, match=f"image a.{suffix} cannot be decoded"):
        read_image(file)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n" + bytes(40)])
@pytest.mark.parametrize("suffix", ["png", "exr", "hdr", "jpg"])
def test_other_bytes_are_no_image(tmp_path, suffix, content):
    file = tmp_path / f"a.{suffix}"
    file.write_bytes(content)
    with pytest.raises(FrameProblem, match=f"a.{suffix}"):
        read_image(file)
    with pytest.raises(FrameProblem, match=f"a.{suffix}"):
        read_header(file)


def test_masks_of_every_kind_are_one_on_the_object(tmp_path):
    inside = np.zeros((12, 17), bool)
    inside[3:8, 4:12] = True
    white = np.where(inside, 255, 0).astype(np.uint8)
    rgba = np.concatenate([np.full((12, 17, 3), 77, np.uint8), white[..., None]], -1)
    kinds = {
        "grey": Image.fromarray(white),
        "bit": Image.fromarray(inside),
        "zero-one": Image.fromarray(inside.astype(np.uint8)),
        "colour": Image.fromarray(np.repeat(white[..., None], 3, -1)),
        "alpha": Image.fromarray(rgba),
        "opaque": Image.fromarray(
            np.concatenate([np.repeat(white[..., None], 3, -1), np.full_like(rgba[..., :1], 255)], -1)
        ),
        "deep": Image.fromarray(white.astype(np.uint16) * 257),
    }
    for name, image in kinds.items():
        image.save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(read_mask(tmp_path / f"{name}.png"), inside.astype(np.float32), err_msg=name)


def test_exif_orientation_is_seen_but_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(BYTES[..., :3]).save(tmp_path / "a.jpg", exif=exif)
    header = read_header(tmp_path / "a.jpg")
    assert header.is_turned and (header.width, header.height) == (17, 12)
    assert read_image(tmp_path / "a.jpg")[0].shape == (12, 17, 3)
