"""Depth that a capture carries, as something for splats to learn from where photos alone leave them free."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.capture.depths import nearest
from engine.splats.channels import camera_depths

if TYPE_CHECKING:
    from engine.capture import Capture
    from engine.optimize.encoded_photos import EncodedPhoto
    from engine.optimize.views import View
    from engine.scene import Camera
    from engine.splats.contract import SplatImage
    from engine.splats.parameters import SplatTensors

LIMIT = 256 * 2**20  # bytes
FAINT = 0.05  # least alpha of a pixel whose depth says something
INSIDE = 0.5  # least mask of a pixel whose depth counts


@dataclass(frozen=True)
class DepthTarget:
    """The depth of one photo at one size."""

    inverse: Tensor  # [H,W] its median depth over depth; 0 where depth is unknown
    usual: float  # the median depth, capture units
    known: int  # pixels that have a depth

    @classmethod
    def of(cls, depth: Tensor) -> DepthTarget:
        """Of depths [H,W], 0 where unknown."""
        inside = depth > 0
        usual = float(depth[inside].median()) if bool(inside.any()) else 0.0
        inverse = torch.where(inside, usual / torch.where(inside, depth, 1.0), 0.0)
        return cls(inverse, usual, int(inside.sum()))


class TrainingDepths:
    """The depth maps of training photos, at their views' sizes; those used last are kept, as many as fit in LIMIT."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._kept: OrderedDict[tuple[int, int], DepthTarget] = OrderedDict()

    def of(self, view: View, photo: EncodedPhoto) -> DepthTarget | None:
        """That of a view; what is masked out is unknown. None for a photo without any. Raises CaptureError."""
        key = view.frame, view.camera.width
        if key not in self._kept:
            stored = self._capture.depth(view.frame)
            if stored is None:
                return None
            depth = torch.from_numpy(np.array(nearest(stored, *view.camera.size))).to(photo.alpha)
            self._kept[key] = DepthTarget.of(torch.where(photo.alpha > INSIDE, depth, 0.0))
        self._kept.move_to_end(key)
        while len(self._kept) > 1 and 4 * sum(target.inverse.numel() for target in self._kept.values()) > LIMIT:
            self._kept.popitem(last=False)
        return self._kept[key]


def with_depths(extra: Tensor | None, splats: SplatTensors, camera: Camera) -> Tensor | None:
    """The channels `extra` [N,C] to blend, and after them the splats' depths; discs have depths of their own."""
    if splats.kind == "surface":
        return extra
    depths = camera_depths(splats.means, camera)[:, None]
    return depths if extra is None else torch.cat([extra, depths], 1)


def drawn_depth(image: SplatImage) -> Tensor:
    """[H,W] the sum of weight times depth of a view drawn `with_depths`."""
    return image.extra[..., -1] if image.depth is None else image.depth


def depth_loss(depth: Tensor, alpha: Tensor, target: DepthTarget) -> Tensor:
    """Scalar L1 between inverse depths, in units of the photo's median one, over the pixels where depth is known.

    `depth` [H,W] is a sum of weight times depth, `alpha` [H,W] that of the weights. Each pixel counts as far as
    something is drawn there, which is not differentiated: depth is not to close holes. Inverse, because a sensor's
    error grows with distance; L1, because single pixels may be far off.
    """
    with torch.no_grad():
        weight = alpha * ((target.inverse > 0) & (alpha > FAINT) & (depth > 0)) / max(target.known, 1)
    expected = depth.masked_fill(weight == 0, float("inf"))
    return ((alpha * target.usual / expected - target.inverse).abs() * weight).sum()
