"""Photographs without camera poses: which paths hold them, what their files say, and copies that COLMAP reads."""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.capture.entry import IMAGE_SUFFIXES, FrameProblem
from engine.capture.images import LINEAR_SUFFIXES, UNREADABLE, decode_integer, read_header
from engine.capture.options import NO_MASKS, CaptureOptions
from engine.errors import CaptureError

PHOTO_SUFFIXES = tuple(suffix for suffix in IMAGE_SUFFIXES if suffix not in LINEAR_SUFFIXES)
VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".3gp")
FOLDERS = ("images", "input", "photos", "rgb")  # below a folder that holds no photos itself
PLAIN_SUFFIXES = (".jpg", ".jpeg", ".png")  # taken as they are; others become PNG
LEAST_PHOTOS = 3  # one is held out for testing, and one alone fixes no shape
JPEG_QUALITY = 98
EXIF_CAMERA = (0x010F, 0x0110)  # Make, Model
EXIF_LENS = (0x920A, 0xA405)  # FocalLength, FocalLengthIn35mmFilm
EXIF_FOLDER = 0x8769
ORIENTATION = 0x0112
SMALLEST = 64  # pixels of the shorter side


@dataclass(frozen=True)
class Photo:
    """One photograph, by its header."""

    path: Path
    width: int  # as viewers show it: after the turn that EXIF asks for
    height: int
    turn: int  # EXIF orientation, 1 to 8, of the stored pixels; not 1: viewers turn or mirror them
    decoded_turn: int  # the same of the pixels as they are decoded: Pillow turns TIFF by itself
    has_alpha: bool
    camera: str  # photos with the same size, camera, lens and turn have the same text and share intrinsics


def photo_source(path: Path) -> Path | None:
    """The folder of photos, or the video, without poses that `path` names; None where it is anything else.

    A folder with a transforms.json, a COLMAP model or a project is not bare. Photos may lie in a folder `images`,
    `input`, `photos` or `rgb` in it; a folder with a single video and no photos stands for the video.
    """
    from engine.capture.capture import SPLIT_FILES
    from engine.capture.colmap import find_model

    try:
        if path.is_file():
            return path if path.suffix.lower() in VIDEO_SUFFIXES else None
        if not path.is_dir() or find_model(path) is not None:
            return None
        if any((path / name).is_file() for name in (*SPLIT_FILES, "project.toml")):
            return None
        for folder in (path, *(path / name for name in FOLDERS)):
            if folder.is_dir() and listed_photos(folder):
                return folder
        videos = [file for file in path.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES and _is_shown(file)]
    except OSError:  # whoever opens it as a capture says so
        return None
    return videos[0] if len(videos) == 1 else None


def nothing_in(path: Path) -> str:
    """Why the folder `path`, which holds neither camera poses nor bare photos, is no capture, and what to do."""
    try:
        inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        return f"cannot be read ({error.strerror or error}); check its permissions"
    folder = next((entry for entry in inside if _has_photos(entry)), None)
    if folder is not None:
        return f"holds no camera poses and no photos, but its folder {folder.name} holds photos: open {folder}"
    if sum(entry.suffix.lower() in VIDEO_SUFFIXES for entry in inside) > 1:
        return "holds no camera poses and no photos, but several videos: open one of them"
    return (
        "holds no camera poses and no photos; open a folder that holds JPEG or PNG photos, or images with a "
        "transforms.json (Blender, instant-ngp, nerfstudio) or a COLMAP model (sparse/0)"
    )


def _has_photos(folder: Path) -> bool:
    try:
        return folder.is_dir() and bool(listed_photos(folder))
    except OSError:
        return False


