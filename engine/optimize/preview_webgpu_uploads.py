"""What previews keep on the GPU between pictures and between snapshots: meshes, textures, lights.

Snapshots share the arrays that did not change between them, so everything here is kept by the identity of arrays.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np
import torch

from engine.exchange.tangents import tangent_attributes
from engine.geometry.normals import vertex_normals
from engine.kernels.webgpu import Gpu
from engine.kernels.wgsl import compose
from engine.optimize import preview_faces
from engine.optimize.preview_surface import PLAIN
from engine.raster.contract import EdgeTable
from engine.raster.texture_pyramid import level_sizes
from engine.scene import Environment, Material, Mesh
from engine.shading.split_sum import PrefilteredLight
from engine.shading.webgpu import GpuLight

if TYPE_CHECKING:
    from engine.optimize.snapshot import SceneSnapshot

T = TypeVar("T")
KEPT = {"light": 4, "texture": 4}  # how many of a kind are kept; of others the last one
LARGEST_HALF = 65504.0
NORMAL_MAP, BASE_COLOR, PACKED = 11, 8, 9  # bindings of textures in material_texture.wgsl and normal_mapped.wgsl


@dataclass(frozen=True)
class MeshBuffers:
    """A mesh as preview_scene.wgsl reads it."""

    vertex_count: int
    triangle_count: int
    positions: Any  # f32 [V,3]
    triangles: Any  # u32 [F,3]
    clip: Any  # vec4f [V], written for every picture
    attributes: Any  # vec4u [V] signed 16-bit fractions: normal, roughness, base colour, metallic
    corners: Any | None  # vec2f [F,3,1 or 3] texture coordinates, tangents; None without textures
    has_tangents: bool


def _textured(snapshot: SceneSnapshot) -> bool:
    """As `preview_surface.surface_source` chooses."""
    return snapshot.material is not None and (snapshot.mesh.uvs is not None or snapshot.vertex_colors is None)


class PreviewUploads:
    """Device copies for the drawing of snapshots, made when first asked for; belongs to one thread."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self._kept: dict[str, OrderedDict[tuple[int, ...], tuple[tuple, Any]]] = {}

    def _keep(self, kind: str, sources: tuple, make: Callable[[], T]) -> T:
        """What `make` made of `sources`, which are known by identity and kept alive."""
        kept = self._kept.setdefault(kind, OrderedDict())
        key = tuple(id(source) for source in sources)
        if key not in kept:
            kept[key] = sources, make()
        kept.move_to_end(key)
        while len(kept) > KEPT.get(kind, 1):
            kept.popitem(last=False)
        return kept[key][1]

    # -- meshes

    def mesh(self, snapshot: SceneSnapshot) -> MeshBuffers:
        """The geometry and what vertices and corners carry."""
        mesh, material = snapshot.mesh, snapshot.material if _textured(snapshot) else None
        normal = None if material is None else material.normal
        parts = mesh.vertices, mesh.triangles, mesh.uvs, mesh.uv_triangles, snapshot.vertex_colors, normal
        return self._keep("mesh", (*parts, material is None), lambda: self._mesh(snapshot, material))

    def _mesh(self, snapshot: SceneSnapshot, material: Material | None) -> MeshBuffers:
        mesh, gpu = snapshot.mesh, self.gpu
        vertices = np.ascontiguousarray(mesh.vertices, np.float32)
        triangles = np.ascontiguousarray(mesh.triangles, np.int32)
        with torch.no_grad():
            normals = vertex_normals(torch.from_numpy(vertices), torch.from_numpy(triangles)).numpy()
        attributes = np.empty((len(vertices), 8), np.float32)
        attributes[:, :3], attributes[:, 3:] = normals, (PLAIN[3], *PLAIN[:3], PLAIN[4])
        corners, has_tangents = None, False
        if material is not None:
            corners, has_tangents = self._corners(mesh, material, normals)
        elif snapshot.vertex_colors is not None:
            attributes[:, 3:] = snapshot.vertex_colors[:, [3, 0, 1, 2, 4]]
        return MeshBuffers(
            len(vertices),
            len(triangles),
            gpu.buffer(vertices, label="vertices"),
            gpu.buffer(triangles, label="triangles"),
            gpu.buffer(16 * len(vertices), label="clip positions"),
            gpu.buffer(np.round(32767 * attributes.clip(-1, 1)).astype(np.int16), label="vertices' materials"),
            None if corners is None else gpu.buffer(corners, label="texture coordinates"),
            has_tangents,
        )

    @staticmethod
    def _corners(mesh: Mesh, material: Material, normals: np.ndarray) -> tuple[np.ndarray, bool]:
        if mesh.uvs is None:
            return np.zeros((len(mesh.triangles), 3, 2), np.float32), False
        uv = np.asarray(mesh.uvs, np.float32)[mesh.uv_triangles]  # [F,3,2]
        if material.normal is None:
            return np.ascontiguousarray(uv), False
        tangents, rows = tangent_attributes(mesh, normals)
        return np.ascontiguousarray(np.concatenate([uv, tangents[rows]], -1), np.float32), True

    # -- what displays of triangles need

    def edges(self, snapshot: SceneSnapshot) -> Any:
        """u32 [E,4]: vertices of every edge and the third ones of its triangles, as silhouettes.wgsl reads them."""
        mesh = snapshot.mesh

        def made() -> Any:
            table = self._edge_table(mesh)
            return self.gpu.buffer(torch.cat([table.edges, table.opposite], 1).numpy(), label="edges")

        return self._keep("edges", (mesh.triangles,), made)

    def _edge_table(self, mesh: Mesh) -> EdgeTable:
        triangles = torch.from_numpy(np.ascontiguousarray(mesh.triangles, np.int32))
        build = lambda: EdgeTable.from_triangles(triangles, len(mesh.vertices))  # noqa: E731
        return self._keep("edge table", (mesh.triangles,), build)

    def faces(self, snapshot: SceneSnapshot, display: str) -> Any:
        """u32 [F] colours and edges' kinds as face_marks.wgsl reads them; for `triangle_id`, `quality`, `wireframe`."""
        mesh = snapshot.mesh

        def made() -> Any:
            packed = np.zeros((len(mesh.triangles), 4), np.uint8)
            if display == "triangle_id":
                packed[:, :3] = np.round(255 * preview_faces.hashed_colors(len(packed)))
            else:
                kinds = preview_faces.edge_kinds(np.asarray(mesh.triangles, np.int32), self._edge_table(mesh))
                packed[:, 3] = kinds[:, 0] | kinds[:, 1] << 2 | kinds[:, 2] << 4
            if display == "quality":
                packed[:, :3] = np.round(255 * preview_faces.quality_colors(mesh.vertices, mesh.triangles))
            return self.gpu.buffer(packed.view(np.uint32), label="triangles' colours")

        shape = mesh.vertices if display == "quality" else None
        return self._keep(f"faces {display}", (mesh.triangles, shape), made)

    # -- textures and lights

    def textures(self, snapshot: SceneSnapshot) -> dict[int, Any]:
        """Views of the material's textures by binding; empty where vertices carry the material."""
        if not _textured(snapshot):
            return {}
        material, bare = snapshot.material, snapshot.mesh.uvs is None
        maps = {BASE_COLOR: material.base_color, PACKED: material.occlusion_roughness_metallic}
        if material.normal is not None and not bare:
            maps[NORMAL_MAP] = material.normal
        return {
            binding: self._keep("texture", (values, bare), lambda v=values: self._image(v[:1, :1] if bare else v))
            for binding, values in maps.items()
        }

    def _image(self, values: np.ndarray, mips: bool = True) -> Any:
        """A view of half-precision `values` [H,W,3], scaled down to what the device takes, with its pyramid."""
        gpu, most = self.gpu, self.gpu.limits["max-texture-dimension-2d"]
        values = np.asarray(values, np.float32)
        if max(values.shape[:2]) > most:
            share = most / max(values.shape[:2])
            size = tuple(max(1, int(side * share)) for side in values.shape[1::-1])
            values = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
        height, width = values.shape[:2]
        packed = torch.zeros((height, width, 4), dtype=torch.float16)
        packed[..., :3] = torch.from_numpy(np.ascontiguousarray(values)).clamp(-LARGEST_HALF, LARGEST_HALF)
        sizes = level_sizes(height, width) if mips else [(height, width)]
        usage = "TEXTURE_BINDING|STORAGE_BINDING|COPY_DST"
        texture = gpu.texture((height, width), "rgba16float", usage, levels=len(sizes), label="a texture")
        with gpu.calls("uploading a texture"):
            gpu.device.queue.write_texture(
                {"texture": texture}, packed.numpy(), {"bytes_per_row": 8 * width}, (width, height, 1)
            )
            views = [texture.create_view(base_mip_level=i, mip_level_count=1) for i in range(len(sizes))]
        if len(sizes) > 1:
            pipeline = gpu.compute(compose("texture_image_mips"), "halve")
            encoder = gpu.encoder()
            for i, (h, w) in enumerate(sizes[1:], 1):
                gpu.dispatch(encoder, pipeline, [views[i - 1], views[i]], (-(-w // 8), -(-h // 8), 1))
            gpu.submit(encoder)
        with gpu.calls("looking at a texture"):
            return texture.create_view()

    def light(self, environment: Environment, prefiltered: PrefilteredLight) -> GpuLight:
        """The prefiltered light of `environment`; its frame is the caller's to turn."""
        return self._keep("light", (environment,), lambda: GpuLight.of(self.gpu, prefiltered))

    def backdrop(self, environment: Environment) -> Any:
        """A view of the sharp light."""
        return self._keep("backdrop", (environment.radiance,), lambda: self._image(environment.radiance, mips=False))

    def nothing(self) -> Any:
        """A view of a texture of one black texel."""
        return self._keep("nothing", (None,), lambda: self._image(np.zeros((1, 1, 3), np.float32), mips=False))

    def sampler(self, kind: str) -> Any:
        """`trilinear` for textures; `around` for lights, which repeat in u."""

        def made() -> Any:
            with self.gpu.calls("making a sampler"):
                return self.gpu.device.create_sampler(
                    address_mode_u="repeat" if kind == "around" else "clamp-to-edge",
                    mag_filter="linear",
                    min_filter="linear",
                    mipmap_filter="linear",
                )

        return self._keep(f"sampler {kind}", (None,), made)
