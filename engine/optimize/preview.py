"""Draws a snapshot of a session's scene from any camera, for people to look at; never what losses or metrics compare.

One thread draws with one renderer; what costs time (textures' pyramids, prefiltered light, edge tables) is made when
it is first needed and kept for the snapshot's life, the light beyond it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.exchange.hdr import reduced
from engine.exchange.render import LIGHT_ROWS, Surface
from engine.optimize import preview_faces
from engine.optimize.displays import DISPLAYS, Display, displays_of, shown_display
from engine.optimize.preview_colors import depth_colors
from engine.optimize.preview_image import NEUTRAL, PixelValues, PreviewImage
from engine.optimize.preview_kernels import draw_edges, encode, light_behind
from engine.optimize.preview_splats import SplatPreview
from engine.optimize.preview_surface import SurfaceSource, positions, surface_source
from engine.optimize.preview_volume import march_view
from engine.raster import rasterizer
from engine.scene import Camera, Environment
from engine.scene.conventions import linear_to_srgb, srgb_to_linear
from engine.scene.environment import direction_of_texel
from engine.shading.split_sum import PrefilteredLight, prefilter, shade

if TYPE_CHECKING:
    from engine.optimize.snapshot import SceneSnapshot

__all__ = ["DISPLAYS", "NEUTRAL", "Display", "PixelValues", "PreviewImage", "PreviewRenderer", "neutral_light"]

LIT = ("shaded", "light", "wireframe")  # displays that the light and the exposure change

SRGB_TABLE = linear_to_srgb(np.linspace(0, 1, 1 << 14)).astype(np.float32)
WHITE = 0.8  # base colour of the display `light`
FADE = 5.0  # pixels height of a triangle under which its edges fade
# colours (linear in `shaded`, encoded in `quality`) and widths of plain, boundary and non-manifold edges
WIRE = np.array([[0.01, 0.012, 0.015, 0.75], [1.0, 0.62, 0.0, 1], [0.9, 0.0, 0.65, 1]], np.float32)
QUALITY = np.array([[0.08, 0.1, 0.1, 0.45], [1.0, 0.82, 0.1, 1], [0.95, 0.1, 0.85, 1]], np.float32)
WIDTHS = np.array([0.6, 2.2, 2.8], np.float32)
KEPT_LIGHTS = 4


def neutral_light() -> Environment:
    """Soft light from above and a little from the viewer's left, which turns with the camera; for scenes without."""
    directions = direction_of_texel(16, 32)
    lamp = np.clip(directions @ np.array([-0.45, 0.75, 0.48]), 0, 1) ** 3
    radiance = 0.35 + 0.25 * directions[..., 1] + 1.6 * lamp
    return Environment(
        np.repeat(radiance[..., None], 3, -1).astype(np.float32).clip(0.05), np.diag([1.0, -1.0, -1.0]), "camera"
    )


class PrefilteredLights:
    """The prefiltered form of the few lights last used."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[Environment, PrefilteredLight]] = OrderedDict()

    def of(self, environment: Environment) -> PrefilteredLight:
        """Made when first asked for."""
        key = id(environment)
        if key not in self._kept:
            radiance = np.ascontiguousarray(reduced(environment.radiance, LIGHT_ROWS), np.float32)
            with torch.no_grad():
                self._kept[key] = environment, prefilter(torch.from_numpy(radiance))
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT_LIGHTS:
            self._kept.popitem(last=False)
        return self._kept[key][1]


LIGHTS = PrefilteredLights()
NEUTRAL_LIGHT = neutral_light()


def environment_from_world(environment: Environment, camera: Camera) -> np.ndarray:
    """[3,3] float32 rotation into the light's own frame, for a view from `camera`."""
    rotation = environment.world_from_environment
    if environment.frame == "camera":
        rotation = camera.world_from_camera[:3, :3] @ rotation
    return np.ascontiguousarray(rotation.T, np.float32)


