"""Density control as Markov chain Monte Carlo (Kheradmand et al. 2024, arXiv 2404.09591)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.splats.channels import rotation_matrices
from engine.splats.density.contract import DensityControl
from engine.splats.density.growth import axes, normal, shared_logits
from engine.splats.editing import edited, forget, selected
from engine.splats.parameters import SplatTensors

STEEPNESS = 100.0  # k of the noise's sigmoid(-k (o - t)); t is the opacity of the dead
CLEAR = 1e-6  # noise of a smaller sigmoid is left out
SOLID = 30.0  # logits above it count as it, lest the alternating sum lose its digits
MOST = 51  # splats at one place that the correction is computed for, as in the authors' program


class RelocationDensity(DensityControl):
    """Dead splats move to live ones, new ones come to live ones, and noise stirs the means in every step.

    Live splats are drawn with their opacities as weights, once for the dead and the new together; those at one place
    share opacity and scale so that what is seen changes little (eq. 9). The number grows by a share in each round, up
    to the budget. Noise and scale penalty measure lengths in extents, so that a capture's scale does not matter.
    Relocated and new splats, and the opacities and scales of those they came to, begin with moments of zero.
    """

    name = "relocation"

    def penalty(self, splats: SplatTensors) -> Tensor:
        options = self.options
        opacity, scale = torch.sigmoid(splats.logits).mean(), splats.log_scales[:, : axes(splats)].exp().mean()
        return options.opacity_penalty * opacity + options.scale_penalty / options.extent * scale

    def _adapt(
        self, step: int, splats: SplatTensors, optimizer: torch.optim.Optimizer, generator: torch.Generator
    ) -> dict[str, int]:
        counts = self._round(splats, optimizer, generator) if self._due(step) else {}
        self._stir(splats, optimizer, generator)
        return counts

    def _round(
        self, splats: SplatTensors, optimizer: torch.optim.Optimizer, generator: torch.Generator
    ) -> dict[str, int]:
        options, count = self.options, len(splats)
        opacities = torch.sigmoid(splats.logits)
        living = opacities > options.prune_opacity
        live = torch.nonzero(living).flatten()
        target = min(count + math.ceil(options.grow_share * count), options.budget)
        fresh = max(target - len(live), 0)
        if len(live) == 0 or fresh + len(live) == 0:
            return {}
        sums = opacities[live].double().cumsum(0)
        places = torch.rand(fresh, generator=generator, device=generator.device, dtype=torch.float64).to(sums.device)
        drawn = torch.searchsorted(sums, places * sums[-1], right=True).clamp(max=len(live) - 1)
        times = torch.bincount(drawn, minlength=len(live))
        chosen = torch.nonzero(times).flatten()
        origins, crowd = live[chosen], times[chosen] + 1
        logits, shrink = shared(
            splats.logits[origins], crowd, None if splats.shapes is None else splats.shapes[origins]
        )
        floor = math.log(options.prune_opacity / (1 - options.prune_opacity))
        splats.logits[origins] = logits.clamp(min=floor + 1e-3)  # else the many would be dead at once
        splats.log_scales[origins, : axes(splats)] += shrink[:, None]
        for tensor in (splats.logits, splats.log_scales):
            forget(optimizer, tensor, origins)
        edited(splats, optimizer, live, selected(splats, live[drawn]))
        self._seen = {}
        moved = min(count - len(live), fresh)
        return {"relocated": moved, "added": fresh - moved, "pruned": count - len(live) - moved}

    def _stir(self, splats: SplatTensors, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> None:
        """Add to each mean covariance times noise, by learning rate and sigmoid of the opacity."""
        options = self.options
        rate = next((group["lr"] for group in optimizer.param_groups if group["params"][0] is splats.means), 0.0)
        strength = torch.sigmoid(-STEEPNESS * (torch.sigmoid(splats.logits) - options.prune_opacity))
        index = torch.nonzero(strength > CLEAR).flatten()
        if rate * options.noise == 0 or len(index) == 0:
            return
        along = axes(splats)
        turned = rotation_matrices(splats.rotations[index])[:, :, :along]
        variance = (2 * (splats.log_scales[index, :along] - math.log(options.extent))).exp()
        draw = normal(len(index), 3, splats.means, generator)
        spread = (turned * (variance * (turned * draw[:, :, None]).sum(1))[:, None]).sum(2)
        splats.means.index_add_(0, index, spread * (options.noise * float(rate) * strength[index])[:, None])


def shared(logits: Tensor, count: Tensor, shapes: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Logits [M] and additions to all log scales [M] of `count` [M] (2 or more) splats in the place of each one.

    arXiv 2404.09591, eq. 9: the integral of the blended opacity along a line through the mean stays the same. With o of
    each, and C(n,j) binomials, it is sum_j C(n,j) (-1)^(j+1) o^j w_j, w_j = j^(-1/2) being the width of a Gaussian's
    j-th power; that of a generalized exponential is j^(-1/shape). From MOST splats on, those of MOST.
    """
    crowd = count.clamp(max=MOST).double()[:, None]
    logits = logits.clamp(max=SOLID)
    each = shared_logits(logits.double(), crowd[:, 0])
    j = torch.arange(1, MOST + 1, dtype=torch.float64, device=logits.device)[None]
    within = j <= crowd
    j = torch.where(within, j, 1.0)
    choose = torch.lgamma(crowd + 1) - torch.lgamma(j + 1) - torch.lgamma(crowd - j + 1)
    width = -torch.log(j) / (2.0 if shapes is None else shapes.double()[:, None])
    terms = torch.exp(choose + j * torch.nn.functional.logsigmoid(each)[:, None] + width)
    integral = (torch.where(within, terms, 0.0) * torch.where(j % 2 == 1, 1.0, -1.0)).sum(1)
    shrink = torch.nn.functional.logsigmoid(logits.double()) - torch.log(integral)
    return each.to(logits), shrink.to(logits)
