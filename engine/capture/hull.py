"""The masks' visual hull as an approximately metric signed distance field, and the box the object lies in.

Each view's silhouette is a signed distance in pixels (negative inside); at a grid point it is sampled bilinearly and
multiplied by depth / focal length, and the field is the largest of all views' distances. A view whose mask touches the
image border knows nothing beyond the border: its solid is the silhouette's cone together with everything outside the
image. Where such views leave space that hardly any of them sees, that space is outside: a capture looks at its object.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from engine.errors import CaptureError
from engine.scene.camera import Camera

MARGIN = 0.08  # of the box's side, on each side
COARSE = 40  # cells per side of the searches for the box
COARSE_PIXELS = 256  # longer side of the masks in these searches
SEEN_BY_BOX = 0.5  # the box is laid around what at least this share of the views sees, of the most that see one point
SEEN_BY_HULL = 0.25  # the same for the hull within the box
FARTHEST = 1500  # pixels up to which distances are told apart; their squares are exact in float32
BY_DOCTOR = "with `unrender doctor` "  # which itself leaves it out
EMPTY = (
    f"the masks' visual hull is empty: no point lies inside the object's mask in every view; check {BY_DOCTOR}that the "
    "poses belong to these images and that masks are white on the object"
)


def silhouette_distance(mask: np.ndarray) -> np.ndarray:
    """Signed distance [H,W] float32 in pixels from pixel centres to the 0.5 contour of `mask` [H,W], negative inside.

    Far from the contour it is the exact Euclidean distance between pixels; at the contour the soft mask places the zero
    crossing within the pixel (a hard mask is softened first, so that its staircase does not show). The image border is
    not a contour. A mask without object (or without background) is everywhere far outside (or inside).
    """
    import cv2

    mask = np.ascontiguousarray(mask, np.float32)
    inside = mask > 0.5
    far = float(np.hypot(*mask.shape))
    if not inside.any():
        return np.full(mask.shape, far, np.float32)
    if inside.all():
        return np.full(mask.shape, -far, np.float32)
    distance = _whole_distance(~inside) - _whole_distance(inside)
    near = np.abs(distance) < 1.2  # pixels beside the contour, whose distance is known to half a pixel only
    distance += np.where(inside, np.float32(0.5), np.float32(-0.5))
    hard = float(np.mean((mask[near] > 0.02) & (mask[near] < 0.98))) < 0.1
    if hard:
        sigma = 0.8  # a contour blurred so has the slope 1 / (sigma sqrt(2 pi)) = 0.5 per pixel
        soft = (0.5 - cv2.GaussianBlur(mask, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)) * np.float32(2.0)
    else:
        soft = np.float32(0.5) - mask
    distance[near] = soft[near]
    return distance


def _whole_distance(region: np.ndarray) -> np.ndarray:
    """[H,W] float32 distance from each pixel of `region` to the nearest one outside it, cut at FARTHEST.

    OpenCV's last bit varies between calls; squared distances between pixels are integers, which tells the true root.
    """
    import cv2

    distance = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = np.minimum(distance, np.float32(FARTHEST))
    return np.sqrt(np.rint(distance * distance))


def touches_border(mask: np.ndarray) -> bool:
    """Whether the object in `mask` [H,W] reaches the image border, so that it may go on beyond."""
    return bool(max(mask[0].max(), mask[-1].max(), mask[:, 0].max(), mask[:, -1].max()) > 0.5)


def carve(
    cameras: Sequence[Camera],
    masks: Sequence[np.ndarray],
    box: np.ndarray,
    resolution: int,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Approximate signed distance [R+1,R+1,R+1] float32 of the masks' visual hull at the corners of a grid over `box`.

    `masks` are [H,W] in [0,1], 1 = object, one per camera; `box` is [2,3]; capture units, negative inside, index order
    x, y, z. The box's faces are outside, so that the zero surface is closed. `progress(done, views)` follows each view.
    Raises CaptureError when the hull is empty.
    """
    box = np.asarray(box, np.float64)
    views = _silhouettes(cameras, masks, box=box, resolution=resolution)
    field = _carve(views, box, resolution, SEEN_BY_HULL, progress)
    field = np.maximum(field, _box_distance(box, resolution).astype(np.float32))
    if not (field < 0).any():
        raise CaptureError(EMPTY)
    return field