class PreviewRenderer:
    """Draws one snapshot: textures, vertex colours or a bare mesh by split sum, a volume by marching rays, or splats.

    Always on the CPU; no shadows or interreflections, as in AssetRenderer.
    """

    def __init__(self, snapshot: SceneSnapshot) -> None:
        self.snapshot = snapshot
        self._rasterizer = rasterizer("numba")
        mesh = snapshot.mesh
        self._mesh = mesh if mesh is not None and len(mesh.triangles) else None
        self._splats = SplatPreview(snapshot) if snapshot.shows_splats else None
        self._volume = snapshot.volume if self._mesh is None and self._splats is None else None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw yet."""
        return self._mesh is None and self._volume is None and self._splats is None

    @cached_property
    def box(self) -> np.ndarray | None:
        """[2,3] what is drawn lies in it; None where there is nothing."""
        if self._mesh is not None:
            return self._mesh.box.astype(np.float64)
        if self._splats is not None:
            return self._splats.box
        return None if self._volume is None else np.asarray(self._volume.box, np.float64)

    @cached_property
    def _source(self) -> SurfaceSource:
        return surface_source(self._mesh, self.snapshot.material, self.snapshot.vertex_colors)

    @cached_property
    def _hashed(self) -> np.ndarray:
        return preview_faces.hashed_colors(len(self._mesh.triangles))

    @cached_property
    def _quality(self) -> np.ndarray:
        return preview_faces.quality_colors(self._mesh.vertices, self._mesh.triangles)

    @cached_property
    def _edge_kinds(self) -> np.ndarray:
        return preview_faces.edge_kinds(self._source.triangles.numpy(), self._source.edges)

    @torch.no_grad()
    def image(
        self,
        camera: Camera,
        display: Display = "shaded",
        environment: Environment | None = None,  # None: the snapshot's own, or a neutral one where it has none
        exposure: float = 0.0,  # photographic stops
        *,
        background: bool = False,  # show the light behind the object
        draft: bool = False,  # leave silhouettes jagged
        cancelled: Callable[[], bool] = lambda: False,  # looked at now and then
    ) -> PreviewImage:
        """What `camera` sees; raises Cancelled when `cancelled` says so, ValueError for an unknown display.

        Where a display makes no sense for what there is, another is shown (engine/optimize/displays.py).
        """
        display = shown_display(display, displays_of(self.snapshot))
        if self._splats is not None:
            return self._splats.image(camera, display, exposure, draft=draft, cancelled=cancelled)
        light = environment or self.snapshot.environment or NEUTRAL_LIGHT
        lit = display in LIT
        surface, depth_range = None, self.depth_range(camera)
        depth = np.full(camera.size, np.inf, np.float32)
        triangle_id = np.zeros(camera.size, np.int32)
        if self._mesh is not None:
            surface = self._source.surface(camera)
            triangle_id = surface.buffer.triangle_id.numpy()
            depth.reshape(-1)[surface.buffer.pixel.numpy()] = surface.buffer.depth.numpy()
            values, linear = self._values(surface, camera, display, light, depth_range)
            image = self._composed(values, surface, draft)
        elif self._volume is not None:
            color, depth = march_view(self._volume, camera, cancelled)
            image, linear = self._volume_values(color, depth, camera, display, light, depth_range)
        else:
            image, linear = np.zeros((*camera.size, 4), np.float32), True
        if background and lit:
            rotation = environment_from_world(light, camera) @ camera.world_from_camera[:3, :3]
            numbers = (np.asarray(n, np.float32) for n in (rotation, camera.focal, camera.centre))
            light_behind(np.ascontiguousarray(light.radiance, np.float32), *numbers, image)
        rgba = np.empty((camera.height * camera.width, 4), np.uint8)
        gain = np.float32(2.0**exposure if lit else 1.0)
        encode(image.reshape(-1, 4), gain, linear, SRGB_TABLE, rgba)
        return PreviewImage(rgba.reshape(*camera.size, 4), depth, triangle_id, surface, depth_range)

    def render(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """(premultiplied linear colour [H,W,3], alpha [H,W]) under the snapshot's own light, as metrics ask for it."""
        light = self.snapshot.environment or NEUTRAL_LIGHT
        if self._splats is not None:
            return self._splats.render(camera)
        if self._mesh is not None:
            with torch.no_grad():
                surface = self._source.surface(camera)
                image = self._composed(self._values(surface, camera, "shaded", light, None)[0], surface, False)
        elif self._volume is not None:
            image = self._volume_values(*march_view(self._volume, camera), camera, "shaded", light, None)[0]
        else:
            image = np.zeros((*camera.size, 4), np.float32)
        return np.ascontiguousarray(image[..., :3]), np.clip(image[..., 3], 0, 1)

    def depth_range(self, camera: Camera) -> tuple[float, float] | None:
        """(near, far) that the display `depth` spans; None where there is nothing."""
        if self._splats is not None:
            return self._splats.depth_range(camera)
        if self.box is None:
            return None
        middle = float((self.box.mean(0) - camera.position) @ camera.forward)
        radius = float(np.linalg.norm(self.box[1] - self.box[0])) / 2
        return max(middle - radius, 0.0), max(middle + radius, 1e-6)

    def _values(
        self, surface: Surface, camera: Camera, display: Display, light: Environment, depth_range
    ) -> tuple[np.ndarray, bool]:
        """([P,3] colour of the covered pixels, whether it is linear)."""
        if display == "base_color":
            return surface.base_color.numpy(), True
        if display in ("roughness", "metallic"):
            column = surface.packed[:, 1 if display == "roughness" else 2].numpy()
            return np.repeat(column[:, None], 3, 1), False
        if display == "normal":
            normal = surface.normal.numpy()
            length = np.sqrt(np.einsum("pk,pk->p", normal, normal))[:, None]
            return normal * (0.5 / np.maximum(length, 1e-12)) + np.float32(0.5), False
        if display == "depth":
            return depth_colors(surface.buffer.depth.numpy(), depth_range), False
        if display == "triangle_id":
            return self._hashed[surface.buffer.triangle.numpy()], False
        if display == "quality":
            values = self._quality[surface.buffer.triangle.numpy()]
            self._draw_edges(surface, camera, QUALITY, values)
            return values, False
        values = self._shaded(surface, camera, light, display == "light")
        if display == "wireframe":
            self._draw_edges(surface, camera, WIRE, values)
        return values, True

    def _shaded(self, surface: Surface, camera: Camera, light: Environment, white: bool) -> np.ndarray:
        _, toward = positions(camera, surface.buffer.pixel, surface.buffer.depth)
        base_color, packed = surface.base_color, surface.packed
        if white:
            base_color = torch.full_like(base_color, WHITE)
            packed = torch.stack([packed[:, 0], torch.ones_like(packed[:, 0]), torch.zeros_like(packed[:, 0])], 1)
        occlusion, roughness, metallic = (packed[:, k].contiguous() for k in range(3))
        rotation = torch.from_numpy(environment_from_world(light, camera))
        material = base_color, roughness, metallic, occlusion
        shaded = shade("numba", LIGHTS.of(light), rotation, surface.normal, toward, *material)
        return (shaded.diffuse if white else shaded.color).numpy()

    def _draw_edges(self, surface: Surface, camera: Camera, colors: np.ndarray, values: np.ndarray) -> None:
        buffer = surface.buffer
        arrays = surface.clip.numpy(), self._source.triangles.numpy(), self._edge_kinds, colors, WIDTHS
        where = buffer.pixel.numpy(), buffer.triangle.numpy(), camera.height, camera.width
        draw_edges(*arrays, *where, np.float32(FADE), values)

    def _composed(self, values: np.ndarray, surface: Surface, draft: bool) -> np.ndarray:
        """[H,W,4] premultiplied."""
        four = np.ones((len(values), 4), np.float32)
        four[:, :3] = values
        image = self._rasterizer.compose(torch.from_numpy(four), surface.buffer, torch.zeros(4))
        if not draft:
            edges = self._source.edges
            image = self._rasterizer.coverage(image, surface.clip, self._source.triangles, surface.buffer, edges)
        return image.numpy()

    def _volume_values(
        self, color: np.ndarray, depth: np.ndarray, camera: Camera, display: Display, light: Environment, depth_range
    ) -> tuple[np.ndarray, bool]:
        """([H,W,4] premultiplied, whether linear) from marched encoded colour [H,W,4] and depth [H,W]."""
        solid = np.isfinite(depth)
        if display == "depth":
            image = np.zeros_like(color)
            image[solid] = np.column_stack([depth_colors(depth[solid], depth_range), np.ones(solid.sum())])
            return image, False
        if display in ("normal", "light"):
            return self._volume_shape(depth, solid, camera, display, light)
        image = color.copy()
        straight = color[..., :3] / np.maximum(color[..., 3:], 1e-6)
        image[..., :3] = srgb_to_linear(np.clip(straight, 0, 1)) * color[..., 3:]
        return image, True

    def _volume_shape(self, depth: np.ndarray, solid: np.ndarray, camera: Camera, display: Display, light: Environment):
        """Normals from the depth's slope, as colours or lit white."""
        pixel = torch.from_numpy(np.arange(depth.size))
        points, toward = positions(camera, pixel, torch.from_numpy(np.where(solid, depth, 0).reshape(-1)))
        grid = points.numpy().reshape(*depth.shape, 3)
        normal = np.cross(np.gradient(grid, axis=0), np.gradient(grid, axis=1)).astype(np.float32)[solid]
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-20)
        chosen = torch.from_numpy(np.flatnonzero(solid))
        facing = toward[chosen]
        normal = torch.from_numpy(np.where((normal * facing.numpy()).sum(1, keepdims=True) < 0, -normal, normal))
        if display == "normal":
            values, linear = normal.numpy() * 0.5 + 0.5, False
        else:
            rotation, ones = torch.from_numpy(environment_from_world(light, camera)), torch.ones(len(normal))
            white = torch.full((len(normal), 3), WHITE)
            values = shade("numba", LIGHTS.of(light), rotation, normal, facing, white, ones, 0 * ones).diffuse.numpy()
            linear = True
        image = np.zeros((*depth.shape, 4), np.float32)
        image[solid] = np.column_stack([values, np.ones(len(values))])
        return image, linear
