"""Direct light by Monte Carlo with shadow rays: the light's texels and the BRDF are both sampled and weighed together.

The independent judge of the split sum that is fitted, and what `synthesize` shades with. NumPy and numba, no torch,
no gradients. Light that bounces off the object itself is left out. Needs embreex.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from engine.errors import Cancelled
from engine.raster.rays import RayCaster
from engine.scene.camera import Camera
from engine.scene.environment import Environment
from engine.scene.mesh import Material, Mesh
from engine.shading.albedo import average_albedo, specular_albedo
from engine.shading.monte_carlo_kernels import propose, surface_points, uniform_many
from engine.shading.monte_carlo_light import LightSampler

Strategy = Literal["both", "light", "brdf"]
_STRATEGIES = {"both": 0, "light": 1, "brdf": 2}
CHUNK = 1 << 20  # shadow rays in flight; bounds the memory at some 60 MB


class MonteCarlo:
    """A mesh, its material and a light, ready to be drawn from any camera.

    Normals are smooth except across edges whose faces meet at more than `crease` degrees. Both sides of the surface are
    shaded. A normal map is applied along the triangles' own texture directions, which is not exactly MikkTSpace.
    Raises DeviceError without embreex and GeometryError for an empty mesh.
    """

    def __init__(self, mesh: Mesh, material: Material, environment: Environment, crease: float = 60.0) -> None:
        self.caster = RayCaster(mesh.vertices, mesh.triangles)
        self.environment = environment
        self._light = LightSampler.of(environment)
        self._normals = corner_normals(mesh, crease)
        flat = mesh.uvs is None or mesh.uv_triangles is None
        self._uvs = np.zeros((0, 2), np.float32) if flat else np.ascontiguousarray(mesh.uvs, np.float32)
        self._uv_triangles = np.zeros((0, 3), np.int32) if flat else np.ascontiguousarray(mesh.uv_triangles, np.int32)
        normal = np.zeros((0, 0, 3)) if material.normal is None or flat else material.normal
        maps = (material.base_color, material.occlusion_roughness_metallic, normal)
        self._maps = tuple(np.ascontiguousarray(texture, np.float32) for texture in maps)

    def render(
        self,
        camera: Camera,
        samples: int,
        seed: int = 0,
        strategy: Strategy = "both",
        cancelled: Callable[[], bool] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """(premultiplied linear colour [H,W,3], alpha [H,W]), both float32, by a box filter over each pixel.

        `samples` light paths per pixel: `primary_grid(samples)`^2 rays through the pixel, the rest shared out at their
        hits. The same seed gives the same bits. Raises Cancelled.
        """
        color, alpha = np.zeros((camera.height * camera.width, 3)), np.zeros(camera.height * camera.width)
        grid = primary_grid(samples)
        count = max(samples // grid**2, 1)
        for surface in self._surfaces(camera, grid, seed, CHUNK // (2 * count), cancelled):
            radiance = self._direct(surface, camera, count, seed, strategy)
            alpha += np.bincount(surface.pixel, minlength=len(alpha))
            for channel in range(3):
                color[:, channel] += np.bincount(surface.pixel, radiance[:, channel], len(alpha))
        shape = camera.size
        return (color / grid**2).reshape(*shape, 3).astype(np.float32), (alpha / grid**2).reshape(shape).astype(
            np.float32
        )

    def surface_maps(self, camera: Camera, grid: int = 4, seed: int = 0) -> dict[str, np.ndarray]:
        """What the pixels show, means over their covered part, zero where nothing is.

        `base_color` [H,W,3], `roughness`, `metallic`, `alpha` [H,W], `normal` [H,W,3] (world, unit), float32.
        """
        size = camera.height * camera.width
        total = np.zeros((size, 9))
        for surface in self._surfaces(camera, grid, seed, CHUNK, None):
            parts = np.column_stack([surface.base, surface.roughness, surface.metallic, surface.normal])
            for channel in range(8):
                total[:, channel] += np.bincount(surface.pixel, parts[:, channel], size)
            total[:, 8] += np.bincount(surface.pixel, minlength=size)
        mean = (total / np.maximum(total[:, 8:], 1)).astype(np.float32).reshape(*camera.size, 9)
        normal = mean[..., 5:8] / np.maximum(np.linalg.norm(mean[..., 5:8], axis=-1, keepdims=True), 1e-12)
        alpha = (total[:, 8] / grid**2).astype(np.float32).reshape(camera.size)
        maps = {"base_color": mean[..., :3], "roughness": mean[..., 3], "metallic": mean[..., 4]}
        return {**maps, "alpha": alpha, "normal": normal}

    def _surfaces(self, camera: Camera, grid: int, seed: int, chunk: int, cancelled):
        """Hits of grid x grid jittered rays per pixel, about `chunk` rays at a time, only where the object can be."""
        x0, y0, x1, y1 = _screen_box(camera, self.caster.vertices)
        rows_at_once = max(chunk // max((x1 - x0) * grid * grid, 1), 1)
        for top in range(y0, y1, rows_at_once):
            if cancelled is not None and cancelled():
                raise Cancelled("rendering was stopped")
            bottom = min(top + rows_at_once, y1)
            row, column, sample = np.meshgrid(
                np.arange(top, bottom), np.arange(x0, x1), np.arange(grid * grid), indexing="ij"
            )
            row, column, sample = row.ravel(), column.ravel(), sample.ravel()
            pixel = row * camera.width + column
            jitter = np.empty((len(pixel), 2))
            uniform_many(seed, pixel, 16 + 2 * sample, jitter)
            x = column + (sample % grid + jitter[:, 0]) / grid - camera.centre[0]
            y = row + (sample // grid + jitter[:, 1]) / grid - camera.centre[1]
            local = np.stack([x / camera.focal[0], y / camera.focal[1], np.ones(len(x))], -1)
            direction = local @ camera.world_from_camera[:3, :3].T
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            origin = np.broadcast_to(np.asarray(camera.position, np.float32), direction.shape)
            triangle, _, barycentrics = self.caster.first_hit(origin, direction)
            hit = triangle >= 0
            if hit.any():
                yield self._surface(triangle[hit], barycentrics[hit], direction[hit], pixel[hit], sample[hit])

    def _surface(self, triangle, barycentrics, direction, pixel, sample) -> _Surface:
        surface = _Surface(direction, pixel, sample)
        surface_points(
            triangle, barycentrics, direction, self.caster.vertices, self.caster.triangles, self._normals, self._uvs,
            self._uv_triangles, *self._maps, surface.origin, surface.geometric, surface.normal, surface.base,
            surface.roughness, surface.metallic,
        )  # fmt: skip
        return surface

    def _direct(self, surface: _Surface, camera: Camera, count: int, seed: int, strategy: Strategy) -> np.ndarray:
        """[P,3] radiance toward the eye, `count` draws of each kind per hit."""
        rotation = self.environment.world_from_environment
        if self.environment.frame == "camera":  # what is stored is then camera_from_environment
            rotation = camera.world_from_camera[:3, :3] @ rotation
        hits = len(surface.pixel)
        direction = np.zeros((hits, 2 * count, 3), np.float32)
        weight = np.empty((hits, 2 * count, 3), np.float32)
        light = self._light
        propose(
            _STRATEGIES[strategy], seed, surface.pixel, surface.sample * count, count, surface.direction,
            surface.geometric, surface.normal, surface.base, surface.roughness, surface.metallic,
            np.ascontiguousarray(rotation.T, np.float64), light.padded, light.rows, light.columns, light.density,
            specular_albedo(), average_albedo(), direction, weight,
        )  # fmt: skip
        live = np.flatnonzero(weight.reshape(-1, 3).any(1))
        if len(live):
            dark = self.caster.occluded(surface.origin[live // (2 * count)], direction.reshape(-1, 3)[live])
            weight.reshape(-1, 3)[live[dark]] = 0
        return weight.sum(1, dtype=np.float64)


class _Surface:
    """What some rays hit; rows agree."""

    def __init__(self, direction: np.ndarray, pixel: np.ndarray, sample: np.ndarray) -> None:
        self.direction, self.pixel, self.sample = direction, pixel, sample
        self.origin = np.empty((len(pixel), 3), np.float32)  # where shadow rays start
        self.geometric, self.normal, self.base = (np.empty((len(pixel), 3)) for _ in range(3))
        self.roughness, self.metallic = np.empty(len(pixel)), np.empty(len(pixel))


def render(
    mesh: Mesh, material: Material, environment: Environment, camera: Camera, samples: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(premultiplied linear colour [H,W,3], alpha [H,W]) of one view; see `MonteCarlo`."""
    return MonteCarlo(mesh, material, environment).render(camera, samples, seed)


