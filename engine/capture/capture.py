"""A capture: posed photographs that are decoded when they are asked for."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from engine.capture.bad_frames import described, some
from engine.capture.depths import DepthCache, read_depth
from engine.capture.entry import FrameProblem, Reading
from engine.capture.options import NO_MASKS, CaptureOptions
from engine.capture.pixels import (
    MaskStatistics,
    Pixels,
    load_pixels,
    mask_statistics,
    nothing_removed,
    polarity_problem,
)
from engine.capture.up import up_direction
from engine.capture.views import View, alpha_means_object, build_views
from engine.errors import CaptureError, UnusableFrames
from engine.scene.conventions import UP_AXES
from engine.scene.frame import Frame

SPLIT_FILES = ("transforms.json", "transforms_train.json", "transforms_test.json", "transforms_val.json")
SKIP = "(--skip-bad-frames goes on without them)"
SHOWN_NAMES = 24  # of frames with the same fault, in an error; the doctor names them all


def open_capture(path: str | Path, options: CaptureOptions | None = None) -> Capture:
    """The capture at `path`: a folder, or a transforms JSON file in one.

    Reads poses and image headers only, unless some are bad. Raises CaptureError, naming every bad frame, unless
    `options.skip_bad_frames`.
    """
    options = options or CaptureOptions()
    reading = read_files(Path(path), options)
    views, bad, warnings = build_views(reading, options)
    capture = Capture(Path(path), options, reading, views, warnings)
    without = capture.frames_without_mask()
    capture.drop(without)
    bad = bad + without
    if bad and not options.skip_bad_frames:  # it ends here: look at the other files too, to list all bad ones together
        later = capture.bad_images()
        capture.drop(later)
        bad = sorted(bad + later)
    capture.settle(bad)
    return capture


def read_files(path: Path, options: CaptureOptions) -> Reading:
    """What the capture's own files say, whatever their format; raises CaptureError where none is understood."""
    from engine.capture.colmap import PARTS, find_model, read_colmap
    from engine.capture.photos import nothing_in, photo_source
    from engine.capture.transforms import read_transforms

    try:
        if path.is_file():
            if path.suffix.lower() == ".json":
                return read_transforms(path, options)
            if path.suffix.lower() in (".bin", ".txt") and (path.stem in PARTS or find_model(path.parent) is not None):
                return read_colmap(path.parent, options)
            raise CaptureError(
                f"{path}: is no capture by itself; open the folder that holds the photos, a transforms JSON file, a "
                "part of a COLMAP model or a video"
            )
        if not path.is_dir():
            raise CaptureError(f"{path}: there is no such capture; name a folder of photos or a video")
        transforms = any((path / name).is_file() for name in SPLIT_FILES)
        model = find_model(path)
        if transforms:
            reading = read_transforms(path, options)
            if model is not None:
                reading.warnings.append(f"the folder also holds a COLMAP model; name {model} to use it instead")
            return reading
        if model is not None:
            return read_colmap(path, options)
    except (OSError, ValueError) as error:  # a path that the system refuses
        raise CaptureError(f"{path}: cannot be read ({error}); check the path and its permissions") from error
    source = photo_source(path)
    if source is not None:
        raise CaptureError(
            f"{path}: holds {'a video' if source.is_file() else 'photos'} but no camera poses; `unrender run` and the "
            "window find them"
        )
    raise CaptureError(f"{path}: {nothing_in(path)}")


