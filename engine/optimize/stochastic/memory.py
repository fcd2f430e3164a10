"""Everything of a stochastic loop that lies on the device: mesh, textures, photos, sums, and what a step is told."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from engine.errors import DeviceError
from engine.kernels.webgpu import UNIFORM, Gpu
from engine.kernels.wgsl import ShaderSource, compose
from engine.optimize.stochastic import topology
from engine.optimize.stochastic.limits import misfit
from engine.optimize.stochastic.loop_texture import LoopTexture
from engine.optimize.stochastic.options import GROUPS, TEXTURES, LoopOptions
from engine.optimize.stochastic.scene import LoopScene, LoopView
from engine.raster.webgpu.visibility import VisibilityPass
from engine.scene import Camera
from engine.shading.blackbox import shader_alias
from engine.shading.tone import log_tonemap

SUMS_HEAD = 32  # counters and scales before the sums, as loop_sums.wgsl says
LAST_LARGEST, LARGEST = 1, 3  # words of the head
WORK = 160  # bytes of what loop_work.wgsl has
ALIGNED = 256  # bytes between two uniforms of one buffer
GROUP = 64  # invocations of a one-dimensional kernel
TILE = 8  # side of a workgroup of pixels or texels
HALF = 65504.0  # the largest number in half precision
EXACT_PHOTO_BYTES = 1 << 29  # photos beyond it are kept in half precision

STEP = np.dtype(
    [
        ("key", "u4"),
        ("vertices", "u4"),
        ("stride", "u4"),
        ("triangles", "u4"),
        ("eps", "f4"),
        ("growth", "f4"),
        ("limit", "f4"),
        ("rate", "f4"),
        ("beta1", "f4"),
        ("beta2", "f4"),
        ("correction1", "f4"),
        ("correction2", "f4"),
        ("texture_size", "u4", 2),
        ("levels", "u4"),
        ("texels", "u4"),
        ("recalled", "f4"),
        ("unused", "f4", 3),
    ]
)
VIEW = np.dtype(
    [
        ("camera_from_world", "f4", (3, 4)),
        ("projection", "f4", 4),
        ("position", "f4", 3),
        ("distance", "f4"),
        ("depth", "f4", 2),
        ("focal", "f4"),
        ("mask", "f4"),
        ("size", "u4", 2),
        ("unused", "u4", 2),
    ]
)


def bounding_sphere(vertices: np.ndarray) -> tuple[np.ndarray, float]:
    """(centre [3], radius) of a sphere around `vertices` [V,3]; the radius is above 0."""
    low, high = vertices.min(0).astype(np.float64), vertices.max(0).astype(np.float64)
    return (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 1e-6)


def view_record(camera: Camera, sphere: tuple[np.ndarray, float], mask: float) -> np.ndarray:
    """[1] VIEW: the camera, with near and far around twice the scene's bounding sphere (centre [3], radius)."""
    (fx, fy), (cx, cy) = camera.focal, camera.centre
    centre, radius = sphere
    depth = float((centre - camera.position) @ camera.forward)
    far = max(depth + 2 * radius, 1e-6)
    near = max(depth - 2 * radius, far * 1e-3)
    record = np.zeros(1, VIEW)
    record["camera_from_world"] = camera.camera_from_world[:3]
    across = 2 * fx / camera.width, 2 * cx / camera.width - 1
    record["projection"] = (*across, 2 * fy / camera.height, 2 * cy / camera.height - 1)
    record["position"], record["distance"] = camera.position, np.linalg.norm(centre - camera.position)
    record["depth"] = ((far + near) / (far - near), -2 * far * near / (far - near))
    record["focal"], record["mask"] = np.sqrt(fx * fy), mask
    record["size"] = (camera.width, camera.height)
    return record


def encoded_photo(view: LoopView, tone: str) -> np.ndarray:
    """[H,W,4] float32: what the loss compares, colour as `tone` encodes it and alpha."""
    return np.concatenate([encoded(view.color, tone), view.alpha[..., None]], -1).astype(np.float32)


def encoded(color: np.ndarray, tone: str) -> np.ndarray:
    """[...,3] float32: linear radiance [...,3] as the loss compares it."""
    color = np.ascontiguousarray(color, np.float32)
    return log_tonemap(torch.from_numpy(color)).numpy() if tone == "log" else color


