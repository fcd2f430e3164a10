"""transforms.json in its dialects: Blender/NeRF (`camera_angle_x`, split files), instant-ngp and nerfstudio."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine.capture.bad_frames import some
from engine.capture.depths import UNIT, DepthFile
from engine.capture.entry import IMAGE_SUFFIXES, Entry, FrameProblem, MissingFile, Reading, locate
from engine.capture.lens import PANORAMA, Lens
from engine.capture.options import CaptureOptions
from engine.capture.points import Points, named_points, points_beside
from engine.errors import CaptureError
from engine.scene.conventions import UP_AXES, pose_from_opengl
from engine.scene.frame import Split

SPLIT_FILES: dict[str, Split] = {"transforms_train.json": "train", "transforms_test.json": "test"}
VALIDATION_FILE = "transforms_val.json"
POLYNOMIAL = ("k1", "k2", "k3", "k4", "p1", "p2")
FISHEYE = ("k1", "k2", "k3", "k4")
FOCAL_LENGTHS = ("fl_x", "fl_y", "camera_angle_x", "camera_angle_y", "x_fov", "y_fov")
LONGEST_SIDE = 1_000_000  # pixels that a file may state
MODELS = {
    "": POLYNOMIAL,
    "OPENCV": POLYNOMIAL,
    "PERSPECTIVE": POLYNOMIAL,
    "SIMPLE_PINHOLE": (),
    "PINHOLE": (),
    "SIMPLE_RADIAL": ("k1",),
    "RADIAL": ("k1", "k2"),
    "OPENCV_FISHEYE": FISHEYE,
    "FISHEYE": FISHEYE,
    PANORAMA: (),
}


def read_transforms(path: Path, options: CaptureOptions) -> Reading:
    """The frames of `path`: one JSON file, or a folder with transforms.json and/or split files.

    Frames come from transforms.json where there is one, and their split from the split files. Raises CaptureError when
    a file is not such JSON; problems of single frames are collected in the reading.
    """
    folder = path if path.is_dir() else path.parent
    main = folder / "transforms.json" if path.is_dir() else path
    splits = {name: folder / name for name in SPLIT_FILES if (folder / name).is_file()}
    reading = Reading(root=folder, format="transforms.json", up=np.array(UP_AXES["+z"]))
    reading.up_source = "the format: transforms.json is z up"
    if main.is_file() and main.name not in (*SPLIT_FILES, VALIDATION_FILE):
        document = _document(main)
        split_of = _listed_splits(reading, document, main)
        source = f"lists in {main.name}"
        if main.name == "transforms.json" and not split_of and splits:
            listed = [
                (_key(_name(frame)), SPLIT_FILES[name])
                for name, file in splits.items()
                for frame in _frames(_document(file), file)
                if isinstance(frame, dict)
            ]
            split_of = _assigned(reading, listed, " and ".join(splits))
            source = " and ".join(splits)
        reading.split_source = source if split_of else ""
        _add(reading, document, main, split_of, None, options)
        if split_of:
            unlisted = [entry.name for entry in reading.entries if entry.split is None]
            validation = _validation(document) if document.get("test_filenames") else set()
            if len(unlisted) == len(reading.entries):
                reading.split_source = ""
                reading.warnings.append(f"the split in {source} names none of the frames and is not used")
            elif unlisted:
                reading.entries = [entry for entry in reading.entries if entry.split is not None]
                known = [name for name in unlisted if _key(name) in validation]
                if known:
                    reading.warnings.append(f"{main.name}: its {len(known)} validation views are not used")
                unlisted = [name for name in unlisted if name not in known]
                if unlisted:
                    reading.warnings.append(
                        f"{len(unlisted)} frames of {main.name} are in no split and are not used: {', '.join(unlisted)}"
                    )
    else:
        _add_split_files(reading, folder, splits, options)
    if not reading.entries and not reading.bad:
        raise CaptureError(f"{main}: the capture has no frames; export it again")
    reading.points = partial(_points, reading, options)
    return reading


def _points(reading: Reading, options: CaptureOptions) -> Points | None:
    """The points of the PLY file that a file names, else of a COLMAP model beside it that has the same cameras."""
    from engine.capture.colmap import find_model, read_colmap

    for text in reading.ply_names:
        found = named_points(reading.root, text, options.allow_outside)
        if found is not None:
            return found
    model = find_model(reading.root)
    if model is None:
        return None
    try:
        return points_beside(reading.entries, model, read_colmap(reading.root, options).entries)
    except CaptureError:  # it is not what the capture was opened for
        return None


def _add_split_files(reading: Reading, folder: Path, splits: dict[str, Path], options: CaptureOptions) -> None:
    validation = folder / VALIDATION_FILE
    if validation.is_file():
        if "transforms_test.json" in splits:
            count = len(_frames(_document(validation), validation))
            reading.warnings.append(f"{VALIDATION_FILE}: its {count} validation views are not used")
        else:
            splits = {**splits, VALIDATION_FILE: validation}
    if not splits:
        raise CaptureError(f"{folder}: there is no transforms.json, transforms_train.json or transforms_test.json")
    for name, file in splits.items():
        split = SPLIT_FILES.get(name, "test")
        _add(reading, _document(file), file, {}, split if len(splits) > 1 else None, options)
    reading.format = " and ".join(splits)
    reading.split_source = reading.format if len(splits) > 1 else ""


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read ({error.strerror}); check the file and its permissions") from error
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise CaptureError(f"{path}: is not valid JSON ({error}); export it again") from error
    if not isinstance(document, dict):
        raise CaptureError(f"{path}: is not a JSON object with a list `frames`; export it again")
    return document


def _frames(document: dict[str, Any], path: Path) -> list[Any]:
    frames = document.get("frames")
    if not isinstance(frames, list) or not frames:
        raise CaptureError(f"{path}: has no list `frames` with at least one frame; export it again")
    return frames


def _name(frame: dict[str, Any]) -> str:
    text = frame.get("file_path")
    return text.removeprefix("./") if isinstance(text, str) else ""


def _key(name: str) -> str:
    """A frame's name without its extension, which some files leave out."""
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in IMAGE_SUFFIXES else name


