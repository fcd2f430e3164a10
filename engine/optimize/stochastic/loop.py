"""The optimizer that lives on the GPU: perturb, rasterize twice, compare, credit, smooth, move; no autograd anywhere.

Source: Deliot, Heitz and Belcour 2024 (arXiv 2404.09758); large steps by Nicolet, Jacobson and Jakob 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from engine.errors import CaptureError, RecipeError
from engine.kernels.signs import sign_key
from engine.kernels.webgpu import DeviceLost, Gpu, only_here
from engine.kernels.webgpu import gpu as shared_gpu
from engine.optimize.stochastic.light_group import LightGroup, LoopLight, blur_texels
from engine.optimize.stochastic.memory import STEP, LoopMemory
from engine.optimize.stochastic.not_finite import BadChecks
from engine.optimize.stochastic.options import GROUPS, LoopOptions
from engine.optimize.stochastic.pose_group import PoseGroup
from engine.optimize.stochastic.rendering import LoopShading, Rendering
from engine.optimize.stochastic.scene import LoopScene, LoopView
from engine.optimize.stochastic.texel_group import BUFFERS, TexelGroup
from engine.optimize.stochastic.vertex_group import VertexGroup
from engine.scene import Camera

AHEAD = 16  # steps submitted before the device is waited for
WAY = ", or choose another adapter with UNRENDER_GPU (unrender devices lists them)"
GROWTH = 4.0  # differences are credited up to this many times the last largest one of the same group and view

T = TypeVar("T")


class StochasticLoop:
    """Optimizes a mesh, its textures, light and poses toward photos through any shading, on the device alone.

    One step perturbs one group of parameters by random signs, rasterizes both sides, differences the loss per pixel and
    credits it; of textures what each pixel shows is perturbed instead (`TexelGroup`). What comes back to
    the host is a preview or what is asked for. Runs repeat bit for bit on one device, since credit is summed in fixed
    point unless `LoopOptions.float_atomics` asks for sums that come in any order. The shading is
    a black box: what it makes of a point is never differentiated.
    """

    def __init__(
        self,
        gpu: Gpu,
        scene: LoopScene,
        views: Sequence[LoopView],
        options: LoopOptions | None = None,
        shading: LoopShading | str = "pbr",
        *,
        notify: Callable[[str], None] = lambda text: None,
        way: str = WAY,
    ) -> None:
        """shading: a shader's name or WGSL, see `LoopShading`; notify hears what went wrong and was put right; way: the
        way out that errors of the device end in.

        Raises ShaderError, with the user's line, for a shading that does not compile, DeviceError for what the device
        cannot hold, CaptureError without views, RecipeError for groups that the scene lacks.
        """
        if not views:
            raise CaptureError("the stochastic loop was given no photos; it needs at least one")
        self.options = options or LoopOptions()
        self.scene, self.views, self.notify, self.way = scene, list(views), notify, way
        self.shading = shading if isinstance(shading, LoopShading) else LoopShading(shading)
        self.index = 0  # steps done
        self.view: int | None = None  # of the last step
        self.counts = dict.fromkeys(dict.fromkeys(self.options.order), 0)  # per group
        self._good_loss = float("nan")  # of the step before the last kept state
        self.dropped = 0  # pixels that were not finite, counted at the last look
        self._bad_checks = BadChecks(self.shading.name)
        self._check_scene()
        with only_here(way):
            try:
                self._start(gpu)
            except DeviceLost as error:
                notify(f"{error.text}; starting on a new device")
                self._start(shared_gpu())

    def _start(self, gpu: Gpu) -> None:
        self._build(gpu)
        self._keep(self._state())

    def _check_scene(self) -> None:
        for name in self.counts:
            if name in BUFFERS and self.scene.texture is None:
                raise RecipeError(f"stochastic loop: group {name!r} needs a texture, and the scene has none")
            if name == "environment" and not (self.scene.environment and self.shading.reads_light):
                raise RecipeError("stochastic loop: group 'environment' needs a light in the scene and a shading of it")
        if self.shading.reads_light and self.scene.environment is None:
            raise RecipeError(f"stochastic loop: shading {self.shading.name} reads the light, and the scene has none")

    def _build(self, gpu: Gpu) -> None:
        self.gpu = gpu
        vertices, triangles = len(self.scene.vertices), len(self.scene.triangles)
        height = max(view.camera.height for view in self.views)
        environment = self.scene.environment
        blurs = 0 if environment is None else blur_texels(environment.radiance.shape[:2])
        most = max(triangles + vertices, blurs, height)
        self.memory = self._memory(gpu, most)
        self.light = None if environment is None else LoopLight(self.memory, environment)
        self.groups: dict[str, Any] = {name: self._group(name) for name in self.counts}
        self.rendering = self._rendering()
        self.rendering.prepare(self.groups)

    def _memory(self, gpu: Gpu, sums: int) -> LoopMemory:
        return LoopMemory(gpu, self.scene, self.views, self.options, sums)

    def _rendering(self) -> Rendering:
        return Rendering(self.memory, self.shading, self.light)

    def _group(self, name: str) -> Any:
        if name == "vertices":
            return VertexGroup(self.memory)
        if name == "camera_pose":
            return PoseGroup(self.memory)
        if self.light is not None and name == "environment":
            return LightGroup(self.memory, self.light)
        return TexelGroup(self.memory, name)

    # -- stepping

    def step(self, count: int = 1) -> None:
        """Do `count` steps of the groups in `options.order`, views in turn; returns when they are submitted.

        At the latest AHEAD steps later the device has done them. A lost device is opened anew, whatever finds it lost,
        and the steps since the last kept state are done again. Raises OnlyDeviceLost when that fails, too, DeviceError
        when the shading goes on returning values that are not finite.
        """
        goal = self.index + count

        def steps() -> None:
            while self.index < goal:
                self._next()

        self._recovering(steps)

    def _next(self) -> None:
        name = self.options.order[self.index % len(self.options.order)]
        self._advance(name, self.view_of(name, self.counts[name]))

    def advance(self, group: str, view: int) -> None:
        """One step of a group of `options.order` against one view, for a driver that chooses them; errors as `step`."""
        self._recovering(lambda: self._advance(group, view))

    def _recovering(self, work: Callable[[], T]) -> T:
        with only_here(self.way):
            try:
                return work()
            except DeviceLost as error:
                self.notify(f"{error.text}; going on from step {int(self._good['index'])} on a new device")
                again, self._since, self.view = self._since, [], None
                self._build(shared_gpu())
                self._restore(self._good)
                for action in again:
                    action()
                return work()

    def _keep(self, state: dict[str, np.ndarray]) -> None:
        """From now on go back to `state`, which is what the device holds."""
        self._good = state
        self._since: list[Callable[[], None]] = []  # what was done after it

    def _advance(self, name: str, view: int) -> None:
        self.counts[name] += 1
        self.view = view
        self._tell(name, view)
        self.gpu.submit(self._encoded(self.groups[name], view))
        self.index += 1
        self._since.append(partial(self._advance, name, view))
        if self.index % self.options.check_every == 0:
            self._check()
        elif self.index % AHEAD == 0:
            self.gpu.wait()

    def _tell(self, name: str, view: int) -> None:
        self.gpu.write(self.memory.step, self._record(name))
        if self.light is not None:
            self.light.turn(self.views[view].camera.world_from_camera)

    def _encoded(self, group: Any, view: int, update: bool = True) -> Any:
        encoder = self.gpu.encoder()
        recursive = update and getattr(group, "recursive", False)
        if recursive and group.recalls:
            group.encode_return(encoder)
            self._encode_sample(encoder, group, view, group.encode_gradient)
            group.encode_forth(encoder)
        if recursive:
            group.encode_place(encoder)
        self._encode_sample(encoder, group, view, group.encode if update else None)
        if update:
            self.memory.encode_end(encoder, group.name, view)
        return encoder

    def _encode_sample(self, encoder: Any, group: Any, view: int, finish: Callable[[Any, int], Any] | None) -> None:
        """Encode one sample of a view's gradient where the parameters are, and what `finish` makes of its sums."""
        self.memory.encode_begin(encoder, group.name, view)
        group.clear(encoder)
        self.rendering.encode_perturbed(encoder, group.name, view)
        self.rendering.encode_visibility(encoder, view, group.moves_geometry)
        compute_pass = encoder.begin_compute_pass()
        self.rendering.encode_covered(compute_pass, group, view)
        self.rendering.encode_pixels(compute_pass, group, view)
        if finish is not None:
            finish(compute_pass, view)
        compute_pass.end()

    def view_of(self, group: str, count: int) -> int:
        """The view of a group's step number `count`: all of them once per round, in an order drawn for each round."""
        epoch, place = divmod(count, len(self.views))
        random = np.random.Generator(np.random.PCG64([self.options.seed, GROUPS[group], epoch]))
        return int(random.permutation(len(self.views))[place])

    def _record(self, name: str | None) -> np.ndarray:
        """[1] STEP of the next step of a group; None: nothing is perturbed."""
        options, memory = self.options, self.memory
        record = np.zeros(1, STEP)
        record["vertices"], record["stride"] = memory.vertex_count, memory.stride
        record["triangles"] = memory.triangle_count
        record["limit"], record["growth"] = options.limit, GROWTH
        record["texels"], record["levels"] = memory.texels, max(len(memory.levels), 1)
        record["texture_size"] = memory.levels[0][::-1] if memory.levels else (1, 1)
        if name is None:
            return record
        settings, count = options.groups[name], self.counts[name]
        eps, rate = settings.at(self.index / options.steps)
        record["key"] = sign_key(options.seed, self.index, GROUPS[name])
        record["eps"], record["rate"] = eps, self.groups[name].rate(rate)
        record["recalled"] = (1 - options.recursion) * getattr(self.groups[name], "recalls", False)
        record["beta1"], record["beta2"] = settings.beta1, settings.beta2
        record["correction1"] = 1 / (1 - settings.beta1**count)
        record["correction2"] = 1 / (1 - settings.beta2**count)
        return record

    def _check(self) -> None:
        """Look at the counters; keep the state where all is well, step back to the last good one where not."""
        found = int(self.gpu.read(self.memory.sums, np.uint32, 1)[0])
        if not found:
            self._bad_checks.well()
            self._keep(self._state())
            self._good_loss = self._loss()
            return
        self.dropped = found
        text = self._bad_checks.text(found, self.index, int(self._good["index"]))
        index, counts = self.index, dict(self.counts)
        self._restore(self._good)
        self._since = []
        self.gpu.write(self.memory.sums, np.zeros(1, np.uint32))
        self._bad_checks.end(text)
        self._skip(index, counts)  # the same signs would lead to the same place
        self.notify(f"{text}; such pixels are left out")

    def _skip(self, index: int, counts: dict[str, int]) -> None:
        self.index, self.counts = index, dict(counts)
        self._since.append(partial(self._skip, index, counts))

    # -- what leaves the device

    def loss(self) -> float:
        """The mean loss of the last step's view over both sides; waits for the device."""
        return self._recovering(self._loss)

    def _loss(self) -> float:
        if self.view is None:
            return self._good_loss
        height, width = self.memory.sizes[self.view]
        return float(self.gpu.read(self.memory.losses, np.float32, (height * width, 2)).mean(dtype=np.float64))

    def vertices(self) -> np.ndarray:
        """[V,3] float32; waits for the device."""
        count = self.memory.vertex_count
        read = self._recovering(lambda: self.gpu.read(self.memory.positions, np.float32, (count, 4)))
        return read[:, :3].copy()

    def texture(self) -> np.ndarray | None:
        """[H,W,8] float32, channels as engine/optimize/textures.py has them; waits for the device."""
        return self._recovering(lambda: self.memory.texture.read()) if self.memory.texels else None

    def tangents(self) -> np.ndarray:
        """[N,4] float32, as given or set last."""
        return self.memory.tangents

    def set_tangents(self, tangents: np.ndarray) -> None:
        """Replace the tangents [N,4], which stay as they are while vertices move; their number must stay."""
        self._recovering(lambda: self._set_tangents(np.array(tangents, np.float32)))

    def _set_tangents(self, tangents: np.ndarray) -> None:
        self.memory.write_tangents(tangents)
        self._since.append(partial(self._set_tangents, tangents))

    def radiance(self) -> np.ndarray | None:
        """[H,W,3] float32 of the light; waits for the device."""
        return self._recovering(lambda: None if self.light is None else self.light.read())

    def cameras(self) -> list[Camera]:
        """The views' cameras where they have been moved to; waits for the device."""
        cameras = [view.camera for view in self.views]
        if "camera_pose" not in self.groups:
            return cameras
        poses = np.linalg.inv(self._recovering(lambda: self.groups["camera_pose"].camera_from_world()))
        return [replace(camera, world_from_camera=pose) for camera, pose in zip(cameras, poses, strict=True)]

    def preview(self, camera: Camera, size: tuple[int, int] | None = None) -> np.ndarray:
        """[H,W,4] float32 linear radiance and coverage seen by `camera`, at `size` (height, width) where given."""
        if size is not None:
            camera = camera.resized(size[1], size[0])
        return self._recovering(lambda: self._preview(camera))

    def _preview(self, camera: Camera) -> np.ndarray:
        if self.light is not None:
            self.light.turn(camera.world_from_camera)
        return self.rendering.image(camera, self._record(None))

    def psnr(self) -> float:
        """Mean over the views of the PSNR in dB of premultiplied radiance, clipped to [0,1]; waits for the device."""
        values = []
        for view, camera in zip(self.views, self.cameras(), strict=True):
            image = self.preview(camera)[..., :3]
            error = float(np.mean((np.clip(image, 0, 1) - np.clip(view.color, 0, 1)) ** 2, dtype=np.float64))
            values.append(-10 * np.log10(max(error, 1e-12)))
        return float(np.mean(values))

    def gradient(self, group: str = "vertices", view: int = 0, index: int | None = None) -> np.ndarray:
        """One sample of the gradient [V,3] of a view's mean loss, with the signs of step `index`; nothing is moved."""
        if group != "vertices":
            raise RecipeError(f"stochastic loop: gradients of {group!r} are not read back; use vertices")
        return self._recovering(lambda: self._gradient(group, view, index))

    def _gradient(self, group: str, view: int, index: int | None) -> np.ndarray:
        now = self.index
        self.index = now if index is None else index
        self.counts[group] += 1
        self._tell(group, view)
        self.index, self.counts[group] = now, self.counts[group] - 1
        encoder = self._encoded(self.groups[group], view, update=False)
        compute_pass = encoder.begin_compute_pass()
        buffer = self.groups[group].encode_gradient(compute_pass, view)
        compute_pass.end()
        self.gpu.submit(encoder)
        return self.gpu.read(buffer, np.float32, (self.memory.vertex_count, 4))[:, :3].copy()

    # -- state

    def state(self) -> dict[str, np.ndarray]:
        """Host arrays from which `restore` goes on with the same bits; waits for the device."""
        return self._recovering(self._state)

    def _state(self) -> dict[str, np.ndarray]:
        state = {
            "index": np.array(self.index, np.int64),
            "head": self.gpu.read(self.memory.sums, np.uint32, 1),
            "largest": self.gpu.read(self.memory.largest, np.float32, (len(GROUPS), len(self.views))),
            "counts": np.array([self.counts[name] for name in self.counts], np.int64),
            "tangents": self.memory.tangents.copy(),
        }
        if self.memory.texels:
            state["texture"] = self.memory.texture.read()
        for name, group in self.groups.items():
            state |= {f"{name}.{key}": value for key, value in group.state().items()}
        return state

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from what `state` returned, of a loop with the same mesh, texture size and options.

        Without "tangents" in it they stay as they are.
        """
        self._recovering(lambda: self._restore(state))
        kept = {name: np.array(value) for name, value in state.items()}
        self._keep({"tangents": self.memory.tangents.copy()} | kept)

    def _restore(self, state: dict[str, np.ndarray]) -> None:
        self.index = int(state["index"])
        self.counts = dict(zip(self.counts, (int(value) for value in state["counts"]), strict=True))
        self.gpu.write(self.memory.sums, state["head"][:1])
        if "largest" in state:
            self.gpu.write(self.memory.largest, state["largest"])
        if "tangents" in state:
            self.memory.write_tangents(state["tangents"])
        if self.memory.texels:
            self.memory.texture.write(state["texture"])
        for name, group in self.groups.items():
            prefix = f"{name}."
            group.restore({key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)})