def _is_shown(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def listed_photos(folder: Path) -> list[Path]:
    """The photographs in `folder`, by name; hidden files are not listed."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES and _is_shown(path))


def source_digest(source: Path) -> str:
    """A digest of the names, sizes and times of the photos in a folder, or of a video."""
    files = [source] if source.is_file() else listed_photos(source)
    listed = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr(listed).encode()).hexdigest()


def read_photos(folder: Path) -> tuple[list[Photo], list[tuple[str, str]]]:
    """(the photographs in `folder` by name, (name, reason) of files whose header cannot be read)."""
    photos, bad = [], []
    for path in listed_photos(folder):
        try:
            photos.append(_photo(path))
        except FrameProblem as problem:
            bad.append((path.name, str(problem)))
    return photos, bad


def _photo(path: Path) -> Photo:
    from PIL import Image

    header = read_header(path)
    turn, described = 1, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                # getexif alone would decode a whole PNG
                exif = image.getexif() if "exif" in image.info or image.format == "TIFF" else {}
                lens = exif.get_ifd(EXIF_FOLDER) if exif else {}
                turn = int(exif.get(ORIENTATION, 1))
                named = [exif.get(tag) for tag in EXIF_CAMERA] + [lens.get(tag) for tag in EXIF_LENS]
                described = " ".join(str(value).strip("\0 ") for value in named if value)
    except UNREADABLE:  # damaged EXIF; the pixels may be sound
        turn = 1
    turn = turn if 1 <= turn <= 8 else 1
    is_tiff = path.suffix.lower() in (".tif", ".tiff")
    left = 1 if is_tiff and "8 bit" in header.color_space else turn
    lies = turn >= 5 and not is_tiff  # the header's size is that of the stored pixels
    width, height = (header.height, header.width) if lies else (header.width, header.height)
    return Photo(path, width, height, turn, left, header.has_alpha, f"{width}x{height} {turn} {described}")


def free_names(photos: list[Photo]) -> list[str]:
    """A file name for each photo, all different also where case does not count, JPEG or PNG by its suffix."""
    names, taken = [], set()
    for photo in photos:
        stem, suffix, number = photo.path.stem, photo.path.suffix, 2
        suffix = suffix if suffix.lower() in PLAIN_SUFFIXES else ".png"
        name = stem + suffix
        while name.lower() in taken:
            name, number = f"{stem}-{number}{suffix}", number + 1
        taken.add(name.lower())
        names.append(name)
    return names


def write_photo(photo: Photo, target: Path, link: bool) -> None:
    """Write `photo` to `target` with 8 bits, JPEG or PNG by its suffix, turned as EXIF asks.

    A file that needs no change is linked, or copied unless `link`. Raises FrameProblem when it cannot be decoded to
    its last byte.
    """
    from PIL import Image, ImageOps

    path = photo.path
    pixels = decode_integer(path, "photo")
    if min(pixels.shape[:2]) < SMALLEST:
        raise FrameProblem(f"it has {photo.width} x {photo.height} pixels, too few to find details in")
    if path.suffix.lower() in PLAIN_SUFFIXES and photo.turn == 1 and pixels.dtype == np.uint8:
        if link:
            try:
                os.link(path.resolve(), target)
                return
            except OSError:  # another file system, or one without links
                pass
        shutil.copyfile(path, target)
        return
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if photo.decoded_turn == 1:
        image.save(target, compress_level=1)
        return
    image.getexif()[ORIENTATION] = photo.decoded_turn
    image = ImageOps.exif_transpose(image)
    if target.suffix.lower() == ".png":
        image.save(target, compress_level=1)
        return
    with Image.open(path) as original:
        exif = original.getexif()
        exif.get_ifd(EXIF_FOLDER)  # read now, to be written again: it holds the focal length that COLMAP starts from
    exif[ORIENTATION] = 1
    image.convert("RGB").save(target, quality=JPEG_QUALITY, subsampling=0, exif=exif)


def described_sizes(photos: list[Photo]) -> dict[str, int]:
    """How many photos have which size, as viewers show them."""
    return dict(Counter(f"{photo.width}x{photo.height}" for photo in photos))


def require_photo_masks(path: Path, options: CaptureOptions) -> None:
    """Raise CaptureError, naming the three remedies, where `path` names photos without poses that will have no masks.

    Cheap: looks at headers only, so that it can be told before poses are searched.
    """
    source = photo_source(path)
    if source is None:
        return
    if options.masks is not None and not options.masks.is_dir():
        raise CaptureError(f"--masks {options.masks}: is not a folder; name the folder that holds the masks")
    if options.masks is not None or options.region is not None or options.color_key is not None:
        return
    photos = [] if source.is_file() else read_photos(source)[0]
    if source.is_file() or not all(photo.has_alpha for photo in photos):  # none at all is another's complaint
        raise CaptureError(f"{path}: {NO_MASKS}")


def require_enough(source: Path, usable: int, bad: list[tuple[str, str]]) -> None:
    """Raise CaptureError when fewer than LEAST_PHOTOS photographs can be used."""
    if usable >= LEAST_PHOTOS:
        return
    listed = "; ".join(f"{name}: {reason}" for name, reason in bad)
    unusable = f" ({len(bad)} cannot be used: {listed})" if bad else ""
    raise CaptureError(
        f"{source}: {usable} usable photo{'s' * (usable != 1)}{unusable} cannot fix camera poses; at least "
        f"{LEAST_PHOTOS} are needed, and 20 or more from all around are advised"
    )
