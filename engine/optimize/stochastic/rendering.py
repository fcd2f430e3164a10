"""The passes that turn parameters into pixels: perturb, visibility, and per pixel shading, loss and credit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.errors import ShaderError
from engine.kernels.webgpu import UNIFORM, Gpu
from engine.kernels.wgsl import ShaderSource, compose, shader_names
from engine.optimize.stochastic.light_group import LoopLight
from engine.optimize.stochastic.memory import GROUP, TILE, LoopMemory, view_record
from engine.optimize.stochastic.options import GROUPS, TEXTURES
from engine.raster.webgpu.visibility import VisibilityPass
from engine.scene import Camera
from engine.shading.blackbox import loop_sources, shader_alias

COLOR = np.dtype([("rgba", "f4", 4)])  # a texel of an image
RUN = 32  # pixels of a row that one invocation of loop_covered.wgsl lists


class LoopShading:
    """A shading function: the name of one that ships with Unrender, or a user's own WGSL.

    `source` is WGSL that provides `fn shade(surface: Surface) -> vec3f` (linear radiance; see surface.wgsl) when it is
    not one of `shader_names()`; it may include what ships, `environment` for the light among them.
    """

    def __init__(self, source: str, name: str = "shading") -> None:
        """name: what a user's WGSL is called in errors, its file for example. Raises ShaderError."""
        known = source in shader_names()
        self.name = source if known else name
        self.sources: dict[str, str] = {"shading": shader_alias(source)} if known else {"shading": source}
        composed = self._composed("loop_image", self.sources, {})
        self.reads_light = any(origin == "environment" for origin, _ in composed.origins)

    def compose(
        self, name: str, memory: LoopMemory, group: str = "vertices", credit: str | None = None
    ) -> ShaderSource:
        """One of the per-pixel shaders with this shading in it."""
        constants: dict[str, int] = {"GROUP": GROUPS[group]}
        if credit is not None:
            constants |= memory.loss_constants
        sources = self.sources | loop_sources(self.reads_light, memory.texels > 0, credit) | memory.parts
        return self._composed(name, sources, constants)

    def _composed(self, shader: str, sources: Mapping[str, str], constants: Mapping[str, int]) -> ShaderSource:
        try:
            return compose(shader, sources=sources, constants=constants).titled("shading", self.name)
        except ShaderError as error:
            raise ShaderError(str(error).replace("shader shading,", f"shader {self.name},")) from None


