"""Training photos as splats are compared with them: sRGB-encoded, and kept between steps as far as memory goes."""

from __future__ import annotations

import functools
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.optimize.photo_loss import WINDOW, TargetStatistics
from engine.scene.conventions import linear_to_srgb

if TYPE_CHECKING:
    from engine.optimize.views import View

LIMIT = 512 * 2**20  # bytes


@dataclass(frozen=True)
class EncodedPhoto:
    """One photo at one size, on the CPU."""

    color: Tensor  # [H,W,3] float32 sRGB-encoded, times alpha
    alpha: Tensor  # [H,W]

    @classmethod
    def of(cls, view: View) -> EncodedPhoto:
        """The photo of a view."""
        alpha = view.alpha.cpu()
        straight = view.premultiplied.cpu() / alpha.clamp_min(1e-6)[..., None]
        encoded = torch.from_numpy(linear_to_srgb(straight.numpy()).astype(np.float32))
        return cls((encoded * alpha[..., None]).contiguous(), alpha)

    @functools.cached_property
    def statistics(self) -> TargetStatistics | None:
        """What the fused loss needs of `color`; None for a picture under its window."""
        small = min(self.color.shape[:2]) < WINDOW
        return None if small else TargetStatistics.of_encoded(self.color)

    @property
    def memory(self) -> int:
        """Bytes, those of the statistics included."""
        return 4 * 10 * self.alpha.numel()


class EncodedPhotos:
    """The photos used last, as many as fit in LIMIT, but always one."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int], EncodedPhoto] = OrderedDict()

    def of(self, view: View) -> EncodedPhoto:
        """Made when first asked for."""
        key = view.frame, view.camera.width
        if key not in self._kept:
            self._kept[key] = EncodedPhoto.of(view)
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and sum(photo.memory for photo in self._kept.values()) > LIMIT:
            self._kept.popitem(last=False)
        return self._kept[key]
