"""Stage splats by stochastic gradients: through any shading of the splats' picture, with no derivative of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from engine.errors import RecipeError
from engine.optimize.encoded_photos import EncodedPhoto
from engine.optimize.splat_gradient import picture_shading
from engine.optimize.stage import StageContext, stands_in
from engine.optimize.stages.splats import SplatsStage
from engine.scene import Camera
from engine.splats.contract import SplatImage, SplatOptions
from engine.splats.parameters import SplatTensors
from engine.splats.stochastic_credit import stochastic_gradient

REACH = 0.1  # how far a group is perturbed, see `reach_of`


@stands_in(lambda context: context.recipe.optimize.gradient == "stochastic")
class StochasticSplatsStage(SplatsStage):
    """One photo a step, drawn twice for each group of parameters; what a pixel differs by is credited to what it saw.

    The loss is L1 and the mask: a structural term is of no single pixel. Where the recipe names a shading other than
    pbr, or a file, it stands between the splats' picture and the photo, and the splats' colours are its base colours.
    Cameras, exposure, depth and scripts' losses have no effect.
    """

    name = "splats"

    def _take(self, context: StageContext) -> None:
        options = context.recipe.splats
        for wrong, instead in (
            (options.kind == "surface", "splats.kind=gaussian or exponential"),
            (options.rescaled, "splats.rescaled=false"),
            (options.density == "classic", "splats.density=error or relocation"),
            (options.background == "environment", "another splats.background"),
            (options.masks == "ignore", "splats.masks=object"),
        ):
            if wrong:
                raise RecipeError(f"stage splats with optimize.gradient=stochastic needs {instead}")
        self.shading = picture_shading(context.recipe)
        super()._take(context)
        self._tell_ignored()

    def _tell_ignored(self) -> None:
        options, optimize = self.options, self.context.recipe.optimize
        ignored = ["splats.ssim"] * bool(options.ssim) + ["splats.frequency"] * bool(options.frequency)
        ignored += ["splats.exposure"] * options.exposure + ["optimize.cameras"] * optimize.cameras
        ignored += ["splats.depth_weight"] * bool(options.depth_weight and self.context.capture.has_depth)
        if ignored:
            self.context.notice(f"options without effect on splats' stochastic gradients: {', '.join(ignored)}")

    def _drawn(self, splats: SplatTensors, camera: Camera, index: int, extra: Tensor | None = None) -> SplatImage:
        wanted = SplatOptions(
            degree=self._degree(index),
            antialiased=self.options.antialiased,
            depth=self.shading is not None,
            extra=extra,
        )
        return self.splatter.render(splats, camera, wanted)

    def _differences(
        self, drawn: SplatImage, camera: Camera, photo: EncodedPhoto, behind: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(colour [H,W,3], alpha [H,W]) less the photo's, both over the colour `behind`."""
        color = drawn.color if self.shading is None else self.shading.color(drawn, camera)
        masked = self._masked()
        color = color + (1 - drawn.alpha)[..., None] * behind
        target = photo.color + (1 - photo.alpha)[..., None] * behind if masked else photo.color
        outside = drawn.alpha - photo.alpha if masked else torch.zeros_like(drawn.alpha)
        return (color - target).detach(), outside.detach()

    def _behind(self) -> Tensor:
        chosen, generator = self.options.background, self.context.generator
        if chosen == "random" or (chosen == "auto" and self._masked()):
            return torch.rand(3, generator=generator)
        return torch.full((3,), float(chosen == "white"))

    def step(self, index: int) -> dict[str, float]:
        self.clock.start()
        options, splats = self.options, self.splats
        self._set_rates(index)
        view = self.context.views.view(self.context.views.next()[0], self._image_size(index))
        photo, behind = self.photos.of(view), self._behind()
        drawn = self._drawn(splats, view.camera, index, self.density.extra(splats))
        color, outside = self._differences(drawn, view.camera, photo, behind)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        penalty = self.density.weighed(drawn, color.abs().mean(-1)) + self.density.penalty(splats)
        if penalty.requires_grad:
            penalty.backward()
        self.clock.lap("splatting")

        def losses(moved: SplatTensors) -> np.ndarray:
            with torch.no_grad():
                image = self._drawn(moved, view.camera, index)
                difference, alpha = self._differences(image, view.camera, photo, behind)
                return (difference.abs().mean(-1) + options.mask * alpha**2).numpy()

        for group, tensor in splats.tensors().items():
            tensor.grad = self._estimate(group, tensor.grad, view.camera, losses, index)
        self.clock.lap("backward")
        self.optimizers[0].step()
        self._confine()
        with torch.no_grad():
            self.density.observe(drawn, view.camera)
            if options.geometry:
                self.density.adapt(index + 1, splats, self.optimizers[0], self.context.generator)
        self.clock.lap("density")
        terms = {"color": float(color.abs().mean()), "mask": float(options.mask * (outside**2).mean())}
        psnr = float(-10 * torch.log10((color**2).mean().clamp_min(1e-10)))
        return terms | {"loss": sum(terms.values()), "psnr": psnr}

    def _estimate(
        self, group: str, penalty: Tensor | None, camera: Camera, losses: Callable[..., np.ndarray], index: int
    ) -> Tensor | None:
        """One sample of a group's gradient with that of the penalties; None for what the user holds."""
        if not (self.options.color if group == "harmonics" else self.options.geometry):
            return None
        seed, antialiased = self.context.recipe.run.seed, self.options.antialiased
        found = stochastic_gradient(self.splats, camera, group, losses, seed, index, REACH, antialiased)
        found = found / (camera.width * camera.height)
        return found if penalty is None else found + penalty