class LoopMemory:
    """Buffers and textures of one loop on one device; `views` may differ in size."""

    def __init__(self, gpu: Gpu, scene: LoopScene, views: list[LoopView], options: LoopOptions, sums: int) -> None:
        """sums: the most that a group needs, textures left out. Raises DeviceError for what the device cannot hold."""
        self.gpu, self.scene, self.options = gpu, scene, options
        self._check(views)
        vertices = np.ascontiguousarray(scene.vertices, np.float32)
        triangles = np.ascontiguousarray(scene.triangles, np.uint32)
        self.vertex_count, self.triangle_count = len(vertices), len(triangles)
        self.stride = -(-self.vertex_count // 16) * 16  # sections begin at multiples of 256 bytes
        self.sphere = bounding_sphere(vertices)
        edges = vertices[triangles] - vertices[np.roll(triangles, 1, 1)]
        self.edge_length = float(np.linalg.norm(edges, axis=-1).mean())
        self._mesh(vertices, triangles)
        self._texture()
        self._sums(sums)
        self.step = gpu.buffer(np.zeros(1, STEP), usage=UNIFORM, label="step")
        self.work = gpu.buffer(WORK, usage="STORAGE|UNIFORM|INDIRECT", label="work on covered pixels")
        self.largest = gpu.buffer(4 * len(GROUPS) * len(views), label="largest differences")
        self._views(views)

    def _check(self, views: list[LoopView]) -> None:
        """Raise DeviceError where the device has no float atomics that are asked for, or no room."""
        gpu, scene = self.gpu, self.scene
        if self.options.float_atomics and not gpu.float_atomics:
            raise DeviceError(
                f"{gpu.adapter.name} cannot add floating-point numbers atomically (wgpu's shader-float32-atomic); "
                "set optimize.float_atomics=false"
            )
        found = misfit(
            gpu.limits,
            gpu.adapter.name,
            vertices=scene.point_count,
            triangles=scene.face_count,
            photo=max((view.camera.size for view in views), key=math.prod),
            texture=None if scene.texture is None else scene.texture.shape[:2],
            tangents=0 if scene.tangents is None else len(scene.tangents),
            mips=scene.mips,
        )
        if found is not None:
            raise DeviceError(f"the stochastic loop does not fit: {found}")

    def _sums(self, most: int) -> None:
        """Reserve the sums of credit: three per texel side by side, or in three buffers where no binding holds them."""
        texels = self.texels if any(name in TEXTURES for name in self.options.order) else 0
        joint = self.texture is not None and self.texture.whole
        self._plain = 4 * (SUMS_HEAD + most)  # bytes that groups other than textures use
        rows = max(most, 3 * texels if joint else texels)
        self.sums = self.gpu.buffer(4 * (SUMS_HEAD + rows), label="credit")
        apart = {} if joint or not texels else {13: "second", 14: "third"}
        self.channel_sums = {
            binding: self.gpu.buffer(4 * texels, label=f"credit, {which} channel") for binding, which in apart.items()
        }

    def encode_begin(self, encoder: Any, group: str, view: int) -> None:
        """Clear the sums for a step, and put the largest difference of the last one of this group and view beside."""
        kept = 4 * (LAST_LARGEST + 1)
        used = self.sums.size if group in TEXTURES else self._plain
        encoder.clear_buffer(self.sums, kept, used - kept)
        for buffer in self.channel_sums.values() if group in TEXTURES else ():
            encoder.clear_buffer(buffer, 0, buffer.size)
        encoder.copy_buffer_to_buffer(self.largest, self._largest_at(group, view), self.sums, 4 * LAST_LARGEST, 4)

    def encode_end(self, encoder: Any, group: str, view: int) -> None:
        """Keep the step's largest difference for the next one of this group and view."""
        encoder.copy_buffer_to_buffer(self.sums, 4 * LARGEST, self.largest, self._largest_at(group, view), 4)

    def _largest_at(self, group: str, view: int) -> int:
        return 4 * (GROUPS[group] * len(self.sizes) + view)

    def _mesh(self, vertices: np.ndarray, triangles: np.ndarray) -> None:
        gpu, scene, count = self.gpu, self.scene, self.vertex_count
        self.positions = gpu.buffer(padded(vertices), label="vertices")
        self.rings = gpu.buffer(topology.rings(triangles, count), label="rings of vertices")
        adjacency = topology.neighbours(triangles, count)
        self.largest_degree = int(topology.degrees(adjacency, count).max())
        self.neighbours = gpu.buffer(adjacency, label="neighbours")
        forward, backward = topology.read_tables(triangles, count, self.options.smooth_normals)
        corners = topology.corner_table(triangles, scene.uvs, scene.uv_triangles, scene.tangent_triangles)
        self.tables = gpu.buffer(np.concatenate([corners.reshape(-1), forward]), label="triangle tables")
        self.readers = gpu.buffer(backward, label="readers of vertices")
        self.triangles = gpu.buffer(triangles, label="triangles")
        tangents = np.zeros((1, 4), np.float32) if scene.tangents is None else scene.tangents
        self.moved = gpu.buffer(16 * (6 * self.stride + len(tangents)), label="perturbed vertices")
        self.write_tangents(tangents)
        self.clip = [(self.moved, 16 * side * self.stride, 16 * count) for side in (0, 1)]

    def write_tangents(self, tangents: np.ndarray) -> None:
        """Replace the tangents [N,4]; their number must stay."""
        self.tangents = np.array(tangents, np.float32)
        self.gpu.write(self.moved, self.tangents, 16 * 6 * self.stride)

    def _texture(self) -> None:
        texture = self.scene.texture
        self.texture = None if texture is None else LoopTexture(self.gpu, texture, self.scene.mips)
        self.levels = [] if self.texture is None else self.texture.levels
        self.texels = 0 if self.texture is None else self.texture.texels  # of the pyramid

    @property
    def parts(self) -> dict[str, str]:
        """What shaders include for this memory in place of what they include by themselves."""
        chosen = {"loop_amount": "loop_amount_float"} if self.options.float_atomics else {}
        if self.texture is not None and not self.texture.whole:
            chosen["loop_texels"] = "loop_texels_image"
            chosen |= {"loop_channels": "loop_channels_apart", "loop_channels_read": "loop_channels_read_apart"}
        return {name: shader_alias(shader) for name, shader in chosen.items()}

    @property
    def loss_constants(self) -> dict[str, int]:
        """What loss.wgsl compares."""
        return {"LOSS": int(self.options.loss == "mse"), "TONE": int(self.options.tone == "log")}

    def composed(self, name: str, **constants: int) -> ShaderSource:
        """The shader `name` for this memory."""
        return compose(name, sources=self.parts, constants=constants)

    def _views(self, views: list[LoopView]) -> None:
        self.sizes = [view.camera.size for view in views]
        self.passes: dict[tuple[int, int], list[VisibilityPass]] = {}
        for size in dict.fromkeys(self.sizes):
            self.passes[size] = [VisibilityPass(self.gpu, size) for _ in range(2)]
        records = np.zeros((len(views), ALIGNED), np.uint8)
        for row, view in zip(records, views, strict=True):
            record = view_record(view.camera, self.sphere, self.options.mask)
            row[: VIEW.itemsize] = record.view(np.uint8).reshape(-1)
        self.views = self.gpu.buffer(records, usage="UNIFORM|STORAGE|COPY_SRC|COPY_DST", label="views")
        self.losses = self.gpu.buffer(8 * max(h * w for h, w in self.sizes), label="losses")
        self.covered = self.gpu.buffer(4 * max(h * w for h, w in self.sizes), label="covered pixels")
        exact = 16 * sum(h * w for h, w in self.sizes) <= EXACT_PHOTO_BYTES
        self.photos = [self._photo(view, exact) for view in views]

    def _photo(self, view: LoopView, exact: bool) -> Any:
        height, width = view.camera.size
        texture = self.gpu.texture(
            (height, width), "rgba32float" if exact else "rgba16float", "TEXTURE_BINDING|COPY_DST", label="a photo"
        )
        data = encoded_photo(view, self.options.tone)
        if not exact:
            data = data.clip(-HALF, HALF).astype(np.float16)
        with self.gpu.calls("sending a photo"):
            self.gpu.device.queue.write_texture(
                {"texture": texture},
                np.ascontiguousarray(data),
                {"bytes_per_row": data.strides[0], "rows_per_image": height},
                (width, height, 1),
            )
        return texture.create_view()

    def view_uniform(self, index: int) -> tuple[Any, int, int]:
        """The binding of one view."""
        return self.views, index * ALIGNED, VIEW.itemsize


def padded(rows: np.ndarray) -> np.ndarray:
    """[N,4] float32 of rows [N,3] with a last component of 1."""
    return np.concatenate([rows, np.ones((len(rows), 1), np.float32)], 1).astype(np.float32)
