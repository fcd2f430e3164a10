"""Depth maps from overlapping photographs by PatchMatch stereo (Bleyer et al. 2011; Galliani et al. 2015).

Correlation of small patches does not mind that a highlight changes brightness, and slanted planes follow a roof: where
a surface has texture this is the sharpest depth there is, and where it has none, nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from engine.geometry.stereo_kernels import UNTRIED, agreeing, match
from engine.scene import Camera

SOURCES = 4  # photographs that each one is matched with
BEST_ANGLE = 12.0  # degrees between two views of the object: enough parallax, still alike
NARROWEST_ANGLE = 1.0  # degrees under which every depth looks right
WIDEST_ANGLE = 45.0  # degrees beyond which patches no longer look alike
ITERATIONS = 4
COSTLIEST = 0.5  # 1 - correlation up to which a match is believed
AGREEMENT = 2  # other depth maps that must confirm a point
TOLERANCE = 0.006  # relative depth difference that counts as the same


def sources_of(cameras: Sequence[Camera], centre: np.ndarray) -> list[np.ndarray]:
    """For each camera the indices of those that see `centre` [3] from a useful angle, best first."""
    toward = np.stack([camera.position - centre for camera in cameras])
    toward /= np.maximum(np.linalg.norm(toward, axis=1, keepdims=True), 1e-12)
    angle = np.degrees(np.arccos(np.clip(toward @ toward.T, -1, 1)))
    badness = np.abs(np.log(np.maximum(angle, 0.1) / BEST_ANGLE))
    chosen = []
    for own in range(len(cameras)):
        order = np.argsort(badness[own], kind="stable")
        useful = (angle[own, order] > NARROWEST_ANGLE) & (angle[own, order] < WIDEST_ANGLE) & (order != own)
        chosen.append(order[useful][:SOURCES])
    return chosen


def luminance(photo: np.ndarray) -> np.ndarray:
    """[H,W] float32 of a photograph [H,W,3], sRGB-encoded."""
    return np.ascontiguousarray(photo @ np.array([0.299, 0.587, 0.114]), np.float32)


def _intrinsics(camera: Camera) -> np.ndarray:
    (fx, fy), (cx, cy) = camera.focal, camera.centre
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


def _relative(own: Camera, other: Camera) -> tuple[np.ndarray, np.ndarray]:
    """([3,3], [3]): pixel (x, y, 1) and inverse depth of `own` to the homogeneous pixel of `other`, over the depth."""
    pose = other.camera_from_world @ own.world_from_camera
    lens = _intrinsics(other)
    return lens @ pose[:3, :3] @ np.linalg.inv(_intrinsics(own)), lens @ pose[:3, 3]


def _stacked(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """([S,H,W] padded with zeros, sizes [S,2]) of pictures of different sizes."""
    sizes = np.array([array.shape for array in arrays], np.int64)
    stack = np.zeros((len(arrays), *sizes.max(0)), np.float32)
    for place, array in zip(stack, arrays, strict=True):
        place[: array.shape[0], : array.shape[1]] = array
    return stack, sizes


def _planes(guesses: Sequence[np.ndarray], mask: np.ndarray, nearest: np.ndarray, farthest: np.ndarray) -> np.ndarray:
    """[H,W,3] fronto-parallel planes at the guessed depth; guesses alternate over the picture and then compete."""
    start = np.where(mask, np.sqrt(nearest * farthest), 1).astype(np.float32)
    rows, columns = np.indices(mask.shape)
    for k, guess in enumerate(guesses):
        known = mask & np.isfinite(guess) & (guess > 0)
        use = known & ((rows // 2 + columns // 2) % len(guesses) >= k)
        start[use] = guess[use]
    planes = np.zeros((*mask.shape, 3), np.float32)
    planes[..., 0] = 1 / np.clip(start, nearest, farthest)
    return planes


def stereo_depths(
    cameras: Sequence[Camera],
    photos: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    ranges: Sequence[tuple[np.ndarray, np.ndarray]],
    guesses: Sequence[Sequence[np.ndarray]],
    centre: np.ndarray,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[np.ndarray]:
    """[H,W] camera depth of each photograph, 0 where nothing is known or other photographs do not confirm it.

    photos: [H,W] `luminance`; masks: [H,W] bool, where to look; ranges: nearest and farthest depth [H,W], positive;
    guesses: depth maps [H,W] to start from, inf or 0 = none. Deterministic for a seed, whatever the thread count.
    """
    chosen = sources_of(cameras, centre)
    depths = []
    for own, (camera, others) in enumerate(zip(cameras, chosen, strict=True)):
        mask = np.ascontiguousarray(masks[own])
        if len(others) == 0:
            depths.append(np.zeros(mask.shape, np.float32))
            continue
        pictures, sizes = _stacked([photos[k] for k in others])
        turns, shifts = zip(*(_relative(camera, cameras[k]) for k in others), strict=True)
        turns, shifts = np.stack(turns).astype(np.float32), np.stack(shifts).astype(np.float32)
        nearest, farthest = (np.ascontiguousarray(limit, np.float32) for limit in ranges[own])
        planes = _planes(guesses[own], mask, nearest, farthest)
        costs = np.full(mask.shape, UNTRIED, np.float32)
        for step in range(2 * ITERATIONS):
            spread = np.float32(0.5 ** (1 + step // 2))
            word = np.uint32((seed * 7919 + own * 104729 + step * 1299709) % 2**32)
            match(
                photos[own], mask, nearest, farthest, np.float32(camera.focal[0]), pictures, sizes, turns, shifts,
                planes, costs, step % 2, spread, word,
            )  # fmt: skip
        believed = mask & (costs < COSTLIEST)
        depths.append(np.where(believed, 1 / np.maximum(planes[..., 0], 1e-12), 0).astype(np.float32))
        if progress is not None:
            progress(own + 1, len(cameras))
    return _confirmed(cameras, depths, chosen)


def _confirmed(cameras: Sequence[Camera], depths: list[np.ndarray], chosen: list[np.ndarray]) -> list[np.ndarray]:
    """The depth maps without the pixels that too few others agree with."""
    kept = []
    for camera, depth, others in zip(cameras, depths, chosen, strict=True):
        count = np.zeros(depth.shape, np.int64)
        if len(others):
            maps, sizes = _stacked([depths[k] for k in others])
            parts = [_relative(camera, cameras[k]) for k in others]
            matrix = np.stack([np.column_stack(part) for part in parts]).astype(np.float32)
            agreeing(depth, matrix, maps, sizes, np.float32(TOLERANCE), count)
        kept.append(np.where(count >= min(AGREEMENT, len(others)), depth, 0).astype(np.float32))
    return kept