def primary_grid(samples: int) -> int:
    """Side of the grid of rays through a pixel: a quarter of `samples` are camera rays, 16 at least where there are."""
    return max(int(np.sqrt(min(samples, max(samples // 4, 16)))), 1)


def corner_normals(mesh: Mesh, crease: float) -> np.ndarray:
    """[F,3,3] float32 unit normals of triangle corners: area-weighted over the faces within `crease` degrees."""
    face = mesh.face_normals().astype(np.float64)
    unit = face / np.maximum(np.linalg.norm(face, axis=1, keepdims=True), 1e-30)
    vertex = mesh.triangles.reshape(-1)
    order = np.argsort(vertex, kind="stable")  # corners, grouped by vertex
    start = np.searchsorted(vertex[order], np.arange(len(mesh.vertices) + 1))
    degree = np.diff(start)[vertex]
    total = np.zeros((len(vertex), 3))
    limit = np.cos(np.radians(crease))
    corners = np.arange(len(vertex))
    for turn in range(int(degree.max(initial=0))):
        with_more = corners[turn < degree]
        other = order[start[vertex[with_more]] + turn] // 3
        near = (unit[other] * unit[with_more // 3]).sum(1) >= limit
        total[with_more[near]] += face[other[near]]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    normals = np.where(length > 1e-30, total / np.maximum(length, 1e-30), np.repeat(unit, 3, 0))
    return normals.reshape(-1, 3, 3).astype(np.float32)


def _screen_box(camera: Camera, vertices: np.ndarray) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) pixels that enclose the projected vertices; the whole picture where some lie behind the eye."""
    local = (vertices - camera.position) @ camera.world_from_camera[:3, :3]
    if local[:, 2].min() <= 1e-6:
        return 0, 0, camera.width, camera.height
    x = local[:, 0] / local[:, 2] * camera.focal[0] + camera.centre[0]
    y = local[:, 1] / local[:, 2] * camera.focal[1] + camera.centre[1]
    low = np.floor([x.min(), y.min()]).astype(int) - 1
    high = np.ceil([x.max(), y.max()]).astype(int) + 1
    x0, x1 = np.clip([low[0], high[0]], 0, camera.width)
    y0, y1 = np.clip([low[1], high[1]], 0, camera.height)
    return int(x0), int(y0), int(x1), int(y1)