def _listed_splits(reading: Reading, document: dict[str, Any], path: Path) -> dict[str, Split]:
    """nerfstudio's train_filenames, val_filenames and test_filenames; validation stands in for a missing test list."""
    listed: list[tuple[str, Split]] = []
    lists = {key: document.get(f"{key}_filenames") for key in ("train", "test", "val")}
    for key, names in lists.items():
        if names is None or (key == "val" and lists["test"]):
            continue
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise CaptureError(f"{path}: {key}_filenames is not a list of file names; correct or remove it")
        listed += [(_key(name.removeprefix("./")), "train" if key == "train" else "test") for name in names]
    return _assigned(reading, listed, path.name)


def _validation(document: dict[str, Any]) -> set[str]:
    """The frames that nerfstudio's val_filenames lists."""
    names = document.get("val_filenames")
    listed = names if isinstance(names, list) else []
    return {_key(name.removeprefix("./")) for name in listed if isinstance(name, str)}


def _assigned(reading: Reading, listed: list[tuple[str, Split]], source: str) -> dict[str, Split]:
    """The split of each frame; with a warning, those listed for both test only, or no list is used if all are."""
    train, test = ([name for name, split in listed if split == wanted] for wanted in ("train", "test"))
    both = sorted(set(train) & set(test))
    if both and len(both) == len(set(train)):
        reading.warnings.append(f"every training view of {source} is listed for testing too, so the split is not used")
        return {}
    if both:
        reading.warnings.append(f"listed for training and for testing in {source}, and only tested on: {some(both)}")
    return dict.fromkeys(train, "train") | dict.fromkeys(test, "test")


