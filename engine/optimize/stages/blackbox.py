"""A mesh and its textures fitted through a shading that nobody differentiates: WGSL on any GPU, Python on the CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from engine.capture import Capture
from engine.errors import RecipeError
from engine.optimize.camera_refinement import tell_unmoved
from engine.optimize.metrics import batch_psnr
from engine.optimize.stage import StageContext, register
from engine.optimize.stages.loop_stage import LoopStage
from engine.shading.blackbox import PythonShading, Shading, WgslShading, needs_adapter, open_shading

OTHERS = ("roughness_metallic", "normal_map", "environment")  # groups that take turns
LOSS_INTERVAL, PSNR_INTERVAL, TANGENT_INTERVAL = 5, 50, 100  # steps


@register
class BlackBoxStage(LoopStage):
    """Moves vertices, textures and, where the shading reads it, the light, in turn, by stochastic gradients.

    One step is one photo for each group of parameters. Scripts' own losses have no effect.
    """

    name = "blackbox"
    in_python = True  # whether the shading may be

    @classmethod
    def needs(cls, recipe: Any) -> tuple[str, ...]:
        return ("an unwrapped mesh",)

    @classmethod
    def leaves(cls, recipe: Any) -> tuple[str, ...]:
        return ("a mesh and its light",)

    @classmethod
    def check(cls, recipe: Any, capture: Capture) -> None:
        shading = open_shading(recipe.shading.name, recipe.shading.file)
        if recipe.optimize.gradient != "stochastic":
            raise RecipeError(
                f"stage {cls.name} cannot start with optimize.gradient=analytic: autograd cannot see into the shading "
                f"{shading.name}, whose derivative may be 0 or missing; set optimize.gradient=stochastic"
            )
        needs_adapter(shading, cls.in_python)
        shading.check()

    @property
    def options(self) -> Any:
        """The recipe's section of this stage."""
        return self.context.options(self.name)

    @property
    def image_size(self) -> int:
        return self.options.image_size

    @property
    def steps(self) -> int:
        return self.options.steps

    def begin(self, context: StageContext) -> None:
        texture = self.take_scene(context, "cage, mesh or given")
        self.shading = open_shading(context.recipe.shading.name, context.recipe.shading.file)
        self.loop = self._loop(texture)
        if context.extra_losses.names:
            context.notice(f"losses that scripts add have no effect on stage {self.name}")
        tell_unmoved(context, self.name)

    def groups(self) -> list[str]:
        """The groups that can move, in turn."""
        if isinstance(self.shading, PythonShading):
            return ["vertices", "base_color"]
        reads_material = self.shading.reads("roughness", "metallic")
        return [
            *("vertices", "base_color"),
            *(["roughness_metallic"] if reads_material else []),
            *(["normal_map"] if self.options.normal_map else []),
            *(["environment"] if self.shading.reads_light else []),
        ]

    def _loop(self, texture: np.ndarray) -> Any:
        from engine.kernels.webgpu import gpu
        from engine.optimize.stochastic import LoopScene, StochasticLoop

        mesh = self.context.scene.mesh
        self.take_mesh(mesh)
        scene = LoopScene(
            np.ascontiguousarray(mesh.vertices, np.float32),
            np.ascontiguousarray(mesh.triangles, np.int32),
            mesh.uvs,
            mesh.uv_triangles,
            texture,
            self.tangents(mesh.vertices),
            self.tangent_space.triangles,
            self.light if self.shading.reads_light else None,
        )
        arguments = scene, self.photos(), self._loop_options()
        if isinstance(self.shading, PythonShading):
            from engine.optimize.stochastic.host_loop import HostLoop

            return HostLoop(*arguments, self.shading, notify=self.context.notice)
        shading, notice = self._device_shading(self.shading), self.context.notice
        return StochasticLoop(gpu(), *arguments, shading, notify=notice, way=self.shading.way(self.in_python))

    def _device_shading(self, shading: WgslShading) -> Any:
        from engine.optimize.stochastic.rendering import LoopShading

        return LoopShading(shading.source, shading.name)

    def _loop_options(self) -> Any:
        from engine.optimize.stochastic import LoopOptions

        options = self.options
        order = tuple(self.groups())
        per_step = len([name for name in order if name not in OTHERS]) + any(name in OTHERS for name in order)
        made = LoopOptions(
            order=order,
            steps=max(options.steps * per_step, 1),
            seed=self.context.recipe.run.seed,
            mask=options.mask,
            smoothness=options.large_steps,
            recursion=self.context.recipe.optimize.recursion,
            float_atomics=self.context.recipe.optimize.float_atomics,
        )
        return self._with_rates(made)

    def _with_rates(self, made: Any) -> Any:
        """The loop's options with the recipe's rates and reaches of this moment; a tenth of them is left at the end."""
        options, scale = self.options, self.learning_rate_scale
        texture = options.learning_rate_texture, options.eps_texture
        wanted = {
            "vertices": (options.learning_rate, options.eps, 0.6),
            "displacement": (getattr(options, "learning_rate_displacement", 0.1), options.eps, 0.6),
            "base_color": (*texture, 0.2),
            "roughness_metallic": (0.2 * texture[0], 0.5 * texture[1], 0.5),
            "normal_map": (0.2 * texture[0], 0.5 * texture[1], 0.5),
            "environment": (self.context.recipe.light.learning_rate, made.groups["environment"].eps, 1.0),
        }
        groups = dict(made.groups)
        for name, (rate, eps, last) in wanted.items():
            rate = max(rate * scale, 1e-9)
            groups[name] = replace(groups[name], rate=rate, rate_end=0.1 * rate, eps=eps, eps_end=last * eps)
        groups["base_color"] = replace(groups["base_color"], rate_end=0.04 * groups["base_color"].rate)
        self.rates = {name: groups[name].at(0)[1] for name in made.order}
        return replace(made, groups=groups)

    def moving(self, index: int) -> list[str]:
        """The groups that step `index` moves, by what the user lets change now: shape, colour, one of the others."""
        options, order = self.options, self.loop.options.order
        shape = [name for name in order if name in ("vertices", "displacement") and options.geometry]
        color = ["base_color"] if options.material else []
        others = [name for name in order if name in OTHERS and (options.material or name == "environment")]
        return shape + color + others[index % max(len(others), 1) :][:1]

    def step(self, index: int) -> dict[str, float]:
        self.clock.start()
        self.loop.options = self._with_rates(self.loop.options)
        if index and index % TANGENT_INTERVAL == 0 and "normal_map" in self.loop.options.order:
            self.loop.set_tangents(self.tangents(self.points()))
        for group in self.moving(index):
            (frame,) = self.context.views.next(1)
            self.loop.advance(group, self.frames.index(frame))
        self.clock.lap("encoding")
        if index % LOSS_INTERVAL == 0 or not self.report:
            self.report["loss"] = self.loop.loss()
        if index % PSNR_INTERVAL == 0 or "psnr" not in self.report:
            view = self.view(self.frames[index // PSNR_INTERVAL % len(self.frames)])
            self.report["psnr"] = batch_psnr([torch.from_numpy(self.loop.preview(view.camera))], [view])
        self.clock.lap("device")
        return dict(self.report)


def own_shading(recipe: Any) -> Shading | None:
    """The shading by which a recipe's result is to be looked at; None where that is the engine's own."""
    if not {"blackbox", "subdivision"} & set(recipe.stages):
        return None
    shading = open_shading(recipe.shading.name, recipe.shading.file)
    return None if shading.name == "pbr" else shading
