"""Carries the cameras of held-out photos along with those of training photos, from which alone it is found.

What moves a whole capture, such as a gauge that nothing in the photos fixes, or poses that drift along a ring, must
move the held-out cameras too, or they would be measured against a scene that has left them behind.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

NEIGHBOURS = 4
FEWEST = 4  # cameras that can say how well neighbours predict one another


def carried(before: np.ndarray, after: np.ndarray, moved: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Poses [H,4,4] of the cameras `held` [H], which nothing was fitted to.

    `before` [N,4,4] are all poses, world from camera, in the capture's order, `after` [N,4,4] the refined ones, of
    which only those `moved` [M] count. The one similarity that best takes the moved cameras from before to after is
    common to all, and exact wherever a held-out camera is. What remains is local, a rigid motion of the world around
    each moved camera, as poses that were chained or a turntable that slipped leave it; an error that stays fixed to
    the camera is the business of the intrinsics. A held-out camera takes the mean of its neighbours' motions, weighted
    by inverse distance in space or in the capture's order. Which of the two, and how much of the mean, is what
    predicts the moved cameras best from one another: independent noise is not passed on.
    """
    scale, turn, shift = _similarity(before[moved], after[moved])
    common = before.copy()
    common[:, :3, :3] = turn @ before[:, :3, :3]
    common[:, :3, 3] = scale * before[:, :3, 3] @ turn.T + shift
    centres = common[moved, :3, 3]
    middle = centres.mean(0)
    radius = max(float(np.linalg.norm(centres - middle, axis=1).max()), 1e-9)
    known = _motions(common[moved], after[moved], middle, radius)
    spaced = np.linalg.norm(before[:, None, :3, 3] - before[None, :, :3, 3], axis=-1)
    order = np.abs(np.subtract.outer(np.arange(len(before)), np.arange(len(before)))).astype(float)
    best, motions = np.inf, np.zeros((len(held), 6))
    for distance in (spaced, order):
        among = distance[np.ix_(moved, moved)] + np.diag(np.full(len(moved), np.inf))
        share, error = _trust(_blended(among, known), known)
        if error < best:
            best, motions = error, share * _blended(distance[np.ix_(held, moved)], known)
    poses = common[held]
    turns = Rotation.from_rotvec(motions[:, :3]).as_matrix()
    poses[:, :3, 3] = np.einsum("nij,nj->ni", turns, poses[:, :3, 3] - middle) + middle + radius * motions[:, 3:]
    poses[:, :3, :3] = turns @ poses[:, :3, :3]
    return poses


def _similarity(before: np.ndarray, after: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """(scale, rotation [3,3], translation [3]): the cameras' mean turn, and then the least squares of their centres."""
    turn = Rotation.from_matrix(after[:, :3, :3] @ before[:, :3, :3].transpose(0, 2, 1)).mean().as_matrix()
    start, end = before[:, :3, 3] @ turn.T, after[:, :3, 3]
    spread = start - start.mean(0)
    total = float((spread**2).sum())
    scale = float((spread * (end - end.mean(0))).sum()) / total if total > 1e-18 else 1.0
    scale = scale if scale > 0 else 1.0
    return scale, turn, end.mean(0) - scale * start.mean(0)


def _motions(before: np.ndarray, after: np.ndarray, middle: np.ndarray, radius: float) -> np.ndarray:
    """[N,6] the rigid motions of the world from `before` to `after` [N,4,4]: rotation vectors, and the ways in radii
    of the point `middle` [3]."""
    turns = after[:, :3, :3] @ before[:, :3, :3].transpose(0, 2, 1)
    ways = after[:, :3, 3] - middle - np.einsum("nij,nj->ni", turns, before[:, :3, 3] - middle)
    return np.concatenate([Rotation.from_matrix(turns).as_rotvec(), ways / radius], 1)


def _blended(distance: np.ndarray, values: np.ndarray) -> np.ndarray:
    """[H,6] means of `values` [M,6] over the nearest by `distance` [H,M], weighted by its inverse."""
    count = min(NEIGHBOURS, int(np.isfinite(distance).sum(1).min()))
    if count < 1:
        return np.zeros((len(distance), values.shape[1]))
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :count]
    near = np.take_along_axis(distance, nearest, 1)
    weights = 1 / (near + 1e-3 * near.mean(1, keepdims=True) + 1e-12)
    return np.einsum("hk,hkc->hc", weights / weights.sum(1, keepdims=True), values[nearest])


def _trust(predicted: np.ndarray, actual: np.ndarray) -> tuple[float, float]:
    """(share in [0,1] of what is predicted that comes nearest to what is actual, the squared error that it leaves)."""
    power = float((predicted**2).sum())
    share = float(np.clip((predicted * actual).sum() / power, 0, 1)) if power > 0 and len(actual) >= FEWEST else 0.0
    return share, float(((actual - share * predicted) ** 2).sum())