def _add(
    reading: Reading,
    document: dict[str, Any],
    path: Path,
    split_of: dict[str, Split],
    split: Split | None,
    options: CaptureOptions,
) -> None:
    if document.get("up") is not None:
        reading.up, reading.up_source = _up(document["up"], path), f"`up` in {path.name}"
    if isinstance(document.get("ply_file_path"), str):
        reading.ply_names.append(document["ply_file_path"])
    for number, frame in enumerate(_frames(document, path)):
        label = f"{path.name} frame {number}"
        if not isinstance(frame, dict):
            reading.bad.append((label, f"{path.name}: is not a JSON object; export the capture again"))
            continue
        name = _name(frame)
        if not name:
            reading.bad.append((label, f"{path.name}: has no file_path; add the name of its image"))
            continue
        try:
            listed = split_of.get(_key(name), split)
            reading.entries.append(_entry(path, document, frame, listed, options))
        except FrameProblem as problem:
            reading.bad.append((name if name.isprintable() else ascii(name)[1:-1], str(problem)))


def _up(value: Any, path: Path) -> np.ndarray:
    """The unit up direction [3] of an axis' name, or of instant-ngp's three numbers."""
    if isinstance(value, str) and value in UP_AXES:
        return np.array(UP_AXES[value])
    try:
        if isinstance(value, list) and len(value) == 3:
            direction = np.array([_number(entry, "up") for entry in value])
            length = float(np.linalg.norm(direction))
            if math.isfinite(length) and length > 1e-9:
                return direction / length
    except FrameProblem:
        pass
    raise CaptureError(f"{path}: up is {str(value)[:40]!r}, not one of {', '.join(UP_AXES)}; correct or remove it")


def _entry(
    file: Path, document: dict[str, Any], frame: dict[str, Any], split: Split | None, options: CaptureOptions
) -> Entry:
    folder, values = file.parent, _of_frame(document, frame)
    image = locate(folder, folder, frame["file_path"], options, "image")
    mask = None
    if options.masks is None and frame.get("mask_path") not in (None, ""):
        if not isinstance(frame["mask_path"], str):
            raise FrameProblem("mask_path is not a file name; correct or remove it")
        mask = locate(folder, folder, frame["mask_path"], options, "mask")
    depth = None
    if frame.get("depth_file_path") not in (None, ""):
        if not isinstance(frame["depth_file_path"], str):
            raise FrameProblem("depth_file_path is not a file name; correct or remove it")
        unit = _number(values.get("depth_unit_scale_factor", UNIT), "depth_unit_scale_factor")
        if unit <= 0:
            raise FrameProblem(f"depth_unit_scale_factor is {unit:g}; give capture units per stored number, above zero")
        try:
            path = locate(folder, folder, frame["depth_file_path"], options, "depth")
        except MissingFile:  # photos do without it, and say so
            path = folder / frame["depth_file_path"]
        depth = DepthFile(path, unit)
    return Entry(
        name=_name(frame),
        image_path=image,
        mask_path=mask,
        world_from_camera=_pose(frame.get("transform_matrix")),
        lens_of=partial(_stated_lens, file, values),
        split=split,
        depth=depth,
    )


def _of_frame(document: dict[str, Any], frame: dict[str, Any]) -> dict[str, Any]:
    """A frame's keys and the shared ones it does not override; a focal length of its own, however it is stated,
    overrides all shared ones."""
    own = any(frame.get(key) is not None for key in FOCAL_LENGTHS)
    shared = {key: value for key, value in document.items() if not (own and key in FOCAL_LENGTHS)}
    return shared | {key: value for key, value in frame.items() if value is not None}


