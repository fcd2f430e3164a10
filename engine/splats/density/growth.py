"""How one splat becomes several: clones, splits, and what their opacities and scales have to be."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize

from engine.splats.editing import edited, joined, selected
from engine.splats.parameters import SplatTensors

SHRINK = 1.6  # a splat's scale over its parts' (Kerbl et al. 2023, section 5.2)


def axes(splats: SplatTensors) -> int:
    """The number of axes along which a splat has a size: a disc has two."""
    return 2 if splats.kind == "surface" else 3


def sizes(splats: SplatTensors) -> Tensor:
    """[N] the largest scales, capture units."""
    return splats.log_scales.detach()[:, : axes(splats)].amax(1).exp()


def scattered(splats: SplatTensors, index: Tensor, generator: torch.Generator) -> SplatTensors:
    """A smaller splat for each of `index` [M]: its mean drawn from that one as from a normal distribution."""
    parts, along = selected(splats, index), axes(splats)
    offset = normal(len(parts), parts.means, generator)
    offset[:, :along] *= parts.log_scales[:, :along].exp()
    offset[:, along:] = 0
    parts.means += turned(offset, parts.rotations)
    parts.log_scales[:, :along] -= math.log(SHRINK)
    return parts


def split(splats: SplatTensors, index: Tensor, generator: torch.Generator) -> SplatTensors:
    """Two smaller splats in the place of each at `index` [M]."""
    return scattered(splats, index.repeat_interleave(2), generator)


def shared_logits(logits: Tensor, count: Tensor | int) -> Tensor:
    """The logits of `count` splats at one place that together are as opaque as one of `logits`: 1 - (1 - o)^(1/count).

    arXiv 2404.06109 (of two, its correction of clones) and arXiv 2404.09591, eq. 9.
    """
    log_clear = logsigmoid(-logits) / count  # of 1 - o, exact where o is near 0 or 1
    return torch.log(-torch.expm1(log_clear)) - log_clear


def grow(
    splats: SplatTensors,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    growing: Tensor,  # [M] indices
    pruned: Tensor,  # [N] bool, none of them growing
    large: Tensor,  # [N] bool
    corrected: bool,
) -> dict[str, int]:
    """Split the large ones of `growing`, clone the others, take the pruned out; how many of each.

    `corrected`: a clone and its origin share their opacity, else each has all of it.
    """
    if len(growing) == 0 and not bool(pruned.any()):
        return {}
    splitting, cloning = growing[large[growing]], growing[~large[growing]]
    if corrected:
        splats.logits[cloning] = shared_logits(splats.logits[cloning], 2)
    added = joined(selected(splats, cloning), split(splats, splitting, generator))
    gone = pruned.clone()
    gone[splitting] = True
    edited(splats, optimizer, torch.nonzero(~gone).flatten(), added)
    return {"cloned": len(cloning), "split": len(splitting), "pruned": int(pruned.sum())}


def turned(vectors: Tensor, quaternions: Tensor, back: bool = False) -> Tensor:
    """[N,3] turned by quaternions [N,4] w, x, y, z of any length, or by their inverses."""
    quaternions = normalize(quaternions, dim=1)
    axis = -quaternions[:, 1:] if back else quaternions[:, 1:]
    twice = 2 * torch.linalg.cross(axis, vectors)
    return vectors + quaternions[:, :1] * twice + torch.linalg.cross(axis, twice)


def normal(count: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """[count,3] standard normal numbers, drawn where the generator lives."""
    return torch.randn(count, 3, generator=generator, device=generator.device, dtype=like.dtype).to(like.device)