class Capture:
    """Frames with their cameras; pixels are decoded on demand and kept in a cache of bounded size."""

    def __init__(
        self, path: Path, options: CaptureOptions, reading: Reading, views: list[View], warnings: list[str]
    ) -> None:
        self.path, self.options, self.format = path, options, reading.format
        self.warnings: list[str] = list(warnings)
        self.skipped: list[tuple[str, str]] = []  # frames (name, reason) that `settle` was allowed to leave out
        self.split_source = reading.split_source or "every 8th view by name"
        self.views = views
        self.uses_alpha = alpha_means_object(views)
        self.mask_statistics: dict[str, MaskStatistics] = {}  # by frame, filled as images are decoded
        self.without_depth: set[str] = set()  # frames whose depth maps hold none, filled likewise
        self._cache: OrderedDict[str, Pixels] = OrderedDict()
        self._cached_bytes, self._limit = 0, options.cache_megabytes << 20
        self._depths = DepthCache(self._limit // 4)
        self._lock = threading.Lock()
        self._points_of, self._points, self._has_read_points = reading.points, None, False
        if options.up:
            self.up, self.up_source = np.array(UP_AXES[options.up]), "capture.up"
        elif reading.up is not None:
            self.up, self.up_source = reading.up, reading.up_source
        else:
            self.up, self.up_source = up_direction([view.frame.camera for view in views])

    @property
    def frames(self) -> list[Frame]:
        """All frames, sorted by name."""
        return [view.frame for view in self.views]

    @property
    def train(self) -> list[int]:
        """Indices of the frames to learn from."""
        return [i for i, view in enumerate(self.views) if view.frame.split == "train"]

    @property
    def test(self) -> list[int]:
        """Indices of the frames held out for measuring."""
        return [i for i, view in enumerate(self.views) if view.frame.split == "test"]

    @property
    def has_masks(self) -> bool:
        """Whether frames come with masks: files, alpha, a colour key or a region."""
        return bool(
            self.uses_alpha
            or self.options.color_key is not None
            or self.options.region is not None
            or any(view.frame.mask_path for view in self.views)
        )

    def points(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(positions [P,3] float64 in capture units, encoded colours [P,3] uint8) that the capture carries, or None.

        They come from its COLMAP model, from the PLY that its transforms.json names, or from a COLMAP model beside
        that with the same cameras. Read when first asked for; raises CaptureError when the file is damaged.
        """
        if not self._has_read_points:
            self._points, self._has_read_points = self._points_of(), True
        return self._points

    def frames_without_mask(self) -> list[tuple[str, str]]:
        """(frame, reason) of frames that have no mask where others have one."""
        if not self.has_masks or self.options.color_key or self.options.region:
            return []
        reason = f"has no {'alpha' if self.uses_alpha else 'mask'} while other frames have one; add it"
        return [
            (view.frame.name, reason)
            for view in self.views
            if view.frame.mask_path is None and not (self.uses_alpha and view.header.has_alpha)
        ]

    def drop(self, bad: list[tuple[str, str]]) -> None:
        """Leave out the frames `bad` (name, reason)."""
        names = {name for name, _ in bad}
        self.views = [view for view in self.views if view.frame.name not in names]
        with self._lock:
            for name in names & set(self._cache):
                self._cached_bytes -= self._cache.pop(name).bytes

    def without(self, bad: list[tuple[str, str]]) -> Capture:
        """A capture of the same files without the frames `bad` (name, reason); this one stays as it is."""
        left = copy.copy(self)
        left.warnings, left.mask_statistics = list(self.warnings), dict(self.mask_statistics)
        left.skipped = list(self.skipped)
        left.without_depth = set(self.without_depth)
        left._lock = threading.Lock()
        with self._lock:
            left._cache, left._cached_bytes = OrderedDict(self._cache), self._cached_bytes
        left.drop(bad)
        return left

    def settle(self, bad: list[tuple[str, str]]) -> None:
        """Report frames `bad` (name, reason), already dropped, as an error or, if the options say so, as a warning.

        The warning lists those skipped earlier too. Raises UnusableFrames, and CaptureError when fewer than two
        training views are left.
        """
        if bad:
            total = len(self.views) + len(self.skipped) + len(bad)
            if not self.options.skip_bad_frames:
                advice = SKIP if len(self.train) >= 2 else ""
                raise UnusableFrames(self.path, len(bad), total, "; ".join(described(bad, total, SHOWN_NAMES)), advice)
            earlier = self._skips(total)
            self.skipped = sorted(self.skipped + bad)
            self.warnings = [*(text for text in self.warnings if text != earlier), self._skips(total)]
        if len(self.train) < 2:
            raise CaptureError(
                f"{self.path}: {len(self.train)} usable training view{'s' * (len(self.train) != 1)} "
                "cannot fix a shape; at least 2 are needed, and 20 or more are advised"
            )

    def _skips(self, total: int) -> str:
        listed = "; ".join(described(self.skipped, total, SHOWN_NAMES))
        return f"{len(self.skipped)} of {total} frames are skipped: {listed}"

    def pixels(self, index: int) -> Pixels:
        """Frame `index`, decoded, undistorted and scaled to its camera; treat the arrays as read-only.

        Raises CaptureError naming the file when it cannot be decoded.
        """
        view = self.views[index]
        name = view.frame.name
        with self._lock:
            if name in self._cache:
                self._cache.move_to_end(name)
                return self._cache[name]
        try:
            pixels = load_pixels(view, self.options, self.uses_alpha)
        except FrameProblem as problem:
            raise CaptureError(f"{self.path}: frame {name}: {problem}") from problem
        with self._lock:
            self._keep(name, pixels)
        return pixels

    @property
    def has_depth(self) -> bool:
        """Whether some frames come with depth."""
        return any(view.depth is not None for view in self.views)

    def depth(self, index: int) -> np.ndarray | None:
        """[H,W] float32 depth along the axis of frame `index`'s camera, capture units; 0 where it is not known.

        None where the frame has none; treat it as read-only. Raises CaptureError naming the file that cannot be read.
        """
        view = self.views[index]
        if view.depth is None:
            return None
        try:
            return self._depths.of(view)
        except FrameProblem as problem:
            raise CaptureError(f"{self.path}: frame {view.frame.name}: {problem}") from problem

    def _keep(self, name: str, pixels: Pixels) -> None:
        if pixels.mask is not None and name not in self.mask_statistics:
            self.mask_statistics[name] = mask_statistics(pixels.mask)
        if name in self._cache or pixels.bytes > self._limit:
            return
        while self._cache and self._cached_bytes + pixels.bytes > self._limit:
            self._cached_bytes -= self._cache.popitem(last=False)[1].bytes
        self._cache[name] = pixels
        self._cached_bytes += pixels.bytes

    def bad_images(
        self,
        progress: Callable[[int, int, str], None] | None = None,
        look: Callable[[View, Pixels], None] | None = None,
    ) -> list[tuple[str, str]]:
        """Decode every image and mask once; (frame, reason) of those that cannot be used.

        `look` is given each decoded frame, possibly from several threads.
        """
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # decoding releases the interpreter
            reasons = []
            for index, reason in enumerate(pool.map(lambda view: self._reason_against(view, look), self.views)):
                reasons.append(reason)
                if progress is not None:
                    progress(index + 1, len(self.views), self.views[index].frame.name)
        return [(view.frame.name, reason) for view, reason in zip(self.views, reasons, strict=True) if reason]

    def _reason_against(self, view: View, look: Callable[[View, Pixels], None] | None) -> str:
        try:
            pixels = load_pixels(view, self.options, self.uses_alpha)
            if view.depth is not None and not read_depth(view.depth).any():
                self.without_depth.add(view.frame.name)
        except FrameProblem as problem:
            return str(problem)
        with self._lock:
            self._keep(view.frame.name, pixels)
        if look is not None:
            look(view, pixels)
        return self._why_empty(view) if pixels.mask is not None and not (pixels.mask > 0.5).any() else ""

    def _why_empty(self, view: View) -> str:
        if self.options.region is not None:
            return "the object is not in it: mask and capture.region have nothing in common; correct the region"
        if view.frame.mask_path is not None:
            return f"mask {view.frame.mask_path.name} is empty; draw the object white, or remove the frame"
        if self.options.color_key is not None:
            return "the colour key leaves no object; lower capture.color_tolerance or correct capture.color_key"
        return f"the alpha of {view.frame.image_path.name} is empty; remove the frame"

    def check_images(self, progress: Callable[[int, int, str], None] | None = None) -> Capture:
        """Decode every image and mask once: this capture, or a copy without the bad frames where they may be skipped.

        `progress(done, total, frame name)` is called after each frame. Raises CaptureError listing all bad frames
        together, and when a colour key or region removes nothing from the training photos.
        """
        bad, checked = self.bad_images(progress), self
        if bad:
            checked = self.without(bad)
            checked.settle(bad)
        names = [checked.views[index].frame.name for index in checked.train]
        known = [checked.mask_statistics[name] for name in names if name in checked.mask_statistics]
        unkeyed = nothing_removed(known, self.options)
        if unkeyed:
            raise CaptureError(f"{self.path}: {unkeyed}")
        for problem in (checked.polarity_problem(), checked.depth_problem()):
            if problem and problem not in checked.warnings:
                checked.warnings.append(problem)
        return checked

    def polarity_problem(self) -> str:
        """A sentence if the masks decoded so far look inverted, else ''."""
        names = [view.frame.name for view in self.views]
        known = [self.mask_statistics[name] for name in names if name in self.mask_statistics]
        return "" if self.options.region is not None else polarity_problem(known)

    def depth_problem(self) -> str:
        """A sentence if depth maps decoded so far hold nothing above zero, else ''."""
        empty = [view.frame.name for view in self.views if view.frame.name in self.without_depth]
        return f"depth maps hold no depth, only zeros, negative or undefined numbers: {some(empty)}" if empty else ""

    def require_masks(self) -> None:
        """Raises CaptureError, naming the three remedies, when the photos come without masks."""
        if not self.has_masks:
            raise CaptureError(f"{self.path}: {NO_MASKS}")

    def fingerprint(self) -> str:
        """A digest of frames, cameras, files' sizes and options, the same wherever the folder lies."""
        options = self.options
        masks = options.masks is not None
        described: list = [options.region, options.color_key, options.color_tolerance, options.max_size, masks]
        for view in self.views:
            frame, camera = view.frame, view.frame.camera
            files = (frame.image_path, frame.mask_path)
            sizes = [path.stat().st_size if path and path.exists() else -1 for path in files]
            lens = [view.lens.model, view.lens.coefficients]
            numbers = [camera.world_from_camera.tolist(), camera.focal, camera.centre, camera.size]
            described.append([frame.name, frame.split, sizes, lens, numbers])
            if view.depth is not None:
                described.append([view.depth.path.stat().st_size if view.depth.path.exists() else -1, view.depth.unit])
        return hashlib.sha256(json.dumps(described, default=float).encode()).hexdigest()