class Rendering:
    """Encodes the passes of a loop; pipelines and bind groups are made once."""

    def __init__(self, memory: LoopMemory, shading: LoopShading, light: LoopLight | None) -> None:
        """light: what the shading reads of bind group 1, where it reads the light."""
        self.memory, self.shading, self.light = memory, shading, light
        self._bound: dict[Any, Any] = {}
        self._pipelines: dict[Any, Any] = {}

    @property
    def gpu(self) -> Gpu:
        return self.memory.gpu

    def prepare(self, groups: Mapping[str, Any]) -> None:
        """Compile what `groups` (by name) need. Raises ShaderError with the user's line where a shading does not."""
        for group in groups.values():
            self._pixels(group)
            self._perturb(group.name)
            self._listing(group.name)

    def _pixels(self, group: Any) -> Any:
        key = ("pixels", group.name)
        if key not in self._pipelines:
            memory = self.memory
            source = self.shading.compose("loop_pixels", memory, group.name, group.credit)
            self._pipelines[key] = self.gpu.compute(source, "pixels")
        return self._pipelines[key]

    def _perturb(self, group: str) -> Any:
        key = ("perturb", group)
        if key not in self._pipelines:
            source = compose("perturb_vertices", constants={"GROUP": GROUPS[group]})
            self._pipelines[key] = self.gpu.compute(source, "perturb")
        return self._pipelines[key]

    def _listing(self, group: str) -> tuple[Any, Any]:
        key = ("listing", group)
        if key not in self._pipelines:
            gpu, memory = self.gpu, self.memory
            covered = memory.composed("loop_covered", GROUP=GROUPS[group], **memory.loss_constants)
            scale = memory.composed("loop_scale", GROUP=GROUPS[group])
            self._pipelines[key] = gpu.compute(covered, "list_covered"), gpu.compute(scale, "set_scale")
        return self._pipelines[key]

    def encode_perturbed(self, encoder: Any, group: str, view: int) -> None:
        """Encode the vertices on both sides of the perturbation, as one view sees them."""
        self._encode_moved(encoder, group, self.memory.step, self.memory.view_uniform(view), view)

    def _encode_moved(self, encoder: Any, group: str, step: Any, view: Any, number: int | None = None) -> None:
        """Encode writing `memory.moved` for the uniforms `step` and `view`, the latter of view `number` if it stays."""
        memory, pipeline = self.memory, self._perturb(group)
        resources = {0: step, 1: view, 2: memory.positions, 3: memory.rings, 4: memory.moved}
        bound = self._kept(("perturb", group, number), pipeline, resources)
        self.gpu.dispatch(encoder, pipeline, [bound], -(-memory.vertex_count // GROUP))

    def _kept(self, key: tuple, pipeline: Any, resources: Mapping[int, Any]) -> Any:
        """The bind group of `resources`, made once for each `key` that does not end in None."""
        if key[-1] is None:
            return self.gpu.bind(pipeline, resources)
        if key not in self._bound:
            self._bound[key] = self.gpu.bind(pipeline, resources)
        return self._bound[key]

    def encode_visibility(self, encoder: Any, view: int, both: bool) -> None:
        """Encode which triangle every pixel shows, on one or both sides."""
        memory = self.memory
        for visibility, clip in list(zip(memory.passes[memory.sizes[view]], memory.clip, strict=True))[: 1 + both]:
            visibility.encode(encoder, clip, memory.triangles, memory.triangle_count, memory.options.cull_backfaces)

    def encode_covered(self, compute_pass: Any, group: Any, view: int) -> None:
        """Encode the list of pixels that either side covers, the losses of the rest, and the scale of the credit.

        The scale follows from their number and from the group's last step of `view`.
        """
        memory, (covered, scale) = self.memory, self._listing(group.name)
        height, width = memory.sizes[view]
        key = ("covered", group.name, view)
        if key not in self._bound:
            resources = self._seen(view) | {1: memory.view_uniform(view), 11: memory.covered}
            self._bound[key] = self.gpu.bind(covered, resources)
        groups = -(-width // (RUN * TILE)), -(-height // TILE), 1
        self.gpu.dispatch(compute_pass, covered, [self._bound[key]], groups)
        bound = self._kept(("scale", group.name), scale, {0: memory.step, 2: memory.work, 8: memory.sums})
        self.gpu.dispatch(compute_pass, scale, [bound], 1)

    def encode_pixels(self, compute_pass: Any, group: Any, view: int) -> None:
        """Encode both sides' shading, the loss, its difference and the credit, of the listed pixels."""
        memory, pipeline = self.memory, self._pixels(group)
        key = ("pixels", group.name, view)
        if key not in self._bound:
            resources = self._surface_resources(memory.step, memory.view_uniform(view)) | self._seen(view)
            resources |= {11: memory.covered, 12: memory.work} | self._credit_resources(group)
            self._bound[key] = [self.gpu.bind(pipeline, resources), *self._light_group(pipeline, key)]
        self.gpu.dispatch(compute_pass, pipeline, self._bound[key], memory.work)

    def _seen(self, view: int) -> dict[int, Any]:
        """Both sides' triangles and the photo of a view, and what is made of them."""
        memory = self.memory
        first, second = memory.passes[memory.sizes[view]]
        shown = {4: self._numbers(first), 5: self._numbers(second), 6: memory.photos[view]}
        return shown | {7: memory.losses, 8: memory.sums}

    def _credit_resources(self, group: Any) -> dict[int, Any]:
        """What a group's rule for credit binds in place of the rest."""
        return self.memory.channel_sums if group.name in TEXTURES else {}

    def _numbers(self, visibility: VisibilityPass) -> Any:
        key = ("numbers", id(visibility))
        if key not in self._bound:
            self._bound[key] = visibility.numbers.create_view()
        return self._bound[key]

    def _surface_resources(self, step: Any, view: Any) -> dict[int, Any]:
        memory = self.memory
        resources = {0: step, 1: view, 2: memory.moved, 3: memory.tables}
        return resources if memory.texture is None else resources | memory.texture.resources

    def _light_group(self, pipeline: Any, key: Any) -> list[Any]:
        if not self.shading.reads_light or self.light is None:
            return []
        return [self.gpu.bind(pipeline, self.light.light.bindings, group=1)]

    def image(self, camera: Camera, step: np.ndarray) -> np.ndarray:
        """[H,W,4] float32 linear radiance (0 where nothing is) and coverage of the unperturbed scene.

        step: the loop's STEP record with eps 0. Waits for the device.
        """
        memory, gpu, size = self.memory, self.gpu, camera.size
        if size not in memory.passes:
            memory.passes[size] = [VisibilityPass(gpu, size) for _ in range(2)]
        visibility = memory.passes[size][0]
        source = self.shading.compose("loop_image", memory)
        pipeline = gpu.compute(source, "image")
        uniform = gpu.buffer(step, usage=UNIFORM)
        view = gpu.buffer(view_record(camera, memory.sphere, memory.options.mask), usage=UNIFORM)
        colors = gpu.texture(size, "rgba32float", "STORAGE_BINDING|COPY_SRC", label="a preview")
        resources = self._surface_resources(uniform, view) | {4: self._numbers(visibility), 7: colors.create_view()}
        bound = [gpu.bind(pipeline, resources), *self._light_group(pipeline, "image")]
        encoder = gpu.encoder()
        self._encode_moved(encoder, "base_color", uniform, view)  # which leaves the geometry as it is
        visibility.encode(
            encoder, memory.clip[0], memory.triangles, memory.triangle_count, memory.options.cull_backfaces
        )
        gpu.dispatch(encoder, pipeline, bound, _tiles(size))
        readback = gpu.readback_image(encoder, colors, COLOR)
        gpu.submit(encoder)
        return readback.use(lambda rows: np.array(rows["rgba"], order="C"))


def _tiles(size: tuple[int, int]) -> tuple[int, int, int]:
    return -(-size[1] // TILE), -(-size[0] // TILE), 1
