"""What a camera sees of a snapshot's surface: through textures, or through values kept at the mesh's vertices."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from engine.exchange.render import AssetRenderer, Surface
from engine.geometry.normals import vertex_normals
from engine.optimize.stages.view_kernels import unproject
from engine.raster import rasterizer
from engine.raster.contract import EdgeTable
from engine.scene import Camera, Material, Mesh

PLAIN = (0.5, 0.5, 0.5, 0.6, 0.0)  # base colour, roughness, metallic where nothing is known yet


class SurfaceSource(Protocol):
    """Anything that lists what a camera sees."""

    triangles: torch.Tensor  # [F,3] int32

    @property
    def edges(self) -> EdgeTable: ...

    def surface(self, camera: Camera) -> Surface: ...


class VertexSurface:
    """A mesh with base colour, roughness and metallic at its vertices, or none of them."""

    def __init__(self, mesh: Mesh, colors: np.ndarray | None) -> None:
        """colors: [V,5] linear base colour, roughness, metallic."""
        self._rasterizer = rasterizer("numba")
        self._box = mesh.box.astype(np.float64)
        vertices = torch.from_numpy(np.ascontiguousarray(mesh.vertices, np.float32))
        self._vertices = vertices
        self.triangles = torch.from_numpy(np.ascontiguousarray(mesh.triangles, np.int32))
        self._colored = colors is not None
        normals = vertex_normals(vertices, self.triangles)
        parts = [normals, torch.from_numpy(np.ascontiguousarray(colors, np.float32))] if self._colored else [normals]
        self._attributes = torch.cat(parts, 1)
        self._edges: EdgeTable | None = None

    @property
    def edges(self) -> EdgeTable:
        """The mesh's edges, listed when first asked for."""
        if self._edges is None:
            self._edges = EdgeTable.from_triangles(self.triangles, len(self._vertices))
        return self._edges

    @torch.no_grad()
    def surface(self, camera: Camera) -> Surface:
        """The points, normals and materials that `camera` sees, not yet lit."""
        matrix = torch.from_numpy(camera.clip_from_world(*camera.depth_range(self._box))).float()
        clip = torch.addmm(matrix[:, 3], self._vertices, matrix[:, :3].T)
        buffer = self._rasterizer.visibility(clip, self.triangles, camera.size)
        values = self._rasterizer.interpolate(self._attributes, self.triangles, buffer)
        if self._colored:
            base_color, roughness, metallic = values[:, 3:6].contiguous(), values[:, 6], values[:, 7]
        else:
            base_color = values.new_tensor(PLAIN[:3]).expand(len(values), 3).contiguous()
            roughness, metallic = values.new_full((len(values),), PLAIN[3]), values.new_full((len(values),), PLAIN[4])
        packed = torch.stack([torch.ones_like(roughness), roughness, metallic], 1)
        points, _ = positions(camera, buffer.pixel, buffer.depth)
        return Surface(clip, buffer, points, values[:, :3].contiguous(), base_color, packed)


def positions(camera: Camera, pixel: torch.Tensor, depth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """([P,3] world points, [P,3] unit directions toward the camera) of pixels [P] with camera depth [P]."""
    numbers = (np.asarray(n, np.float32) for n in (camera.focal, camera.centre, camera.world_from_camera))
    points, toward = torch.empty(2, len(pixel), 3)
    unproject(pixel.numpy(), depth.numpy(), camera.width, *numbers, points.numpy(), toward.numpy())
    return points, toward


def surface_source(mesh: Mesh, material: Material | None, colors: np.ndarray | None) -> SurfaceSource:
    """Textures where the mesh has them, else vertex colours [V,5], else one material for all."""
    textured = material is not None and (mesh.uvs is not None or colors is None)
    return AssetRenderer(mesh, material) if textured else VertexSurface(mesh, colors)
