"""What Unrender understood of a capture, and what is wrong with it, in plain words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from engine.capture.bad_frames import described, some
from engine.capture.capture import Capture, read_files
from engine.capture.options import CaptureOptions
from engine.capture.photos import described_sizes, photo_source, read_photos, require_enough
from engine.capture.pixels import Pixels, mask_statistics, nothing_removed, polarity_problem
from engine.capture.same_place import same_place_problem
from engine.capture.views import View, build_views
from engine.errors import CaptureError
from engine.scene.camera import Camera
from engine.scene.frame import Frame

MASK_SIZE = 400  # masks are examined at this longer side
HULL_RESOLUTION = 48
NO_POSES = "there are no camera poses; `unrender run` and the window find them (COLMAP)"


@dataclass
class Report:
    """The examination of one capture; counts are of usable frames unless stated otherwise."""

    path: Path
    format: str = ""
    photos: int = 0  # readable ones of a folder without camera poses
    frames: int = 0
    train: int = 0
    test: int = 0
    split_source: str = ""
    camera_models: dict[str, int] = field(default_factory=dict)
    image_sizes: dict[str, int] = field(default_factory=dict)
    color_spaces: dict[str, int] = field(default_factory=dict)
    fields_of_view: tuple[float, float] | None = None  # least and greatest horizontal one, degrees
    up: tuple[float, ...] = ()
    up_source: str = ""
    baseline: float | None = None  # median distance to the nearest other camera, capture units
    camera_extent: float | None = None  # diagonal of the box around the cameras, capture units
    target: tuple[float, ...] = ()  # the point closest to all camera axes
    target_distance: tuple[float, float] | None = None  # least and greatest distance of a camera to it
    mask_source: str = ""
    ignoring: bool = False  # masks tell what to ignore, not what is the object
    masks: int = 0
    depths: int = 0  # frames with depth
    covered: float | None = None  # median share of the image that is object
    cut: int = 0  # masks that touch the image border
    axes_through: int | None = None  # camera axes that pass through the object
    axes_through_what: str = ""
    hull_box: np.ndarray | None = None  # [2,3]
    hull_is_empty: bool | None = None  # None: there are no masks to carve with
    bad_frames: list[tuple[str, str]] = field(default_factory=list)  # (frame, reason)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report for a person to read."""
        out = [f"Capture: {self.path}"]
        if self.format:
            out.append(f"Format: {self.format}")
        if self.photos:
            out.append(f"Photos: {self.photos}, {_counts(self.image_sizes)}")
        if self.frames:
            out.append(
                f"Frames: {self.frames} usable, {self.train} to train, {self.test} to test ({self.split_source})"
            )
            out.append(f"Camera models: {_counts(self.camera_models)}")
            out.append(f"Image sizes: {_counts(self.image_sizes)}")
            out.append(f"Colour space: {_counts(self.color_spaces)}")
        if self.fields_of_view:
            out.append("Horizontal field of view: {:.1f} to {:.1f} degrees".format(*self.fields_of_view))
        if self.up:
            out.append(f"Axes: right-handed, up is {_vector(self.up)} ({self.up_source})")
        if self.baseline is not None:
            out.append(
                f"Scale: neighbours {self.baseline:.4g} capture units apart, cameras within {self.camera_extent:.4g}"
            )
        if self.target_distance:
            near, far = self.target_distance
            out.append(f"Cameras look at {_vector(self.target)} from {near:.4g} to {far:.4g} units away")
        if self.axes_through is not None:
            out.append(f"Camera axes: {self.axes_through} of {self.frames} pass through {self.axes_through_what}")
        if self.frames and not self.mask_source:
            out.append("Masks: none; recipes that need them take --masks DIR, capture.region or capture.color_key")
        elif self.mask_source:
            white = "what to keep, black is ignored" if self.ignoring else "object"
            out.append(f"Masks: {self.masks} of {self.frames}, from {self.mask_source}; white (1) = {white}")
        if self.covered is not None:
            border = "" if self.ignoring else f"; {self.cut} touch the image border"
            out.append(f"Mask coverage: {self.covered:.0%} of a typical image{border}")
        if self.depths:
            out.append(f"Depth: {self.depths} of {self.frames} photos; splats learn from it (splats.depth_weight)")
        if self.hull_is_empty is not None:
            text = "empty"
            if not self.hull_is_empty and self.hull_box is not None:
                text = f"not empty, within {_vector(self.hull_box[0])} to {_vector(self.hull_box[1])}"
            out.append(f"Visual hull of the masks: {text}")
        out += [f"Note: {text}" for text in self.warnings]
        out += [f"Bad frame: {text}" for text in described(self.bad_frames, self.frames + len(self.bad_frames))]
        out += [f"Problem: {text}" for text in self.problems]
        if not self.problems:
            out.append("No problems found.")
        return out


