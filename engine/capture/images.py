"""Image and mask files to arrays: 8 and 16 bit are decoded from sRGB, EXR and HDR are linear already."""

from __future__ import annotations

import functools
import re
import struct
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.capture.entry import FrameProblem
from engine.scene.conventions import srgb_to_linear
from engine.scene.radiance import read_radiance

LINEAR_SUFFIXES = (".exr", ".hdr")
MOST_PIXELS = 500_000_000
EXR_PLANES = {"gray": (0, 0, 0), "ya": (0, 0, 0, 1), "gbrp": (2, 0, 1), "gbrap": (2, 0, 1, 3)}  # ffmpeg's, to RGB(A)
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, MemoryError)


@dataclass(frozen=True)
class Header:
    """What an image file says about itself before it is decoded."""

    width: int
    height: int
    has_alpha: bool
    color_space: str  # "sRGB 8 bit", "sRGB 16 bit" or "linear float"
    is_turned: bool  # EXIF asks viewers to rotate it
    profile: str = ""  # the embedded colour profile, where it is not sRGB


def read_header(path: Path) -> Header:
    """The header of the image file `path`; raises FrameProblem if it is no image."""
    if path.suffix.lower() in LINEAR_SUFFIXES:
        if path.suffix.lower() == ".exr":
            width, height, channels = _exr_header(path)
            _check_channels(path, channels)
            return Header(width, height, "A" in channels, "linear float", False)
        height, width = _decode_float(path).shape[:2]
        return Header(width, height, False, "linear float", False)
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                width, height = image.size
                alpha = image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
                # getexif alone would decode a whole PNG
                turned = "exif" in image.info and image.getexif().get(0x0112, 1) not in (0, 1)
                profile = _profile(image.info.get("icc_profile"))
                deep = _is_deep(image, path)
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise FrameProblem(_unreadable(path, "image", error)) from error
    if width * height > MOST_PIXELS:
        raise FrameProblem(f"image {path.name} has {width} x {height} pixels, more than can be used; scale it down")
    return Header(width, height, alpha, "sRGB 16 bit" if deep else "sRGB 8 bit", turned, profile)


def read_image(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """(colour [H,W,3] float32, linear, straight; alpha [H,W] float32 in [0,1] or None) of the file `path`.

    Raises FrameProblem when it is missing, truncated, not an image, or holds values that are not finite.
    """
    if path.suffix.lower() in LINEAR_SUFFIXES:
        pixels = _decode_float(path)
        if not np.isfinite(pixels).all():
            raise FrameProblem(f"image {path.name} holds values that are not finite; repair it or remove the frame")
        alpha = np.clip(pixels[..., 3], 0, 1) if pixels.shape[2] == 4 else None
        return np.maximum(pixels[..., :3], 0), alpha
    pixels = decode_integer(path, "image")
    table = _table(pixels.dtype)
    color = table.take(pixels[..., :3]) if pixels.shape[2] >= 3 else np.repeat(table.take(pixels[..., :1]), 3, -1)
    alpha = None
    if pixels.shape[2] in (2, 4):
        alpha = pixels[..., -1].astype(np.float32) / np.iinfo(pixels.dtype).max
    return color, alpha


def read_mask(path: Path) -> np.ndarray:
    """The mask [H,W] float32 in [0,1] in the file `path`, 1 (white) = object.

    A varying alpha channel wins over the colours, whose maximum is taken; a mask of values 0 and 1 counts as black and
    white. Raises FrameProblem when it cannot be decoded.
    """
    if path.suffix.lower() in LINEAR_SUFFIXES:
        pixels = _decode_float(path)
        return np.clip(np.nan_to_num(pixels[..., :3].max(-1)), 0, 1)
    pixels = decode_integer(path, "mask")
    if pixels.shape[2] in (2, 4) and pixels[..., -1].min() < pixels[..., -1].max():
        values = pixels[..., -1]
    else:
        values = pixels[..., : 3 if pixels.shape[2] >= 3 else 1].max(-1)
    top = 1 if values.max() <= 1 else np.iinfo(values.dtype).max
    return values.astype(np.float32) / np.float32(top)


@functools.cache
def _table(dtype: np.dtype) -> np.ndarray:
    count = np.iinfo(dtype).max + 1
    return srgb_to_linear(np.arange(count) / (count - 1)).astype(np.float32)


def decode_integer(path: Path, what: str) -> np.ndarray:
    """[H,W,C] uint8 or uint16, C = 1 grey, 2 grey and alpha, 3 or 4; the file decoded to its last byte."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                deep = _is_deep(image, path)
                image.load()  # raises on truncated files, where OpenCV would return half an image
                if deep:
                    return _decode_deep(path)
                if image.mode == "P" or "transparency" in image.info:
                    image = image.convert("RGBA" if "transparency" in image.info else "RGB")
                elif image.mode not in ("L", "LA", "RGB", "RGBA"):
                    image = image.convert("L" if image.mode == "1" else "RGB")
                pixels = np.asarray(image)
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise FrameProblem(_unreadable(path, what, error)) from error
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _is_deep(image, path: Path) -> bool:
    """Whether the file holds 16 bits per channel, which Pillow would cut to 8 for colour."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24:25] == b"\x10"
    return image.format == "TIFF" and 16 in tuple(getattr(image, "tag_v2", {}).get(258, ()))


def _decode_deep(path: Path) -> np.ndarray:
    import cv2

    pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError("not a 16-bit image that OpenCV decodes")
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return np.ascontiguousarray(pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]) if pixels.shape[2] >= 3 else pixels


