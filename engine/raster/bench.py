"""What `unrender bench` measures of this room: visibility against embree, a whole mesh step, gradients at silhouettes.

Times are the minimum of many short runs, which is what a quiet machine does; medians stand beside them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from engine.errors import DeviceError
from engine.raster import rasterizer
from engine.raster.contract import EdgeTable, Rasterizer
from engine.scene import Camera
from engine.scene.camera import look_at

SIZE = 512  # pixels, of the timed frames
COSINE_SIZE = 128  # pixels
SUPERSAMPLING = 6
DIFFERENCES = (1e-3, 2e-3)  # radii of the sphere; 0.05 and 0.1 pixel at 128x128
STEP_LIMIT, EMBREE_LIMIT, COSINE_LIMIT = 10.0, 5.0, 0.99
WEBGPU_LIMIT = 10.0  # ms, on lavapipe on two cores; a GPU takes a fraction


def displaced_icosphere(triangle_count: int) -> tuple[np.ndarray, np.ndarray]:
    """(vertices [V,3] float64, triangles [F,3] int32) of a bumpy unit sphere of about `triangle_count` triangles.

    Triangles are counter-clockwise seen from outside; the bumps make lobes that hide parts of one another.
    """
    golden = (1 + 5**0.5) / 2
    corners = [(0, y, z) for y in (-1, 1) for z in (-golden, golden)]
    corners = np.array([np.roll(c, shift) for shift in range(3) for c in corners])
    distance = np.linalg.norm(corners[:, None] - corners, axis=-1)
    near = (distance > 0) & (distance < 2.1)
    n = max(1, round((triangle_count / 20) ** 0.5))
    points, triangles = [], []
    for a in range(12):
        for b in range(a + 1, 12):
            for c in range(b + 1, 12):
                if not (near[a, b] and near[b, c] and near[a, c]):
                    continue
                outward = np.linalg.det(corners[[a, b, c]]) > 0
                p, q, r = corners[[a, b, c] if outward else [a, c, b]]
                index = {}
                for i in range(n + 1):
                    for j in range(n + 1 - i):
                        index[i, j] = len(points)
                        points.append((p * (n - i - j) + q * i + r * j) / n)
                for i, j in index:
                    if i + j < n:
                        triangles.append((index[i, j], index[i + 1, j], index[i, j + 1]))
                    if i + j < n - 1:
                        triangles.append((index[i + 1, j], index[i + 1, j + 1], index[i, j + 1]))
    points = np.array(points)
    _, first, inverse = np.unique(np.round(points * 1e6), axis=0, return_index=True, return_inverse=True)
    points = points[first] / np.linalg.norm(points[first], axis=1, keepdims=True)
    x, y, z = points.T
    radius = 1 + 0.15 * np.sin(4 * x + 1) * np.cos(5 * y) + 0.08 * np.sin(9 * z)
    return points * radius[:, None], inverse.reshape(-1)[np.array(triangles)].astype(np.int32)


def bench_camera(size: int) -> Camera:
    """A square view of the icosphere that covers half of the frame."""
    return look_at(np.array([1.2, 0.8, 2.9]), np.zeros(3), np.array([0.0, 1.0, 0.0]), 1.15 * size, size, size)


def clip_of(vertices: Tensor, camera: Camera) -> Tensor:
    """[V,4] clip positions of vertices [V,3], differentiable."""
    matrix = torch.as_tensor(camera.clip_from_world(0.5, 6.0), dtype=vertices.dtype)
    return torch.cat([vertices, torch.ones_like(vertices[:, :1])], 1) @ matrix.T


def _milliseconds(run: Callable[[], object], seconds: float = 1.0, most: int = 100) -> np.ndarray:
    run()
    times, start = [], time.perf_counter()
    while len(times) < 5 or (len(times) < most and time.perf_counter() - start < seconds):
        before = time.perf_counter()
        run()
        times.append(time.perf_counter() - before)
    return np.array(times) * 1e3


def visibility_times(triangle_count: int, limit: float) -> dict[str, dict]:
    """Visibility with and without culling, and embree's primary rays over the same frame in the same run."""
    vertices, triangles = displaced_icosphere(triangle_count)
    camera, raster, name = bench_camera(SIZE), rasterizer("numba"), f"visibility_{triangle_count // 1000}k"
    clip = clip_of(torch.as_tensor(vertices, dtype=torch.float32), camera)
    corners = torch.as_tensor(triangles)
    culled = _milliseconds(lambda: raster.visibility(clip, corners, (SIZE, SIZE), True))
    both = _milliseconds(lambda: raster.visibility(clip, corners, (SIZE, SIZE), False))
    results = {
        f"{name}_culled_min": {"value": float(culled.min()), "unit": "ms", "limit": limit},
        f"{name}_culled_median": {"value": float(np.median(culled)), "unit": "ms", "limit": None},
        f"{name}_min": {"value": float(both.min()), "unit": "ms", "limit": limit},
        f"{name}_median": {"value": float(np.median(both)), "unit": "ms", "limit": None},
    }
    rays = _embree_primary_rays(vertices, triangles, camera)
    if rays is not None:
        results[f"{name}_embree_min"] = {"value": float(rays.min()), "unit": "ms", "limit": None}
        ratio = float(rays.min() / both.min())
        results[f"{name}_times_faster_than_embree"] = {"value": ratio, "unit": "x (at least)", "limit": EMBREE_LIMIT}
    return results


