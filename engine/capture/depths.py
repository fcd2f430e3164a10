"""Depth maps that come with photos: nerfstudio's 16-bit PNG in millimetres, or NumPy arrays."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.capture.entry import FrameProblem
from engine.capture.images import decode_integer, read_header

if TYPE_CHECKING:
    from engine.capture.views import View

UNIT = 0.001  # capture units per stored one, where the capture does not say: metres of millimetres
SUFFIXES = (".png", ".npy")
MOST_PIXELS = 500_000_000


@dataclass(frozen=True)
class DepthFile:
    """Where a frame's depth is, and what its numbers are."""

    path: Path
    unit: float = UNIT  # capture units per stored one


def depth_size(file: DepthFile) -> tuple[int, int]:
    """(width, height) of a depth map, from its header. Raises FrameProblem."""
    path = file.path
    if path.suffix.lower() not in SUFFIXES:
        raise FrameProblem(f"depth {path.name} is neither a PNG nor a .npy file; convert it")
    if path.suffix.lower() == ".npy":
        height, width = _mapped(path).shape
        return width, height
    try:
        header = read_header(path)
    except FrameProblem as problem:
        raise FrameProblem(f"depth {str(problem).removeprefix('image ')}") from problem
    return header.width, header.height


def check_depth(file: DepthFile, width: int, height: int) -> None:
    """Raise FrameProblem unless a depth map is a photo's of width x height pixels, or the same at another scale."""
    found = depth_size(file)
    scale = max(found[0] / width, found[1] / height)
    if max(abs(found[0] - width * scale), abs(found[1] - height * scale)) > max(1.0, scale):
        raise FrameProblem(
            f"depth {file.path.name} has {found[0]} x {found[1]} pixels but its image {width} x {height}; "
            "make them the same shape"
        )


def read_depth(file: DepthFile) -> np.ndarray:
    """[H,W] float32 depth along the camera's axis in capture units; 0 where it is not known. Raises FrameProblem."""
    path = file.path
    if path.suffix.lower() == ".npy":
        stored = np.array(_mapped(path), np.float32)
    else:
        pixels = decode_integer(path, "depth")
        if pixels.dtype != np.uint16 or pixels.shape[2] != 1:
            raise FrameProblem(f"depth {path.name} is not a grey picture of 16 bits; convert it, or save it as .npy")
        stored = pixels[..., 0].astype(np.float32)
    depth = stored * np.float32(file.unit)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def _mapped(path: Path) -> np.ndarray:
    """The array [H,W] of a .npy file, not yet read."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, OverflowError, MemoryError) as error:
        text = "is missing; restore" if isinstance(error, FileNotFoundError) else "cannot be decoded; restore"
        raise FrameProblem(f"depth {path.name} {text} the file") from error
    if not isinstance(array, np.ndarray):
        raise FrameProblem(f"depth {path.name} holds several arrays; save one with numpy.save")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim != 2 or array.dtype.kind not in "fui" or not 0 < array.size <= MOST_PIXELS:
        shape = " x ".join(str(side) for side in array.shape)
        raise FrameProblem(f"depth {path.name} holds {shape} of {array.dtype}; save numbers as height x width")
    return array


def load_depth(view: View) -> np.ndarray:
    """[H,W] float32 as `read_depth`, as the view's camera sees it: undistorted and scaled without mixing pixels.

    Raises FrameProblem.
    """
    import cv2

    depth, camera, header = read_depth(view.depth), view.frame.camera, view.header
    if not view.lens.is_pinhole:
        if depth.shape != (header.height, header.width):
            depth = nearest(depth, header.height, header.width)
        depth = cv2.remap(depth, *view.lens.maps(), cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return nearest(depth, *camera.size)


def nearest(depth: np.ndarray, height: int, width: int) -> np.ndarray:
    """[height,width] the values whose pixels hold the new pixels' centres: a mean of two surfaces would be neither."""
    if depth.shape == (height, width):
        return np.ascontiguousarray(depth)
    rows, columns = (
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for new, old in ((height, depth.shape[0]), (width, depth.shape[1]))
    )
    return depth[rows[:, None], columns]


class DepthCache:
    """The depth maps used last, as many as fit in `limit` bytes; any thread may ask."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._kept: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, view: View) -> np.ndarray:
        """[H,W] as `load_depth`; treat it as read-only. Raises FrameProblem."""
        name = view.frame.name
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
        depth = load_depth(view)
        with self._lock:
            if name not in self._kept and depth.nbytes <= self._limit:
                while self._kept and self._held + depth.nbytes > self._limit:
                    self._held -= self._kept.popitem(last=False)[1].nbytes
                self._kept[name] = depth
                self._held += depth.nbytes
        return depth
