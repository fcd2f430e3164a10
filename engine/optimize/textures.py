"""A mesh's material as the one tensor that is optimized, and back to glTF's textures."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from engine.optimize.texture_kernels import unpack
from engine.scene import Material

# Channels of the optimized texture: base colour, roughness, metallic, the normal's two slopes, occlusion (kept).
BASE_COLOR, ROUGHNESS, METALLIC, SLOPE, OCCLUSION = slice(0, 3), 3, 4, slice(5, 7), 7
CHANNELS = 8
MIN_ROUGHNESS = 0.05
MAX_SLOPE = 1.5


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    if image.shape[:2] == (size, size):
        return image
    shrinking = max(image.shape[:2]) > size
    result = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    return result.reshape(size, size, -1)


def resized_material(material: Material, size: int) -> Material:
    """`material` with every texture `size` x `size` texels."""
    normal = None
    if material.normal is not None:
        normal = _resized(material.normal, size)
        normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-8)
    return Material(
        _resized(material.base_color, size).astype(np.float32),
        _resized(material.occlusion_roughness_metallic, size).astype(np.float32),
        None if normal is None else normal.astype(np.float32),
    )


def texture_from_material(material: Material) -> Tensor:
    """[S,S,8] float32 of a square material; the normal becomes slopes x/z and y/z."""
    orm = material.occlusion_roughness_metallic
    normal = material.normal
    if normal is None:
        slopes = np.zeros((*orm.shape[:2], 2), np.float32)
    else:
        slopes = normal[..., :2] / np.maximum(normal[..., 2:], 1e-3)
    texture = np.concatenate([material.base_color, orm[..., 1:], slopes, orm[..., :1]], -1)
    return clamp(torch.from_numpy(np.ascontiguousarray(texture, np.float32)))


def channels(samples: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(base colour [P,3], roughness [P], metallic [P], slopes [P,2], occlusion [P]) of samples [P,8].

    One split has one gradient; five slices would each fill one of all channels with zeros.
    """
    color, roughness, metallic, slope, occlusion = samples.split([3, 1, 1, 2, 1], 1)
    return color, roughness[:, 0], metallic[:, 0], slope, occlusion[:, 0]


def clamp(texture: Tensor) -> Tensor:
    """`texture` [H,W,8], contiguous, in place, with every channel but the last in its range."""
    low = torch.tensor([0, 0, 0, MIN_ROUGHNESS, 0, -MAX_SLOPE, -MAX_SLOPE, -torch.inf], device=texture.device)
    high = torch.tensor([1, 1, 1, 1, 1, MAX_SLOPE, MAX_SLOPE, torch.inf], device=texture.device)
    height, width = texture.shape[:2]
    texture.view(height, -1).clamp_(low.repeat(width), high.repeat(width))  # long rows are quicker than eight values
    return texture


def material_from_texture(texture: Tensor) -> Material:
    """The glTF textures of an optimized texture [S,S,8]."""
    values = texture.detach().cpu().numpy()
    normal = np.concatenate([values[..., SLOPE], np.ones_like(values[..., :1])], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    orm = np.stack([values[..., OCCLUSION], values[..., ROUGHNESS], values[..., METALLIC]], -1)
    return Material(np.ascontiguousarray(values[..., BASE_COLOR]), orm, normal)


def quick_material(texture: Tensor) -> Material:
    """As `material_from_texture` but for the last digit of normals, in a quarter of the time: for looking at."""
    values = np.ascontiguousarray(texture.detach().cpu().numpy())
    maps = [np.empty((*values.shape[:2], 3), np.float32) for _ in range(3)]
    unpack(values, *maps)
    return Material(*maps)
