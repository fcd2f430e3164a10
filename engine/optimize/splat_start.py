"""The splats that training starts from: a file's, or new ones at points of the capture, the hull, or all cameras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from engine.capture import Capture
from engine.errors import RecipeError
from engine.exchange.splats import read_splats
from engine.scene import Camera, Gaussians, Mesh
from engine.scene.gaussians import CONSTANT, TERMS, Kind
from engine.splats.density.contract import primitives_in

if TYPE_CHECKING:
    from engine.optimize.recipe import SplatsSection

OPACITY = 0.1
NEIGHBOURS = 3  # whose mean distance is a splat's scale
FAR = 3.0  # how far from the cameras points are drawn at most, in scene radii
TRIES = 200_000  # points at most that are drawn to find those that two photos see


def scene_radius(cameras: Sequence[Camera]) -> float:
    """How far the cameras spread around their middle, capture units; the unit of the means' learning rate."""
    positions = np.stack([camera.position for camera in cameras])
    distance = np.linalg.norm(positions - positions.mean(0), axis=1).max()
    return float(1.1 * distance) if distance > 1e-6 else 1.0


def starting_splats(
    points: np.ndarray,  # [P,3] capture units
    colors: np.ndarray,  # [P,3] sRGB-encoded in [0,1]
    kind: Kind,
    degree: int,
    random: np.random.Generator,
) -> Gaussians:
    """Round splats of the mean distance to their three neighbours and opacity 0.1; discs lie at random."""
    count = len(points)
    near = cKDTree(points).query(points, min(NEIGHBOURS + 1, count))[0].reshape(count, -1)[:, 1:]
    distance = near.mean(1) if near.shape[1] else np.ones(count)
    usual = np.median(distance[distance > 0]) if (distance > 0).any() else 1.0
    scale = np.log(np.clip(distance, 0.01 * usual, 100 * usual))
    harmonics = np.zeros((count, TERMS[degree], 3), np.float32)
    harmonics[:, 0] = (colors - 0.5) / CONSTANT
    rotations = random.normal(size=(count, 4))
    rotations /= np.linalg.norm(rotations, axis=1, keepdims=True)
    return Gaussians(
        means=np.ascontiguousarray(points, np.float32),
        rotations=rotations.astype(np.float32),
        log_scales=np.repeat(scale[:, None], 3, 1).astype(np.float32),
        logits=np.full(count, np.log(OPACITY / (1 - OPACITY)), np.float32),
        harmonics=harmonics,
        kind=kind,
        shapes=np.full(count, 2.0, np.float32) if kind == "exponential" else None,
    )


def splats_of_file(path: Path | str, kind: Kind, degree: int, notice: Callable[[str], None]) -> Gaussians:
    """The splats of a PLY or SPZ file as a recipe's kind and degree of harmonics; Gaussians become exponentials of
    shape 2. Raises ExchangeError, and RecipeError where the file holds another kind."""
    splats = read_splats(path, notice)
    if splats.kind == "gaussian" and kind == "exponential":
        splats = replace(splats, kind=kind, shapes=np.full(len(splats), 2.0, np.float32))
    if splats.kind != kind:
        raise RecipeError(f"{path}: it holds splats of the kind {splats.kind}; set splats.kind={splats.kind}")
    harmonics = np.zeros((len(splats), TERMS[degree], 3), np.float32)
    known = min(TERMS[degree], splats.harmonics.shape[1])
    harmonics[:, :known] = splats.harmonics[:, :known]
    return replace(splats, harmonics=harmonics)


def found_points(
    capture: Capture,
    cameras: Sequence[Camera],
    surface: Mesh | None,
    where: str,
    count: int,
    random: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, str]:
    """(points [P,3], encoded colours [P,3] in [0,1], where they are from): what is there is taken before chance.

    `where` names the surface.
    """
    carried = capture.points()
    if carried is not None and len(carried[0]):
        points, colors = carried
        good = np.isfinite(points).all(1)
        if good.any():
            return points[good], colors[good] / 255, f"{good.sum():,} points of the capture"
    if surface is not None and len(surface.triangles):
        points = on_surface(surface, count, random)
        return points, np.full((count, 3), 0.5), f"{count:,} points on {where}"
    points = seen_points(cameras, count, random)
    return points, np.full((len(points), 3), 0.5), f"{len(points):,} random points that the cameras see"


