"""What is seen behind splats: a map of encoded colour around everything, looked up by direction, and how it is learned.

The map is right for what is so far away that all photos see it in the same direction, such as the sky; what is nearer
has to be splats. Its gradient goes to its texels alone: not to the camera, which splats move.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from engine.kernels.scatter import sum_chunks
from engine.optimize import backdrop_kernels as kernels
from engine.scene import Backdrop, Camera
from engine.scene.conventions import gltf_from_capture
from engine.shading.equirectangular import sample

if TYPE_CHECKING:
    from engine.optimize.encoded_photos import EncodedPhotos
    from engine.optimize.views import ViewSet

CHUNKS = 8
FINAL_RATE = 0.1  # share of the learning rate at the end
JUDGES, JUDGED_SIZE = 8, 64  # photos at most whose mean colour is the start, and their pixels


def backdrop_image(colors: Tensor, world_from_environment: np.ndarray, camera: Camera) -> Tensor:
    """[H,W,3] what `camera` sees of a map `colors` [h,w,3], bilinear; gradients to `colors`.

    float32 on the CPU takes the kernels, everything else `backdrop_image_reference`.
    """
    if colors.device.type != "cpu" or colors.dtype != torch.float32:
        return backdrop_image_reference(colors, world_from_environment, camera)
    return _LookUp.apply(colors, np.asarray(world_from_environment).T @ camera.world_from_camera[:3, :3], camera)


def backdrop_image_reference(colors: Tensor, world_from_environment: np.ndarray, camera: Camera) -> Tensor:
    """`backdrop_image` in plain torch, for any device and float type."""
    directions = camera.rays()[1] @ np.asarray(world_from_environment)
    seen = sample(colors, None, torch.from_numpy(directions.reshape(-1, 3)).to(colors))
    return seen.reshape(*camera.size, 3)


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, colors: Tensor, environment_from_camera: np.ndarray, camera: Camera) -> Tensor:
        places, image = np.empty((*camera.size, 2), np.float32), np.empty((*camera.size, 3), np.float32)
        lens = np.array([*camera.focal, *camera.centre], np.float32)
        turn = np.ascontiguousarray(environment_from_camera, np.float32)
        kernels.look_up(colors.detach().contiguous().numpy(), turn, lens, places, image)
        ctx.kept = places, tuple(colors.shape)
        return torch.from_numpy(image)

    @staticmethod
    def backward(ctx, d_image: Tensor):
        places, shape = ctx.kept
        chunks, total = np.empty((CHUNKS, *shape), np.float32), np.empty(shape, np.float32)
        kernels.look_up_backward(np.ascontiguousarray(d_image.numpy()), places, chunks)
        sum_chunks(chunks.reshape(CHUNKS, shape[0], -1), total.reshape(shape[0], -1))
        return torch.from_numpy(total), None, None


def roughness(colors: Tensor) -> Tensor:
    """Scalar mean squared difference of neighbouring texels, around the seam too."""
    across = ((colors - colors.roll(1, 1)) ** 2).mean()
    return across + (colors.diff(dim=0) ** 2).mean()


def mean_color(views: ViewSet, photos: EncodedPhotos) -> Tensor:
    """[3] encoded, of a few training photos."""
    frames = views.train
    chosen = frames[:: -(-len(frames) // JUDGES) or 1]
    return torch.stack([photos.of(views.view(frame, JUDGED_SIZE)).color.mean((0, 1)) for frame in chosen]).mean(0)


class LearnedBackdrop:
    """A map of `rows` x 2 `rows` texels and its Adam; it stands upright in a world whose up is `up` [3]."""

    def __init__(self, rows: int, up: np.ndarray, color: Tensor) -> None:
        self.colors = color.float().clamp(0, 1).expand(rows, 2 * rows, 3).clone().requires_grad_()
        self.world_from_environment = gltf_from_capture(up).T
        self.optimizer = torch.optim.Adam([self.colors], lr=0.0)

    @classmethod
    def of(cls, colors: Tensor, up: np.ndarray) -> LearnedBackdrop:
        """One that goes on from texels [H,2H,3], which are copied."""
        learned = cls(len(colors), up, torch.zeros(3))
        with torch.no_grad():
            learned.colors.copy_(colors)
        return learned

    @property
    def rate(self) -> float:
        """Adam's step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def set_rate(self, rate: float, along: float) -> None:
        """Take `rate`, lowered as far as the stage is `along` in [0,1]."""
        self.optimizer.param_groups[0]["lr"] = rate * FINAL_RATE**along

    def image(self, camera: Camera) -> Tensor:
        """[H,W,3] with gradients."""
        return backdrop_image(self.colors, self.world_from_environment, camera)

    def roughness(self) -> Tensor:
        """As `roughness`."""
        return roughness(self.colors)

    @torch.no_grad()
    def confine(self) -> None:
        """Keep colours to what a picture can show; after each step."""
        self.colors.clamp_(0, 1)

    def snapshot(self) -> Backdrop:
        """A copy."""
        return Backdrop(self.colors.detach().numpy().copy(), np.array(self.world_from_environment))
