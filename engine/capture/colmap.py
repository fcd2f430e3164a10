"""COLMAP models, binary and text: cameras and images; rigs and frames files are told apart but not needed.

COLMAP's own reader (pycolmap) ends the process or allocates without bound on a corrupt file, so the two files that
hold what is needed are parsed here with every count checked; pycolmap then evaluates the lens models. An image's entry
holds its full pose also where rigs.bin and frames.bin exist; `points.py` reads the point cloud.
Format: https://colmap.github.io/format.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from engine.capture.entry import Entry, FrameProblem, Reading, locate
from engine.capture.lens import PANORAMA, Lens
from engine.capture.options import CaptureOptions
from engine.capture.points import model_points
from engine.capture.reconstruction import recorded_notes
from engine.errors import CaptureError

# id: (name, focal lengths, coefficients after the principal point)
MODELS: dict[int, tuple[str, int, int]] = {
    0: ("SIMPLE_PINHOLE", 1, 0),
    1: ("PINHOLE", 2, 0),
    2: ("SIMPLE_RADIAL", 1, 1),
    3: ("RADIAL", 1, 2),
    4: ("OPENCV", 2, 4),
    5: ("OPENCV_FISHEYE", 2, 4),
    6: ("FULL_OPENCV", 2, 8),
    7: ("FOV", 2, 1),
    8: ("SIMPLE_RADIAL_FISHEYE", 1, 1),
    9: ("RADIAL_FISHEYE", 1, 2),
    10: ("THIN_PRISM_FISHEYE", 2, 8),
    11: ("RAD_TAN_THIN_PRISM_FISHEYE", 2, 12),
    12: ("SIMPLE_DIVISION", 1, 1),
    13: ("DIVISION", 2, 1),
    14: ("SIMPLE_FISHEYE", 1, 0),
    15: ("FISHEYE", 2, 0),
    16: ("EUCM", 2, 2),
    17: (PANORAMA, 0, 0),
}
MODEL_IDS = {name: number for number, (name, _, _) in MODELS.items()}
PLACES = (".", "0", "sparse/0", "sparse", "colmap/sparse/0", "colmap/sparse", "dense/sparse")
PLACES += ("sparse_txt/0", "sparse_txt")
IMAGE_FOLDERS = ("images", "images_2", "images_4", "images_8", "input", "rgb")
PARTS = ("cameras", "images", "points3D", "rigs", "frames")  # names of a model's files, .bin or .txt


@dataclass(frozen=True)
class _Image:
    name: str
    camera: int
    quaternion: tuple[float, ...]  # w, x, y, z: camera from world
    translation: tuple[float, ...]


def is_model(folder: Path) -> bool:
    """Whether `folder` holds a COLMAP model."""
    return any((folder / f"cameras{end}").is_file() and (folder / f"images{end}").is_file() for end in (".bin", ".txt"))


def find_model(folder: Path) -> Path | None:
    """The COLMAP model in or below `folder`, where COLMAP and its users put it."""
    return next((folder / place for place in PLACES if is_model(folder / place)), None)


def read_colmap(path: Path, options: CaptureOptions) -> Reading:
    """The registered images of the COLMAP model in or below the folder `path`.

    Raises CaptureError when its files are not a model; problems of single images are collected in the reading.
    """
    model = find_model(path)
    if model is None:
        raise CaptureError(f"{path}: there is no COLMAP model (cameras.bin and images.bin, or .txt) in it or below")
    model = Path(model)
    root, folder = _image_folder(path, model)
    binary = (model / "cameras.bin").is_file() and (model / "images.bin").is_file()
    cameras = _parse(model / ("cameras.bin" if binary else "cameras.txt"), _cameras_bin if binary else _cameras_txt)
    images = _parse(model / ("images.bin" if binary else "images.txt"), _images_bin if binary else _images_txt)
    rigs = any((model / f"rigs{end}").is_file() for end in (".bin", ".txt"))
    reading = Reading(root, f"COLMAP {'binary' if binary else 'text'} model{' with rigs' if rigs else ''}")
    reading.points = partial(model_points, model)
    reading.warnings += recorded_notes(root)
    if model.name == "0" and is_model(model.parent / "1"):
        count = sum(is_model(other) for other in model.parent.iterdir() if other.is_dir())
        reading.warnings.append(
            f"{model.parent} holds {count} separate models; {model} is read, name another to use it"
        )
    if folder.name.startswith("images_"):
        reading.warnings.append(f"there is no folder images; {folder.name} is used, and intrinsics are scaled to it")
    if not images:
        raise CaptureError(f"{model}: the COLMAP model has no registered images; run the mapper again")
    for image in images:
        try:
            if image.camera not in cameras:
                raise FrameProblem(f"its camera {image.camera} is not in the model; export the model again")
            file = locate(root, folder, image.name, options, "image")
            lens_of = partial(_lens, *cameras[image.camera])
            reading.entries.append(Entry(image.name, file, None, _pose(image), lens_of, None))
        except FrameProblem as problem:
            reading.bad.append((image.name[:200] or "an image without a name", str(problem)))
    return reading


def _image_folder(path: Path, model: Path) -> tuple[Path, Path]:
    """(folder that paths may not leave, folder that image names are relative to)."""
    tops = [path]
    if not any((path / name).is_dir() for name in IMAGE_FOLDERS):  # the model was named: its images lie beside or above
        tops += list(model.resolve().parents)[:3]
    for top in tops:
        for name in IMAGE_FOLDERS:
            if (top / name).is_dir():
                return top, top / name
    return path, path


def _lens(model: int, width: int, height: int, parameters: tuple[float, ...], _width: int, _height: int) -> Lens:
    name, focals, coefficients = MODELS[model]
    if not 0 < width < 10**6 or not 0 < height < 10**6:
        raise FrameProblem(f"its camera has the size {width} x {height}; export the model again")
    if name == PANORAMA:
        return Lens(name, (1.0, 1.0), (width / 2, height / 2), width, height)
    if not np.isfinite(parameters).all():
        raise FrameProblem("its camera has parameters that are not finite; export the model again")
    focal = (parameters[0], parameters[focals - 1])
    if min(focal) <= 0:
        raise FrameProblem(f"its camera has the focal length {min(focal):g}; it must be more than zero pixels")
    extra = tuple(parameters[focals + 2 : focals + 2 + coefficients])
    return Lens(name, focal, (parameters[focals], parameters[focals + 1]), width, height, extra)


def _pose(image: _Image) -> np.ndarray:
    quaternion, translation = np.array(image.quaternion), np.array(image.translation)
    with np.errstate(over="ignore", invalid="ignore"):
        length = float(np.linalg.norm(quaternion))
    if not np.isfinite(translation).all() or not np.isfinite(length) or length < 1e-12:
        raise FrameProblem("its pose is not finite or its quaternion is zero; remove the image")
    w, x, y, z = quaternion / length
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    pose = np.eye(4)
    pose[:3, :3] = rotation.T
    pose[:3, 3] = -rotation.T @ translation
    return pose


def _parse(path: Path, parser: Callable[[bytes], object]):
    try:
        return parser(path.read_bytes())
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
    except (ValueError, IndexError, struct.error, OverflowError) as error:
        raise CaptureError(f"{path}: is not a valid COLMAP file ({error}); export the model again") from error


class _Bytes:
    """A cursor over a binary file; reading past the end is a ValueError."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, layout: str) -> tuple:
        size = struct.calcsize(layout)
        self.skip(size)
        return struct.unpack_from(layout, self.data, self.at - size)

    def skip(self, size: int) -> None:
        if size > len(self.data) - self.at:
            raise ValueError(f"it ends after {len(self.data)} bytes, in the middle of an entry")
        self.at += size

    def text(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise ValueError("a name has no end")
        text = self.data[self.at : end].decode("utf-8")
        self.at = end + 1
        return text


def _model_of(number: int) -> tuple[str, int, int]:
    if number not in MODELS:
        raise ValueError(f"camera model {number} is not known")
    return MODELS[number]


def _parameter_count(model: int) -> int:
    name, focals, coefficients = _model_of(model)
    return 2 if name == PANORAMA else focals + 2 + coefficients


def _cameras_bin(data: bytes) -> dict[int, tuple]:
    cursor, cameras = _Bytes(data), {}
    for _ in range(cursor.take("<Q")[0]):
        number, model, width, height = cursor.take("<IiQQ")
        cameras[number] = (model, width, height, cursor.take(f"<{_parameter_count(model)}d"))
    return cameras


def _images_bin(data: bytes) -> list[_Image]:
    cursor, images = _Bytes(data), []
    for _ in range(cursor.take("<Q")[0]):
        values = cursor.take("<I7dI")
        images.append(_Image(cursor.text(), values[8], values[1:5], values[5:8]))
        cursor.skip(cursor.take("<Q")[0] * 24)  # its 2D points
    return images


def _lines(data: bytes) -> list[str]:
    return [line.strip() for line in data.decode("utf-8-sig").split("\n")]


def _cameras_txt(data: bytes) -> dict[int, tuple]:
    cameras = {}
    for line in _lines(data):
        if not line or line.startswith("#"):
            continue
        fields = line.split()
        if len(fields) < 4 or fields[1] not in MODEL_IDS:
            raise ValueError(f"{line[:60]!r} is not a camera")
        model = MODEL_IDS[fields[1]]
        parameters = tuple(float(text) for text in fields[4:])
        if len(parameters) != _parameter_count(model):
            raise ValueError(f"camera {fields[0]} has {len(parameters)} parameters, not {_parameter_count(model)}")
        cameras[int(fields[0])] = (model, int(fields[2]), int(fields[3]), parameters)
    return cameras


def _images_txt(data: bytes) -> list[_Image]:
    images, points_follow = [], False
    for line in _lines(data):
        if line.startswith("#") and not points_follow:
            continue
        if points_follow:  # an image's second line holds its 2D points and may be empty
            points_follow = False
            continue
        if not line:
            continue
        fields = line.split(maxsplit=9)
        if len(fields) < 10:
            raise ValueError(f"{line[:60]!r} is not an image")
        numbers = tuple(float(text) for text in fields[1:8])
        int(fields[0])
        images.append(_Image(fields[9], int(fields[8]), numbers[:4], numbers[4:]))
        points_follow = True
    return images