def on_surface(mesh: Mesh, count: int, random: np.random.Generator) -> np.ndarray:
    """[N,3] points on a mesh, evenly by area."""
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = corners[random.choice(len(corners), count, p=area / area.sum())]
    weights = random.dirichlet((1, 1, 1), count)
    return np.einsum("nk,nkc->nc", weights, chosen)


def seen_points(cameras: Sequence[Camera], count: int, random: np.random.Generator) -> np.ndarray:
    """[count,3] random points in view of two cameras at least, near ones more often.

    Points in view of one make up the number where there is one camera, or little that two share.
    """
    radius = scene_radius(cameras)
    needed = min(2, len(cameras))
    found: list[np.ndarray] = []
    total = drawn = 0
    while total < count and drawn < TRIES:
        points = _in_view(cameras, max(count, 1000), radius, random)
        drawn += len(points)
        seen = sum(_sees(camera, points).astype(int) for camera in cameras)
        found.append(points[seen >= needed])
        total += len(found[-1])
    chosen = np.concatenate(found)[:count]
    return np.concatenate([chosen, _in_view(cameras, count - len(chosen), radius, random)])


def _in_view(cameras: Sequence[Camera], count: int, radius: float, random: np.random.Generator) -> np.ndarray:
    chosen = random.integers(0, len(cameras), count)
    corner, depth = random.random((count, 2)), FAR * radius * random.random(count) ** 2
    size, centre, focal = (
        np.array([each(camera) for camera in cameras], float)[chosen]
        for each in (lambda c: (c.width, c.height), lambda c: c.centre, lambda c: c.focal)
    )
    local = np.concatenate([(corner * size - centre) / focal, np.ones((count, 1))], 1) * depth[:, None]
    poses = np.stack([camera.world_from_camera for camera in cameras])[chosen]
    return poses[:, :3, 3] + np.einsum("nij,nj->ni", poses[:, :3, :3], local)


def seen_share(splats: Gaussians, cameras: Sequence[Camera]) -> float:
    """The share of the splats whose middle lies in view of at least one camera."""
    unseen = np.arange(len(splats))
    for camera in cameras:
        unseen = unseen[~_sees(camera, splats.means[unseen])]
    return 1 - len(unseen) / max(len(splats), 1)


def _sees(camera: Camera, points: np.ndarray) -> np.ndarray:
    pixels, depth = camera.project(points)
    return (depth > 0) & (pixels >= 0).all(1) & (pixels < (camera.width, camera.height)).all(1)


def budget_of(options: SplatsSection) -> int:
    """How many splats there may be at most, by number and by megabytes. Raises RecipeError where not one fits."""
    if not options.budget_megabytes:
        return options.budget
    count = primitives_in(options.budget_megabytes, options.kind, options.degree)
    if primitives_in(2 * options.budget_megabytes, options.kind, options.degree) < 2:
        raise RecipeError(
            f"splats.budget_megabytes={options.budget_megabytes:g} holds not one splat of degree {options.degree}; "
            "give more, or 0 for no such limit"
        )
    return min(options.budget, count)


def within_budget(
    splats: Gaussians,
    budget: int,
    random: np.random.Generator,
    notice: Callable[[str], None],
    name: str = "splats.budget",  # of the option that sets it
) -> Gaussians:
    """At most `budget` of the splats, chosen at random and grown so that they cover as much; says so."""
    if len(splats) <= budget:
        return splats
    notice(f"the start has {len(splats):,} splats; {budget:,} of them, the budget, are taken ({name})")
    kept = splats.select(np.sort(random.permutation(len(splats))[:budget]))
    kept.log_scales[:] += np.float32(np.log(len(splats) / budget) / 3)
    return kept
