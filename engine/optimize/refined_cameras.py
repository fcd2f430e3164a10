"""Where all of a capture's cameras are once those of its training photos have been refined, and the file of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from torch import Tensor

from engine.capture.lens import PANORAMA, Lens
from engine.exchange.atomic import write_file
from engine.optimize.camera_drift import carried
from engine.scene import Camera
from engine.scene.conventions import pose_to_opengl

if TYPE_CHECKING:
    from engine.capture import Capture

T = TypeVar("T", Camera, Lens)

PREFIX = "cameras."  # of their tensors among a scene's or a stage's
FILE = "cameras.json"
WORDS = "refined; held-out follow their neighbours"
# the keys of transforms.json for a lens model's coefficients, in our order
KEYS = {
    "BROWN": ("k1", "k2", "k3", "k4", "p1", "p2"),
    "OPENCV": ("k1", "k2", "p1", "p2"),
    "SIMPLE_RADIAL": ("k1",),
    "RADIAL": ("k1", "k2"),
    "OPENCV_FISHEYE": ("k1", "k2", "k3", "k4"),
}


def with_pose(camera: Camera, rotation: np.ndarray, offset: np.ndarray) -> Camera:
    """The camera turned about its centre by `rotation` [3,3] and moved by `offset` [3], both in world axes."""
    pose = camera.world_from_camera.copy()
    pose[:3, :3] = rotation @ pose[:3, :3]
    pose[:3, 3] += offset
    return replace(camera, world_from_camera=pose)


def with_lens(camera: T, lens: Sequence[float]) -> T:
    """The camera with log changes of fx and fy and a shift of the centre in focal lengths, `lens` [4]."""
    focal = camera.focal[0] * math.exp(lens[0]), camera.focal[1] * math.exp(lens[1])
    centre = camera.centre[0] + lens[2] * camera.focal[0], camera.centre[1] + lens[3] * camera.focal[1]
    return replace(camera, focal=focal, centre=centre)


def refined_cameras(capture: Capture, tensors: dict[str, Tensor]) -> list[Camera] | None:
    """The cameras of all frames, by what CameraRefinement left among a scene's `tensors`; None where none was refined.

    Those of test photos get the intrinsics that all photos share, fitted to training photos, and follow the refined
    training cameras (camera_drift.py); nothing is fitted to test photos.
    """
    own = {name[len(PREFIX) :]: tensor.numpy() for name, tensor in tensors.items() if name.startswith(PREFIX)}
    given = [frame.camera for frame in capture.frames]
    if not own:
        return None
    train = set(capture.train)
    refined = [
        with_pose(camera, own["rotations"][frame], own["offsets"][frame]) if frame in train else camera
        for frame, camera in enumerate(given)
    ]
    moved = np.array([frame for frame in sorted(train) if own["steps"][frame] > 0], np.int64)
    held = np.array([frame for frame in range(len(given)) if frame not in train], np.int64)
    if len(moved) and len(held):
        before, after = (np.stack([camera.world_from_camera for camera in which]) for which in (given, refined))
        for frame, pose in zip(held, carried(before, after, moved, held), strict=True):
            refined[frame] = replace(refined[frame], world_from_camera=pose)
    return [with_lens(camera, own["lens"].tolist()) for camera in refined]


def moved_cameras(stage: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies of what a running stage, else of what earlier ones left among a scene's `tensors`, moved cameras by."""
    refinement = getattr(stage, "refinement", None)
    found = tensors if refinement is None else refinement.named_state()
    return {name: tensor.detach().clone() for name, tensor in found.items() if name.startswith(PREFIX)}


def what_cameras(tensors: dict[str, Tensor]) -> str:
    """What metrics.json says of the cameras that it was measured with."""
    if f"{PREFIX}lens" not in tensors:
        return "as given"
    return WORDS if not bool(tensors[f"{PREFIX}lens"].any()) else WORDS.replace("refined", "refined with intrinsics")


def write_cameras(path: Path, capture: Capture, tensors: dict[str, Tensor]) -> str:
    """Write the refined cameras of all frames, of the stored images, as a transforms.json; '' or why that cannot be.

    Images and masks are named by their absolute paths, so that opening the file needs `capture.allow_outside`.
    """
    cameras = refined_cameras(capture, tensors)
    lens = tensors[f"{PREFIX}lens"].tolist()
    frames: list[dict[str, Any]] = []
    listed: dict[str, list[str]] = {"train": [], "test": []}
    for view, camera in zip(capture.views, cameras, strict=True):
        intrinsics = _intrinsics(with_lens(view.lens, lens))
        if intrinsics is None:
            return f"{path.name} is not written: transforms.json has no words for a lens of model {view.lens.model}"
        name = view.frame.image_path.resolve().as_posix()
        frame = {"file_path": name, "transform_matrix": pose_to_opengl(camera.world_from_camera).tolist()} | intrinsics
        if view.frame.mask_path is not None:
            frame["mask_path"] = view.frame.mask_path.resolve().as_posix()
        frames.append(frame)
        listed[view.frame.split].append(name)
    alike = [key for key in intrinsics if all(frame.get(key) == frames[0].get(key) for frame in frames)]
    shared = {key: frames[0][key] for key in alike if key in frames[0]}
    frames = [{key: value for key, value in frame.items() if key not in shared} for frame in frames]
    document = shared | {"up": np.asarray(capture.up, float).tolist()}
    document |= {f"{split}_filenames": names for split, names in listed.items()} | {"frames": frames}
    write_file(path, json.dumps(document, indent=1).encode())
    return ""


def _intrinsics(lens: Lens) -> dict[str, Any] | None:
    """The keys of transforms.json for a lens; None for a model that it does not know."""
    if lens.model == PANORAMA:
        return {"camera_model": PANORAMA, "w": lens.width, "h": lens.height}
    if lens.is_pinhole:
        model, keys = "PINHOLE", ()
    elif lens.model in KEYS:
        model, keys = {"BROWN": "OPENCV"}.get(lens.model, lens.model), KEYS[lens.model]
    else:
        return None
    (fx, fy), (cx, cy) = lens.focal, lens.centre
    known = {"camera_model": model, "fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": lens.width, "h": lens.height}
    return known | dict(zip(keys, lens.coefficients, strict=True))
