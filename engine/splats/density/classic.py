"""Adaptive density control by screen gradients (Kerbl et al. 2023, arXiv 2308.04079, section 5.2), within a budget."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.scene.camera import Camera
from engine.splats.contract import SplatImage
from engine.splats.density.contract import DensityControl, largest
from engine.splats.density.growth import grow, sizes
from engine.splats.editing import forget
from engine.splats.parameters import SplatTensors


class ClassicDensity(DensityControl):
    """Splats whose projected means are pulled strongly grow; all opacities are reset now and then.

    The gradient is that to the mean's place in units of half the image, and its norm is averaged over the views since
    the last round in which the splat was seen. Where the budget leaves too little room the largest gradients grow.
    Splats that are faint go, and from the first reset on those that are too large, unless they are to be split.
    """

    name = "classic"

    def scores(self) -> Tensor | None:
        if not self._seen:
            return None
        return self._seen["gradient"] / self._seen["views"].clamp(min=1)

    @torch.no_grad()
    def observe(self, image: SplatImage, camera: Camera) -> None:
        if image.screen.grad is None:
            return
        slope = image.screen.grad
        gradient, views, radius = self._statistics(slope, len(slope), "gradient", "views", "radius")
        seen = image.radii > 0
        norm = torch.hypot(slope[:, 0] * (camera.width / 2), slope[:, 1] * (camera.height / 2))
        gradient += torch.where(seen, norm, 0.0)
        views += seen
        torch.maximum(radius, image.radii / max(camera.width, camera.height), out=radius)

    def _adapt(
        self, step: int, splats: SplatTensors, optimizer: torch.optim.Optimizer, generator: torch.Generator
    ) -> dict[str, int]:
        options, counts = self.options, {}
        if self._due(step):
            gradient, views, radius = self._statistics(splats.means, len(splats), "gradient", "views", "radius")
            mean, size = gradient / views.clamp(min=1), sizes(splats)
            large = size > options.split_scale * options.extent
            pruned = torch.sigmoid(splats.logits) < options.prune_opacity
            wanted = (mean >= options.grow_gradient) & ~pruned
            if step > options.reset_interval:
                huge = (size > options.prune_scale * options.extent) | (radius > options.prune_screen)
                pruned |= huge & ~(wanted & large)
                wanted &= ~pruned
            chosen = torch.nonzero(wanted).flatten()
            room = max(options.budget - len(splats) + int(pruned.sum()), 0)
            growing = chosen[largest(mean[chosen], room)]
            counts = grow(splats, optimizer, generator, growing, pruned, large, corrected=False)
            self._seen = {}
        if options.start <= step < options.stop and step % options.reset_interval == 0:
            ceiling = math.log(options.reset_opacity / (1 - options.reset_opacity))
            splats.logits.clamp_(max=ceiling)
            forget(optimizer, splats.logits)
            counts["reset"] = len(splats)
        return counts
