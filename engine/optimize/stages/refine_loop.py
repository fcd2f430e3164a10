"""Stage refine by the loop that lives on the device, where the rasterizer is WebGPU, gradients are stochastic and the
recipe asks for it: without autograd, and noisier in shape."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import DeviceLost, OnlyDeviceLost
from engine.optimize.metrics import batch_psnr
from engine.optimize.stage import StageContext, stands_in
from engine.optimize.stages.loop_stage import LoopStage
from engine.optimize.stochastic.memory import ALIGNED, VIEW, encoded
from engine.optimize.views import View
from engine.raster.stochastic.perturbation import scheduled_eps

WAY = ", or start anew with optimize.on_device=false or --device cpu"
TANGENT_INTERVAL = 50  # steps; the tangent frame turns slowly with the surface
LOSS_INTERVAL = 5  # steps between two looks at the loss, for each of which the device is waited for
PSNR_INTERVAL = 50  # steps
DECAY = 0.1  # of rates over the stage; eps follows its own schedules
MATERIAL_GROUPS = ("base_color", "roughness_metallic", "normal_map")
# What every photo moves beside vertices and base colour, which it says most about: one of them in turn.
TURNS = ("roughness_metallic", "normal_map", "environment")
# Options of the recipe that weight terms which this loop does not have.
IGNORED = (
    "refine.ssim",
    "refine.smoothness",
    "refine.material_smoothness",
    "light.neutral",
    "light.smoothness",
    "light.scale",
)


def _served(context: StageContext) -> bool:
    options = context.recipe.optimize
    if context.rasterizer.name != "webgpu" or options.gradient != "stochastic" or not options.on_device:
        return False
    found = _misfit(context)
    if found is not None:
        context.notice(f"optimize.on_device has no effect, as what stage refine moves does not fit: {found}")
    return found is None


def _misfit(context: StageContext) -> str | None:
    """What of the mesh, its textures and the photos the device has no room for, in one sentence."""
    from engine.kernels.webgpu import gpu
    from engine.optimize.stochastic.limits import misfit

    mesh, material = context.scene.mesh, context.scene.material
    if mesh is None or mesh.uvs is None:
        return None  # the stage says so itself
    most = context.recipe.refine.image_size
    photos = []
    for index in context.capture.train:
        height, width = context.capture.frames[index].camera.size
        share = min(most / max(height, width), 1) if most else 1
        photos.append((round(height * share), round(width * share)))
    device = gpu()
    return misfit(
        device.limits,
        device.adapter.name,
        vertices=len(mesh.vertices),
        triangles=len(mesh.triangles),
        photo=max(photos, key=math.prod),
        texture=(1, 1) if material is None else material.base_color.shape[:2],
        tangents=len(mesh.uvs),
    )


@stands_in(_served)
class LoopRefineStage(LoopStage):
    """Optimizes vertices, textures and light in turn, nothing read back but for looking.

    A step takes `refine.batch` photos, as the stage that this one stands in for, but moves the groups by each photo for
    itself, one after the other: vertices, base colour and one of `TURNS`. The loss is that of stage refine without its
    structural term; in place of its priors stand large steps and that texels which no photo shows are left alone.
    Scripts' own losses have no effect.
    """

    name = "refine"

    def begin(self, context: StageContext) -> None:
        from engine.kernels.webgpu import gpu
        from engine.optimize.stochastic import LoopOptions, LoopScene, StochasticLoop

        texture, recipe = self.take_scene(context, "mesh or given"), context.recipe
        mesh = context.scene.mesh
        self.take_mesh(mesh)
        scene = LoopScene(
            np.ascontiguousarray(mesh.vertices, np.float32),
            np.ascontiguousarray(mesh.triangles, np.int32),
            mesh.uvs,
            mesh.uv_triangles,
            texture,
            self.tangents(mesh.vertices),
            self.tangent_space.triangles,
            self.light,
        )
        options = LoopOptions(
            order=("vertices", *MATERIAL_GROUPS, "environment"),
            seed=recipe.run.seed,
            mask=recipe.refine.mask,
            smoothness=recipe.refine.large_steps,
            recursion=recipe.optimize.recursion,
            float_atomics=recipe.optimize.float_atomics,
        )
        try:
            self.loop = StochasticLoop(gpu(), scene, self.photos(), options, "pbr", notify=context.notice, way=WAY)
        except OnlyDeviceLost as error:  # nothing has moved yet: the stage that needs no loop can take its place
            raise DeviceLost(error.text, error.way) from error
        self.taken = 0  # photos
        if context.extra_losses.names:
            context.notice("losses that scripts add have no effect on stochastic gradients on the GPU")
        sections = (key.split(".") for key in IGNORED)
        ignored = [f"{section}.{name}" for section, name in sections if getattr(getattr(recipe, section), name)]
        if ignored:
            context.notice(f"options without effect on stochastic gradients on the GPU: {', '.join(ignored)}")

    @property
    def image_size(self) -> int:
        return self.context.recipe.refine.image_size

    @property
    def steps(self) -> int:
        return self.context.recipe.refine.steps

    def _groups(self, turn: int) -> list[str]:
        """The groups that are moved by photo number `turn` of the stage, of those that the user lets change."""
        options = self.context.recipe.refine
        always = ["vertices"] * options.geometry + ["base_color"] * options.material
        turns = [name for name in TURNS if (options.light if name == "environment" else options.material)]
        return always + ([turns[turn % len(turns)]] if turns else [])

    def _set_rates(self, index: int) -> None:
        """The recipe's options of this moment, as the loop takes them."""
        recipe, loop = self.context.recipe, self.loop
        decay = DECAY ** (index / max(self.steps, 1))
        texture, groups = recipe.refine.learning_rate_texture, dict(loop.options.groups)
        self.rates = {"vertices": recipe.refine.learning_rate, "environment": recipe.light.learning_rate}
        self.rates |= {name: texture for name in MATERIAL_GROUPS}
        self.rates = {name: max(rate * decay * self.learning_rate_scale, 1e-9) for name, rate in self.rates.items()}
        for name, rate in self.rates.items():
            groups[name] = replace(groups[name], rate=rate, rate_end=rate)
        first, last = recipe.optimize.eps, recipe.optimize.eps_end or recipe.optimize.eps
        eps = scheduled_eps(first, last, index / max(self.steps, 1))
        groups["vertices"] = replace(groups["vertices"], eps=eps, eps_end=eps)
        left = max(self.steps - index, 0) * recipe.refine.batch * len(self._groups(0))
        if loop.options.mask != recipe.refine.mask:
            self._set_mask(recipe.refine.mask)
        loop.options = replace(
            loop.options, groups=groups, steps=max(loop.index + left, 1), mask=float(recipe.refine.mask)
        )

    def _set_mask(self, mask: float) -> None:
        """Give the device's views another weight of the mask."""
        memory, offset = self.loop.memory, VIEW.fields["mask"][1]
        for number in range(len(self.loop.views)):
            memory.gpu.write(memory.views, np.array([mask], np.float32), number * ALIGNED + offset)

    def _still_loss(self, view: View) -> float:
        """The loss of one view where nothing is moved, and the loop has none to tell."""
        image, options = self.loop.preview(view.camera), self.loop.options
        error = encoded(image[..., :3], options.tone) - encoded(view.premultiplied.cpu().numpy(), options.tone)
        outside = image[..., 3] - view.alpha.cpu().numpy()
        return float((np.abs(error).mean(-1) + options.mask * outside**2).mean(dtype=np.float64))

    def step(self, index: int) -> dict[str, float]:
        self.clock.start()
        self._set_rates(index)
        if index and index % TANGENT_INTERVAL == 0:
            self.loop.set_tangents(self.tangents(self.loop.vertices()))
        batch = self.context.views.next(self.context.recipe.refine.batch)
        for frame in batch:
            self.taken += 1
            for group in self._groups(self.taken):
                self.loop.advance(group, self.frames.index(frame))
        self.clock.lap("encoding")
        if index % LOSS_INTERVAL == 0 or not self.report:
            moves = bool(self._groups(self.taken))
            self.report["loss"] = self.loop.loss() if moves else self._still_loss(self.view(batch[-1]))
        if index % PSNR_INTERVAL == 0 or "psnr" not in self.report:
            view = self.view(batch[-1])
            image = torch.from_numpy(self.loop.preview(view.camera))
            self.report["psnr"] = batch_psnr([image], [view])
        self.clock.lap("device")
        return dict(self.report)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors, values = super().state()
        return tensors, values | {"taken": self.taken}

    def restore(self, context: StageContext, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        super().restore(context, tensors, values)
        self.taken = int(values["taken"])
