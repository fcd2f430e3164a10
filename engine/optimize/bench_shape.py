"""How long one shape step takes on this machine: eight views of a mesh in the large-steps parameterization."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from engine.geometry.bench import fastest, sphere

VIEWS, SIZE, TRIANGLES_5K = 8, 256, 4


def shape_step(subdivisions: int = TRIANGLES_5K, views: int = VIEWS, size: int = SIZE) -> Callable[[], float]:
    """A step that fits an icosphere to the pictures of an ellipsoid: visibility, interpolated normals as colour,
    compose, coverage with alpha, squared error, backward, UniformAdam. Returns the step; each call gives its loss."""
    import torch

    from engine.geometry.free_mesh import FreeMesh, UniformAdam
    from engine.geometry.normals import vertex_normals
    from engine.raster import rasterizer
    from engine.raster.contract import EdgeTable
    from engine.scene.camera import look_at

    vertices, triangles = sphere(subdivisions)
    raster = rasterizer("numba")
    box = np.array([[-1.0] * 3, [1.0] * 3])
    matrices = []
    for view in range(views):
        angle, height = 2 * np.pi * view / views, np.sin(2.4 * view)
        position = np.array([3 * np.cos(angle), 3 * np.sin(angle), height])
        camera = look_at(position, np.zeros(3), np.array([0.0, 0.0, 1.0]), 1.1 * size, size, size)
        matrices.append(torch.tensor(camera.clip_from_world(*camera.depth_range(box)), dtype=torch.float32))
    index = torch.from_numpy(triangles)
    edges = EdgeTable.from_triangles(index, len(vertices))
    background = torch.zeros(4)

    def picture(position: torch.Tensor, color: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        clip = position @ matrix[:, :3].T + matrix[:, 3]
        buffer = raster.visibility(clip, index, (size, size))
        image = raster.compose(raster.interpolate(color, index, buffer), buffer, background)
        return raster.coverage(image, clip, index, buffer, edges)

    def colors(position: torch.Tensor) -> torch.Tensor:
        shade = vertex_normals(position, index) * 0.5 + 0.5
        return torch.cat([shade, torch.ones_like(shade[:, :1])], 1)

    with torch.no_grad():
        target = torch.from_numpy(vertices) * torch.tensor([1.1, 0.8, 0.9])
        targets = [picture(target, colors(target), matrix) for matrix in matrices]
    mesh = FreeMesh(vertices, triangles)
    optimizer = UniformAdam(mesh.parameters(), lr=3e-2)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        position = mesh.vertices()
        color = colors(position)
        images = [picture(position, color, matrix) for matrix in matrices]
        loss = sum((image - wanted).square().mean() for image, wanted in zip(images, targets, strict=True)) / views
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def shape_step_time() -> dict[str, dict]:
    """The fastest of many steps."""
    return {"shape_step_8_views_256": {"value": fastest(shape_step(), seconds=3.0), "unit": "ms", "limit": 70.0}}


# Names of figures -> what measures them; run with torch on one thread.
PARTS: dict[tuple[str, ...], Callable[[], dict[str, dict]]] = {("shape_step_8_views_256",): shape_step_time}
