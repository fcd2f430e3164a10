"""From an entry of a capture's files to a view that can be decoded: sizes, poses, intrinsics and masks checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from engine.capture.bad_frames import some
from engine.capture.depths import DepthFile, check_depth
from engine.capture.entry import IMAGE_SUFFIXES, Entry, FrameProblem, Reading, is_inside
from engine.capture.images import Header, read_header, read_image
from engine.capture.lens import PANORAMA, Lens
from engine.capture.options import CaptureOptions
from engine.capture.same_place import is_one_place
from engine.errors import CaptureError
from engine.scene.camera import Camera
from engine.scene.frame import Frame, Split

SMALLEST = 8  # pixels per side
SPLIT_EVERY = 8
COARSE = 0.25  # of a pixel: longer steps of float32 are told


@dataclass(frozen=True)
class View:
    """A frame together with what is needed to decode it."""

    frame: Frame
    lens: Lens  # of the stored image
    undistorted: Camera  # before scaling to capture.max_size
    header: Header
    depth: DepthFile | None = None


def build_views(reading: Reading, options: CaptureOptions) -> tuple[list[View], list[tuple[str, str]], list[str]]:
    """(views sorted by name, bad frames as (name, reason), warnings) of all entries of `reading`."""
    views: list[View] = []
    bad, warnings = list(reading.bad), list(reading.warnings)
    folder = _mask_folder(options)
    notes: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for entry in sorted(reading.entries, key=lambda entry: entry.name):
        try:
            view = _view(entry, reading.root, folder, options, notes)
            identity = str(entry.image_path.resolve())
            if identity in names:
                raise FrameProblem(f"is a duplicate: the image of {names[identity]}; remove one of the two frames")
            names[identity] = entry.name
            views.append(view)
        except FrameProblem as problem:
            bad.append((entry.name, str(problem)))
    for note, frames in notes.items():
        warnings.append(f"{note}: {some(frames)}")
    _warn_equal_poses(views, warnings)
    _warn_far_away(views, warnings)
    alone = [view.frame.name for view in views if view.header.has_alpha]
    if 0 < 2 * len(alone) <= len(views) and not any(view.frame.mask_path for view in views):
        warnings.append(f"alpha that most images do not have is not used as a mask: {some(alone)}")
    return _with_splits(views), bad, warnings


def _view(
    entry: Entry, root: Path, mask_folder: Path | None, options: CaptureOptions, notes: dict[str, list[str]]
) -> View:
    def note(text: str) -> None:
        notes.setdefault(text, []).append(entry.name)

    header = read_header(entry.image_path)
    if min(header.width, header.height) < SMALLEST:
        raise FrameProblem(f"its image of {header.width} x {header.height} pixels is too small; use {SMALLEST} or more")
    lens = entry.lens_of(header.width, header.height)
    if (lens.width, lens.height) != (header.width, header.height):
        # the same picture at another scale may differ by one pixel of rounding per side
        scale = max(header.width / lens.width, header.height / lens.height)
        if max(abs(header.width - lens.width * scale), abs(header.height - lens.height * scale)) > max(1.0, scale):
            raise FrameProblem(
                f"its image has {header.width} x {header.height} pixels but its camera {lens.width} x {lens.height}; "
                "use the images that the cameras were made for"
            )
        note(
            f"images have {header.width} x {header.height} pixels but cameras {lens.width} x {lens.height}, "
            "so intrinsics are scaled"
        )
        lens = lens.resized(header.width, header.height)
    if header.is_turned:
        note("EXIF asks to turn the image, which is not done because poses refer to stored pixels")
    if header.profile:
        note(f"the embedded colour profile {header.profile} is ignored and sRGB assumed")
    if lens.model == PANORAMA:
        note("only the forward 90 degrees of a panorama are used")
    camera = lens.pinhole(_rigid(entry.world_from_camera, note))
    size = _limited(camera, options.max_size)
    mask = entry.mask_path or _mask_beside(entry, root, mask_folder)
    if mask is not None:
        mask_header = read_header(mask) if mask.is_file() else None
        if mask_header is None:
            raise FrameProblem(f"mask {mask.name} is missing; restore the file")
        if (mask_header.width, mask_header.height) != (header.width, header.height):
            raise FrameProblem(
                f"mask {mask.name} has {mask_header.width} x {mask_header.height} pixels but its image "
                f"{header.width} x {header.height}; make them the same size"
            )
    elif options.masks is not None:
        raise FrameProblem(f"there is no mask for it in {options.masks}; add {Path(entry.name).stem}.png")
    depth = entry.depth
    if depth is not None and not depth.path.exists():
        note("depth maps are missing, and splats do not learn from them")
        depth = None
    elif depth is not None:
        check_depth(depth, header.width, header.height)
    frame = Frame(entry.name, camera.resized(*size), entry.split or "train", entry.image_path, mask)
    split = replace(frame, split=entry.split)  # type: ignore[arg-type]  # filled by _with_splits
    return View(split, lens, camera, header, depth)


def _rigid(pose: np.ndarray, note) -> np.ndarray:
    """`pose` [4,4] with an exact rotation; a common scale is removed with a note, anything else is a FrameProblem."""
    if not np.isfinite(pose).all():
        raise FrameProblem("its pose holds numbers that are not finite; remove the frame or export the capture again")
    left, stretch, right = np.linalg.svd(pose[:3, :3])
    if stretch[0] < 1e-12 or stretch[2] < 1e-6 * stretch[0]:
        raise FrameProblem("its pose is singular; remove the frame or export the capture again")
    if np.linalg.det(pose[:3, :3]) < 0:
        raise FrameProblem("its pose is mirrored (negative determinant); export the capture with right-handed axes")
    if stretch[0] / stretch[2] > 1.01:
        raise FrameProblem("its pose is not a rotation and a translation; export the capture without shear and stretch")
    if abs(float(stretch.mean()) - 1) > 1e-3:
        note("poses contain a scale, which is removed from their rotations")
    rigid = np.eye(4)
    rigid[:3, :3], rigid[:3, 3] = left @ right, pose[:3, 3]
    return rigid


def _limited(camera: Camera, longest: int) -> tuple[int, int]:
    scale = min(1.0, longest / max(camera.width, camera.height)) if longest else 1.0
    return max(1, round(camera.width * scale)), max(1, round(camera.height * scale))


def _mask_folder(options: CaptureOptions) -> Path | None:
    if options.masks is not None and not options.masks.is_dir():
        raise CaptureError(f"--masks {options.masks}: is not a folder; name the folder that holds the masks")
    return options.masks


def _mask_beside(entry: Entry, root: Path, given: Path | None) -> Path | None:
    """The mask named like the image in the given folder, else in `masks` beside a folder that the image lies in.

    Folders within are kept: images/left/1.png has masks/left/1.png.
    """
    name = Path(entry.name)
    if given is not None:
        return _mask_in(given, name) or _mask_in(given, Path(*name.parts[1:])) or _mask_in(given, Path(name.name))
    folder = entry.image_path.parent
    further = folder.parent.parents if root in folder.parent.parents else ()
    for above in (folder.parent, folder, *(above for above in further if above.is_relative_to(root))):
        below = entry.image_path.relative_to(above)
        for word in ("masks", "mask"):
            if is_inside(root, above / word) and (above / word).is_dir():
                found = _mask_in(above / word, below) or _mask_in(above / word, Path(*below.parts[1:]))
                if found is not None:
                    return found
    return None


def _mask_in(folder: Path, name: Path) -> Path | None:
    if not name.name or name.is_absolute() or ".." in name.parts:
        return None
    stem = name.with_suffix("") if name.suffix.lower() in IMAGE_SUFFIXES else name
    for base in (stem, name):  # COLMAP appends .png to the image's full name
        for suffix in IMAGE_SUFFIXES:
            path = folder / base.with_name(base.name + suffix)
            if path.is_file():
                return path
    return None


def _with_splits(views: list[View]) -> list[View]:
    """`views` with every 8th as test view where the capture has no split of its own."""

    def assigned(view: View, index: int) -> Split:
        if view.frame.split is not None:
            return view.frame.split
        return "test" if len(views) > 2 and index % SPLIT_EVERY == 0 else "train"

    return [replace(view, frame=replace(view.frame, split=assigned(view, i))) for i, view in enumerate(views)]


def _warn_far_away(views: list[View], warnings: list[str]) -> None:
    """Say so where float32, in which all shapes and splats are kept, is coarse beside a pixel of the photos."""
    positions = np.array([view.frame.camera.position for view in views])
    if len(views) < 2 or is_one_place(positions):
        return
    middle = positions.mean(0)
    spread = float(np.linalg.norm(positions - middle, axis=1).max())
    pixel = spread / float(np.median([view.frame.camera.focal[0] for view in views]))  # at that distance
    step = float(np.spacing(np.float32(np.abs(positions).max())))
    if step > COARSE * pixel > 0:
        where = ", ".join(f"{value:.0f}" for value in middle)
        warnings.append(
            f"the cameras stand {np.abs(positions).max():.3g} units from the origin, where single precision has steps "
            f"of {step:.2g} units: too coarse for details {pixel:.2g} units wide, so results will be poor; subtract "
            f"({where}) from all camera positions and points of the capture"
        )


def _warn_equal_poses(views: list[View], warnings: list[str]) -> None:
    seen: dict[bytes, str] = {}
    equal = []
    for view in views:
        key = np.round(view.frame.camera.world_from_camera, 9).tobytes()
        if key in seen:
            equal.append(f"{seen[key]} and {view.frame.name}")
        seen.setdefault(key, view.frame.name)
    if equal:
        warnings.append(f"different images have exactly the same pose: {some(equal)}")


def alpha_means_object(views: list[View]) -> bool:
    """Whether the images' alpha separates an object: most images have one, and in samples it is not all opaque."""
    having = [view for view in views if view.header.has_alpha]
    if 2 * len(having) <= len(views):
        return False
    for view in having[:: max(1, len(having) // 3)]:
        try:
            alpha = read_image(view.frame.image_path)[1]
        except FrameProblem:
            continue
        if alpha is not None and alpha.min() < 0.99:
            return True
    return False
