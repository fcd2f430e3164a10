"""The stochastic gradient of splats: two perturbed images, and each pixel's difference credited to what it saw.

Means, rotations, scales, opacities, colours and shapes get gradients through any function of the image, such as a
shading that nobody can differentiate: two views of all splats moved by random signs are compared pixel by pixel, and
what a pixel's loss differs by is credited to every splat that it saw in either (Deliot, Heitz, Belcour 2024, arXiv
2404.09758). The mean over signs is the gradient; one sample is mostly noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from engine.kernels.signs import sign_key, signs
from engine.scene.camera import Camera
from engine.splats.constants import TILE
from engine.splats.parameters import SplatTensors
from engine.splats.stochastic_ids import WORD, SplatIds, sums_of

GROUPS = ("means", "rotations", "log_scales", "logits", "harmonics", "shapes")
FIRST_GROUP = 7  # of the random signs; those before belong to meshes
LARGEST = 2**31 - 1


class SplatCredit:
    """Which splats each pixel of two images saw; a credit rule (engine/raster/stochastic/credit.py) for splats."""

    def __init__(self, plus: SplatIds, minus: SplatIds) -> None:
        self.plus, self.minus = plus, minus
        self.rows = plus.count

    def sums(self, fixed: np.ndarray) -> np.ndarray:
        """[rows] int32: the sum of `fixed` [H,W] int32 over the pixels that saw each splat in either image."""
        totals = np.zeros(self.rows, np.int64)
        columns = -(-fixed.shape[1] // TILE)
        nobody = np.zeros_like(self.plus.starts), np.empty(0, np.int32), np.empty((0, 4), np.uint64)
        first = self.plus.starts, self.plus.splats, self.plus.seen
        for ids, without in ((self.plus, nobody), (self.minus, first)):
            part = np.empty(len(ids.splats), np.int64)
            sums_of(columns, fixed, ids.starts, ids.splats, ids.seen, *without, self.rows, part)
            np.add.at(totals, ids.splats, part)
        return totals.astype(np.int32)

    def pixels(self, row: int) -> np.ndarray:
        """[H,W] bool: the pixels credited to one splat."""
        height, width = self.plus.size
        columns, rows = -(-width // TILE), -(-height // TILE)
        image = np.zeros((rows * TILE, columns * TILE), bool)
        for ids in (self.plus, self.minus):
            for place in np.flatnonzero(ids.splats == row):
                tile = int(np.searchsorted(ids.starts, place, side="right")) - 1
                bits = ids.seen[place][:, None] >> np.arange(WORD, dtype=np.uint64) & np.uint64(1)
                y, x = tile // columns * TILE, tile % columns * TILE
                image[y : y + TILE, x : x + TILE] |= bits.reshape(TILE, TILE).astype(bool)
        return image[:height, :width]

    def support(self) -> Tensor:
        """[P,2] int64: every (pixel, splat) pair that is credited."""
        pairs = []
        for row in range(self.rows):
            pixels = np.flatnonzero(self.pixels(row))
            pairs.append(np.stack([pixels, np.full_like(pixels, row)], 1))
        return torch.from_numpy(np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64))


def reach_of(splats: SplatTensors, group: str, share: float) -> np.ndarray:
    """[N,C] or [1,1] how far a group is perturbed: by `share` of what the parameter is measured in.

    Of means that is the splat's size, of quaternions and shapes their own length, of the rest one.
    """
    if group == "means":
        return share * splats.log_scales.detach().mean(1, keepdim=True).exp().numpy()
    if group == "rotations":
        return share * splats.rotations.detach().norm(dim=1, keepdim=True).numpy()
    if group == "shapes":
        return share * splats.shapes.detach()[:, None].numpy()
    return np.full((1, 1), share, np.float32)


def stochastic_gradient(
    splats: SplatTensors,
    camera: Camera,
    group: str,
    losses: Callable[[SplatTensors], Tensor | np.ndarray],
    seed: int,
    step: int = 0,
    share: float = 0.02,
    antialiased: bool = False,
) -> Tensor:
    """One sample of the gradient of the sum of `losses` to the group, shaped as its tensor.

    `losses` draws splats as it likes and gives the loss of each pixel [H,W], of which none may depend on other pixels'
    colours. The same seed and step give the same signs. Sums are taken in fixed point: the same bits on any number of
    threads.
    """
    values = getattr(splats, group).detach()
    flat = values.reshape(len(values), -1).numpy()
    drawn = signs(sign_key(seed, step, FIRST_GROUP + GROUPS.index(group)), *flat.shape)
    reach = reach_of(splats, group, share).astype(np.float32)
    difference, seen = 0.0, []
    for side in (1, -1):
        moved = replace(splats, **{group: torch.from_numpy(flat + side * reach * drawn).reshape(values.shape)})
        difference = difference + side * np.asarray(losses(moved), np.float64)
        seen.append(SplatIds.of(moved, camera, antialiased))
    largest = float(np.abs(difference).max())
    if not 0 < largest < math.inf:
        return torch.zeros_like(values)
    scale = 2.0 ** math.floor(math.log2((LARGEST / difference.size - 0.5) / largest))
    fixed = np.rint(difference * scale).astype(np.int32)
    credit = SplatCredit(*seen).sums(fixed).astype(np.float64) / scale
    gradient = credit[:, None] * drawn / (2 * reach)
    return torch.from_numpy(gradient.astype(np.float32)).reshape(values.shape)
