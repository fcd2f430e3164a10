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
JUDGES, JUDGED_SIZE = 32, 96  # photos at most that the start is made of, and their longest side, pixels
FEW = 0.1  # pixels that the mean colour counts for in a texel of the start


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


def seen_colors(views: ViewSet, photos: EncodedPhotos, rows: int, world_from_environment: np.ndarray) -> Tensor:
    """[rows,2 rows,3] each texel the mean of what a few training photos have in its direction, near or far.

    Where none of them looks it is the mean of all.
    """
    frames, colors = views.train, torch.zeros(rows, 2 * rows, 3)
    total, weight = torch.zeros_like(colors), torch.zeros_like(colors)
    chosen = [views.view(frame, JUDGED_SIZE) for frame in frames[:: -(-len(frames) // JUDGES) or 1]]
    means = []
    for view in chosen:
        photo = photos.of(view)
        means.append(photo.color.mean((0, 1)) / photo.alpha.mean().clamp_min(1e-6))
        for sums, values in ((total, photo.color), (weight, photo.alpha[..., None].expand_as(photo.color))):
            texels = torch.zeros_like(colors, requires_grad=True)
            backdrop_image(texels, world_from_environment, view.camera).backward(values.contiguous())
            sums += texels.grad
    return (total + FEW * torch.stack(means).mean(0)) / (weight + FEW)


class LearnedBackdrop:
    """A map that begins with `colors` [H,2H,3] and its Adam; it stands upright in a world whose up is `up` [3]."""

    def __init__(self, colors: Tensor, up: np.ndarray) -> None:
        self.colors = colors.detach().float().clamp(0, 1).clone().requires_grad_()
        self.world_from_environment = gltf_from_capture(up).T
        self.optimizer = torch.optim.Adam([self.colors], lr=0.0)

    @classmethod
    def seen(cls, views: ViewSet, photos: EncodedPhotos, rows: int) -> LearnedBackdrop:
        """One that begins with `seen_colors`."""
        up = views.capture.up
        return cls(seen_colors(views, photos, rows, gltf_from_capture(up).T), up)

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