def webgpu_visibility_times() -> dict[str, dict]:
    """Visibility on the GPU from tensors to tensors: upload, draw, read back, locate; nothing without an adapter."""
    vertices, triangles = displaced_icosphere(20_000)
    try:
        raster = rasterizer("webgpu")
    except DeviceError as error:
        print(f"webgpu_visibility_20k: skipped, {error}", file=sys.stderr)
        return {}
    clip = clip_of(torch.as_tensor(vertices, dtype=torch.float32), bench_camera(SIZE))
    corners = torch.as_tensor(triangles)
    culled = _milliseconds(lambda: raster.visibility(clip, corners, (SIZE, SIZE), True))
    both = _milliseconds(lambda: raster.visibility(clip, corners, (SIZE, SIZE), False))
    return {
        "webgpu_visibility_20k_culled_min": {"value": float(culled.min()), "unit": "ms", "limit": WEBGPU_LIMIT},
        "webgpu_visibility_20k_culled_median": {"value": float(np.median(culled)), "unit": "ms", "limit": None},
        "webgpu_visibility_20k_min": {"value": float(both.min()), "unit": "ms", "limit": WEBGPU_LIMIT},
        "webgpu_visibility_20k_median": {"value": float(np.median(both)), "unit": "ms", "limit": None},
    }


def _embree_primary_rays(vertices: np.ndarray, triangles: np.ndarray, camera: Camera) -> np.ndarray | None:
    try:
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh
    except ImportError:
        return None
    scene = rtcore_scene.EmbreeScene()
    TriangleMesh(scene, vertices.astype(np.float32), triangles)
    origin, directions = camera.rays()
    directions = directions.reshape(-1, 3).astype(np.float32)
    origins = np.tile(origin.astype(np.float32), (len(directions), 1))
    return _milliseconds(lambda: scene.run(origins, directions), most=20)


