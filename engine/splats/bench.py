"""What `unrender bench` measures of this room: splats to pixels and gradients back, on the CPU.

Times are the minimum of many runs, which is what a quiet machine does; medians stand beside them.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.spatial import cKDTree

from engine.scene import Camera, Gaussians
from engine.scene.gaussians import CONSTANT, TERMS
from engine.splats import splatter
from engine.splats.constants import ALPHA_MAX, ALPHA_MIN, NEAR, STOP
from engine.splats.parameters import SplatTensors
from engine.splats.reference_project import View, ellipses

SHEETS, OPACITY, NEIGHBOURS = 3, 0.1, 3
BEYOND = 1.35  # how far the sheets reach, in half images: about half of their splats are seen
SAMPLES = 8  # rows and columns of pixels whose splats are counted
LIMITS = {(480, 270): 45.0, (960, 540): 110.0}  # ms, on two quiet cores
COUNT = 50_000
Figures = dict[str, dict]


def bench_camera(width: int, height: int) -> Camera:
    """A view along +z from the origin, 53 degrees along the longer side."""
    focal = float(max(width, height))
    return Camera(np.eye(4), (focal, focal), (width / 2, height / 2), width, height)


def wavy_sheets(count: int, width: int, height: int, degree: int = 3) -> Gaussians:
    """Round splats at random places of wavy sheets one behind the other, for `bench_camera` of that shape.

    As wide as three neighbours are far and of opacity 0.1: each pixel blends 20 to 60 of them, however many there are.
    """
    random = np.random.default_rng(0)
    half = 0.5 * np.array([width, height]) / max(width, height)
    place = random.uniform(-BEYOND, BEYOND, (count, 2)) * half
    wave = np.sin(9 * place[:, 0] + 4) * np.cos(11 * place[:, 1])
    depth = 2 + random.integers(0, SHEETS, count) + 0.25 * wave
    means = np.concatenate([place * depth[:, None], depth[:, None]], 1)
    distance = cKDTree(means).query(means, NEIGHBOURS + 1)[0][:, 1:].mean(1)
    harmonics = random.normal(size=(count, TERMS[degree], 3)) * 0.02
    harmonics[:, 0] = (0.5 + 0.4 * np.sin(5 * means + wave[:, None]) - 0.5) / CONSTANT
    return Gaussians(
        means=means.astype(np.float32),
        rotations=random.normal(size=(count, 4)).astype(np.float32),
        log_scales=np.log(distance)[:, None].repeat(3, 1).astype(np.float32),
        logits=np.full(count, np.log(OPACITY / (1 - OPACITY)), np.float32),
        harmonics=harmonics.astype(np.float32),
    )


@torch.no_grad()
def blended_per_pixel(splats: SplatTensors, camera: Camera) -> float:
    """The mean number of splats that a pixel adds up, of SAMPLES x SAMPLES pixels."""
    view = View.of(camera, splats.means)
    points = (splats.means - view.position) @ view.rotation.T
    centres = points[:, :2] / points[:, 2:] * view.focal + view.centre
    footprint, radii = ellipses(splats, points, centres, view, antialiased=False)
    across, down = (
        np.floor((np.arange(SAMPLES) + 0.5) / SAMPLES * side) + 0.5 for side in (camera.width, camera.height)
    )
    pixels = torch.tensor(np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)).to(points)
    alpha = footprint(pixels)[0].clamp(max=ALPHA_MAX)
    alpha[(alpha < ALPHA_MIN) | (radii == 0)[:, None] | (points[:, 2:] <= NEAR)] = 0
    alpha = alpha[torch.sort(points[:, 2], stable=True).indices]
    counts = (alpha > 0) & (torch.cumprod(1 - alpha, 0) >= STOP)
    return float(counts.sum(0).double().mean())


def milliseconds(run: Callable[[], object], seconds: float = 1.5, least: int = 7) -> np.ndarray:
    """Of each of at least `least` runs within about `seconds`, after one to warm up."""
    run()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * np.array(times)


def figures(name: str, times: np.ndarray, limit: float | None) -> Figures:
    """The fastest, held to `limit`, and the median."""
    return {
        f"{name}_min": {"value": float(times.min()), "unit": "ms", "limit": limit},
        f"{name}_median": {"value": float(np.median(times)), "unit": "ms", "limit": None},
    }


def splatting_times() -> Figures:
    """Forward, both (forward and backward), and how many splats a pixel blends, at two sizes of image."""
    results: Figures = {}
    implementation = splatter("numba")
    for (width, height), limit in LIMITS.items():
        splats = SplatTensors.of(wavy_sheets(COUNT, width, height))
        view, name = bench_camera(width, height), f"splats_50k_{width}x{height}"
        slope = torch.randn(height, width, 3, generator=torch.Generator().manual_seed(0))
        results[f"{name}_blended"] = {"value": blended_per_pixel(splats, view), "unit": "per pixel", "limit": None}
        forward = milliseconds(lambda: implementation.render(splats, view))  # noqa: B023 (called at once)
        for tensor in splats.tensors().values():
            tensor.requires_grad_()

        def both() -> None:
            (implementation.render(splats, view).color * slope).sum().backward()  # noqa: B023
            for tensor in splats.tensors().values():  # noqa: B023
                tensor.grad = None

        results |= figures(f"{name}_forward", forward, None)
        results |= figures(f"{name}_both", milliseconds(both), limit)
    return results


# Names of figures -> what measures them; run with torch on one thread.
PARTS: dict[tuple[str, ...], Callable[[], Figures]] = {
    tuple(
        f"splats_50k_{width}x{height}_{what}"
        for width, height in LIMITS
        for what in (
            "blended",
            *(f"{run}_{statistic}" for run in ("forward", "both") for statistic in ("min", "median")),
        )
    ): splatting_times,
}