def _pose(value: Any) -> np.ndarray:
    if not isinstance(value, list) or len(value) not in (3, 4) or not all(isinstance(row, list) for row in value):
        raise FrameProblem("transform_matrix is not a 4x4 list of numbers; export the capture again")
    pose = np.eye(4)
    for i, row in enumerate(value):
        if len(row) != 4:
            raise FrameProblem("transform_matrix is not a 4x4 list of numbers; export the capture again")
        pose[i] = [_number(entry, "transform_matrix") for entry in row]
    if not np.allclose(pose[3], [0, 0, 0, 1], atol=1e-6):
        raise FrameProblem("transform_matrix does not end in the row 0 0 0 1; export the capture again")
    return pose_from_opengl(pose)


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FrameProblem(f"{key} is {str(value)[:40]!r}, not a number; correct it")
    try:
        number = float(value)
    except OverflowError as error:
        raise FrameProblem(f"{key} is too large a number; correct it") from error
    if not math.isfinite(number):
        raise FrameProblem(f"{key} holds {number}, which is not a finite number; correct it or remove the frame")
    return number


def _stated_lens(file: Path, values: dict[str, Any], width: int, height: int) -> Lens:
    """`_lens`, whose problems name the file."""
    try:
        return _lens(values, width, height)
    except FrameProblem as problem:
        raise FrameProblem(f"{file.name}: {problem}") from problem


def _lens(values: dict[str, Any], width: int, height: int) -> Lens:
    """The lens of a stored image of width x height pixels from shared and per-frame keys, frame keys first.

    Where the file states another size with the same shape, intrinsics are for that size and are scaled.
    """

    def number(key: str) -> float | None:
        return None if values.get(key) is None else _number(values[key], key)

    stated_width, stated_height = number("w") or width, number("h") or height
    if not 1 <= min(stated_width, stated_height) <= max(stated_width, stated_height) <= LONGEST_SIDE:
        raise FrameProblem(f"w, h = {stated_width:g}, {stated_height:g} is not an image size; correct them")
    focal_x = _focal(number("fl_x"), number("camera_angle_x"), number("x_fov"), stated_width, "x")
    focal_y = _focal(number("fl_y"), number("camera_angle_y"), number("y_fov"), stated_height, "y")
    model = _model(values)
    if focal_x is None and focal_y is None:
        if model != PANORAMA:
            raise FrameProblem("there is neither fl_x nor camera_angle_x; add the focal length in pixels as fl_x")
        focal_x = 1.0
    focal_x = focal_x if focal_x is not None else focal_y
    focal_y = focal_y if focal_y is not None else focal_x
    cx, cy = number("cx"), number("cy")
    centre = (stated_width / 2 if cx is None else cx, stated_height / 2 if cy is None else cy)
    coefficients = {key: number(key) or 0.0 for key in MODELS[model]}
    if MODELS[model] is POLYNOMIAL and not any(coefficients.values()):
        name, extra = "PINHOLE", ()
    elif MODELS[model] is POLYNOMIAL:
        name, extra = "BROWN", tuple(coefficients.values())
    elif MODELS[model] is FISHEYE:
        name, extra = "OPENCV_FISHEYE", tuple(coefficients.values())
    else:
        name, extra = model, tuple(coefficients.values())
    lens = Lens(name, (focal_x, focal_y), centre, round(stated_width), round(stated_height), extra)
    return lens


def _model(values: dict[str, Any]) -> str:
    model = values.get("camera_model")
    if model is None:
        return "OPENCV_FISHEYE" if values.get("is_fisheye") is True else ""
    if not isinstance(model, str) or model not in MODELS:
        known = ", ".join(name for name in MODELS if name)
        raise FrameProblem(f"camera_model {str(model)[:40]!r} is not known; use one of {known}")
    return model


def _focal(focal: float | None, angle: float | None, degrees: float | None, length: float, axis: str) -> float | None:
    """Focal length in pixels from what the file gives: pixels, or the field of view in radians or degrees."""
    if focal is not None:
        if focal <= 0:
            raise FrameProblem(f"fl_{axis} is {focal:g}; a focal length must be more than zero pixels")
        return focal
    if angle is None and degrees is not None:
        angle = math.radians(degrees)
    if angle is None:
        return None
    if not 1e-4 < angle < math.pi - 1e-4:
        raise FrameProblem(f"camera_angle_{axis} is {angle:g}; a field of view must lie between 0 and pi radians")
    return length / 2 / math.tan(angle / 2)
