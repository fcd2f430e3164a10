"""How long one stochastic step takes on this machine: a mesh of 20k triangles against one photo of its normals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import prange

from engine.geometry.bench import fastest
from engine.kernels.settings import parallel_kernel

SIZE, TRIANGLES, LIMIT = 512, 20_000, 12.0  # pixels, triangles, ms
EPS = 0.4  # pixels


@parallel_kernel
def normal_losses(normals, triangles, pixel, triangle, barycentrics, empty, target, losses):
    """losses [H*W]: squared distance of 0.5 n + 0.5 and alpha from target [H*W,4]; `empty` [H*W] where nothing is."""
    for block in prange((len(losses) + 4095) // 4096):
        low = np.int64(block) * 4096
        for p in range(low, min(low + 4096, len(losses))):
            losses[p] = empty[p]
    half = np.float32(0.5)
    for block in prange((len(pixel) + 4095) // 4096):
        low = np.int64(block) * 4096
        for p in range(low, min(low + 4096, len(pixel))):
            t, at = triangle[p], pixel[p]
            i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            u, v = barycentrics[p, 0], barycentrics[p, 1]
            w = np.float32(1) - u - v
            x = u * normals[i, 0] + v * normals[j, 0] + w * normals[k, 0]
            y = u * normals[i, 1] + v * normals[j, 1] + w * normals[k, 1]
            z = u * normals[i, 2] + v * normals[j, 2] + w * normals[k, 2]
            scale = half / np.sqrt(x * x + y * y + z * z)
            r, g = x * scale + half - target[at, 0], y * scale + half - target[at, 1]
            b, a = z * scale + half - target[at, 2], np.float32(1) - target[at, 3]
            losses[at] = r * r + g * g + b * b + a * a


def stochastic_step(triangle_count: int = TRIANGLES, size: int = SIZE) -> Callable[[], float]:
    """A step that fits a displaced icosphere to a photo of a larger one's normals: perturb, two visibilities, normals,
    losses per pixel, credit through smooth normals, large-steps solves, UniformAdam. Each call gives its loss."""
    import torch

    from engine.geometry.free_mesh import FreeMesh, UniformAdam
    from engine.geometry.normals import vertex_normals
    from engine.kernels.signs import VERTICES, sign_key
    from engine.raster import rasterizer
    from engine.raster.bench import bench_camera, displaced_icosphere
    from engine.raster.contract import VisibilityBuffer
    from engine.raster.stochastic.loss import stochastic_loss
    from engine.raster.stochastic.vertex_credit import Stencils

    vertices, triangles = displaced_icosphere(triangle_count)
    index, raster = torch.from_numpy(triangles), rasterizer("numba")
    matrix = bench_camera(size).clip_from_world(0.5, 6.0)
    stencils = Stencils.smooth(triangles, len(vertices))

    def target_image() -> np.ndarray:
        larger = torch.from_numpy(1.05 * vertices.astype(np.float32))
        clip_matrix = torch.tensor(matrix, dtype=torch.float32)
        buffer = raster.visibility(larger @ clip_matrix[:, :3].T + clip_matrix[:, 3], index, (size, size), True)
        shade = torch.nn.functional.normalize(raster.interpolate(vertex_normals(larger, index), index, buffer), dim=1)
        values = torch.cat([shade * 0.5 + 0.5, torch.ones(len(shade), 1)], 1)
        return raster.compose(values, buffer, torch.zeros(4)).reshape(-1, 4).numpy()

    target = target_image()
    empty = (target**2).sum(1)

    def losses(buffer: VisibilityBuffer, moved: torch.Tensor) -> np.ndarray:
        out = np.empty(size * size, np.float32)
        located = (part.numpy() for part in (buffer.pixel, buffer.triangle, buffer.barycentrics))
        normal_losses(vertex_normals(moved, index).numpy(), triangles, *located, empty, target, out)
        return out.reshape(size, size)

    mesh = FreeMesh(vertices, triangles)
    optimizer = UniformAdam(mesh.parameters(), lr=1e-3)
    count = 0

    def step() -> float:
        nonlocal count
        optimizer.zero_grad(set_to_none=True)
        key = sign_key(0, count, VERTICES)
        positions = mesh.vertices()
        loss = stochastic_loss(
            positions, losses, index, matrix, (size, size), raster,
            key=key, eps=EPS, stencils=stencils, cull_backfaces=True,
        )  # fmt: skip
        loss.backward()
        optimizer.step()
        count += 1
        return float(loss.detach())

    return step


def stochastic_step_time() -> dict[str, dict]:
    """The fastest of many steps."""
    return {"stochastic_step_numba": {"value": fastest(stochastic_step(), seconds=3.0), "unit": "ms", "limit": LIMIT}}


# Names of figures -> what measures them; run with torch on one thread.
PARTS: dict[tuple[str, ...], Callable[[], dict[str, dict]]] = {("stochastic_step_numba",): stochastic_step_time}
