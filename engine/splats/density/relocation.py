"""Density control as Markov chain Monte Carlo (Kheradmand et al. 2024, arXiv 2404.09591)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.splats.density.contract import DensityControl
from engine.splats.density.growth import SHRINK, axes, normal, scattered, shared_logits, sizes, turned
from engine.splats.editing import edited, forget
from engine.splats.parameters import SplatTensors

STEEPNESS = 100.0  # k of the noise's sigmoid(-k (o - t)); t is the opacity of the dead
STILL = 1e-4  # noise of a smaller share of a splat's largest scale is left out
SOLID = 30.0  # logits above it count as it, lest the alternating sum lose its digits
MOST = 51  # splats at one place that the correction is computed for, as in the authors' program


class RelocationDensity(DensityControl):
    """Dead splats move to live ones, new ones come to live ones, and noise stirs the means in every step.

    Live splats are drawn with their opacities as weights, once for the dead and the new together. Those that come to
    one share opacity and scale with it so that a pile would look as it did (eq. 9), but do not stay on its mean, where
    alike splats part slowly, too slowly for runs of few steps: they lie around it as it spreads, and with it become
    smaller, as after a split. That changes the image in passing.

    The number grows by a share in each round, up to the budget. Noise and scale penalty measure lengths in extents, so
    that a capture's scale does not matter. Relocated and new splats, and the opacities and scales of those they came
    to, begin with moments of zero.
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
        if len(live) == 0 or fresh == 0 and len(live) == count:
            return {}
        sums = opacities[live].double().cpu().cumsum(0)  # on CUDA sums differ from run to run
        places = torch.rand(fresh, generator=generator, device=generator.device, dtype=torch.float64).cpu()
        drawn = torch.searchsorted(sums, places * sums[-1], right=True).clamp(max=len(live) - 1).to(live)
        times = torch.bincount(drawn, minlength=len(live))
        chosen = torch.nonzero(times).flatten()
        origins, crowd = live[chosen], times[chosen] + 1
        logits, shrink = shared(
            splats.logits[origins], crowd, None if splats.shapes is None else splats.shapes[origins]
        )
        floor = math.log(options.prune_opacity / (1 - options.prune_opacity))
        splats.logits[origins] = logits.clamp(min=floor + 1e-3).to(splats.logits)  # else the many would be dead at once
        splats.log_scales[origins, : axes(splats)] += shrink[:, None].to(splats.log_scales)
        added = scattered(splats, live[drawn], generator)
        splats.log_scales[origins, : axes(splats)] -= math.log(SHRINK)
        for tensor in (splats.logits, splats.log_scales):
            forget(optimizer, tensor, origins)
        edited(splats, optimizer, live, added)
        self._seen = {}
        moved = min(count - len(live), fresh)
        return {"relocated": moved, "added": fresh - moved, "pruned": count - len(live) - moved}

    def _stir(self, splats: SplatTensors, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> None:
        """Add to each mean covariance times noise, by learning rate and sigmoid of the opacity."""
        options, along = self.options, axes(splats)
        rate = next((group["lr"] for group in optimizer.param_groups if group["params"][0] is splats.means), 0.0)
        strength = torch.sigmoid(-STEEPNESS * (torch.sigmoid(splats.logits) - options.prune_opacity))
        strength *= float(rate) * options.noise / options.extent**2
        index = torch.nonzero(strength * sizes(splats) > STILL).flatten()
        if len(index) == 0:
            return
        rotations = splats.rotations[index]
        spread = turned(normal(len(index), splats.means, generator), rotations, back=True)
        spread[:, :along] *= (2 * splats.log_scales[index, :along]).exp() * strength[index, None]
        spread[:, along:] = 0
        splats.means.index_add_(0, index, turned(spread, rotations))


def shared(logits: Tensor, count: Tensor, shapes: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Logits [M] of `count` [M] splats on the mean of each one, and what all their log scales change by [M]; float64.

    arXiv 2404.09591, eq. 9: the integral of the blended opacity along a line through the mean stays the same. With o of
    each, and C(n,j) binomials, it is sum_j C(n,j) (-1)^(j+1) o^j w_j, w_j = j^(-1/2) being the width of a Gaussian's
    j-th power; that of a generalized exponential is j^(-1/shape). From MOST splats on, those of MOST.
    """
    logits = logits.double().clamp(max=SOLID)
    crowd = count.clamp(max=MOST)[:, None]
    each = shared_logits(logits, crowd[:, 0])
    j = torch.arange(1, int(crowd.max()) + 1 if len(crowd) else 1, device=logits.device)
    factorials = torch.lgamma(torch.arange(1.0, MOST + 2, dtype=torch.float64, device=logits.device))  # logarithms
    choose = factorials[crowd] - factorials[j] - factorials[(crowd - j).clamp(min=0)]
    width = -torch.log(j.double()) / (2.0 if shapes is None else shapes.double()[:, None])
    terms = torch.exp(choose + j * torch.nn.functional.logsigmoid(each)[:, None] + width)
    integral = (torch.where(j <= crowd, terms, 0.0) * torch.where(j % 2 == 1, 1.0, -1.0)).sum(1)
    shrink = torch.nn.functional.logsigmoid(logits) - torch.log(integral)
    return each, shrink
