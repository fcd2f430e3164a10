"""Draws a snapshot on the GPU with the shaders: every display that the processor draws, and lines with depth.

Triangles are drawn as numbers, then each pixel is shaded once in a compute pass (shaders/preview.wgsl and what it
includes), silhouettes are antialiased by the same walk as on the processor, and the picture is read back. Agrees with
`PreviewRenderer` but for pixels whose centre lies within 1/256 pixel of an edge. Splats are drawn by the WGSL splatter;
their outlines and volumes are left to the processor.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import Cancelled
from engine.exchange.render import SurfaceMaps
from engine.kernels.webgpu import UNIFORM, Gpu
from engine.kernels.wgsl import ShaderSource, compose
from engine.optimize.displays import DISPLAYS, Display, shown_display
from engine.optimize.preview import (
    FADE,
    LIGHTS,
    LIT,
    NEUTRAL_LIGHT,
    QUALITY,
    WHITE,
    WIDTHS,
    WIRE,
    PreviewRenderer,
    environment_from_world,
)
from engine.optimize.preview_colors import viridis
from engine.optimize.preview_image import PixelValues, PreviewImage
from engine.optimize.preview_lines import SceneLines
from engine.optimize.preview_volume import region_of
from engine.optimize.preview_webgpu_uploads import MeshBuffers, PreviewUploads
from engine.raster.webgpu.visibility import VisibilityPass
from engine.scene import Camera, Environment
from engine.splats.webgpu_splatter import WebgpuSplatter

if TYPE_CHECKING:
    from engine.optimize.snapshot import SceneSnapshot

__all__ = ["GpuPreviewImage", "PreviewDevice", "SceneLines", "WebGpuPreview"]

KEPT_SIZES = 2  # image sizes whose buffers are kept
VIEW_BYTES = 288  # of View in preview_scene.wgsl
PLANES = 3  # of the picture, and as many of the material
DISPLAY_SHADERS: dict[str, tuple[str, dict[str, float]]] = {
    "shaded": ("display_shaded", {}),
    "base_color": ("display_material", {"PROPERTY": 0}),
    "roughness": ("display_material", {"PROPERTY": 1}),
    "metallic": ("display_material", {"PROPERTY": 2}),
    "normal": ("display_material", {"PROPERTY": 3}),
    "depth": ("display_depth", {}),
    "wireframe": ("display_wireframe", {}),
    "light": ("display_clay", {"CLAY": WHITE}),
    "triangle_id": ("display_faces", {}),
    "quality": ("display_quality", {}),
}
DRAWING = {
    "vertex": "picture_corner",
    "fragment": "draw",
    "targets": ("rgba16float",),
}
LINEAR = ("base_color", *LIT)  # displays whose values are linear


@dataclass(frozen=True)
class GpuPreviewImage(PreviewImage):
    """A preview drawn on the GPU; `surface` is None, `material` stands for it where it was asked for."""

    material: np.ndarray | None = None  # uint16 [3,H,W,2]: base colour r g, b roughness, metallic occlusion, x 65535

    @property
    def maps(self) -> SurfaceMaps:
        """Raises ValueError: a picture for the window has no normals; `PreviewRenderer` draws maps."""
        raise ValueError("a preview drawn on the GPU keeps no maps; use PreviewRenderer for them")

    def at(self, column: int, row: int) -> PixelValues:
        """The numbers of one pixel; nothing known outside the image."""
        values = super().at(column, row)
        if values.depth is None or self.material is None:
            return values
        (red, green), (blue, roughness), (metallic, _) = (self.material[:, row, column] / 65535).tolist()
        return PixelValues(values.color, values.depth, (red, green, blue), roughness, metallic)


_source = lru_cache(maxsize=16)(compose)  # composing takes longer than encoding


@lru_cache(maxsize=64)
def _drawing_source(display: str, is_textured: bool, has_tangents: bool) -> ShaderSource:
    shader, constants = DISPLAY_SHADERS[display]
    chosen = {
        "display": shader,
        "material": "material_texture" if is_textured else "material_vertex",
        "normal_source": "normal_mapped" if has_tangents else "normal_vertex",
    }
    sources = {role: f"// Provides: the chosen {role}.\n#include {name}\n" for role, name in chosen.items()}
    if is_textured:
        constants = {**constants, "CORNER_VALUES": 3 if has_tangents else 1}
    return compose("preview", sources=sources, constants=constants)


class _Targets:
    """Buffers of one image size; a shader sees at most 16 bytes per pixel at once, 128 MiB of a whole 4K screen."""

    def __init__(self, gpu: Gpu, size: tuple[int, int]) -> None:
        pixels = size[0] * size[1]
        self.visibility = VisibilityPass(gpu, size)
        usage = "RENDER_ATTACHMENT|TEXTURE_BINDING"
        self.colors = gpu.texture(size, "rgba16float", usage, label="the picture").create_view()
        self.planes = gpu.buffer(4 * PLANES * pixels, label="the picture")
        self.material = gpu.buffer(4 * PLANES * pixels, label="the picture's material")
        blank = np.zeros((PLANES, pixels), np.float32)
        blank[1] = np.inf
        self.blank = gpu.buffer(blank, label="an empty picture")
        self.crossings = gpu.buffer(16 * pixels, label="the picture's silhouettes")
        self.touched = gpu.buffer(4 * (-(-pixels // 32)), label="the silhouettes' pixels")
        self._gpu, self._size, self._lines = gpu, size, None

    @property
    def lines(self) -> Any:
        """A view of the texture that lines are drawn into."""
        if self._lines is None:
            usage = "RENDER_ATTACHMENT|TEXTURE_BINDING"
            self._lines = self._gpu.texture(self._size, "rgba8unorm", usage, label="lines").create_view()
        return self._lines


class PreviewDevice:
    """What previews of all snapshots share on one GPU; belongs to the thread that draws."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.uploads = gpu, PreviewUploads(gpu)
        self.view = gpu.buffer(VIEW_BYTES, usage=UNIFORM, label="the view")
        self._ramp: Any = None
        self._targets: OrderedDict[tuple[int, int], _Targets] = OrderedDict()

    def targets(self, size: tuple[int, int]) -> _Targets:
        """Buffers for images of `size` (height, width)."""
        if size not in self._targets:
            self._targets[size] = _Targets(self.gpu, size)
        self._targets.move_to_end(size)
        while len(self._targets) > KEPT_SIZES:
            self._targets.popitem(last=False)
        return self._targets[size]

    @cached_property
    def splatter(self) -> WebgpuSplatter:
        """What draws splats; those of a snapshot never change."""
        return WebgpuSplatter(self.gpu)

    @property
    def ramp(self) -> Any:
        """The colours of depth."""
        if self._ramp is None:
            colors = np.zeros((256, 4), np.float32)
            colors[:, :3] = viridis()
            self._ramp = self.gpu.buffer(colors, usage=UNIFORM)
        return self._ramp


