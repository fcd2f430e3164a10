"""Density control by the error that splats show, to a budget (Rota Bulo et al. 2024, arXiv 2404.06109)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from engine.scene.camera import Camera
from engine.splats.contract import SplatImage
from engine.splats.density.contract import DensityControl, DensityOptions, largest
from engine.splats.density.growth import grow, sizes
from engine.splats.parameters import SplatTensors

FAINT = 1e-4  # the least opacity that decay leaves


class _Weighed(torch.autograd.Function):
    """0, with the gradient of the sum of `channel` [H,W,1], which is zero, times `error` [H,W]."""

    @staticmethod
    def forward(ctx, channel: Tensor, error: Tensor) -> Tensor:
        ctx.save_for_backward(error)
        return channel.new_zeros(())

    @staticmethod
    def backward(ctx, slope: Tensor):
        return (ctx.saved_tensors[0] * slope)[..., None], None


class ErrorDensity(DensityControl):
    """Splats with the highest errors grow, at most a share of all in a round; opacities decay instead of being reset.

    A splat's error is the largest, over the views since the last round, of the sum of pixel error times blending
    weight (section 3.1): the gradient of `weighed` to the further channel, which is zero and so changes no other.
    """

    name = "error"

    def __init__(self, options: DensityOptions) -> None:
        super().__init__(options)
        self._extra: Tensor | None = None  # of the view that is being rendered

    def extra(self, splats: SplatTensors) -> Tensor:
        self._extra = torch.zeros_like(splats.means[:, :1], requires_grad=True)
        return self._extra

    def weighed(self, image: SplatImage, error: Tensor) -> Tensor:
        channel = image.extra if image.extra.shape[2] == 1 else image.extra[..., :1]
        return _Weighed.apply(channel, error.detach())

    def scores(self) -> Tensor | None:
        return self._seen.get("error")

    def observe(self, image: SplatImage, camera: Camera) -> None:
        if self._extra is None or self._extra.grad is None:
            return
        share = self._extra.grad[:, 0]
        self._extra = None
        (error,) = self._statistics(share, len(share), "error")
        torch.maximum(error, share, out=error)

    def _adapt(
        self, step: int, splats: SplatTensors, optimizer: torch.optim.Optimizer, generator: torch.Generator
    ) -> dict[str, int]:
        if not self._due(step):
            return {}
        options = self.options
        (error,) = self._statistics(splats.means, len(splats), "error")
        pruned = torch.sigmoid(splats.logits) < options.prune_opacity
        wanted = torch.nonzero((error > options.grow_error) & ~pruned).flatten()
        kept = len(splats) - int(pruned.sum())
        room = max(min(math.ceil(options.grow_share * kept), options.budget - kept), 0)
        growing = wanted[largest(error[wanted], room)]
        large = sizes(splats) > options.split_scale * options.extent
        counts = grow(splats, optimizer, generator, growing, pruned, large, corrected=True)
        opacities = torch.sigmoid(splats.logits) - options.decay
        splats.logits.copy_(torch.logit(opacities.clamp(min=FAINT)))
        self._seen = {}
        return counts
