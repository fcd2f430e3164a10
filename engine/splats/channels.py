"""What splatters share in torch: further channels to blend, and the image put together from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from engine.scene.camera import Camera
from engine.splats.contract import SplatImage, SplatOptions
from engine.splats.parameters import SplatTensors

RHO = 0.1  # of phi (Hamdi et al. 2024, arXiv 2402.10128, eq. 6)


def rescaled(splats: SplatTensors) -> SplatTensors:
    """Generalized exponentials as Gaussians whose scales are phi(shape) times as large (arXiv 2402.10128, eq. 6)."""
    phi = 2 / (1 + torch.exp(2 * RHO - RHO * splats.shapes))
    return replace(splats, kind="gaussian", shapes=None, log_scales=splats.log_scales + phi.log()[:, None])


def rotation_matrices(quaternions: Tensor) -> Tensor:
    """[N,3,3] of quaternions [N,4] w, x, y, z of any length."""
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=1).unbind(1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def camera_depths(means: Tensor, camera: Camera) -> Tensor:
    """[N] camera z of points [N,3]."""
    forward = torch.from_numpy(np.array(camera.forward)).to(means)
    return (means - torch.from_numpy(np.array(camera.position)).to(means)) @ forward


def facing_normals(splats: SplatTensors, camera: Camera) -> Tensor:
    """[N,3] world directions of the shortest axes (a disc's: its third), turned to the camera."""
    axes = rotation_matrices(splats.rotations)
    if splats.kind == "surface":
        normal = axes[:, :, 2]
    else:
        shortest = splats.log_scales.detach().argmin(1)
        normal = axes.gather(2, shortest[:, None, None].expand(-1, 3, 1))[:, :, 0]
    with torch.no_grad():
        toward = torch.from_numpy(np.array(camera.position)).to(normal) - splats.means
        sign = torch.where((normal * toward).sum(1, keepdim=True) < 0, -1.0, 1.0).to(normal)
    return normal * sign


def channels(splats: SplatTensors, camera: Camera, options: SplatOptions) -> Tensor | None:
    """[N,C] what is blended besides colour: `options.extra`, then depth and normal; None where there is nothing."""
    parts = [] if options.extra is None else [options.extra]
    if options.depth:
        parts += [camera_depths(splats.means, camera)[:, None], facing_normals(splats, camera)]
    return torch.cat(parts, 1).contiguous() if parts else None


def put_together(
    color: Tensor,  # [H,W,3]
    further: Tensor,  # [H,W,C] blended `channels`
    transmittance: Tensor,  # [H,W]
    radii: Tensor,
    screen: Tensor,
    options: SplatOptions,
    **more: Tensor | None,
) -> SplatImage:
    """The image over its background, and the channels by name."""
    if options.background is not None:
        color = color + transmittance[..., None] * options.background
    count = 0 if options.extra is None else options.extra.shape[1]
    named: dict[str, Tensor | None] = dict(more)
    if count:
        named["extra"] = further if count == further.shape[2] else further[..., :count]
    if options.depth:
        named |= {"depth": further[..., count], "normal": further[..., count + 1 :]}
    return SplatImage(color, 1 - transmittance, radii, screen, **named)
