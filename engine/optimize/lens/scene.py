"""A snapshot as the stages render it, and one photo's pixel losses: what the three engines of the lens share.

A pixel's loss is its own log-encoded colour difference (mean over channels) and its squared mask difference, weighted;
windowed structure belongs to no single pixel and is left out. The loss's slope to the pixel is taken once, at the
antialiased image that the stages see, so that the engines differ by their derivative of the render alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.errors import CaptureError, GeometryError
from engine.exchange.hdr import reduced
from engine.exchange.render import LIGHT_ROWS
from engine.exchange.tangents import tangent_attributes
from engine.geometry.normals import vertex_normals
from engine.optimize.preview import environment_from_world, neutral_light
from engine.optimize.preview_surface import PLAIN
from engine.optimize.stages.view_pass import clip_positions, surface_points
from engine.optimize.textures import channels, resized_material, texture_from_material
from engine.raster import rasterizer
from engine.raster.contract import EdgeTable, VisibilityBuffer
from engine.raster.reference import located
from engine.raster.texture import build_pyramid, texture_level
from engine.scene import Camera, Environment
from engine.shading.environment import FLOOR
from engine.shading.normal_map import bent_normal, bent_normal_reference
from engine.shading.split_sum import PrefilteredLight, prefilter, shade
from engine.shading.tone import log_tonemap

if TYPE_CHECKING:
    from engine.optimize.snapshot import SceneSnapshot

Window = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of the view


class LensScene:
    """Tensors of a snapshot: a mesh with textures, with colours at its vertices, or bare. No gradients kept."""

    def __init__(self, snapshot: SceneSnapshot) -> None:
        """Raises GeometryError where the snapshot has no surface yet."""
        mesh, material = snapshot.mesh, snapshot.material
        if mesh is None or not len(mesh.triangles):
            raise GeometryError("the gradient lens needs a surface: run until a stage with a mesh has begun")
        self.mesh, self.box = mesh, mesh.box.astype(np.float64)
        self.vertices = torch.from_numpy(np.array(mesh.vertices, np.float32))
        self.triangles = torch.from_numpy(np.array(mesh.triangles, np.int32))
        self.normals = vertex_normals(self.vertices, self.triangles)
        self.raster = rasterizer("numba")
        self.texture: Tensor | None = None  # [S,S,8], see engine/optimize/textures.py
        self.materials: Tensor | None = None  # [V,8] of vertices, where there is no texture
        if material is not None and mesh.uvs is not None:
            maps = (material.base_color, material.occlusion_roughness_metallic, material.normal)
            side = max(max(values.shape[:2]) for values in maps if values is not None)
            self.texture = texture_from_material(resized_material(material, side))
            self.uvs = torch.from_numpy(np.array(mesh.uvs, np.float32))
            self.uv_triangles = torch.from_numpy(np.array(mesh.uv_triangles, np.int32))
            tangents, rows = tangent_attributes(mesh, self.normals.numpy())
            self.tangents, self.tangent_triangles = torch.from_numpy(tangents), torch.from_numpy(rows)
        else:
            colors = snapshot.vertex_colors
            known = np.tile(np.float32(PLAIN), (len(mesh.vertices), 1)) if colors is None else colors
            values = np.zeros((len(mesh.vertices), 8), np.float32)
            values[:, :5], values[:, 7] = known, 1
            self.materials = torch.from_numpy(values)
        light = snapshot.environment or neutral_light()
        self.environment: Environment = replace(light, radiance=reduced(light.radiance, LIGHT_ROWS))
        self.log_radiance = torch.from_numpy(np.array(self.environment.radiance, np.float32)).clamp_min(FLOOR).log()

    @cached_property
    def edges(self) -> EdgeTable:
        """Of the mesh."""
        return EdgeTable.from_triangles(self.triangles, len(self.vertices))

    @cached_property
    def pyramid(self) -> list[Tensor]:
        """Of the texture."""
        return build_pyramid(self.texture)

    @cached_property
    def light(self) -> PrefilteredLight:
        """The light as it is."""
        return prefilter(self.log_radiance.exp())


@dataclass(frozen=True)
class Look:
    """A window of the photo, looked at with hard edges through one place of its pixels, or several by magnifying."""

    camera: Camera
    slope: Tensor  # [h,w,4] of each pixel's loss to its premultiplied colour and alpha
    magnify: int = 1

    def contracted(self, color: Tensor, pixel: Tensor) -> Tensor:
        """[h,w] the slopes times the pixels, of radiance [P,3] at `pixel` [P]; the background is zero."""
        height, width = self.slope.shape[:2]
        row, column = pixel // self.camera.width // self.magnify, pixel % self.camera.width // self.magnify
        place = row * width + column
        slope = self.slope.reshape(-1, 4)[place]
        values = ((color * slope[:, :3]).sum(1) + slope[:, 3]) / self.magnify**2
        return torch.zeros(height * width, dtype=values.dtype).index_add(0, place, values).view(height, width)


@dataclass(frozen=True)
class Points:
    """What a look sees, and the materials there."""

    look: Look
    clip: Tensor  # [V,4]
    buffer: VisibilityBuffer
    toward: Tensor  # [P,3]
    rotation: Tensor  # [3,3] environment_from_world
    uv: Tensor | None = None  # [P,2]
    level: Tensor | None = None  # [P]
    materials: Tensor | None = None  # [P,8]


class LensView:
    """A scene and one photo of it."""

    def __init__(
        self,
        scene: LensScene,
        camera: Camera,
        premultiplied: np.ndarray,  # [H,W,3] linear colour times alpha
        alpha: np.ndarray,  # [H,W]
        color_weight: float = 1.0,
        mask_weight: float = 2.0,
        *,
        moving_texture: bool = False,  # False: materials stay with their pixels when vertices move, as in the stages
    ) -> None:
        self.scene, self.camera, self.moving_texture = scene, camera, moving_texture
        photo, mask = torch.from_numpy(np.array(premultiplied)), torch.from_numpy(np.array(alpha))
        whole = (0, 0, camera.width, camera.height)
        blank = Look(camera, torch.zeros(*camera.size, 4))
        points = self.seen(blank, scene.vertices)
        color = self.shaded(points, scene.normals, points.materials, scene.light)
        image = self.antialiased(points, color).detach().requires_grad_()
        difference = (log_tonemap(image[..., :3]) - log_tonemap(photo)).abs().mean(-1)
        loss = color_weight * difference + mask_weight * (image[..., 3] - mask) ** 2
        (self.slope,) = torch.autograd.grad(loss.sum(), image)  # [H,W,4]
        self.image, self.loss = image.detach(), loss.detach()
        if not bool(torch.isfinite(self.slope).all()):
            raise CaptureError("the photo or its render has values that are not finite; the lens cannot compare them")
        self.whole: Window = whole

    def look(self, window: Window, magnify: int = 1, offset: tuple[float, float] = (0.0, 0.0)) -> Look:
        """A window (x0, y0, x1, y1), its pixels met `offset` (x, y) pixels beside their centres."""
        x0, y0, x1, y1 = window
        camera = self.camera.cropped(x0, y0, x1 - x0, y1 - y0)
        camera = replace(camera, centre=(camera.centre[0] - offset[0], camera.centre[1] - offset[1]))
        camera = camera.resized(camera.width * magnify, camera.height * magnify) if magnify > 1 else camera
        return Look(camera, self.slope[y0:y1, x0:x1].contiguous(), magnify)

    def seen(self, look: Look, vertices: Tensor, triangles: Tensor | None = None) -> Points:
        """Visibility of the mesh, or of some of its triangles ([f] indices), and the materials there."""
        scene = self.scene
        chosen = scene.triangles if triangles is None else scene.triangles[triangles]
        clip = clip_positions(vertices, look.camera, scene.box)
        buffer = scene.raster.visibility(clip.detach(), chosen.contiguous(), look.camera.size)
        if triangles is not None:  # back to the numbers of the whole mesh
            named = torch.cat([torch.zeros(1, dtype=torch.int64), triangles.long() + 1]).int()
            buffer = replace(
                buffer, triangle_id=named[buffer.triangle_id.long()], triangle=triangles.long()[buffer.triangle]
            )
        if vertices.requires_grad:
            buffer = located(buffer.triangle_id, clip, scene.triangles)
        _, toward = surface_points(look.camera, buffer)
        rotation = torch.from_numpy(environment_from_world(scene.environment, look.camera))
        return self._with_materials(Points(look, clip, buffer, toward, rotation))

    def _with_materials(self, points: Points) -> Points:
        scene, buffer, look = self.scene, points.buffer, points.look
        through = rasterizer("reference") if points.clip.requires_grad else scene.raster
        if scene.texture is None:
            values = through.interpolate(scene.materials, scene.triangles, buffer)
            return replace(points, materials=values if self.moving_texture else values.detach())
        uv = through.interpolate(scene.uvs, scene.uv_triangles, buffer)
        uv = uv if self.moving_texture else uv.detach()
        # of magnified looks the texels of a whole pixel
        size = tuple(side * look.magnify for side in scene.texture.shape[:2])
        tables = scene.triangles, scene.uvs, scene.uv_triangles
        level = texture_level(points.clip.detach(), *tables, buffer, buffer.size, size)
        return replace(points, uv=uv, level=level, materials=through.texture(scene.pyramid, uv, level))

    def shaded(self, points: Points, normals: Tensor, materials: Tensor, light: PrefilteredLight) -> Tensor:
        """[P,3] linear radiance under vertex normals [V,3]; twice differentiable where an input asks for gradients."""
        inputs = normals, materials, light.levels, points.buffer.barycentrics
        differentiable = any(x.requires_grad for x in inputs)
        color, roughness, metallic, slope, occlusion = channels(materials)
        normal = self.normal_of(points, normals, slope, differentiable)
        parts = (x.contiguous() for x in (color, roughness, metallic, occlusion))
        name = "reference" if differentiable else "numba"
        return shade(name, light, points.rotation, normal, points.toward, *parts).color

    def normal_of(
        self, points: Points, normals: Tensor | None = None, slope: Tensor | None = None, differentiable: bool = False
    ) -> Tensor:
        """[P,3] unit shading normals; without arguments those of the scene as it is."""
        scene, buffer = self.scene, points.buffer
        through = rasterizer("reference") if differentiable else scene.raster
        normal = through.interpolate(scene.normals if normals is None else normals, scene.triangles, buffer)
        if scene.texture is None:
            return torch.nn.functional.normalize(normal, dim=1)
        still = replace(buffer, barycentrics=buffer.barycentrics.detach())
        tangent = scene.raster.interpolate(scene.tangents, scene.tangent_triangles, still)
        slope = channels(points.materials)[3] if slope is None else slope
        return (bent_normal_reference if differentiable else bent_normal)(normal, tangent, slope)

    def antialiased(self, points: Points, color: Tensor) -> Tensor:
        """[h,w,4] premultiplied colour and alpha with the stages' coverage at silhouettes."""
        scene, buffer = self.scene, points.buffer
        differentiable = color.requires_grad or points.clip.requires_grad
        through = rasterizer("reference") if differentiable else scene.raster
        values = torch.cat([color, torch.ones_like(color[:, :1])], 1)
        image = through.compose(values, buffer, torch.zeros(4))
        return through.coverage(image, points.clip, scene.triangles, buffer, scene.edges)