def _decode_float(path: Path) -> np.ndarray:
    """[H,W,3 or 4] float32 of an HDR file (OpenCV) or an EXR file (ffmpeg: OpenCV's wheels have no EXR)."""
    try:
        if path.suffix.lower() == ".exr":
            return _decode_exr(path)
        return read_radiance(path)
    except FrameProblem:
        raise
    except Exception as error:  # cv2.error derives from Exception alone
        raise FrameProblem(_unreadable(path, "image", error)) from error


def _exr_header(path: Path) -> tuple[int, int, set[str]]:
    """(width, height, channel names) of an EXR file; https://openexr.com/en/latest/OpenEXRFileLayout.html"""
    try:
        with path.open("rb") as file:
            data = file.read(1 << 20)
        if data[:4] != b"\x76\x2f\x31\x01":
            raise ValueError("not an EXR file")
        at, size, channels = 8, None, set()
        while data[at] != 0:
            name_end = data.index(b"\0", at)
            type_end = data.index(b"\0", name_end + 1)
            name = data[at:name_end]
            length = struct.unpack_from("<I", data, type_end + 1)[0]
            value = data[type_end + 5 : type_end + 5 + length]
            if name == b"displayWindow":
                x0, y0, x1, y1 = struct.unpack("<4i", value)
                size = (x1 - x0 + 1, y1 - y0 + 1)
            elif name == b"channels":
                entry = 0
                while value[entry] != 0:
                    end = value.index(b"\0", entry)
                    channels.add(value[entry:end].decode("latin-1"))
                    entry = end + 17
            at = type_end + 5 + length
        if not data[5] & 0x10:  # one part
            _check_chunks(path, at + 1, 16 if data[5] & 0x02 else 4)
        if size is None or min(size) < 1 or size[0] * size[1] > MOST_PIXELS:
            raise ValueError("its header has no usable size")
    except UNREADABLE as error:
        raise FrameProblem(_unreadable(path, "image", error)) from error
    return size[0], size[1], channels


def _check_channels(path: Path, channels: set[str]) -> None:
    """Raise FrameProblem unless there are R, G and B, or luminance alone, outside layers."""
    if {"R", "G", "B"} <= channels or ("Y" in channels and not {"RY", "BY"} & channels):
        return
    names = sorted(channels)
    listed = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    raise FrameProblem(
        f"image {path.name} has no channels R, G and B but {listed or 'none'}; save its colours without layers"
    )


def _check_chunks(path: Path, table: int, head: int) -> None:
    """Raise ValueError unless every chunk of an EXR file is there; ffmpeg leaves missing ones black.

    `table` is where the chunks' offsets begin, `head` the bytes before a chunk's size (4 scan lines, 16 tiles).
    """
    with path.open("rb") as file:
        end = file.seek(0, 2)
        file.seek(table)
        first = struct.unpack("<Q", file.read(8))[0]
        if not table + 8 <= first < end:
            raise ValueError("it is truncated")
        file.seek(table)
        offsets = np.frombuffer(file.read(first - table), "<u8")
        if len(offsets) * 8 != first - table or offsets.min() == 0 or offsets.max() + head + 4 > end:
            raise ValueError("it is truncated")
        file.seek(int(offsets.max()) + head)
        if file.tell() + 4 + struct.unpack("<I", file.read(4))[0] > end:
            raise ValueError("it is truncated")


def _decode_exr(path: Path) -> np.ndarray:
    """[H,W,3 or 4] float32, straight; EXR stores colour multiplied by alpha."""
    import imageio_ffmpeg

    width, height, channels = _exr_header(path)
    _check_channels(path, channels)
    # without -pix_fmt, because ffmpeg's conversions between float formats clip to [0,1]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostats", "-xerror", "-i", f"file:{path}"]
    command += ["-f", "rawvideo", "-frames:v", "1", "-"]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    messages = done.stderr.decode("utf-8", "replace")
    layout = re.search(r"Video: exr, (gray|ya|gbrp|gbrap)f(16|32)le", messages)
    if done.returncode != 0 or layout is None:
        raise ValueError("ffmpeg makes no image of it")
    planes = np.frombuffer(done.stdout, f"<f{int(layout[2]) // 8}").astype(np.float32)
    if layout[1] == "ya":  # the only one whose channels alternate
        planes = planes.reshape(height, width, 2).transpose(2, 0, 1)
    planes = planes.reshape(-1, height, width)
    pixels = np.stack([planes[channel] for channel in EXR_PLANES[layout[1]]], -1)
    if pixels.shape[2] == 4:
        pixels[..., :3] /= np.where(pixels[..., 3:] > 0, pixels[..., 3:], 1)
    return pixels


def _profile(data: bytes | None) -> str:
    if not data:
        return ""
    from io import BytesIO

    from PIL import ImageCms

    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(data))).strip()
    except (ImageCms.PyCMSError, *UNREADABLE):
        return ""
    return "" if "srgb" in name.lower() else name


def _unreadable(path: Path, what: str, error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{what} {path.name} is missing; restore the file"
    text = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return f"{what} {path.name} cannot be decoded ({text}); restore the file"
