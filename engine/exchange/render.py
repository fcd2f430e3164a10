"""The renderer of finished assets: evaluation, the check of exported files and `unrender render` all draw with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.exchange.hdr import reduced
from engine.exchange.tangents import tangent_attributes
from engine.raster import RasterizerName, rasterizer
from engine.raster.contract import EdgeTable, VisibilityBuffer
from engine.raster.texture import build_pyramid, texture_level
from engine.scene import Camera, Environment, Material, Mesh
from engine.shading.normal_map import bent_normal

# Prefiltering costs the cube of a light's rows; larger maps are averaged down to this many.
LIGHT_ROWS = 64


@dataclass(frozen=True)
class SurfaceMaps:
    """What the nearest surface is at every pixel centre, not antialiased; zero where there is none."""

    base_color: np.ndarray  # [H,W,3] float32, linear
    occlusion: np.ndarray  # [H,W]
    roughness: np.ndarray  # [H,W]
    metallic: np.ndarray  # [H,W]
    normal: np.ndarray  # [H,W,3] unit, world, with the normal map
    depth: np.ndarray  # [H,W] camera z, capture units
    alpha: np.ndarray  # [H,W] 0 or 1


@dataclass(frozen=True)
class Surface:
    """What the covered pixels of one view see, as the rasterizer lists them."""

    clip: Tensor  # [V,4]
    buffer: VisibilityBuffer
    points: Tensor  # [P,3]
    normal: Tensor  # [P,3] unit
    base_color: Tensor  # [P,3]
    packed: Tensor  # [P,3] occlusion, roughness, metallic


def shading_normal(normals: Tensor, tangents: Tensor | None = None, texture: Tensor | None = None) -> Tensor:
    """[P,3] unit normals: the interpolated ones, or turned by a tangent-space map as MikkTSpace says.

    normals [P,3] and tangents [P,4] are as interpolated, not renormalised; texture [P,3] is tangent-space, need not be
    unit. Differentiable.
    """
    if tangents is not None and texture is not None:
        return bent_normal(normals, tangents, texture)
    return torch.nn.functional.normalize(normals, dim=-1)


class AssetRenderer:
    """Draws one asset from many views; keeps textures' pyramids and the prefiltered light between them.

    Split-sum shading, no shadows or interreflections; occlusion darkens the light as glTF says. Lights of more than 64
    rows are averaged down, so mirrors show them blurred.
    """

    def __init__(
        self,
        mesh: Mesh,
        material: Material,
        environment: Environment | None = None,  # None: only `render_maps`
        rasterizer_name: RasterizerName = "numba",
    ):
        self._rasterizer = rasterizer(rasterizer_name)
        self._device = torch.device("cuda" if rasterizer_name == "nvdiffrast" else "cpu")
        self._shading = "reference" if self._device.type == "cuda" else "numba"
        self._box = mesh.box.astype(np.float64)
        self._vertices = np.asarray(mesh.vertices, np.float64)
        normals = mesh.vertex_normals()
        self._attributes = self._tensor(np.concatenate([mesh.vertices, normals], 1))
        self.triangles = self._tensor(mesh.triangles, np.int32)
        self.edges = EdgeTable.from_triangles(self.triangles, len(mesh.vertices))
        self._uvs = self._uv_triangles = self._tangents = self._tangent_triangles = None
        if mesh.uvs is not None:
            self._uvs, self._uv_triangles = self._tensor(mesh.uvs), self._tensor(mesh.uv_triangles, np.int32)
            if material.normal is not None:
                tangents, tangent_triangles = tangent_attributes(mesh, normals)
                self._tangents = self._tensor(tangents)
                self._tangent_triangles = self._tensor(tangent_triangles, np.int32)
        maps = [material.base_color, material.occlusion_roughness_metallic]
        if self._tangents is not None:
            maps.append(material.normal)
        # textures of one size are looked up together
        self._pyramids: list[tuple[list[int], list[Tensor]]] = []
        for size in dict.fromkeys(texture.shape[:2] for texture in maps):
            members = [i for i, texture in enumerate(maps) if texture.shape[:2] == size]
            joined = self._tensor(np.concatenate([maps[i] for i in members], -1))
            self._pyramids.append((members, build_pyramid(joined)))
        self._environment = environment
        self._light = None
        if environment is not None:
            from engine.shading.split_sum import prefilter

            with torch.no_grad():
                self._light = prefilter(self._tensor(reduced(environment.radiance, LIGHT_ROWS)))

    def render(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """(premultiplied linear colour [H,W,3], alpha [H,W]) float32, antialiased at silhouettes, on nothing."""
        if self._light is None:
            raise ValueError("an AssetRenderer without an environment renders maps only")
        from engine.shading.split_sum import shade

        with torch.no_grad():
            surface = self.surface(camera)
            position = self._tensor(camera.position)
            view = torch.nn.functional.normalize(position - surface.points, dim=-1)
            shaded = shade(
                self._shading,
                self._light,
                self._tensor(self._environment_from_world(camera)),
                surface.normal,
                view,
                surface.base_color,
                surface.packed[:, 1].contiguous(),
                surface.packed[:, 2].contiguous(),
                surface.packed[:, 0].contiguous(),
            )
            values = torch.cat([shaded.color, torch.ones_like(shaded.color[:, :1])], -1)
            image = self._rasterizer.compose(values, surface.buffer, values.new_zeros(4))
            image = self._rasterizer.coverage(image, surface.clip, self.triangles, surface.buffer, self.edges)
        pixels = image.cpu().numpy()
        return np.ascontiguousarray(pixels[..., :3]), np.clip(pixels[..., 3], 0, 1)

    def render_maps(self, camera: Camera) -> SurfaceMaps:
        """The material, normal and depth of what every pixel centre sees."""
        with torch.no_grad():
            surface = self.surface(camera)
            values = torch.cat(
                [
                    surface.base_color,
                    surface.packed,
                    surface.normal,
                    surface.buffer.depth[:, None].float(),
                    torch.ones_like(surface.packed[:, :1]),
                ],
                -1,
            )
            image = self._rasterizer.compose(values, surface.buffer, values.new_zeros(values.shape[1]))
        pixels = image.cpu().numpy()
        parts = [np.ascontiguousarray(part) for part in np.split(pixels, [3, 4, 5, 6, 9, 10], axis=-1)]
        base_color, occlusion, roughness, metallic, normal, depth, alpha = parts
        return SurfaceMaps(
            base_color, occlusion[..., 0], roughness[..., 0], metallic[..., 0], normal, depth[..., 0], alpha[..., 0]
        )

    @torch.no_grad()
    def surface(self, camera: Camera) -> Surface:
        """The points, normals and materials that `camera` sees, not yet lit."""
        matrix = camera.clip_from_world(*camera.depth_range(self._box))
        clip = self._tensor(self._vertices @ matrix[:, :3].T + matrix[:, 3])
        buffer = self._rasterizer.visibility(clip, self.triangles, camera.size)
        attributes = self._rasterizer.interpolate(self._attributes, self.triangles, buffer)
        base_color, packed, texture = self._textures(clip, buffer, camera.size)
        tangents = None
        if self._tangents is not None:
            tangents = self._rasterizer.interpolate(self._tangents, self._tangent_triangles, buffer)
        normal = shading_normal(attributes[:, 3:], tangents, texture)
        return Surface(clip, buffer, attributes[:, :3].contiguous(), normal, base_color, packed)

    def _textures(self, clip: Tensor, buffer: VisibilityBuffer, size: tuple[int, int]) -> list[Tensor | None]:
        """[base colour, occlusion-roughness-metallic, normal or None], each [P,3]."""
        looked_up: list[Tensor | None] = [None, None, None]
        uv = None
        for members, pyramid in self._pyramids:
            texture_size = tuple(pyramid[0].shape[:2])
            if self._uvs is None or texture_size == (1, 1):
                values = pyramid[0][:1, 0].expand(len(buffer.pixel), -1)
            else:
                if uv is None:
                    uv = self._rasterizer.interpolate(self._uvs, self._uv_triangles, buffer)
                arguments = clip, self.triangles, self._uvs, self._uv_triangles, buffer, size, texture_size
                values = self._rasterizer.texture(pyramid, uv, texture_level(*arguments))
            for place, member in enumerate(members):
                looked_up[member] = values[:, 3 * place : 3 * place + 3].contiguous()
        return looked_up

    def _environment_from_world(self, camera: Camera) -> np.ndarray:
        rotation = self._environment.world_from_environment
        if self._environment.frame == "camera":
            rotation = camera.world_from_camera[:3, :3] @ rotation
        return rotation.T

    def _tensor(self, array: np.ndarray, dtype: type = np.float32) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype)).to(self._device)


def render_asset(
    mesh: Mesh,
    material: Material,
    environment: Environment,
    camera: Camera,
    rasterizer_name: RasterizerName = "numba",
) -> tuple[np.ndarray, np.ndarray]:
    """One view: (premultiplied linear colour [H,W,3], alpha [H,W]); for many views keep an AssetRenderer."""
    return AssetRenderer(mesh, material, environment, rasterizer_name).render(camera)
