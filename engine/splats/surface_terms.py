"""Regularizers that draw discs together to a surface (Huang et al. 2024, arXiv 2403.17888)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from engine.scene.camera import Camera
from engine.splats.contract import SplatImage


def depth_normals(depth: Tensor, camera: Camera) -> Tensor:
    """[H-2,W-2,3] world normals, towards the camera, of the surface whose camera depth is `depth` [H,W]."""
    height, width = depth.shape
    x = (torch.arange(width, dtype=depth.dtype) + 0.5 - camera.centre[0]) / camera.focal[0]
    y = (torch.arange(height, dtype=depth.dtype) + 0.5 - camera.centre[1]) / camera.focal[1]
    ones = torch.ones_like(depth)
    points = torch.stack([x[None, :] * ones, y[:, None] * ones, ones], -1).to(depth.device) * depth[..., None]
    along_x = points[1:-1, 2:] - points[1:-1, :-2]
    along_y = points[2:, 1:-1] - points[:-2, 1:-1]
    normal = torch.nn.functional.normalize(torch.cross(along_y, along_x, dim=-1), dim=-1, eps=1e-12)
    rotation = torch.from_numpy(np.array(camera.world_from_camera[:3, :3])).to(depth)
    return normal @ rotation.T


def normal_consistency(image: SplatImage, camera: Camera) -> Tensor:
    """Mean over pixels of the blended 1 - n.N, N being the normal of the expected depth's slope (eq. 14).

    The image needs `depth` and `normal`; zero where it has less than three pixels a side, as no slope is known.
    """
    if min(image.alpha.shape) < 3:
        return image.alpha.new_zeros(())
    alpha = image.alpha.detach()
    expected = image.depth / image.alpha.clamp_min(1e-6)
    surface = depth_normals(expected, camera) * alpha[1:-1, 1:-1, None]
    return (image.alpha[1:-1, 1:-1] - (image.normal[1:-1, 1:-1] * surface).sum(-1)).mean()
