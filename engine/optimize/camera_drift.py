"""Carries the cameras of held-out photos along with those of training photos, from which alone it is found.

What moves a whole capture, such as a gauge that nothing in the photos fixes, or poses that drift along a ring, must
move the held-out cameras too, or they would be measured against a scene that has left them behind.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

FEWEST = 4  # cameras that can say how well neighbours predict one another
NOISE = (0.1, 0.3, 1.0, 3.0, 10.0, 100.0, 1e4)  # variances that are tried, in the drift's from a camera to its nearest


def carried(before: np.ndarray, after: np.ndarray, moved: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Poses [H,4,4] of the cameras `held` [H], which nothing was fitted to.

    `before` [N,4,4] are all poses, world from camera, in the capture's order, `after` [N,4,4] the refined ones, of
    which only those `moved` [M] count. The one similarity that best takes the moved cameras from before to after is
    common to all, and exact wherever a held-out camera is. What remains is local, a rigid motion of the world around
    each moved camera, as poses that were chained or a turntable that slipped leave it; an error that stays fixed to
    the camera is the business of the intrinsics. Held-out cameras take it from their neighbours (`_interpolated`).
    """
    scale, turn, shift = _similarity(before[moved], after[moved])
    common = before.copy()
    common[:, :3, :3] = turn @ before[:, :3, :3]
    common[:, :3, 3] = scale * before[:, :3, 3] @ turn.T + shift
    poses = common[held]
    if len(moved) < FEWEST:
        return poses
    centres = common[moved, :3, 3]
    middle = centres.mean(0)
    radius = max(float(np.linalg.norm(centres - middle, axis=1).max()), 1e-9)
    motions = _interpolated(common[:, :3, 3], moved, held, _motions(common[moved], after[moved], middle, radius))
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


def _interpolated(centres: np.ndarray, moved: np.ndarray, held: np.ndarray, motions: np.ndarray) -> np.ndarray:
    """[H,6] what `motions` [M,6] of the cameras `moved` say of those `held`, by kriging with a linear variogram.

    Along a line, that interpolates linearly between neighbours. Whether distance is that in space, of `centres` [N,3],
    or that in the capture's order, and how much of the motions is independent noise, is what predicts the moved
    cameras best from one another, each left out in turn.
    """
    count = len(centres)
    space = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    order = np.abs(np.subtract.outer(np.arange(count), np.arange(count))).astype(float)
    best, result = np.inf, np.zeros((len(held), motions.shape[1]))
    for distance in (space, order):
        among, toward = distance[np.ix_(moved, moved)], distance[np.ix_(held, moved)]
        nearest = float((among + np.diag(np.full(len(moved), np.inf))).min(1).mean()) or 1.0
        for noise in NOISE:
            system = np.ones((len(moved) + 1, len(moved) + 1))  # the last row and column: the weights' sum
            system[:-1, :-1] = noise * nearest * np.eye(len(moved)) - among
            system[-1, -1] = 0.0
            inverse = np.linalg.inv(system)
            weights = inverse[:, :-1] @ motions
            error = float(((weights[:-1] / np.diag(inverse)[:-1, None]) ** 2).sum())
            if error < best:
                best, result = error, weights[-1] - toward @ weights[:-1]
    return result