def mesh_step(triangle_count: int = 20_000) -> Callable[[], float]:
    """One step of fitting vertices and their colours at 512x512: visibility to Adam; call it to do it."""
    vertices, triangles = displaced_icosphere(triangle_count)
    camera, raster = bench_camera(SIZE), rasterizer("numba")
    corners = torch.as_tensor(triangles)
    positions = torch.as_tensor(vertices, dtype=torch.float32).requires_grad_()
    colors = torch.full((len(vertices), 4), 0.5).requires_grad_()
    background, target = torch.zeros(4), torch.full((SIZE, SIZE, 4), 0.25)
    edges = EdgeTable.from_triangles(corners, len(vertices))
    optimizer = torch.optim.Adam([positions, colors], lr=1e-5, fused=True)

    def step() -> float:
        optimizer.zero_grad()
        clip = clip_of(positions, camera)
        buffer = raster.visibility(clip, corners, (SIZE, SIZE), True)
        image = raster.compose(raster.interpolate(colors, corners, buffer), buffer, background)
        loss = torch.nn.functional.mse_loss(raster.coverage(image, clip, corners, buffer, edges), target)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def coverage_cosine(
    raster: Rasterizer, triangle_count: int, directions: int = 24, size: int = COSINE_SIZE
) -> tuple[float, float, float]:
    """(cosine, PSNR with and without coverage) against a supersampled render of the displaced icosphere.

    The cosine is between the loss's derivatives along smooth random deformations, by the analytic gradient and by
    central differences of the supersampled render, a mean over DIFFERENCES. A supersampled edge moves in steps of a
    sixth of a pixel, so that shorter differences are noisier and longer ones less local.
    """
    vertices, triangles = displaced_icosphere(triangle_count)
    generator = np.random.default_rng(0)
    corners, positions = torch.as_tensor(triangles), torch.as_tensor(vertices, dtype=torch.float32)
    colors = torch.cat([0.5 + 0.5 * torch.sin(3 * positions + torch.arange(3)), torch.ones(len(positions), 1)], 1)
    fine = size * SUPERSAMPLING
    v, u = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size), indexing="ij")
    target = torch.as_tensor(np.stack([0.5 + 0.3 * np.sin(7 * u + k) * np.cos(5 * v - k) for k in range(4)], -1))
    camera = bench_camera(size)

    def render(points: Tensor, pixels: int):
        clip = clip_of(points, camera)
        buffer = raster.visibility(clip, corners, (pixels, pixels))
        return clip, buffer, raster.compose(raster.interpolate(colors, corners, buffer), buffer, torch.zeros(4))

    def supersampled(points: Tensor) -> Tensor:
        image = render(points, fine)[2].double()
        return image.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 4).mean((1, 3))

    leaf = positions.clone().requires_grad_()
    clip, buffer, image = render(leaf, size)
    smooth = raster.coverage(image, clip, corners, buffer, EdgeTable.from_triangles(corners, len(vertices)))
    ((smooth.double() - target) ** 2).mean().backward()
    analytic, numeric = [], []
    for _ in range(directions):
        wave = np.sin(vertices @ generator.normal(size=(3, 3)) * 2 + generator.uniform(0, 2 * np.pi, 3))
        direction = torch.as_tensor(wave * generator.normal(size=3), dtype=torch.float32)
        slopes = []
        for step in DIFFERENCES:
            ahead, behind = (supersampled(positions + sign * step * direction) for sign in (1, -1))
            slopes.append(float(((ahead - target) ** 2).mean() - ((behind - target) ** 2).mean()) / (2 * step))
        numeric.append(np.mean(slopes))
        analytic.append(float((leaf.grad.double() * direction).sum()))
    analytic, numeric = np.array(analytic), np.array(numeric)
    truth = supersampled(positions)
    after, before = (-10 * float(torch.log10(((x.detach() - truth) ** 2).mean())) for x in (smooth, image))
    return float(analytic @ numeric / np.linalg.norm(analytic) / np.linalg.norm(numeric)), after, before


def mesh_step_times() -> dict[str, dict]:
    """The whole step of fitting a mesh."""
    step = _milliseconds(mesh_step(), seconds=2.0)
    return {
        "mesh_step_20k_min": {"value": float(step.min()), "unit": "ms", "limit": STEP_LIMIT},
        "mesh_step_20k_median": {"value": float(np.median(step)), "unit": "ms", "limit": None},
    }


def edge_table_time() -> dict[str, dict]:
    """The table of edges, which FlexiCubes needs anew every step."""
    _, triangles = displaced_icosphere(20_000)
    corners = torch.as_tensor(triangles)
    table = _milliseconds(lambda: EdgeTable.from_triangles(corners, int(triangles.max()) + 1), most=20)
    return {"edge_table_20k_min": {"value": float(table.min()), "unit": "ms", "limit": None}}


def coverage_quality(triangle_count: int) -> dict[str, dict]:
    """`coverage_cosine` as figures."""
    cosine, after, before = coverage_cosine(rasterizer("numba"), triangle_count)
    name = f"coverage_{triangle_count // 1000}k"
    return {
        f"{name}_cosine": {"value": cosine, "unit": "cosine (at least)", "limit": COSINE_LIMIT},
        f"{name}_psnr": {"value": after, "unit": "dB", "limit": None},
        f"{name}_psnr_gain": {"value": after - before, "unit": "dB", "limit": None},
    }


_VISIBILITY = ("culled_min", "culled_median", "min", "median", "embree_min", "times_faster_than_embree")

# Names of figures -> what measures them, about half a minute together; run with torch on one thread.
PARTS: dict[tuple[str, ...], Callable[[], dict[str, dict]]] = {
    tuple(f"visibility_20k_{end}" for end in _VISIBILITY): lambda: visibility_times(20_000, 2.5),
    tuple(f"visibility_80k_{end}" for end in _VISIBILITY): lambda: visibility_times(80_000, 4.5),
    tuple(f"webgpu_visibility_20k_{end}" for end in _VISIBILITY[:4]): webgpu_visibility_times,
    ("mesh_step_20k_min", "mesh_step_20k_median"): mesh_step_times,
    ("edge_table_20k_min",): edge_table_time,
} | {
    tuple(f"coverage_{count // 1000}k_{end}" for end in ("cosine", "psnr", "psnr_gain")): partial(
        coverage_quality, count
    )
    for count in (1000, 5000, 20_000)
}