def examine(
    path: str | Path,
    options: CaptureOptions | None = None,
    progress: Callable[[int, int, str], None] | None = None,
    ignoring: bool = False,
) -> Report:
    """Read the capture at `path`, decode every image once, carve its masks coarsely, and report; never CaptureError.

    With `ignoring` masks tell what to ignore in a scene, and nothing is carved with them.
    """
    options = options or CaptureOptions()
    report = Report(Path(path), ignoring=ignoring)
    source = photo_source(Path(path))
    if source is not None:
        return _examine_photos(report, source, options, progress)
    longest = min(options.max_size or MASK_SIZE, MASK_SIZE)
    small = replace(options, max_size=longest, skip_bad_frames=True, cache_megabytes=0)
    try:
        reading = read_files(Path(path), options)
        report.format = reading.format
        views, bad, report.warnings = build_views(reading, small)
        capture = Capture(Path(path), small, reading, views, [])
    except CaptureError as error:
        report.problems.append(str(error))
        return report
    masks: dict[str, np.ndarray] = {}

    def look(view: View, pixels: Pixels) -> None:
        if pixels.mask is not None:
            masks[view.frame.name] = pixels.mask

    without = capture.frames_without_mask()
    capture.drop(without)
    bad += without
    _settle(capture, bad, report)
    later = capture.bad_images(progress, look)
    if later:
        capture.drop(later)
        _settle(capture, later, report)
    report.warnings += [capture.depth_problem()] if capture.depth_problem() else []
    report.bad_frames = bad + later
    if report.bad_frames:
        total = len(report.bad_frames) + len(capture.views)
        names = some([name for name, _ in report.bad_frames])
        report.problems.append(f"{len(report.bad_frames)} of {total} frames cannot be used: {names}")
    _describe(capture, report)
    if capture.frames:
        _look_at_masks(capture, masks, report)
    return report


def _examine_photos(
    report: Report, source: Path, options: CaptureOptions, progress: Callable[[int, int, str], None] | None
) -> Report:
    """The report of photos without poses, or of the capture that was made from them."""
    from engine.capture.reconstruction import posed_path
    from engine.capture.video import require_video

    there = posed_path(report.path, options.masks is not None)
    if there is not None:
        found = examine(there.folder, options, progress, report.ignoring)
        found.warnings.insert(0, f"{there.folder} was made from {report.path}: {there.report.lines()[0]}")
        return found
    if source.is_file():
        report.format = "a video without camera poses"
        try:
            require_video(source)
        except CaptureError as error:
            report.problems.append(str(error))
    else:
        report.format = "photos without camera poses"
        photos, report.bad_frames = read_photos(source)
        report.photos, report.image_sizes = len(photos), described_sizes(photos)
        turned = sum(photo.turn != 1 for photo in photos)
        if turned:
            report.warnings.append(f"EXIF asks to turn {turned} of the photos, which is done")
        cameras = len({photo.camera for photo in photos})
        if cameras > 1:
            report.warnings.append(f"the photos differ in size, camera or lens: {cameras} cameras are told apart")
        try:
            require_enough(source, len(photos), report.bad_frames)
        except CaptureError as error:
            report.problems.append(str(error))
    if not report.problems:
        report.warnings.append(NO_POSES)
    return report


def _settle(capture: Capture, bad: list[tuple[str, str]], report: Report) -> None:
    try:
        capture.settle(bad)
    except CaptureError as error:  # too few views are left; what is left is examined all the same
        if str(error) not in report.problems:
            report.problems.append(str(error))


def _describe(capture: Capture, report: Report) -> None:
    from engine.capture.hull import closest_point

    report.frames, report.train, report.test = len(capture.frames), len(capture.train), len(capture.test)
    report.split_source = capture.split_source
    report.camera_models = dict(Counter(_model(view) for view in capture.views))
    report.image_sizes = dict(Counter(f"{view.header.width}x{view.header.height}" for view in capture.views))
    report.color_spaces = dict(Counter(view.header.color_space for view in capture.views))
    report.depths = sum(view.depth is not None for view in capture.views)
    report.up, report.up_source = tuple(float(value) for value in capture.up), capture.up_source
    cameras = [frame.camera for frame in capture.frames]
    if not cameras:
        return
    if not report.test:
        report.warnings.append(
            "there are no test views, so nothing tells how well a result fits photos it has not seen"
        )
    angles = [float(np.degrees(2 * np.arctan(camera.width / 2 / camera.focal[0]))) for camera in cameras]
    report.fields_of_view = (min(angles), max(angles))
    if len(cameras) < 2:
        return
    positions = np.array([camera.position for camera in cameras])
    nearest = [float(np.partition(np.linalg.norm(positions - here, axis=1), 1)[1]) for here in positions]
    report.baseline = float(np.median(nearest))
    report.camera_extent = float(np.linalg.norm(np.ptp(positions, axis=0)))
    same_place = same_place_problem(cameras)
    if same_place:
        report.problems.append(same_place)
        return
    forward = np.array([camera.forward for camera in cameras])
    target = closest_point(positions, forward)
    distances = np.linalg.norm(target - positions, axis=1)
    report.target = tuple(float(value) for value in target)
    report.target_distance = (float(distances.min()), float(distances.max()))
    ahead = int((np.einsum("ni,ni->n", target - positions, forward) > 0).sum())
    if ahead < len(cameras) / 2:
        report.problems.append(
            f"only {ahead} of {len(cameras)} cameras look toward the point where their axes meet; poses may be "
            "inverted (camera from world instead of world from camera) or have other axes"
        )
    report.axes_through_what = "a ball of a quarter of the camera distance around that point"
    report.axes_through = sum(_axis_hits_ball(camera, target, 0.25 * float(np.median(distances))) for camera in cameras)


