"""How far a mesh is from a reference mesh: chamfer distance, F-score and normal consistency."""

from __future__ import annotations

import numpy as np

from engine.errors import GeometryError
from engine.optimize.nearest_surface import NearestSurface
from engine.scene import Mesh

SAMPLES = 100_000


def surface_samples(mesh: Mesh, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(points [N,3] float64 uniform over the surface, their triangles [N]). Raises GeometryError without area."""
    corners = np.asarray(mesh.vertices, np.float64)[mesh.triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    total = float(area.sum())
    if not len(area) or not np.isfinite(total) or total <= 0:
        raise GeometryError("a mesh without area cannot be compared with another; export a mesh with a surface")
    random = np.random.default_rng(seed)
    triangle = np.searchsorted(np.cumsum(area), random.random(count) * total, side="right").clip(max=len(area) - 1)
    root, share = np.sqrt(random.random(count)), random.random(count)
    weight = np.stack([1 - root, root * (1 - share), root * share], 1)
    return (corners[triangle] * weight[..., None]).sum(1), triangle


def shape_metrics(mesh: Mesh, reference: Mesh, samples: int = SAMPLES, seed: int = 0) -> dict[str, float]:
    """`chamfer_percent`, `fscore_1_percent` and `normal_consistency` of a mesh, both in one frame, without alignment.

    Chamfer is the mean of the two directed mean point-to-surface distances, in percent of the reference's diagonal;
    the F-score counts samples nearer than 1 % of it; normal consistency is the mean |n.n'| over both directions, with
    the triangles' own normals. Raises GeometryError for a mesh without area.
    """
    diagonal = reference.diagonal
    distances, cosines = [], []
    for source, target, offset in ((mesh, reference, 0), (reference, mesh, 1)):
        points, triangle = surface_samples(source, samples, 2 * seed + offset)
        distance, nearest = NearestSurface(target.vertices, target.triangles).nearest(points)
        distances.append(distance)
        cosines.append(np.abs((_unit_normals(source)[triangle] * _unit_normals(target)[nearest]).sum(1)))
    precision, recall = ((distance < 0.01 * diagonal).mean() for distance in distances)
    return {
        "chamfer_percent": float(100 * (distances[0].mean() + distances[1].mean()) / 2 / diagonal),
        "fscore_1_percent": float(2 * precision * recall / max(precision + recall, 1e-12)),
        "normal_consistency": float((cosines[0].mean() + cosines[1].mean()) / 2),
    }


def _unit_normals(mesh: Mesh) -> np.ndarray:
    normals = mesh.face_normals().astype(np.float64)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