class WebGpuPreview(PreviewRenderer):
    """`PreviewRenderer` whose meshes and splats are drawn by WebGPU; volumes, `render` and its numbers are not.

    Raises DeviceLost where the device fails, after which every further call does.
    """

    def __init__(self, snapshot: SceneSnapshot, device: PreviewDevice) -> None:
        super().__init__(snapshot)
        self.device = device
        if self._splats is not None:
            self._splats.draw_with(device.splatter)

    def image(
        self,
        camera: Camera,
        display: Display = "shaded",
        environment: Environment | None = None,  # None: the snapshot's own, or a neutral one where it has none
        exposure: float = 0.0,  # photographic stops
        *,
        background: bool = False,  # show the light behind the object
        draft: bool = False,  # leave silhouettes jagged
        cancelled: Callable[[], bool] = lambda: False,
        numbers: bool = True,  # also bring back the material of every pixel
        lines: SceneLines | None = None,
    ) -> PreviewImage:
        """What `camera` sees; raises Cancelled, ValueError for an unknown display, DeviceLost."""
        if self._mesh is None:
            arguments = camera, display, environment, exposure
            return super().image(*arguments, background=background, draft=draft, cancelled=cancelled)
        display = shown_display(display, DISPLAYS)
        if cancelled():
            raise Cancelled("a newer view is asked for")
        gpu = self.device.gpu
        if gpu.lost:
            raise gpu.lose("it was lost before")
        light = environment or self.snapshot.environment or NEUTRAL_LIGHT
        behind = light if background and display in LIT else None
        mesh, targets = self.device.uploads.mesh(self.snapshot), self.device.targets(camera.size)
        lines = lines if lines is not None and len(lines.begin) else None
        gpu.write(self.device.view, self._view(camera, display, exposure, behind, not draft, lines is not None))
        encoder = gpu.encoder()
        self._encode_surface(encoder, mesh, targets, display, light, camera)
        if not draft:
            self._encode_silhouettes(encoder, mesh, targets)
        if lines is not None:
            self._encode_lines(encoder, targets, lines)
        if behind is not None or lines is not None:
            self._encode_finish(encoder, targets, behind, lines is not None)
        elif not draft:
            self._encode_smoothing(encoder, targets)
        buffers = [targets.planes, targets.material][: 1 + numbers]
        readbacks = [gpu.readback(encoder, buffer, np.uint32, (PLANES, *camera.size)) for buffer in buffers]
        gpu.submit(encoder)
        values, *rest = (readback.array() for readback in readbacks)
        rgba = values[0].view(np.uint8).reshape(*camera.size, 4)
        material = rest[0].view(np.uint16).reshape(PLANES, *camera.size, 2) if numbers else None
        depth, triangle_id = values[1].view(np.float32), values[2].view(np.int32)
        span = self.depth_range(camera)
        return GpuPreviewImage(rgba, depth, triangle_id, None, span, lines is not None, material)

    def _view(
        self, camera: Camera, display: str, exposure: float, behind: Environment | None, smooth: bool, lined: bool
    ) -> np.ndarray:
        """The bytes of View in preview_scene.wgsl."""
        record = np.zeros(VIEW_BYTES // 4, np.float32)
        whole = record.view(np.uint32)
        record[:16] = camera.clip_from_world(*camera.depth_range(self.box)).T.reshape(-1)
        rotation = camera.world_from_camera[:3, :3]
        record[16:28].reshape(3, 4)[:, :3] = rotation.T
        if behind is not None:
            record[28:40].reshape(3, 4)[:, :3] = (environment_from_world(behind, camera) @ rotation).T
        record[40:43], record[43] = camera.position, 2.0**exposure if display in LIT else 1.0
        record[44:48] = *camera.focal, *camera.centre
        whole[48:50], record[50:52] = (camera.width, camera.height), self.depth_range(camera)
        whole[52:56] = display in LINEAR, behind is not None, smooth, lined
        record[56:68] = (QUALITY if display == "quality" else WIRE).reshape(-1)
        record[68:72] = *WIDTHS, FADE
        return record

    def _encode_surface(
        self, encoder: Any, mesh: MeshBuffers, targets: _Targets, display: str, light: Environment, camera: Camera
    ) -> None:
        device, gpu, uploads = self.device, self.device.gpu, self.device.uploads
        source = _drawing_source(display, mesh.corners is not None, mesh.has_tangents)
        project = gpu.compute(_source("clip_positions"), "project")
        gpu.dispatch(encoder, project, [device.view, mesh.positions, mesh.clip], -(-mesh.vertex_count // 64))
        numbers = targets.visibility.encode(encoder, mesh.clip, mesh.triangles, mesh.triangle_count, False)
        resources = {0: device.view, 1: mesh.clip, 2: mesh.triangles, 3: mesh.attributes}
        resources |= {4: numbers.create_view(), 5: targets.planes, 6: targets.material}
        if mesh.corners is not None:
            resources |= {7: mesh.corners, 10: uploads.sampler("trilinear"), **uploads.textures(self.snapshot)}
        if display in ("wireframe", "triangle_id", "quality"):
            resources[12] = uploads.faces(self.snapshot, display)
        if display == "depth":
            resources[13] = device.ramp
        pipeline = gpu.render(source, **DRAWING)
        groups = [gpu.bind(pipeline, resources)]
        if display in LIT:
            uploaded = uploads.light(light, LIGHTS.of(light))
            uploaded.turn(environment_from_world(light, camera))
            groups.append(gpu.bind(pipeline, uploaded.bindings, 1))
        top, bottom, left, right = region_of(camera, self.box)
        color = {"view": targets.colors, "load_op": "clear", "store_op": "store", "clear_value": (0, 0, 0, 0)}
        with gpu.calls("drawing the surface"):
            encoder.copy_buffer_to_buffer(targets.blank, 0, targets.planes, 0, targets.blank.size)
            drawing = encoder.begin_render_pass(color_attachments=[color])
            drawing.set_pipeline(pipeline)
            for index, group in enumerate(groups):
                drawing.set_bind_group(index, group)
            if right > left and bottom > top:
                drawing.set_scissor_rect(left, top, right - left, bottom - top)
                drawing.draw(3)
            drawing.end()

    @staticmethod
    def _tiles(size: tuple[int, int]) -> tuple[int, int, int]:
        return -(-size[1] // 16), -(-size[0] // 8), 1

    def _encode_silhouettes(self, encoder: Any, mesh: MeshBuffers, targets: _Targets) -> None:
        gpu = self.device.gpu
        edges = self.device.uploads.edges(self.snapshot)
        pipeline = gpu.compute(_source("silhouettes"), "cross_silhouettes")
        resources = {0: self.device.view, 1: mesh.clip, 5: edges, 6: targets.planes, 7: targets.crossings}
        resources[8] = targets.touched
        with gpu.calls("clearing silhouettes"):
            encoder.clear_buffer(targets.crossings)
            encoder.clear_buffer(targets.touched)
        gpu.dispatch(encoder, pipeline, [gpu.bind(pipeline, resources)], -(-(edges.size // 16) // 64))

    def _encode_smoothing(self, encoder: Any, targets: _Targets) -> None:
        gpu = self.device.gpu
        pipeline = gpu.compute(_source("finish"), "smooth_silhouettes")
        resources = {0: self.device.view, 5: targets.colors, 6: targets.planes}
        resources |= {7: targets.crossings, 8: targets.touched}
        gpu.dispatch(encoder, pipeline, [gpu.bind(pipeline, resources)], -(-(targets.touched.size // 4) // 64))

    def _encode_lines(self, encoder: Any, targets: _Targets, lines: SceneLines) -> None:
        gpu = self.device.gpu
        over = {"operation": "add", "src_factor": "one", "dst_factor": "one-minus-src-alpha"}
        pipeline = gpu.render(
            _source("lines"),
            vertex="line_vertex",
            fragment="line_fragment",
            targets=({"format": "rgba8unorm", "blend": {"color": over, "alpha": over}},),
        )
        group = gpu.bind(pipeline, {0: self.device.view, 5: gpu.buffer(lines.packed()), 6: targets.planes})
        attachment = {"view": targets.lines, "load_op": "clear", "store_op": "store", "clear_value": (0, 0, 0, 0)}
        with gpu.calls("drawing lines"):
            drawing = encoder.begin_render_pass(color_attachments=[attachment])
            drawing.set_pipeline(pipeline)
            drawing.set_bind_group(0, group)
            drawing.draw(6 * len(lines.begin))
            drawing.end()

    def _encode_finish(self, encoder: Any, targets: _Targets, behind: Environment | None, lined: bool) -> None:
        gpu, uploads = self.device.gpu, self.device.uploads
        pipeline = gpu.compute(_source("finish"), "finish")
        resources = {0: self.device.view, 5: targets.colors, 6: targets.planes, 7: targets.crossings}
        resources |= {8: targets.touched, 10: uploads.sampler("around")}
        resources[9] = uploads.nothing() if behind is None else uploads.backdrop(behind)
        resources[11] = targets.lines if lined else uploads.nothing()
        size = targets.visibility.size
        gpu.dispatch(encoder, pipeline, [gpu.bind(pipeline, resources)], self._tiles(size))