def _look_at_masks(capture: Capture, masks: dict[str, np.ndarray], report: Report) -> None:
    from engine.capture.hull import BY_DOCTOR, carve, object_box, touches_border

    if not capture.has_masks:
        return
    report.mask_source = _mask_source(capture)
    frames = [frame for frame in capture.frames if frame.name in masks]
    report.masks = len(frames)
    if not frames:
        return
    statistics = [mask_statistics(masks[frame.name]) for frame in frames]
    report.covered = float(np.median([item.covered for item in statistics]))
    report.cut = sum(touches_border(masks[frame.name]) for frame in frames)
    inverted = "" if capture.options.region is not None or report.ignoring else polarity_problem(statistics)
    problem = nothing_removed(statistics, capture.options) or inverted
    if problem:
        report.problems.append(problem)
    if report.ignoring:
        return
    cameras, images = [frame.camera for frame in frames], [masks[frame.name] for frame in frames]
    try:
        report.hull_box = object_box(cameras, images)
        hull = carve(cameras, images, report.hull_box, HULL_RESOLUTION)
    except CaptureError as error:
        report.hull_is_empty = True
        report.problems.append(_blamed(str(error).replace(BY_DOCTOR, ""), frames, images))
        return
    report.hull_is_empty = False
    report.axes_through_what = "the object (the masks' visual hull)"
    report.axes_through = sum(_axis_hits_hull(camera, hull, report.hull_box) for camera in cameras)
    if report.axes_through < len(frames) / 2:
        report.warnings.append(f"only {report.axes_through} of {len(frames)} camera axes pass through the object")


def _blamed(message: str, frames: list[Frame], masks: list[np.ndarray]) -> str:
    """`message`, followed by the views without which the hull would not be empty, where there are a few of them."""
    from engine.capture.hull import object_box

    if not 3 <= len(frames) <= 200:
        return message
    guilty = []
    for left_out in range(len(frames)):
        rest = [i for i in range(len(frames)) if i != left_out]
        try:
            object_box([frames[i].camera for i in rest], [masks[i] for i in rest])
        except CaptureError:
            continue
        guilty.append(frames[left_out].name)
        if len(guilty) > 3:
            return message
    return f"{message}; without {' or '.join(guilty)} it would not be empty" if guilty else message


def _axis_hits_ball(camera: Camera, centre: np.ndarray, radius: float) -> bool:
    along = float((centre - camera.position) @ camera.forward)
    return along > 0 and float(np.linalg.norm(centre - camera.position - along * camera.forward)) < radius


def _axis_hits_hull(camera: Camera, hull: np.ndarray, box: np.ndarray) -> bool:
    resolution = hull.shape[0] - 1
    spacing = float((box[1] - box[0]).max()) / resolution
    reach = float(np.linalg.norm(box.mean(0) - camera.position) + np.linalg.norm(box[1] - box[0]))
    steps = np.arange(0, reach, spacing / 2)
    if len(steps) > 100_000:
        steps = np.linspace(0, reach, 100_000)
    indices = np.rint((camera.position + steps[:, None] * camera.forward - box[0]) / (box[1] - box[0]) * resolution)
    indices = indices[((indices >= 0) & (indices <= resolution)).all(1)].astype(int)
    return bool((hull[tuple(indices.T)] < 0).any()) if len(indices) else False


def _model(view: View) -> str:
    if view.lens.model == "BROWN":
        return "OPENCV (undistorted on load)"
    return view.lens.model if view.lens.is_pinhole else f"{view.lens.model} (undistorted on load)"


def _mask_source(capture: Capture) -> str:
    sources = []
    if any(frame.mask_path for frame in capture.frames):
        sources.append("mask files")
    elif capture.uses_alpha:
        sources.append("the images' alpha")
    if capture.options.color_key is not None:
        sources.append("the colour key")
    if capture.options.region is not None:
        sources.append("the region box")
    return " and ".join(sources)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _vector(values) -> str:
    return "(" + ", ".join(f"{float(value):.4g}" for value in values) + ")"