@dataclass(frozen=True)
class _Silhouette:
    camera: Camera  # of `distance`
    distance: np.ndarray  # [H,W] float32, pixels
    touches: bool


def _silhouettes(
    cameras: Sequence[Camera], masks: Sequence[np.ndarray], box: np.ndarray | None = None, resolution: int = 0
) -> list[_Silhouette]:
    """Signed distances of all masks, at a resolution that the grid over `box` can use (or coarse without a box)."""
    import cv2

    def prepared(camera: Camera, mask: np.ndarray) -> _Silhouette:
        if box is None:
            factor = max(camera.size) // COARSE_PIXELS
        else:
            depth = max(float((box.mean(0) - camera.position) @ camera.forward), 1e-9)
            cell = float((box[1] - box[0]).max()) / resolution
            factor = int(min(camera.focal) * cell / depth / 3)  # leaves three pixels per cell
        factor = min(factor, min(camera.size) // 32)
        touches = touches_border(mask)
        if factor > 1:
            camera = camera.resized(camera.width // factor, camera.height // factor)
            mask = cv2.resize(np.ascontiguousarray(mask, np.float32), camera.size[::-1], interpolation=cv2.INTER_AREA)
        return _Silhouette(camera, silhouette_distance(mask), touches)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # OpenCV releases the interpreter
        return list(pool.map(prepared, cameras, masks))


def _carve(
    views: Sequence[_Silhouette],
    box: np.ndarray,
    resolution: int,
    share: float,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    from engine.capture.hull_kernels import carve_view

    field, seen = (np.full((resolution + 1,) * 3, start, np.float32) for start in (-np.inf, 0))
    spacing = (box[1] - box[0]) / resolution
    side = float((box[1] - box[0]).max())
    fade = 0.05 * side if any(view.touches for view in views) else 0.0
    for number, view in enumerate(views):
        camera_from_grid = view.camera.camera_from_world[:3].copy()
        camera_from_grid[:, 3] += camera_from_grid[:, :3] @ box[0]
        camera_from_grid[:, :3] *= spacing
        intrinsics = np.array([*view.camera.focal, *view.camera.centre], np.float64)
        carve_view(field, seen, view.distance, view.touches, camera_from_grid, intrinsics, fade)
        if progress is not None:
            progress(number + 1, len(views))
    if fade > 0:
        inside = field < 0
        most = float(seen[inside].max()) if inside.any() else float(seen.max())
        # a count, not a distance: scaled so that its zero surface is as smooth as the counts are
        field = np.maximum(field, (max(share * most, 0.5) - seen) * np.float32(side / 2 / max(most, 1.0)))
    return np.clip(field, -2 * side, 2 * side, out=field)


def _box_distance(box: np.ndarray, resolution: int) -> np.ndarray:
    """[R+1]^3 signed distance to the box shrunk by half a cell, negative inside."""
    spacing = (box[1] - box[0]) / resolution
    steps = np.arange(resolution + 1)
    axes = [(0.5 - np.minimum(steps, resolution - steps)) * spacing[axis] for axis in range(3)]
    return np.maximum(np.maximum(axes[0][:, None, None], axes[1][None, :, None]), axes[2][None, None, :])


def object_box(cameras: Sequence[Camera], masks: Sequence[np.ndarray]) -> np.ndarray:
    """The cube [2,3] float64, in capture units, around the masks' visual hull with a margin on each side.

    Starts where the rays through the masks' centres meet, carves coarsely, and grows or shrinks the cube until it fits.
    Raises CaptureError when the hull is empty or nothing is seen.
    """
    kept = [(camera, mask) for camera, mask in zip(cameras, masks, strict=True) if float(np.max(mask)) > 0.5]
    if not kept:
        raise CaptureError("all masks are empty: no view shows the object; check the masks, which must be white on it")
    cameras, masks = [camera for camera, _ in kept], [mask for _, mask in kept]
    centre, radius = _meeting_point(cameras, masks)
    views = _silhouettes(cameras, masks)
    reach = max(float(np.linalg.norm(camera.position - centre)) for camera in cameras)
    limit = np.stack([centre - 2 * reach, centre + 2 * reach])  # a hull open to infinity is cut here
    box = np.stack([centre - min(2 * radius, reach), centre + min(2 * radius, reach)])
    for _ in range(16):
        spacing = (box[1] - box[0]) / COARSE
        field = _carve(views, box, COARSE, SEEN_BY_BOX)
        near = np.argwhere(field < 0.5 * float(np.linalg.norm(spacing)))  # may hold a piece smaller than a cell
        if not len(near):
            if (box[0] <= limit[0]).all() and (box[1] >= limit[1]).all():
                raise CaptureError(EMPTY)
            box = np.clip(_grown(box, np.ones((2, 3), bool)), *limit)
            continue
        tight = np.stack([box[0] + (near.min(0) - 1) * spacing, box[0] + (near.max(0) + 1) * spacing])
        cut = np.stack([near.min(0) == 0, near.max(0) == COARSE])
        cut &= np.stack([box[0] > limit[0], box[1] < limit[1]])
        before, box = box, np.clip(_grown(np.where(cut, box, tight), cut), *limit)
        if not cut.any() and (np.abs(box - before) < 3 * spacing).all():
            break
    inside = np.argwhere(field < 0)
    if len(inside):
        spacing = (before[1] - before[0]) / COARSE
        box = np.stack([before[0] + (inside.min(0) - 1) * spacing, before[0] + (inside.max(0) + 1) * spacing])
    low, high = box
    side = float((high - low).max()) / (1 - 2 * MARGIN)
    middle = (low + high) / 2
    return np.stack([middle - side / 2, middle + side / 2])


def _grown(box: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """`box` [2,3] with those of its `faces` [2,3] bool moved outward by half its extent."""
    return box + np.array([[-0.5], [0.5]]) * (box[1] - box[0]) * faces


def _meeting_point(cameras: Sequence[Camera], masks: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """(point [3] closest to the rays through the masks' centres, radius of a ball there that covers a typical mask)."""
    origins, directions, extents = [], [], []
    for camera, mask in zip(cameras, masks, strict=True):
        rows, columns = np.flatnonzero((mask > 0.5).any(1)), np.flatnonzero((mask > 0.5).any(0))
        x, y = (columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2
        local = np.array([(x - camera.centre[0]) / camera.focal[0], (y - camera.centre[1]) / camera.focal[1], 1.0])
        direction = camera.world_from_camera[:3, :3] @ local
        origins.append(camera.position)
        directions.append(direction / np.linalg.norm(direction))
        extent = np.hypot(columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1) / 2
        extents.append(extent / float(np.sqrt(camera.focal[0] * camera.focal[1])))
    origins, directions = np.array(origins), np.array(directions)
    point = closest_point(origins, directions)
    depth = np.linalg.norm(point - origins, axis=1)
    return point, float(np.median(np.array(extents) * depth)) + 1e-9


def closest_point(origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The point [3] with the least squared distance to rays (origins [N,3], unit directions [N,3])."""
    planes = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    matrix, right = planes.sum(0), np.einsum("nij,nj->i", planes, origins)
    point, *_ = np.linalg.lstsq(matrix, right, rcond=1e-6)
    return point
